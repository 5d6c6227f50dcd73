/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "switch/fdb.h"

#include "base/bytes.h"
#include "base/hash.h"

static unsigned bucket_of(const uint8_t mac[6], uint16_t vlan)
{
    uint64_t key = load_le32(mac) | (uint64_t)load_le16(mac + 4) << 32 | (uint64_t)vlan << 48;

    return (unsigned)(hash_word(HASH_BEGIN, key) >> 56) % FDB_BUCKETS;
}

static bool is_station(const struct fdb_entry *e, const uint8_t mac[6], uint16_t vlan)
{
    return e->vlan == vlan && !memcmp(e->mac, mac, 6);
}

static bool is_aged(const struct fdb *fdb, const struct fdb_entry *e, uint32_t now)
{
    return !e->fixed && now - e->seen > (fdb->age ? fdb->age : FDB_AGE);
}

static void entry_free(struct fdb *fdb, struct fdb_entry *e)
{
    if (e->vlan && !e->fixed)
        fdb->learned[e->port]--;
    *e = (struct fdb_entry){0};
}

int fdb_find(const struct fdb *fdb, const uint8_t mac[6], uint16_t vlan, uint32_t now)
{
    const struct fdb_entry *e = fdb->entry[bucket_of(mac, vlan)];

    for (unsigned i = 0; i < FDB_WAYS; i++, e++) {
        if (is_station(e, mac, vlan))
            return is_aged(fdb, e, now) ? FDB_NOWHERE : e->port;
    }
    return FDB_NOWHERE;
}

static struct fdb_entry *entry_find(struct fdb *fdb, const uint8_t mac[6], uint16_t vlan)
{
    struct fdb_entry *e = fdb->entry[bucket_of(mac, vlan)];

    for (unsigned i = 0; i < FDB_WAYS; i++, e++) {
        if (is_station(e, mac, vlan))
            return e;
    }
    return NULL;
}

/* A free entry, or the one that was quiet for longest; NULL: all are fixed. */
static struct fdb_entry *entry_room(struct fdb *fdb, const uint8_t mac[6], uint16_t vlan, uint32_t now)
{
    struct fdb_entry *e = fdb->entry[bucket_of(mac, vlan)], *best = NULL;

    for (unsigned i = 0; i < FDB_WAYS; i++, e++) {
        if (!e->vlan)
            return e;
        if (!e->fixed && (!best || now - e->seen > now - best->seen))
            best = e;
    }
    if (best)
        entry_free(fdb, best);
    return best;
}

static void entry_set(struct fdb_entry *e, const uint8_t mac[6], uint16_t vlan, unsigned port, bool fixed,
                      uint32_t now)
{
    *e = (struct fdb_entry){.vlan = vlan, .port = (uint8_t)port, .fixed = fixed, .seen = now};
    memcpy(e->mac, mac, 6);
}

bool fdb_learn(struct fdb *fdb, const uint8_t mac[6], uint16_t vlan, unsigned port, unsigned limit,
               uint32_t now)
{
    struct fdb_entry *e = entry_find(fdb, mac, vlan);

    if (e && e->fixed)
        return e->port == port;
    if (e && e->port == port) {
        e->seen = now;
        return true;
    }
    if (fdb->learned[port] >= limit)
        return true; /* it works all the same: what is for it is flooded */
    if (e)
        entry_free(fdb, e);
    else
        e = entry_room(fdb, mac, vlan, now);
    if (e) {
        entry_set(e, mac, vlan, port, false, now);
        fdb->learned[port]++;
    }
    return true;
}

bool fdb_fix(struct fdb *fdb, const uint8_t mac[6], uint16_t vlan, unsigned port)
{
    struct fdb_entry *e = entry_find(fdb, mac, vlan);

    if (e && e->fixed)
        return e->port == port;
    if (e)
        entry_free(fdb, e);
    else
        e = entry_room(fdb, mac, vlan, 0);
    if (!e)
        return false;
    entry_set(e, mac, vlan, port, true, 0);
    return true;
}

void fdb_forget_port(struct fdb *fdb, unsigned port)
{
    for (unsigned i = 0; i < FDB_BUCKETS; i++) {
        for (unsigned way = 0; way < FDB_WAYS; way++) {
            if (fdb->entry[i][way].vlan && fdb->entry[i][way].port == port)
                entry_free(fdb, &fdb->entry[i][way]);
        }
    }
}
