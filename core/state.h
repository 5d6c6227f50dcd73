/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State as data: each device and vCPU lists its fields once, and save, load,
 * reset checks and the debug dump all read that list. The stream is described in
 * docs/formats/state-stream.md. Pointers, descriptors and timers are never fields:
 * save the deadline and re-arm in post_load, which must treat every value as
 * hostile and refuse (-EINVAL) what the device could not hold.
 */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "base/error.h"

enum state_kind {
    STATE_KIND_END,
    STATE_KIND_INT, /* unsigned or signed, elem_size bytes, count of them */
    STATE_KIND_BOOL,
    STATE_KIND_BYTES,
    STATE_KIND_STRUCT, /* count of them, described by sub */
};

struct state_field {
    const char *name;
    uint8_t kind;      /* enum state_kind */
    uint8_t elem_size; /* INT: 1, 2, 4, 8 */
    uint16_t since;    /* the table's version that brought the field */
    uint32_t offset;
    uint32_t count;
    uint32_t stride; /* STRUCT: size of one */
    const struct state_field *sub;
    bool (*when)(const void *object); /* NULL: always; false: the field is neither saved nor expected */
};

struct state_table {
    const char *name; /* of the kind of object: "i8254" */
    uint16_t version;
    const struct state_field *fields; /* up to STATE_END */
    void (*pre_save)(void *object);
    int (*post_load)(void *object, unsigned version);
};

/* A scalar integer or enum member; SINCE: that the table's version `version_` brought. */
#define STATE_INT_SINCE(version_, type, m)                                                                   \
    {                                                                                                        \
        .name = #m, .kind = STATE_KIND_INT, .elem_size = sizeof(((type *)0)->m), .count = 1,                 \
        .offset = offsetof(type, m), .since = version_                                                       \
    }
#define STATE_INT(type, m) STATE_INT_SINCE(1, type, m)
/* An array (any dimensions) of integers of type elem. */
#define STATE_INTS(type, m, elem)                                                                            \
    {                                                                                                        \
        .name = #m, .kind = STATE_KIND_INT, .elem_size = sizeof(elem),                                       \
        .count = sizeof(((type *)0)->m) / sizeof(elem), .offset = offsetof(type, m), .since = 1              \
    }
#define STATE_BOOL_SINCE(version_, type, m)                                                                  \
    {                                                                                                        \
        .name = #m, .kind = STATE_KIND_BOOL, .elem_size = 1, .count = sizeof(((type *)0)->m),                \
        .offset = offsetof(type, m), .since = version_                                                       \
    }
#define STATE_BOOL(type, m) STATE_BOOL_SINCE(1, type, m)
#define STATE_BYTES(type, m)                                                                                 \
    {                                                                                                        \
        .name = #m, .kind = STATE_KIND_BYTES, .elem_size = 1, .count = sizeof(((type *)0)->m),               \
        .offset = offsetof(type, m), .since = 1                                                              \
    }
/* A struct member or an array of structs of type elem, whose fields are listed in fields_. */
#define STATE_STRUCT(type, m, elem, fields_)                                                                 \
    {                                                                                                        \
        .name = #m, .kind = STATE_KIND_STRUCT, .count = sizeof(((type *)0)->m) / sizeof(elem),               \
        .stride = sizeof(elem), .offset = offsetof(type, m), .sub = fields_, .since = 1                      \
    }
#define STATE_END                                                                                            \
    {                                                                                                        \
        .name = NULL, .kind = STATE_KIND_END                                                                 \
    }

/* Where a stream goes to or comes from. 0 or a negative errno; all of len or nothing. */
struct state_io {
    int (*transfer)(struct state_io *io, void *buf, size_t len); /* writes from or reads into buf */
};

/* One object as a record: header (name, instance, version, length), then its fields. */
int state_save_object(struct state_io *io, const struct state_table *table, const char *instance,
                      void *object, struct error *err);

/*
 * Decodes a record's body of len bytes into the object. On failure the object may
 * be half-written: the VM must not run. Fields younger than `version` keep what the
 * object had (reset it first); a field that the table does not know is an error.
 */
int state_load_object(const uint8_t *body, size_t len, unsigned version, const struct state_table *table,
                      void *object, struct error *err);

/* Text, one field a line, for people. print is called for each line. */
void state_dump(const struct state_table *table, const void *object,
                void (*print)(void *opaque, const char *line), void *opaque);

/* A hash of all fields, going on from `hash`. The object is looked at as it is: pre_save() is not called. */
uint64_t state_hash(const struct state_table *table, const void *object, uint64_t hash);

/* True if both objects hold the same in every field of the table. */
bool state_equal(const struct state_table *table, const void *a, const void *b);

struct vm;
struct plat;

/* The whole machine; vCPUs paused, lock held. vm_load() wants a VM built from the same description. RAM is
 * part of the stream, pages of zeroes left out. */
int vm_save(struct vm *vm, struct state_io *io, struct error *err);
int vm_load(struct vm *vm, struct state_io *io, struct error *err);

#endif
