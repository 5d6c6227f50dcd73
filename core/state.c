/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects as records of named fields; the format is docs/formats/state-stream.md.
 */
#include "core/state.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/fmt.h"
#include "base/hash.h"
#include "base/text.h"
#include "core/state-internal.h"

#define FIELD_NAME_MAX 63
#define DEPTH_MAX      4

/* ---- writing ---- */

struct writer {
    struct state_io *io; /* NULL: only count */
    uint64_t count;
    int error;
};

static void put_bytes(struct writer *w, const void *p, size_t n)
{
    w->count += n;
    if (w->io && !w->error && n)
        w->error = w->io->transfer(w->io, (void *)(uintptr_t)p, n);
}

static void put_u32(struct writer *w, uint32_t v)
{
    uint8_t b[4];

    store_le32(b, v);
    put_bytes(w, b, sizeof(b));
}

static bool present(const struct state_field *f, const void *object)
{
    return !f->when || f->when(object);
}

static void put_fields(struct writer *w, const struct state_field *f, const uint8_t *object);

static void put_payload(struct writer *w, const struct state_field *f, const uint8_t *object)
{
    const uint8_t *p = object + f->offset;

    if (f->kind == STATE_KIND_STRUCT) {
        for (uint32_t i = 0; i < f->count; i++)
            put_fields(w, f->sub, p + (size_t)i * f->stride);
        put_u32(w, 0);
    } else {
        /* The host is little-endian, as the stream is. */
        put_bytes(w, p, (size_t)f->count * f->elem_size);
    }
}

static void put_fields(struct writer *w, const struct state_field *f, const uint8_t *object)
{
    for (; f->kind != STATE_KIND_END; f++) {
        struct writer measure = {0};
        size_t name = text_length(f->name);

        if (!present(f, object))
            continue;
        base_assert(name <= FIELD_NAME_MAX);
        put_payload(&measure, f, object);
        put_u32(w, (uint32_t)name | (uint32_t)f->kind << 8 | (uint32_t)f->elem_size << 16);
        put_u32(w, f->count);
        put_u32(w, (uint32_t)measure.count);
        put_bytes(w, f->name, name);
        put_payload(w, f, object);
    }
}

int state_record_begin(struct state_io *io, const struct state_record *r)
{
    uint8_t head[STATE_RECORD_SIZE] = {0};

    store_le32(head, r->kind);
    store_le32(head + 4, r->version);
    store_le64(head + 8, r->length);
    memcpy(head + 16, r->name, sizeof(r->name));
    memcpy(head + 48, r->instance, sizeof(r->instance));
    return io->transfer(io, head, sizeof(head));
}

void state_record_name(char out[32], const char *text)
{
    memset(out, 0, 32);
    fmt_print(out, 32, "%s", text);
}

int state_save_object(struct state_io *io, const struct state_table *table, const char *instance,
                      void *object, struct error *err)
{
    struct writer measure = {0};
    struct writer w = {.io = io};
    struct state_record r = {.kind = STATE_RECORD_OBJECT, .version = table->version};
    int e;

    if (table->pre_save)
        table->pre_save(object);
    put_fields(&measure, table->fields, object);
    r.length = measure.count;
    state_record_name(r.name, table->name);
    state_record_name(r.instance, instance);
    e = state_record_begin(io, &r);
    if (!e) {
        put_fields(&w, table->fields, object);
        e = w.error;
    }
    return e < 0 ? error_set(err, -e, "writing the state of %s %s failed", table->name, instance) : 0;
}

/* ---- reading ---- */

struct reader {
    const uint8_t *p;
    size_t left;
    const struct state_table *table;
    unsigned version;
    struct error *err;
};

struct field_head {
    uint32_t name_len, kind, elem_size, count, length;
    const char *name;
};

static int truncated(struct reader *r)
{
    return error_set(r->err, EINVAL, "state of %s is cut short", r->table->name);
}

/* 1: a head; 0: the end of a list of fields. */
static int get_head(struct reader *r, struct field_head *h)
{
    uint32_t v;

    if (r->left < 4)
        return r->left == 0 ? 0 : truncated(r);
    v = load_le32(r->p);
    if (v == 0)
        return 0;
    if (r->left < 12)
        return truncated(r);
    h->name_len = v & 0xff;
    h->kind = v >> 8 & 0xff;
    h->elem_size = v >> 16 & 0xff;
    h->count = load_le32(r->p + 4);
    h->length = load_le32(r->p + 8);
    if (v >> 24 || r->left - 12 < (size_t)h->name_len + h->length)
        return truncated(r);
    h->name = (const char *)r->p + 12;
    r->p += 12 + h->name_len;
    r->left -= 12 + h->name_len;
    return 1;
}

static bool is_named(const struct state_field *f, const struct field_head *h)
{
    return text_length(f->name) == h->name_len && !memcmp(f->name, h->name, h->name_len);
}

static int get_fields(struct reader *r, const struct state_field *fields, uint8_t *object, unsigned depth);

static int get_structs(struct reader *r, const struct state_field *f, uint8_t *p, uint32_t length,
                       unsigned depth)
{
    struct reader sub = *r;

    sub.left = length;
    for (uint32_t i = 0; i < f->count; i++) {
        int e = get_fields(&sub, f->sub, p + (size_t)i * f->stride, depth + 1);
        if (e < 0)
            return e;
    }
    if (sub.left != 4 || load_le32(sub.p) != 0)
        return truncated(r);
    return 0;
}

static int get_payload(struct reader *r, const struct state_field *f, const struct field_head *h,
                       uint8_t *object, unsigned depth)
{
    uint8_t *p = object + f->offset;
    int e = 0;

    if (h->kind != f->kind || h->count != f->count || h->elem_size != f->elem_size)
        return error_set(r->err, EINVAL, "state of %s: field %s has another shape here", r->table->name,
                         f->name);
    if (f->kind == STATE_KIND_STRUCT) {
        e = get_structs(r, f, p, h->length, depth);
    } else if (h->length != (uint64_t)f->count * f->elem_size) {
        e = truncated(r);
    } else {
        memcpy(p, r->p, h->length);
        for (uint32_t i = 0; f->kind == STATE_KIND_BOOL && i < f->count; i++)
            p[i] = p[i] != 0;
    }
    r->p += h->length;
    r->left -= h->length;
    return e;
}

/*
 * Fields come in the table's order. One that the stream lacks is allowed where it
 * is younger than the stream or conditional; one that the table lacks is an error.
 */
static int get_fields(struct reader *r, const struct state_field *f, uint8_t *object, unsigned depth)
{
    struct field_head h = {0};
    int e;

    if (depth > DEPTH_MAX)
        return error_set(r->err, EINVAL, "state of %s is nested too deep", r->table->name);
    for (; f->kind != STATE_KIND_END; f++) {
        struct reader before = *r;

        if (f->since > r->version)
            continue;
        e = get_head(r, &h);
        if (e < 0)
            return e;
        if (e == 1 && is_named(f, &h)) {
            e = get_payload(r, f, &h, object, depth);
            if (e < 0)
                return e;
        } else if (f->when) {
            *r = before;
        } else {
            return error_set(r->err, EINVAL, "state of %s lacks field %s", r->table->name, f->name);
        }
    }
    return 0;
}

int state_load_object(const uint8_t *body, size_t len, unsigned version, const struct state_table *table,
                      void *object, struct error *err)
{
    struct reader r = {.p = body, .left = len, .table = table, .version = version, .err = err};
    int e;

    if (!version || version > table->version)
        return error_set(err, EINVAL, "state of %s has version %u; this batuta knows up to %u", table->name,
                         version, table->version);
    e = get_fields(&r, table->fields, object, 0);
    if (e < 0)
        return e;
    if (r.left)
        return error_set(err, EINVAL, "state of %s has %zu bytes too many", table->name, r.left);
    e = table->post_load ? table->post_load(object, version) : 0;
    return e < 0 ? error_set(err, -e, "state of %s holds values that it cannot have", table->name) : 0;
}

/* ---- looking ---- */

static uint64_t get_int(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, size);
    return v;
}

struct dumper {
    void (*print)(void *opaque, const char *line);
    void *opaque;
};

static void dump_ints(const struct dumper *d, const char *prefix, const struct state_field *f,
                      const uint8_t *p)
{
    char line[512];
    size_t n = fmt_print(line, sizeof(line), "%s%s =", prefix, f->name);

    for (uint32_t i = 0; i < f->count && n + 24 < sizeof(line); i++)
        n += fmt_print(line + n, sizeof(line) - n, " %s%llx", f->kind == STATE_KIND_BYTES ? "" : "0x",
                       (unsigned long long)get_int(p + (size_t)i * f->elem_size, f->elem_size));
    d->print(d->opaque, line);
}

static void dump_fields(const struct dumper *d, const char *prefix, const struct state_field *f,
                        const uint8_t *object)
{
    for (; f->kind != STATE_KIND_END; f++) {
        if (!present(f, object))
            continue;
        if (f->kind != STATE_KIND_STRUCT) {
            dump_ints(d, prefix, f, object + f->offset);
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++) {
            char sub[128];

            if (f->count == 1)
                fmt_print(sub, sizeof(sub), "%s%s.", prefix, f->name);
            else
                fmt_print(sub, sizeof(sub), "%s%s[%u].", prefix, f->name, i);
            dump_fields(d, sub, f->sub, object + f->offset + (size_t)i * f->stride);
        }
    }
}

void state_dump(const struct state_table *table, const void *object,
                void (*print)(void *opaque, const char *line), void *opaque)
{
    struct dumper d = {.print = print, .opaque = opaque};

    dump_fields(&d, "", table->fields, object);
}

static bool fields_equal(const struct state_field *f, const uint8_t *a, const uint8_t *b)
{
    for (; f->kind != STATE_KIND_END; f++) {
        if (present(f, a) != present(f, b))
            return false;
        if (!present(f, a))
            continue;
        if (f->kind != STATE_KIND_STRUCT) {
            if (memcmp(a + f->offset, b + f->offset, (size_t)f->count * f->elem_size))
                return false;
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++) {
            size_t at = f->offset + (size_t)i * f->stride;
            if (!fields_equal(f->sub, a + at, b + at))
                return false;
        }
    }
    return true;
}

bool state_equal(const struct state_table *table, const void *a, const void *b)
{
    return fields_equal(table->fields, a, b);
}

/* ---- hashing ---- */

static uint64_t fields_hash(const struct state_field *f, const uint8_t *object, uint64_t hash)
{
    for (; f->kind != STATE_KIND_END; f++) {
        if (!present(f, object)) {
            hash = hash_word(hash, f->offset);
        } else if (f->kind == STATE_KIND_STRUCT) {
            for (uint32_t i = 0; i < f->count; i++)
                hash = fields_hash(f->sub, object + f->offset + (size_t)i * f->stride, hash);
        } else {
            hash = hash_bytes(hash, object + f->offset, (size_t)f->count * f->elem_size);
        }
    }
    return hash;
}

uint64_t state_hash(const struct state_table *table, const void *object, uint64_t hash)
{
    return fields_hash(table->fields, object, hash);
}
