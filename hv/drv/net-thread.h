/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a NIC of the machine receives is passed on by a thread of its own, in the hypervisor's time. */
#ifndef HV_DRV_NET_THREAD_H
#define HV_DRV_NET_THREAD_H

#include "base/error.h"

#define NET_THREADS 4U

struct net_switch;
struct switch_config;
struct sched_group;

/* Makes the machine's virtio NIC `number` a port of the switch. For good. */
int net_thread_start(unsigned number, struct net_switch *sw, const struct switch_config *config,
                     struct sched_group *group, struct error *err);

#endif
