/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses to guest memory that the inline TLB lookup of x86/mem.h cannot do:
 * TLB misses, page crossings, MMIO, ROM, watched pages, and whole runs of bytes.
 */
#include "x86/exec-sys.h"
#include "x86/operand.h"

/* Pages with data breakpoints are kept out of the TLB, so all accesses to them come by here. */
static inline void watch(struct x86_cpu *cpu, uint64_t lin, size_t size, bool write)
{
    if (unlikely(cpu->s.dr[7] & 0xff))
        x86_debug_data(cpu, lin, (unsigned)size, write);
}

/* Host address of a run inside one page if the TLB of these rights knows it, else NULL. */
static void *cached_read(struct x86_cpu *cpu, uint64_t lin, size_t len, unsigned mmu)
{
    const struct x86_tlb_entry *e = &cpu->tlb->entry[mmu][(lin >> 12) & (X86_TLB_SIZE - 1)];

    return lin - e->tag_read <= 4096 - len ? (void *)(uintptr_t)(lin + e->addend) : NULL;
}

static void *cached_write(struct x86_cpu *cpu, uint64_t lin, size_t len, unsigned mmu)
{
    const struct x86_tlb_entry *e = &cpu->tlb->entry[mmu][(lin >> 12) & (X86_TLB_SIZE - 1)];

    return lin - e->tag_write <= 4096 - len ? (void *)(uintptr_t)(lin + e->addend) : NULL;
}

static size_t left_in_page(uint64_t lin)
{
    return 4096 - (lin & 4095);
}

/* lin + n; without 64-bit addresses the linear address space wraps at 4 GiB. */
static uint64_t lin_add(const struct x86_cpu *cpu, uint64_t lin, size_t n)
{
    if (cpu->mode != X86_MODE_64 && lin <= UINT32_MAX)
        return (uint32_t)(lin + n);
    return lin + n;
}

/* The largest access of 1, 2, 4 or 8 bytes that fits in len. */
static unsigned mmio_piece(size_t len)
{
    return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static void read_part(struct x86_cpu *cpu, const struct x86_translation *t, uint8_t *buf, size_t len)
{
    uint64_t gpa = t->gpa;

    if (t->host) {
        memcpy(buf, t->host, len);
        return;
    }
    while (len) {
        unsigned n = mmio_piece(len);
        uint64_t v = cpu->env->mmio_read(cpu, gpa, n);

        for (unsigned i = 0; i < n; i++)
            buf[i] = (uint8_t)(v >> (8 * i));
        buf += n;
        gpa += n;
        len -= n;
    }
}

static void write_part(struct x86_cpu *cpu, const struct x86_translation *t, const uint8_t *buf, size_t len)
{
    uint64_t gpa = t->gpa;

    if (t->rom)
        return;
    if (t->host) {
        memcpy(t->host, buf, len);
        if (!t->write_fast)
            cpu->env->stored(cpu, gpa, (unsigned)len);
        return;
    }
    while (len) {
        unsigned n = mmio_piece(len);
        uint64_t v = 0;

        for (unsigned i = 0; i < n; i++)
            v |= (uint64_t)buf[i] << (8 * i);
        cpu->env->mmio_write(cpu, gpa, v, n);
        buf += n;
        gpa += n;
        len -= n;
    }
}

bool x86_load_bytes(struct x86_cpu *cpu, uint64_t lin, void *buf, size_t len, unsigned mmu)
{
    uint8_t *to = buf;

    while (len) {
        size_t n = MIN(len, left_in_page(lin));
        const void *host = cached_read(cpu, lin, n, mmu);

        if (host) {
            memcpy(to, host, n);
        } else {
            struct x86_translation t;

            if (!x86_translate(cpu, lin, X86_MEM_READ, mmu, &t))
                return false;
            read_part(cpu, &t, to, n);
            watch(cpu, lin, n, false);
        }
        to += n;
        len -= n;
        lin = lin_add(cpu, lin, n);
    }
    return true;
}

/* Are all pages of the run writable with these rights? Faults as the store would. */
static bool check_write(struct x86_cpu *cpu, uint64_t lin, size_t len, unsigned mmu)
{
    while (len) {
        size_t n = MIN(len, left_in_page(lin));
        struct x86_translation t;

        if (!cached_write(cpu, lin, n, mmu) && !x86_translate(cpu, lin, X86_MEM_WRITE, mmu, &t))
            return false;
        len -= n;
        lin = lin_add(cpu, lin, n);
    }
    return true;
}

bool x86_store_bytes(struct x86_cpu *cpu, uint64_t lin, const void *buf, size_t len, unsigned mmu)
{
    const uint8_t *from = buf;

    if (len > left_in_page(lin) && !check_write(cpu, lin, len, mmu))
        return false;
    while (len) {
        size_t n = MIN(len, left_in_page(lin));
        void *host = cached_write(cpu, lin, n, mmu);

        if (host) {
            memcpy(host, from, n);
        } else {
            struct x86_translation t;

            if (!x86_translate(cpu, lin, X86_MEM_WRITE, mmu, &t))
                return false;
            write_part(cpu, &t, from, n);
            watch(cpu, lin, n, true);
        }
        from += n;
        len -= n;
        lin = lin_add(cpu, lin, n);
    }
    return true;
}

/* One host or MMIO access: inside a page, and of a size that has one. */
static bool is_single(uint64_t lin, unsigned size)
{
    return size <= left_in_page(lin) && (size & (size - 1)) == 0;
}

bool x86_load_slow(struct x86_cpu *cpu, uint64_t lin, unsigned size, unsigned mmu, uint64_t *value)
{
    uint8_t buf[8] = {0};

    if (is_single(lin, size)) {
        struct x86_translation t;
        const void *host = cached_read(cpu, lin, size, mmu);

        if (!host) {
            if (!x86_translate(cpu, lin, X86_MEM_READ, mmu, &t))
                return false;
            host = t.host;
            watch(cpu, lin, size, false);
        }
        *value = host ? x86_host_load(host, size) : low_bytes(cpu->env->mmio_read(cpu, t.gpa, size), size);
        return true;
    }
    if (!x86_load_bytes(cpu, lin, buf, size, mmu))
        return false;
    *value = load_le64(buf);
    return true;
}

bool x86_store_slow(struct x86_cpu *cpu, uint64_t lin, unsigned size, unsigned mmu, uint64_t value)
{
    uint8_t buf[8];

    if (is_single(lin, size)) {
        struct x86_translation t;
        void *host = cached_write(cpu, lin, size, mmu);

        if (host) {
            x86_host_store(host, size, value);
            return true;
        }
        if (!x86_translate(cpu, lin, X86_MEM_WRITE, mmu, &t))
            return false;
        watch(cpu, lin, size, true);
        if (t.rom)
            return true;
        if (!t.host) {
            cpu->env->mmio_write(cpu, t.gpa, low_bytes(value, size), size);
            return true;
        }
        x86_host_store(t.host, size, value);
        if (!t.write_fast)
            cpu->env->stored(cpu, t.gpa, size);
        return true;
    }
    store_le64(buf, value);
    return x86_store_bytes(cpu, lin, buf, size, mmu);
}

bool x86_rmw(struct x86_cpu *cpu, uint64_t lin, unsigned size, void **host)
{
    struct x86_translation t;

    *host = cached_write(cpu, lin, size, cpu->mmu_index);
    if (*host)
        return true;
    if (size > left_in_page(lin))
        return check_write(cpu, lin, size, cpu->mmu_index);
    if (!x86_translate(cpu, lin, X86_MEM_WRITE, cpu->mmu_index, &t))
        return false;
    *host = t.rom ? NULL : t.host; /* a store to ROM is dropped: load and store do that */
    return true;
}

void x86_rmw_done(struct x86_cpu *cpu, uint64_t lin, unsigned size)
{
    struct x86_translation t;

    if (cached_write(cpu, lin, size, cpu->mmu_index))
        return;
    watch(cpu, lin, size, true);
    if (x86_translate(cpu, lin, X86_MEM_WRITE, cpu->mmu_index, &t) && !t.write_fast)
        cpu->env->stored(cpu, t.gpa, size);
}
