/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/fw/smbios.h"

#include "base/bytes.h"
#include "base/fmt.h"

#define ENTRY_SIZE   24U
#define TABLE_OFFSET 32U /* structures start aligned */

/* Handles: structure type in the high byte, number in the low one */
#define HANDLE(type, n) ((uint16_t)((type) << 8 | (n)))

#define DIMM_MAX        GIB(32) /* memory is told in modules of at most this size */

struct writer {
    uint8_t *buf;
    size_t size, len;
    bool full;
};

static void put(struct writer *w, const void *p, size_t n)
{
    if (w->full || n > w->size - w->len) {
        w->full = true;
        return;
    }
    memcpy(w->buf + w->len, p, n);
    w->len += n;
}

/* One structure: the formatted area, whose header is filled here, and its strings, up to a NULL. */
static void structure(struct writer *w, uint8_t type, uint16_t handle, uint8_t *area, size_t len,
                      const char *const *strings)
{
    area[0] = type;
    area[1] = (uint8_t)len;
    store_le16(area + 2, handle);
    put(w, area, len);
    for (unsigned i = 0; strings && strings[i]; i++) {
        size_t n = 0;

        while (strings[i][n])
            n++;
        put(w, strings[i], n + 1);
    }
    put(w, "\0", strings ? 1 : 2);
}

static void firmware(struct writer *w)
{
    static const char *const strings[] = {"batuta", "1.0", "01/01/2024", NULL};
    uint8_t a[26] = {[4] = 1, [5] = 2, [8] = 3};

    store_le16(a + 6, 0xe000);    /* segment */
    a[9] = 0;                     /* 64 KiB of ROM */
    store_le64(a + 10, BIT64(3)); /* characteristics are not given */
    a[19] = 0x1c;                 /* virtual machine, UEFI no, targeted content */
    a[20] = 1;
    a[21] = 0;
    a[22] = a[23] = 0xff; /* no embedded controller */
    structure(w, 0, HANDLE(0, 0), a, sizeof(a), strings);
}

static void system(struct writer *w)
{
    static const char *const strings[] = {"batuta", "Virtual machine", "1.0", NULL};
    uint8_t a[27] = {[4] = 1, [5] = 2, [6] = 3, [24] = 6}; /* woken by the power switch; no UUID */

    structure(w, 1, HANDLE(1, 0), a, sizeof(a), strings);
}

static void chassis(struct writer *w)
{
    static const char *const strings[] = {"batuta", NULL};
    uint8_t a[22] = {
        [4] = 1, [5] = 1, [9] = 3, [10] = 3, [11] = 3, [12] = 2}; /* other; safe; no security told */

    structure(w, 3, HANDLE(3, 0), a, sizeof(a), strings);
}

static void processor(struct writer *w, unsigned cpus)
{
    static const char *const strings[] = {"CPU 0", "batuta", NULL};
    uint8_t a[48] = {[4] = 1, [5] = 3, [6] = 1, [7] = 2}; /* central processor, other family */

    a[24] = 0x41; /* populated, enabled */
    a[25] = 1;
    store_le16(a + 26, 0xffff); /* no cache is described */
    store_le16(a + 28, 0xffff);
    store_le16(a + 30, 0xffff);
    a[35] = a[36] = a[37] = (uint8_t)cpus; /* cores, enabled cores, threads */
    store_le16(a + 38, 0x04);              /* 64-bit */
    store_le16(a + 40, 1);
    store_le16(a + 42, (uint16_t)cpus);
    store_le16(a + 44, (uint16_t)cpus);
    store_le16(a + 46, (uint16_t)cpus);
    structure(w, 4, HANDLE(4, 0), a, sizeof(a), strings);
}

static void memory_array(struct writer *w, uint64_t size, unsigned modules)
{
    uint8_t a[23] = {[4] = 1, [5] = 3, [6] = 3}; /* on the board, system memory, no error correction */

    store_le32(a + 7, 0x80000000); /* the capacity is below */
    store_le16(a + 11, 0xfffe);
    store_le16(a + 13, (uint16_t)modules);
    store_le64(a + 15, size);
    structure(w, 16, HANDLE(16, 0), a, sizeof(a), NULL);
}

static void memory_module(struct writer *w, unsigned n, uint64_t size)
{
    char locator[16];
    const char *const strings[] = {locator, "batuta", NULL};
    uint8_t a[40] = {[14] = 9, [16] = 1, [18] = 7, [23] = 2}; /* DIMM, RAM */
    uint64_t mib = size >> 20;

    fmt_print(locator, sizeof(locator), "DIMM %u", n);
    store_le16(a + 4, HANDLE(16, 0));
    store_le16(a + 6, 0xfffe);
    store_le16(a + 8, 0xffff); /* widths unknown */
    store_le16(a + 10, 0xffff);
    store_le16(a + 12, mib < 0x7fff ? (uint16_t)mib : 0x7fff);
    if (mib >= 0x7fff)
        store_le32(a + 28, (uint32_t)mib);
    store_le16(a + 19, 2); /* other */
    structure(w, 17, HANDLE(17, n), a, sizeof(a), strings);
}

static void memory_range(struct writer *w, unsigned n, uint64_t base, uint64_t size)
{
    uint8_t a[31] = {0};

    store_le32(a + 4, 0xffffffff); /* 64-bit addresses below */
    store_le32(a + 8, 0xffffffff);
    store_le16(a + 12, HANDLE(16, 0));
    a[14] = 1;
    store_le64(a + 15, base);
    store_le64(a + 23, base + size - 1);
    structure(w, 19, HANDLE(19, n), a, sizeof(a), NULL);
}

static void memory(struct writer *w, const struct memory *mem)
{
    unsigned modules = (unsigned)((mem->ram_size + DIMM_MAX - 1) / DIMM_MAX);

    memory_array(w, mem->ram_size, modules);
    for (unsigned i = 0; i < modules; i++)
        memory_module(w, i, MIN(DIMM_MAX, mem->ram_size - i * DIMM_MAX));
    memory_range(w, 0, 0, mem->ram_low);
    if (mem->ram_size > mem->ram_low)
        memory_range(w, 1, MEM_HIGH_BASE, mem->ram_size - mem->ram_low);
}

static void entry_point(uint8_t *e, uint64_t table, size_t len)
{
    unsigned sum = 0;

    memset(e, 0, TABLE_OFFSET);
    memcpy(e, "_SM3_", 5);
    e[6] = ENTRY_SIZE;
    e[7] = 3; /* version 3.0.0 */
    e[10] = 1;
    store_le32(e + 12, (uint32_t)len);
    store_le64(e + 16, table);
    for (unsigned i = 0; i < ENTRY_SIZE; i++)
        sum += e[i];
    e[5] = (uint8_t)-sum;
}

int smbios_build(struct vm *vm, uint8_t *buf, size_t size, uint64_t gpa_base, size_t *length)
{
    struct writer w = {.buf = buf, .size = size, .len = TABLE_OFFSET};
    uint8_t boot[11] = {0};
    uint8_t end[4] = {0};

    if (size < TABLE_OFFSET)
        return -ENOSPC;
    firmware(&w);
    system(&w);
    chassis(&w);
    processor(&w, vm->vcpu_count);
    memory(&w, &vm->mem);
    structure(&w, 32, HANDLE(32, 0), boot, sizeof(boot), NULL);
    structure(&w, 127, HANDLE(127, 0), end, sizeof(end), NULL);
    if (w.full)
        return -ENOSPC;
    entry_point(buf, gpa_base + TABLE_OFFSET, w.len - TABLE_OFFSET);
    *length = w.len;
    return 0;
}
