/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SWITCH_SWITCH_INTERNAL_H
#define SWITCH_SWITCH_INTERNAL_H

#include "switch/switch.h"

static inline void stat_add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* The port is zeroed but for what its kind needs. */
int switch_port_insert(struct net_switch *sw, struct switch_port *port, const struct switch_config *config,
                       struct error *err);
/* Afterwards nobody sends to it. No spin lock held that a sender may want. */
void switch_port_remove(struct switch_port *port);

#endif
