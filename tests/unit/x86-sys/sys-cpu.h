/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flat-cpu.h with what an operating system has: GDT, IDT, TSS, in any mode.
 * Handlers are addresses only: an event has been delivered when rip is one.
 */
#ifndef TESTS_SYS_CPU_H
#define TESTS_SYS_CPU_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/x86-exec/flat-cpu.h"
#include "x86/exec-sys.h"

#define SYS_GDT       0x100000ULL
#define SYS_IDT       0x101000ULL
#define SYS_TSS       0x102000ULL
#define SYS_LDT       0x103000ULL
#define SYS_TSS2      0x104000ULL
#define SYS_HANDLERS  0x110000ULL /* + vector * 16 */
#define SYS_KSTACK    0x120000ULL /* RSP0, ESP0 */
#define SYS_IST1      0x124000ULL
#define SYS_USTACK    0x130000ULL
#define SYS_GDT_SLOTS 32

enum sys_selector {
    SEL_KCODE64 = 0x08,
    SEL_KDATA = 0x10,
    SEL_KCODE32 = 0x18,
    SEL_UCODE32 = 0x20,
    SEL_UDATA = 0x28,
    SEL_UCODE64 = 0x30,
    SEL_KCODE16 = 0x38,
    SEL_TSS = 0x40,  /* and 0x48 in long mode */
    SEL_LDT = 0x50,  /* and 0x58 */
    SEL_TEST = 0x60, /* the test's own, and the next */
    SEL_TEST2 = 0x70,
};

#define SYS_TYPE(type, dpl) (((uint64_t)(type) | (uint64_t)(dpl) << 5 | 0x80) << 40)
#define SYS_FLAT            (0xffffULL | 0xfULL << 48 | BIT64(55))
#define SYS_L               BIT64(53)
#define SYS_DB              BIT64(54)

static inline void sys_put(struct flat_cpu *f, uint64_t gpa, unsigned size, uint64_t value)
{
    memcpy(f->ram + gpa, &value, size);
}

static inline uint64_t sys_get(struct flat_cpu *f, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, f->ram + gpa, size);
    return value;
}

static inline void sys_gdt(struct flat_cpu *f, unsigned selector, uint64_t descriptor)
{
    sys_put(f, SYS_GDT + (selector & ~7U), 8, descriptor);
}

/* A system descriptor of base and limit; 16 bytes if wide. */
static inline void sys_gdt_system(struct flat_cpu *f, unsigned selector, unsigned type, unsigned dpl,
                                  uint64_t base, uint32_t limit, bool wide)
{
    sys_gdt(f, selector,
            (limit & 0xffff) | (base & 0xffffff) << 16 | SYS_TYPE(type, dpl) | (uint64_t)(limit >> 16) << 48 |
                (base >> 24 & 0xff) << 56);
    if (wide)
        sys_gdt(f, selector + 8, base >> 32);
}

static inline void sys_gate(struct flat_cpu *f, unsigned vector, unsigned type, unsigned dpl,
                            unsigned selector, uint64_t offset, unsigned ist)
{
    uint64_t low = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 | SYS_TYPE(type, dpl) |
                   (offset >> 16 & 0xffff) << 48;
    bool wide = f->cpu.s.efer & X86_EFER_LMA;

    sys_put(f, SYS_IDT + vector * (wide ? 16 : 8), 8, low);
    if (wide)
        sys_put(f, SYS_IDT + vector * 16 + 8, 8, offset >> 32);
}

static inline uint64_t sys_handler(unsigned vector)
{
    return SYS_HANDLERS + vector * 16;
}

static inline void sys_tables(struct flat_cpu *f, bool lm)
{
    struct x86_state *s = &f->cpu.s;

    memset(f->ram + SYS_GDT, 0, 0x6000);
    sys_gdt(f, SEL_KCODE64, SYS_FLAT | SYS_TYPE(0x1b, 0) | SYS_L);
    sys_gdt(f, SEL_KDATA, SYS_FLAT | SYS_TYPE(0x13, 0) | SYS_DB);
    sys_gdt(f, SEL_KCODE32, SYS_FLAT | SYS_TYPE(0x1b, 0) | SYS_DB);
    sys_gdt(f, SEL_UCODE32, SYS_FLAT | SYS_TYPE(0x1b, 3) | SYS_DB);
    sys_gdt(f, SEL_UDATA, SYS_FLAT | SYS_TYPE(0x13, 3) | SYS_DB);
    sys_gdt(f, SEL_UCODE64, SYS_FLAT | SYS_TYPE(0x1b, 3) | SYS_L);
    sys_gdt(f, SEL_KCODE16, 0xffff | SYS_TYPE(0x1b, 0));
    sys_gdt_system(f, SEL_TSS, 0xb, 0, SYS_TSS, 0x67 + 0x2001, lm);
    s->gdtr = (struct x86_table_reg){.base = SYS_GDT, .limit = SYS_GDT_SLOTS * 8 - 1};
    s->idtr = (struct x86_table_reg){.base = SYS_IDT, .limit = 0xfff};
    s->seg[X86_TR] = (struct x86_segment){
        .selector = SEL_TSS, .base = SYS_TSS, .limit = 0x67 + 0x2001, .attr = X86_SEG_P | 0xb};
    s->seg[X86_LDTR] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
    if (lm) {
        sys_put(f, SYS_TSS + 4, 8, SYS_KSTACK);
        sys_put(f, SYS_TSS + 0x24, 8, SYS_IST1);
    } else {
        sys_put(f, SYS_TSS + 4, 4, SYS_KSTACK);
        sys_put(f, SYS_TSS + 8, 2, SEL_KDATA);
    }
    sys_put(f, SYS_TSS + 0x66, 2, 0x68); /* I/O bitmap: all ports free until a test says otherwise */
    for (unsigned v = 0; v < 256; v++)
        sys_gate(f, v, 0xe, v == 3 || v == 0x80 ? 3 : 0, lm ? SEL_KCODE64 : SEL_KCODE32, sys_handler(v), 0);
    x86_tlb_flush(&f->cpu);
}

/* 64-bit mode, or 32-bit protected mode without long mode; CPL 0 or 3, stack at SYS_USTACK. */
static inline void sys_start(struct flat_cpu *f, bool lm, unsigned cpl)
{
    struct x86_state *s = &f->cpu.s;

    flat_mode(f, lm ? X86_MODE_64 : X86_MODE_32, cpl);
    if (!lm) {
        s->cr0 &= ~(uint64_t)X86_CR0_PG;
        s->efer = 0;
    }
    s->seg[X86_CS].selector =
        (uint16_t)((cpl ? (lm ? SEL_UCODE64 : SEL_UCODE32) : (lm ? SEL_KCODE64 : SEL_KCODE32)) | cpl);
    for (unsigned i = X86_ES; i <= X86_GS; i++) {
        if (i != X86_CS)
            s->seg[i].selector = (uint16_t)((cpl ? SEL_UDATA : SEL_KDATA) | cpl);
    }
    x86_state_changed(&f->cpu);
    sys_tables(f, lm);
    s->gpr[X86_RSP] = SYS_USTACK;
    s->rip = FLAT_CODE;
    s->activity = X86_ACT_RUN;
}

/* Real mode, code and stack in the low 64 KiB. */
static inline void sys_start_real(struct flat_cpu *f)
{
    x86_reset(&f->cpu, false);
    f->cpu.s.seg[X86_CS].selector = 0;
    f->cpu.s.seg[X86_CS].base = 0;
    f->cpu.s.gpr[X86_RSP] = 0x7000;
    f->cpu.s.rip = FLAT_CODE;
}

/* Puts code at rip and steps once. */
static inline enum x86_result sys_step(struct flat_cpu *f, const void *code, size_t len)
{
    uint64_t gpa = f->cpu.s.rip + (f->cpu.mode == X86_MODE_64 ? 0 : f->cpu.s.seg[X86_CS].base);

    memcpy(f->ram + gpa, code, len);
    return x86_step(&f->cpu);
}

#define SYS_STEP(f, ...) sys_step(f, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* The event arrived in its handler. */
#define assert_handler(f, vector) assert_int_equal((f)->cpu.s.rip, sys_handler(vector))

static inline int sys_setup(void **state)
{
    struct flat_cpu *f = aligned_alloc(64, ALIGN_UP(sizeof(*f), 64));

    flat_init(f, NULL);
    *state = f;
    return 0;
}

static inline int sys_teardown(void **state)
{
    flat_finish(*state);
    free(*state);
    return 0;
}

#endif
