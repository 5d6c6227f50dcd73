/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/fw/aml.h"

#include "base/bytes.h"

#define PKG_LENGTH_SIZE 3U /* always the form with three bytes: up to 1 MiB */

static void put(struct aml *aml, uint8_t byte)
{
    if (aml->len >= aml->size) {
        aml->overflow = true;
        return;
    }
    aml->buf[aml->len++] = byte;
}

static void put_le(struct aml *aml, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        put(aml, (uint8_t)(value >> (i * 8)));
}

void aml_bytes(struct aml *aml, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put(aml, ((const uint8_t *)bytes)[i]);
}

void aml_op(struct aml *aml, enum aml_op op)
{
    if ((unsigned)op > 0xff)
        put(aml, 0x5b);
    put(aml, (uint8_t)op);
}

static size_t segment_length(const char *p)
{
    size_t n = 0;

    while (p[n] && p[n] != '.')
        n++;
    return n;
}

void aml_path(struct aml *aml, const char *path)
{
    unsigned segments = 1;

    if (*path == '\\')
        put(aml, (uint8_t)*path++);
    for (const char *p = path; *p; p++)
        segments += *p == '.';
    if (segments == 2) {
        put(aml, 0x2e);
    } else if (segments > 2) {
        put(aml, 0x2f);
        put(aml, (uint8_t)segments);
    }
    for (;;) {
        size_t n = segment_length(path);

        base_assert(n >= 1 && n <= 4);
        for (size_t i = 0; i < 4; i++)
            put(aml, i < n ? (uint8_t)path[i] : '_');
        if (!path[n])
            break;
        path += n + 1;
    }
}

void aml_integer(struct aml *aml, uint64_t value)
{
    if (value <= 1) {
        put(aml, (uint8_t)value);
    } else if (value <= 0xff) {
        put(aml, 0x0a);
        put_le(aml, value, 1);
    } else if (value <= 0xffff) {
        put(aml, 0x0b);
        put_le(aml, value, 2);
    } else if (value <= 0xffffffff) {
        put(aml, 0x0c);
        put_le(aml, value, 4);
    } else {
        put(aml, 0x0e);
        put_le(aml, value, 8);
    }
}

void aml_string(struct aml *aml, const char *text)
{
    put(aml, 0x0d);
    do
        put(aml, (uint8_t)*text);
    while (*text++);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, big-endian. */
void aml_eisaid(struct aml *aml, const char *id)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 3; i++)
        v = v << 5 | (uint32_t)(id[i] - '@');
    for (unsigned i = 3; i < 7; i++)
        v = v << 4 | hex_digit(id[i]);
    put(aml, 0x0c);
    put_le(aml, __builtin_bswap32(v), 4);
}

static size_t begin_length(struct aml *aml)
{
    size_t mark = aml->len;

    put_le(aml, 0, PKG_LENGTH_SIZE);
    return mark;
}

size_t aml_begin(struct aml *aml, enum aml_op op)
{
    aml_op(aml, op);
    return begin_length(aml);
}

size_t aml_begin_path(struct aml *aml, enum aml_op op, const char *path)
{
    size_t mark = aml_begin(aml, op);

    aml_path(aml, path);
    return mark;
}

size_t aml_begin_method(struct aml *aml, const char *path, unsigned args, bool serialized)
{
    size_t mark;

    put(aml, 0x14);
    mark = begin_length(aml);
    aml_path(aml, path);
    put(aml, (uint8_t)(args | (serialized ? BIT(3) : 0)));
    return mark;
}

size_t aml_begin_package(struct aml *aml, uint8_t count)
{
    size_t mark;

    put(aml, 0x12);
    mark = begin_length(aml);
    put(aml, count);
    return mark;
}

void aml_end(struct aml *aml, size_t mark)
{
    size_t len = aml->len - mark;

    if (aml->overflow || len >= BIT(20)) {
        aml->overflow = true;
        return;
    }
    aml->buf[mark] = (uint8_t)((PKG_LENGTH_SIZE - 1) << 6 | (len & 15));
    aml->buf[mark + 1] = (uint8_t)(len >> 4);
    aml->buf[mark + 2] = (uint8_t)(len >> 12);
}

void aml_buffer(struct aml *aml, const void *bytes, size_t len)
{
    size_t mark;

    put(aml, 0x11);
    mark = begin_length(aml);
    aml_integer(aml, len);
    aml_bytes(aml, bytes, len);
    aml_end(aml, mark);
}

void aml_name(struct aml *aml, const char *path)
{
    put(aml, 0x08);
    aml_path(aml, path);
}

void aml_name_integer(struct aml *aml, const char *path, uint64_t value)
{
    aml_name(aml, path);
    aml_integer(aml, value);
}

void aml_name_eisaid(struct aml *aml, const char *path, const char *id)
{
    aml_name(aml, path);
    aml_eisaid(aml, id);
}

void aml_name_string(struct aml *aml, const char *path, const char *text)
{
    aml_name(aml, path);
    aml_string(aml, text);
}

void aml_io(struct aml *res, uint16_t base, uint8_t len)
{
    put(res, 0x47);
    put(res, 1); /* decodes 16 bits */
    put_le(res, base, 2);
    put_le(res, base, 2);
    put(res, 1);
    put(res, len);
}

void aml_irq(struct aml *res, unsigned irq)
{
    put(res, 0x22);
    put_le(res, BIT(irq), 2);
}

void aml_memory32(struct aml *res, uint32_t base, uint32_t len, bool writable)
{
    put(res, 0x86);
    put_le(res, 9, 2);
    put(res, writable);
    put_le(res, base, 4);
    put_le(res, len, 4);
}

/* An address space descriptor: a produced window with fixed ends, no translation. */
static void window(struct aml *res, uint8_t tag, uint8_t type, uint8_t flags, unsigned size, uint64_t min,
                   uint64_t max)
{
    put(res, tag);
    put_le(res, 3 + 5 * size, 2);
    put(res, type);
    put(res, 0x0c); /* minimum and maximum fixed, positive decoding */
    put(res, flags);
    put_le(res, 0, size); /* granularity */
    put_le(res, min, size);
    put_le(res, max, size);
    put_le(res, 0, size); /* translation */
    put_le(res, max - min + 1, size);
}

#define WINDOW_MEMORY 0
#define WINDOW_IO     1
#define WINDOW_BUS    2

void aml_word_bus(struct aml *res, uint16_t min, uint16_t max)
{
    window(res, 0x88, WINDOW_BUS, 0, 2, min, max);
}

void aml_word_io(struct aml *res, uint16_t min, uint16_t max)
{
    window(res, 0x88, WINDOW_IO, 3, 2, min, max); /* the entire range, ISA and not */
}

void aml_dword_memory(struct aml *res, uint32_t min, uint32_t max)
{
    window(res, 0x87, WINDOW_MEMORY, 1, 4, min, max); /* writable, not cacheable */
}

void aml_qword_memory(struct aml *res, uint64_t min, uint64_t max)
{
    window(res, 0x8a, WINDOW_MEMORY, 1, 8, min, max);
}

void aml_crs(struct aml *aml, struct aml *res)
{
    put(res, 0x79); /* end, checksum not given */
    put(res, 0);
    aml_name(aml, "_CRS");
    aml_buffer(aml, res->buf, res->len);
    aml->overflow |= res->overflow;
}
