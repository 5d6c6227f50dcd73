/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A processor with nothing around it but a buffer of RAM: for tests that run
 * single instructions. 64-bit mode, CPL 0, paging on with 4 KiB pages that map
 * linear to the same guest-physical addresses, all user and writable until
 * flat_page() says otherwise. One page, FLAT_MMIO, is a device that remembers
 * its last access and answers reads with a pattern.
 *
 * Memory map: page tables from FLAT_TABLES on, code at FLAT_CODE, the stack
 * below FLAT_STACK, everything else up to FLAT_RAM is the test's.
 */
#ifndef TESTS_FLAT_CPU_H
#define TESTS_FLAT_CPU_H

#include <stdlib.h>
#include <string.h>

#include "x86/cpuid.h"
#include "x86/exec.h"
#include "x86/mem.h"

#define FLAT_RAM    0x200000ULL /* one page table's worth */
#define FLAT_TABLES 0x1000ULL   /* PML4, PDPT, PD, PT */
#define FLAT_CODE   0x8000ULL
#define FLAT_STACK  0x20000ULL
#define FLAT_MMIO   0x1ff000ULL
#define FLAT_RW     (X86_PTE_P | X86_PTE_W | X86_PTE_U)

struct flat_cpu {
    struct x86_cpu cpu;
    struct x86_tlb tlb;
    struct x86_cpuid_model model;
    uint8_t *ram;
    bool owns_ram;
    struct x86_insn insn; /* the last one executed */
    /* the device's memory of its last access, and counts */
    uint64_t mmio_gpa, mmio_value;
    unsigned mmio_size, mmio_reads, mmio_writes;
    unsigned stored_calls, exclusive_calls;
    uint64_t slow_page; /* a guest-physical page whose stores must be told, or 1 */
};

static inline struct flat_cpu *flat_of(struct x86_cpu *cpu)
{
    return container_of(cpu, struct flat_cpu, cpu);
}

static inline struct x86_page flat_env_page(struct x86_cpu *cpu, uint64_t gpa)
{
    struct flat_cpu *f = flat_of(cpu);

    if (gpa >= FLAT_RAM || gpa == FLAT_MMIO)
        return (struct x86_page){0};
    return (struct x86_page){.host = f->ram + gpa, .write_fast = gpa != f->slow_page};
}

static inline void flat_env_stored(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    flat_of(cpu)->stored_calls++;
}

/* Byte n of the device reads as the low byte of its address, with bit 7 set. */
static inline uint64_t flat_env_mmio_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    struct flat_cpu *f = flat_of(cpu);
    uint64_t value = 0;

    f->mmio_reads++;
    f->mmio_gpa = gpa;
    f->mmio_size = size;
    for (unsigned i = 0; i < size; i++)
        value |= (((gpa + i) & 0x7f) | 0x80) << (8 * i);
    return value;
}

static inline void flat_env_mmio_write(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
    struct flat_cpu *f = flat_of(cpu);

    f->mmio_writes++;
    f->mmio_gpa = gpa;
    f->mmio_size = size;
    f->mmio_value = value;
}

static inline uint64_t flat_env_pio_read(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    return low_bytes(0xf1e2d3c4b5a69788ULL ^ port, size);
}

static inline void flat_env_pio_write(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size)
{
    flat_of(cpu)->mmio_value = value;
}

static inline uint64_t flat_env_counter(struct x86_cpu *cpu)
{
    return ++flat_of(cpu)->mmio_value;
}

static inline bool flat_env_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    return false;
}

static inline bool flat_env_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    return false;
}

static inline uint64_t flat_env_cr8_read(struct x86_cpu *cpu)
{
    return cpu->s.cr8;
}

static inline void flat_env_cr8_write(struct x86_cpu *cpu, uint64_t value)
{
    cpu->s.cr8 = value;
}

static inline void flat_env_exclusive(struct x86_cpu *cpu)
{
    flat_of(cpu)->exclusive_calls++;
}

static const struct x86_env flat_env = {
    .page = flat_env_page,
    .stored = flat_env_stored,
    .mmio_read = flat_env_mmio_read,
    .mmio_write = flat_env_mmio_write,
    .pio_read = flat_env_pio_read,
    .pio_write = flat_env_pio_write,
    .tsc = flat_env_counter,
    .random = flat_env_counter,
    .msr_read = flat_env_msr_read,
    .msr_write = flat_env_msr_write,
    .cr8_read = flat_env_cr8_read,
    .cr8_write = flat_env_cr8_write,
    .exclusive_begin = flat_env_exclusive,
    .exclusive_end = flat_env_exclusive,
};

/* Maps one linear page anew: flags 0 unmaps it. */
static inline void flat_page(struct flat_cpu *f, uint64_t lin, uint64_t gpa, uint64_t flags)
{
    store_le64(f->ram + FLAT_TABLES + 0x3000 + (lin >> 12) * 8, flags ? gpa | flags : 0);
    x86_tlb_flush_page(&f->cpu, lin);
}

static inline void flat_segment(struct flat_cpu *f, unsigned seg, uint16_t selector, uint64_t base,
                                uint32_t limit, uint32_t attr)
{
    f->cpu.s.seg[seg] =
        (struct x86_segment){.base = base, .limit = limit, .attr = attr, .selector = selector};
}

/* Brings the processor to 64-bit, 32-bit or 16-bit protected mode with flat segments, CPL 0 or 3. */
static inline void flat_mode(struct flat_cpu *f, enum x86_mode mode, unsigned cpl)
{
    struct x86_state *s = &f->cpu.s;
    uint32_t attr = X86_SEG_P | X86_SEG_S | X86_SEG_G | cpl << 5;
    uint32_t size = mode == X86_MODE_16 ? 0 : X86_SEG_DB;
    bool lm = mode == X86_MODE_64;

    s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_MP;
    s->cr3 = FLAT_TABLES;
    s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
    s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE; /* not 64-bit: compatibility mode */
    s->xcr0 = X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX;
    flat_segment(f, X86_CS, (uint16_t)(0x08 | cpl), 0, UINT32_MAX, attr | 0xb | (lm ? X86_SEG_L : size));
    for (unsigned seg = X86_ES; seg <= X86_GS; seg++) {
        if (seg != X86_CS)
            flat_segment(f, seg, (uint16_t)(0x10 | cpl), 0, UINT32_MAX, attr | 0x3 | size);
    }
    s->rflags = X86_FL_FIXED;
    x86_state_changed(&f->cpu);
}

/* ram: FLAT_RAM bytes, page-aligned, zeroed; NULL: make some. Several processors may share it. */
static inline void flat_init(struct flat_cpu *f, uint8_t *ram)
{
    memset(f, 0, sizeof(*f));
    f->owns_ram = !ram;
    f->ram = ram ? ram : aligned_alloc(4096, FLAT_RAM);
    f->slow_page = 1;
    f->cpu.env = &flat_env;
    f->cpu.tlb = &f->tlb;
    f->cpu.cpuid = &f->model;
    memset(f->model.features, 0xff, sizeof(f->model.features));
    f->model.cr4_allowed = f->model.efer_allowed = f->model.xcr0_allowed = UINT64_MAX;
    f->model.phys_bits = 40;
    f->model.lin_bits = 48;
    if (!ram) {
        memset(f->ram, 0, FLAT_RAM);
        for (unsigned level = 0; level < 3; level++)
            store_le64(f->ram + FLAT_TABLES + level * 0x1000, (FLAT_TABLES + (level + 1) * 0x1000) | FLAT_RW);
        for (uint64_t page = 0; page < FLAT_RAM; page += 4096)
            store_le64(f->ram + FLAT_TABLES + 0x3000 + page / 512, page | FLAT_RW);
    }
    x86_reset(&f->cpu, false);
    flat_mode(f, X86_MODE_64, 0);
    f->cpu.s.gpr[X86_RSP] = FLAT_STACK;
    f->cpu.s.mxcsr = 0x1f80;
    f->cpu.s.x87.fcw = 0x37f;
}

static inline void flat_finish(struct flat_cpu *f)
{
    if (f->owns_ram)
        free(f->ram);
}

/*
 * Decodes, checks and executes one instruction given as bytes, as if it lay at
 * FLAT_CODE. Faults are not delivered: cpu.fault has them. Without a fault s.rip
 * is advanced. An instruction that does not decode is a #UD.
 */
static inline enum x86_result flat_exec(struct flat_cpu *f, const void *code, size_t len)
{
    struct x86_cpu *cpu = &f->cpu;
    enum x86_result result;

    cpu->s.rip = FLAT_CODE;
    if (x86_decode(code, len, cpu->mode, &f->insn) != 0)
        return x86_raise(cpu, X86_UD);
    result = x86_check(cpu, &f->insn);
    if (result == X86_NEXT)
        result = x86_exec_table[f->insn.id](cpu, &f->insn);
    if (result == X86_NEXT || result == X86_BREAK || result == X86_HALT)
        cpu->s.rip += f->insn.length;
    return result;
}

/* flat_exec(f, bytes…) */
#define FLAT_EXEC(f, ...) flat_exec(f, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#endif
