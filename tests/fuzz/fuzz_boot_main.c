/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the boot fuzz target without libFuzzer: on the files named, or with `-n
 * COUNT` on that many images made from a plausible one of each kind, a few of
 * whose fields hold numbers that break parsers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IMAGE 12288U

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 16;
}

static uint32_t nasty(uint64_t *state)
{
    static const uint32_t numbers[] = {0,       1,       2,          3,          4,          8,
                                       16,      64,      0x1000,     0x1fff,     0x2000,     0xffff,
                                       0x9fc00, 0xa0000, 0x100000,   0x200000,   0x7fffffff, 0x800000,
                                       12288,   12287,   0xffffffff, 0xfffffff8, 0xfffff000};

    return next(state) % 4 ? numbers[next(state) % ARRAY_SIZE(numbers)] : (uint32_t)next(state);
}

static void make_elf(uint8_t *h, bool is64)
{
    uint8_t *ph = h + 64, *sh = h + 0x200;

    memcpy(h, "\177ELF", 4);
    h[4] = is64 ? 2 : 1;
    h[5] = 1;
    store_le16(h + 16, 2);
    store_le16(h + 18, is64 ? 62 : 3);
    if (is64) {
        store_le64(h + 24, 0x100000);
        store_le64(h + 32, 64);
        store_le64(h + 40, 0x200);
        store_le16(h + 54, 56);
        store_le16(h + 56, 3);
        store_le16(h + 58, 64);
        store_le16(h + 60, 4);
        for (int i = 0; i < 3; i++, ph += 56) {
            store_le32(ph, i == 2 ? 4 : 1);
            store_le64(ph + 8, 0x1000U * (i + 1U));
            store_le64(ph + 16, 0x100000 + 0x10000U * i);
            store_le64(ph + 24, 0x100000 + 0x10000U * i);
            store_le64(ph + 32, 0x800);
            store_le64(ph + 40, 0x1800);
        }
        for (int i = 0; i < 4; i++, sh += 64) {
            store_le32(sh + 4, 3);
            store_le64(sh + 24, 0x800);
            store_le64(sh + 32, 0x100);
        }
        return;
    }
    store_le32(h + 24, 0x100000);
    store_le32(h + 28, 64);
    store_le16(h + 42, 32);
    store_le16(h + 44, 2);
    for (int i = 0; i < 2; i++, ph += 32) {
        store_le32(ph, 1);
        store_le32(ph + 4, 0x1000);
        store_le32(ph + 8, 0x100000);
        store_le32(ph + 12, 0x100000 + 0x10000U * i);
        store_le32(ph + 16, 0x800);
        store_le32(ph + 20, 0x1800);
    }
}

static void make_linux(uint8_t *h)
{
    h[0x1f1] = 1;
    store_le16(h + 0x206, 0x20f);
    h[0x211] = 1;
    h[0x201] = 0x6a;
    h[0x234] = 1;
    store_le32(h + 0x22c, 0x7fffffff);
    store_le16(h + 0x236, 1);
    store_le64(h + 0x258, 0x100000);
}

/* A multiboot header without its magic and sum, which the target puts in: see repair() there. */
static void put_header(uint8_t *h, unsigned version, bool addresses)
{
    uint8_t *tag = h + 16;

    if (version == 1) {
        store_le32(h + 4, 3 | (addresses ? BIT(16) : 0));
        for (unsigned i = 0; i < 5 && addresses; i++)
            store_le32(h + 12 + i * 4,
                       (const uint32_t[]){0x100400, 0x100000, 0x102000, 0x104000, 0x100500}[i]);
        return;
    }
    store_le32(h + 8, addresses ? 16 + 24 + 16 + 8 : 16 + 16 + 8);
    if (addresses) {
        store_le16(tag, 2);
        store_le32(tag + 4, 24);
        for (unsigned i = 0; i < 4; i++)
            store_le32(tag + 8 + i * 4, (const uint32_t[]){0x100400, 0x100000, 0x102000, 0x104000}[i]);
        tag += 24;
    }
    store_le16(tag, 3);
    store_le32(tag + 4, 12);
    store_le32(tag + 8, 0x100500);
    store_le32(tag + 20, 8);
}

/* The first byte is the target's: detect the protocol, and which magic to put in. */
static size_t make_image(uint8_t *data, uint64_t *state)
{
    static const uint8_t first[] = {0x10, 0x20, 0x30, 0x20, 0x30, 0x00, 0x00};
    unsigned kind = (unsigned)(next(state) % ARRAY_SIZE(first));
    uint8_t *image = data + 1;
    size_t len = next(state) % 8 ? IMAGE : next(state) % IMAGE + 2;

    memset(data, 0, IMAGE + 1);
    data[0] = first[kind];
    if (kind == 0)
        make_linux(image);
    else if (kind >= 3)
        make_elf(image, next(state) & 1);
    put_header(image + 0x400, kind == 1 || kind == 3 ? 1 : 2, kind < 3);
    for (unsigned n = (unsigned)(next(state) % 6); n; n--)
        store_le32(image + next(state) % 0x300, nasty(state));
    for (unsigned n = (unsigned)(next(state) % 4); n && kind; n--)
        store_le32(image + 0x404 + next(state) % 0x60, nasty(state));
    for (unsigned n = (unsigned)(next(state) % 3); n; n--)
        store_le32(image + next(state) % (IMAGE - 4), nasty(state));
    return MIN(len, (size_t)IMAGE) + 1;
}

int main(int argc, char **argv)
{
    uint64_t state = 0x9e3779b97f4a7c15ULL;
    uint8_t *data = malloc(IMAGE + 1);

    if (!data)
        return 1;
    if (argc == 3 && !strcmp(argv[1], "-n")) {
        for (unsigned long n = strtoul(argv[2], NULL, 0); n; n--) {
            size_t size = make_image(data, &state);
            uint8_t *exact = malloc(size);

            memcpy(exact, data, size);
            LLVMFuzzerTestOneInput(exact, size);
            free(exact);
        }
    }
    for (int i = 1; i < argc && argc != 3; i++) {
        FILE *f = fopen(argv[i], "rb");
        uint8_t *bytes = malloc(1U << 20);

        if (f && bytes)
            LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, 1U << 20, f));
        if (f)
            fclose(f);
        free(bytes);
    }
    free(data);
    return 0;
}
