/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which port a station is behind, by MAC address and VLAN: learned from what it sends,
 * forgotten after a while, and bounded; or said by the configuration, and then nobody
 * else's. The caller locks.
 */
#ifndef SWITCH_FDB_H
#define SWITCH_FDB_H

#include "base/base.h"

#define FDB_BUCKETS  256U
#define FDB_WAYS     4U
#define FDB_PORTS    64U
#define FDB_PER_PORT 128U /* learned ones, of a port that is a VM's: it cannot push the others out */
#define FDB_NOWHERE  (-1)

struct fdb_entry {
    uint8_t mac[6];
    uint16_t vlan; /* 0: free */
    uint32_t seen; /* seconds */
    uint8_t port;
    bool fixed;
};

#define FDB_AGE 300U /* seconds, if not said otherwise */

struct fdb {
    uint32_t age; /* seconds after which a silent station is forgotten; 0: FDB_AGE */
    struct fdb_entry entry[FDB_BUCKETS][FDB_WAYS];
    uint16_t learned[FDB_PORTS];
};

/* now: seconds, of one clock. */
int fdb_find(const struct fdb *fdb, const uint8_t mac[6], uint16_t vlan, uint32_t now);
/* The station sent on this port. False: it is another port's by configuration. */
bool fdb_learn(struct fdb *fdb, const uint8_t mac[6], uint16_t vlan, unsigned port, unsigned limit,
               uint32_t now);
/* By configuration. False: another port has it, or its bucket is full of such. */
bool fdb_fix(struct fdb *fdb, const uint8_t mac[6], uint16_t vlan, unsigned port);
void fdb_forget_port(struct fdb *fdb, unsigned port);

#endif
