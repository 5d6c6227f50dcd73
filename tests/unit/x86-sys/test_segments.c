/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment registers, descriptor tables, far transfers, gates, and hardware tasks. */
#include "tests/unit/x86-sys/sys-cpu.h"

#define REG(n) (f->cpu.s.gpr[X86_##n])

/* ---- loading data segments ---- */

static void loads(void **state)
{
    struct flat_cpu *f = *state;
    static const struct {
        unsigned type, dpl, rpl, cpl, seg;
        int vector; /* -1: loads */
    } cases[] = {
        {0x13, 0, 0, 0, X86_DS, -1},     {0x13, 0, 3, 0, X86_DS, X86_GP}, {0x13, 0, 3, 3, X86_DS, X86_GP},
        {0x13, 3, 0, 3, X86_DS, -1},     {0x13, 3, 3, 0, X86_ES, -1},     {0x11, 3, 3, 3, X86_FS, -1},
        {0x19, 0, 0, 0, X86_DS, X86_GP}, /* execute-only */
        {0x1b, 0, 0, 0, X86_GS, -1},     {0x1b, 0, 3, 3, X86_DS, X86_GP}, {0x1f, 0, 3, 3, X86_DS, -1},
        {0x02, 0, 0, 0, X86_DS, X86_GP}, /* an LDT */
        {0x13, 0, 0, 0, X86_SS, -1},     {0x13, 3, 3, 3, X86_SS, -1},     {0x13, 3, 3, 0, X86_SS, X86_GP},
        {0x13, 3, 0, 0, X86_SS, X86_GP}, {0x13, 3, 0, 3, X86_SS, X86_GP}, {0x11, 0, 0, 0, X86_SS, X86_GP},
        {0x1b, 0, 0, 0, X86_SS, X86_GP},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
        unsigned n = i / 2, selector = SEL_TEST | cases[n].rpl, seg = cases[n].seg;
        bool present = i & 1;
        uint64_t d = SYS_FLAT | SYS_DB | SYS_TYPE(cases[n].type & ~1U, cases[n].dpl);
        int vector = cases[n].vector >= 0 ? cases[n].vector
                     : present            ? -1
                     : seg == X86_SS      ? X86_SS_FAULT
                                          : X86_NP;

        sys_start(f, false, cases[n].cpl);
        sys_gdt(f, SEL_TEST, present ? d : d & ~BIT64(47));
        REG(RAX) = selector;
        if (vector < 0) {
            assert_int_not_equal(FLAT_EXEC(f, 0x8e, (uint8_t)(0xc0 | seg << 3)), X86_FAULT);
            assert_int_equal(f->cpu.s.seg[seg].selector, selector);
            assert_int_equal(f->cpu.s.seg[seg].limit, 0xffffffff);
            assert_true(sys_get(f, SYS_GDT + SEL_TEST, 8) & BIT64(40)); /* accessed */
        } else {
            assert_int_equal(FLAT_EXEC(f, 0x8e, (uint8_t)(0xc0 | seg << 3)), X86_FAULT);
            assert_int_equal(f->cpu.fault.vector, vector);
            assert_int_equal(f->cpu.fault.error, SEL_TEST);
            assert_false(sys_get(f, SYS_GDT + SEL_TEST, 8) & BIT64(40));
        }
    }
}

static void null_selectors(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t lin;

    sys_start(f, false, 0);
    REG(RAX) = 3;
    assert_int_equal(FLAT_EXEC(f, 0x8e, 0xd8), X86_BREAK); /* mov ds: no longer flat */
    assert_false(x86_segment_linear(&f->cpu, X86_DS, 0, 1, X86_MEM_READ, &lin));
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    assert_int_equal(FLAT_EXEC(f, 0x8e, 0xd0), X86_FAULT); /* mov ss */
    assert_int_equal(f->cpu.fault.error, 0);

    sys_start(f, true, 0);
    REG(RAX) = 0;
    assert_int_equal(FLAT_EXEC(f, 0x8e, 0xd0), X86_BREAK);
    assert_int_equal(f->cpu.cpl, 0);
    sys_start(f, true, 3);
    REG(RAX) = 3;
    assert_int_equal(FLAT_EXEC(f, 0x8e, 0xd0), X86_FAULT);
    assert_int_equal(FLAT_EXEC(f, 0x8e, 0xc8), X86_FAULT); /* mov cs */
    assert_int_equal(f->cpu.fault.vector, X86_UD);
}

static void limits(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_segment *ds = &f->cpu.s.seg[X86_DS];
    uint64_t lin;

    sys_start(f, false, 0);
    *ds = (struct x86_segment){.base = 0x1000, .limit = 0xfff, .attr = X86_SEG_P | 0x13 | X86_SEG_DB};
    assert_true(x86_segment_linear(&f->cpu, X86_DS, 0xffc, 4, X86_MEM_WRITE, &lin));
    assert_int_equal(lin, 0x1ffc);
    assert_false(x86_segment_linear(&f->cpu, X86_DS, 0xffd, 4, X86_MEM_WRITE, &lin));
    ds->attr = X86_SEG_P | 0x17 | X86_SEG_DB; /* expand-down: above the limit only */
    assert_false(x86_segment_linear(&f->cpu, X86_DS, 0xfff, 1, X86_MEM_READ, &lin));
    assert_true(x86_segment_linear(&f->cpu, X86_DS, 0x1000, 4, X86_MEM_READ, &lin));
    assert_true(x86_segment_linear(&f->cpu, X86_DS, 0xfffffffc, 4, X86_MEM_READ, &lin));
    assert_false(x86_segment_linear(&f->cpu, X86_DS, 0xfffffffd, 4, X86_MEM_READ, &lin));
    ds->attr = X86_SEG_P | 0x17; /* 16 bits */
    assert_false(x86_segment_linear(&f->cpu, X86_DS, 0xfffd, 4, X86_MEM_READ, &lin));
    ds->attr = X86_SEG_P | 0x11;
    ds->limit = 0xffff;
    assert_false(x86_segment_linear(&f->cpu, X86_DS, 0, 4, X86_MEM_WRITE, &lin));
    assert_false(x86_segment_linear(&f->cpu, X86_CS, 0, 4, X86_MEM_WRITE, &lin));
    f->cpu.s.seg[X86_SS].limit = 0xff;
    assert_false(x86_segment_linear(&f->cpu, X86_SS, 0x100, 1, X86_MEM_READ, &lin));
    assert_int_equal(f->cpu.fault.vector, X86_SS_FAULT);
}

/* Limits loaded in protected mode outlive it. */
static void unreal_mode(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 0);
    REG(RAX) = f->cpu.s.cr0 & ~(uint64_t)X86_CR0_PE;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xc0), X86_BREAK); /* mov cr0, eax */
    REG(RAX) = 0x100;
    FLAT_EXEC(f, 0x8e, 0xd8);
    assert_int_equal(f->cpu.s.seg[X86_DS].base, 0x1000);
    assert_int_equal(f->cpu.s.seg[X86_DS].limit, 0xffffffff);
    REG(RBX) = 0x90000;
    assert_int_equal(FLAT_EXEC(f, 0x89, 0x03), X86_NEXT); /* mov [ebx], eax (CS is still 32-bit) */
    assert_int_equal(sys_get(f, 0x91000, 4), 0x100);
}

/* ---- questions ---- */

static bool ask(struct flat_cpu *f, uint8_t op0, uint8_t op1, unsigned selector)
{
    REG(RAX) = selector;
    REG(RCX) = 0x5555;
    assert_int_equal(FLAT_EXEC(f, 0x0f, op0, op1), X86_NEXT);
    return x86_flags_get(&f->cpu) & X86_FL_ZF;
}

static void questions(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 3);
    assert_true(ask(f, 0x02, 0xc8, SEL_UDATA)); /* lar ecx, eax */
    assert_int_equal(REG(RCX) & 0xf0ff00, 0xc0f200 | 0x100 * (REG(RCX) >> 8 & 1));
    assert_false(ask(f, 0x02, 0xc8, SEL_KDATA));
    assert_int_equal(REG(RCX), 0x5555);
    assert_false(ask(f, 0x02, 0xc8, 0));
    assert_false(ask(f, 0x02, 0xc8, 0x7f8));
    assert_true(ask(f, 0x03, 0xc8, SEL_UCODE32)); /* lsl */
    assert_int_equal(REG(RCX), 0xffffffff);
    assert_true(ask(f, 0x00, 0xe8, SEL_UDATA)); /* verw ax */
    assert_false(ask(f, 0x00, 0xe8, SEL_UCODE32));
    assert_true(ask(f, 0x00, 0xe0, SEL_UCODE32)); /* verr */
    assert_false(ask(f, 0x00, 0xe0, SEL_KDATA));
    sys_start(f, true, 0);
    sys_gdt_system(f, SEL_LDT, 2, 0, SYS_LDT, 0xff, true);
    assert_true(ask(f, 0x03, 0xc8, SEL_LDT));
    assert_int_equal(REG(RCX), 0xff);
    sys_put(f, SYS_GDT + SEL_LDT + 13, 1, 2); /* the upper half has a type */
    assert_false(ask(f, 0x03, 0xc8, SEL_LDT));
    sys_start_real(f);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x02, 0xc8), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_UD);

    sys_start(f, false, 0);
    REG(RAX) = 0x10;
    REG(RCX) = 0x0b;
    assert_int_equal(FLAT_EXEC(f, 0x63, 0xc8), X86_NEXT); /* arpl ax, cx */
    assert_int_equal(REG(RAX), 0x13);
    assert_true(x86_flags_get(&f->cpu) & X86_FL_ZF);
    FLAT_EXEC(f, 0x63, 0xc8);
    assert_false(x86_flags_get(&f->cpu) & X86_FL_ZF);
}

/* ---- LLDT, LTR, LGDT ---- */

static void system_tables(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    sys_gdt_system(f, SEL_LDT, 2, 0, 0xffff880000000000ULL + SYS_LDT, 0xff, true);
    REG(RAX) = SEL_LDT;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x00, 0xd0), X86_NEXT); /* lldt */
    assert_int_equal(f->cpu.s.seg[X86_LDTR].base, 0xffff880000000000ULL + SYS_LDT);
    sys_gdt_system(f, SEL_LDT, 2, 0, SYS_LDT, 0xff, true);
    FLAT_EXEC(f, 0x0f, 0x00, 0xd0);
    sys_put(f, SYS_LDT + 8, 8, SYS_FLAT | SYS_TYPE(0x13, 0) | SYS_DB);
    REG(RAX) = 0x0c;
    assert_int_equal(FLAT_EXEC(f, 0x8e, 0xd8), X86_NEXT); /* a segment from the LDT */
    REG(RAX) = 0;
    FLAT_EXEC(f, 0x0f, 0x00, 0xd0);
    REG(RAX) = 0x0c;
    assert_int_equal(FLAT_EXEC(f, 0x8e, 0xd8), X86_FAULT);
    assert_int_equal(f->cpu.fault.error, 0x0c);

    sys_gdt_system(f, SEL_TEST, 9, 0, SYS_TSS, 0x67, true);
    REG(RAX) = SEL_TEST;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x00, 0xd8), X86_NEXT); /* ltr */
    assert_int_equal(f->cpu.s.seg[X86_TR].attr & X86_SEG_TYPE, 0xb);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x00, 0xd8), X86_FAULT); /* busy now */
    assert_int_equal(f->cpu.fault.error, SEL_TEST);

    sys_put(f, 0x90000, 2, 0x7f);
    sys_put(f, 0x90002, 8, 0xffff800000001000ULL);
    REG(RBX) = 0x90000;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0x13), X86_NEXT); /* lgdt [rbx] */
    assert_int_equal(f->cpu.s.gdtr.base, 0xffff800000001000ULL);
    REG(RBX) = 0x90100;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0x03), X86_NEXT); /* sgdt */
    assert_memory_equal(f->ram + 0x90000, f->ram + 0x90100, 10);
    sys_put(f, 0x90102, 8, BIT64(48));
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0x1b), X86_FAULT); /* lidt */
    sys_start(f, true, 3);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0x03), X86_NEXT);
    f->cpu.s.cr4 |= X86_CR4_UMIP;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0x03), X86_FAULT);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0xe0), X86_FAULT); /* smsw */
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x00, 0xc8), X86_FAULT); /* str */
}

/* ---- far transfers ---- */

static void far_jump32(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 0);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0x78, 0x56, 0x34, 0x12, SEL_KCODE16, 0),
                     X86_FAULT); /* over the limit */
    assert_int_equal(FLAT_EXEC(f, 0xea, 0x78, 0x56, 0, 0, SEL_KCODE16, 0), X86_JUMP);
    assert_int_equal(f->cpu.mode, X86_MODE_16);
    assert_int_equal(f->cpu.s.rip, 0x5678);
    sys_start(f, false, 0);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_UCODE32 | 3, 0), X86_FAULT);
    assert_int_equal(f->cpu.fault.error, SEL_UCODE32);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_KDATA, 0), X86_FAULT);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, 0, 0), X86_FAULT);
    assert_int_equal(f->cpu.fault.error, 0);
    sys_gdt(f, SEL_TEST, SYS_FLAT | SYS_TYPE(0x1e, 0) | SYS_DB); /* conforming, from ring 3 */
    sys_start(f, false, 3);
    sys_gdt(f, SEL_TEST, SYS_FLAT | SYS_TYPE(0x1e, 0) | SYS_DB);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0x10, 0, 0, SEL_TEST, 0), X86_JUMP);
    assert_int_equal(f->cpu.s.seg[X86_CS].selector, SEL_TEST | 3);
    assert_int_equal(f->cpu.cpl, 3);
}

/* The way every kernel takes: real mode, protected, long, and back down. */
static void to_long_mode_and_back(void **state)
{
    struct flat_cpu *f = *state;

    sys_start_real(f);
    sys_tables(f, false);
    f->cpu.s.gdtr.base = SYS_GDT;
    REG(RAX) = X86_CR0_PE;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xc0), X86_BREAK);
    assert_int_equal(f->cpu.mode, X86_MODE_16);
    assert_int_equal(FLAT_EXEC(f, 0x66, 0xea, 0, 0x90, 0, 0, SEL_KCODE32, 0), X86_JUMP);
    assert_int_equal(f->cpu.mode, X86_MODE_32);
    REG(RAX) = SEL_KDATA;
    FLAT_EXEC(f, 0x8e, 0xd0);
    FLAT_EXEC(f, 0x8e, 0xd8);
    FLAT_EXEC(f, 0x8e, 0xc0);
    assert_true(f->cpu.flat);
    REG(RAX) = X86_CR4_PAE;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xe0), X86_BREAK);
    REG(RAX) = FLAT_TABLES;
    FLAT_EXEC(f, 0x0f, 0x22, 0xd8);
    REG(RCX) = X86_MSR_EFER;
    REG(RAX) = X86_EFER_LME | X86_EFER_NXE;
    REG(RDX) = 0;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x30), X86_BREAK);
    REG(RAX) = X86_CR0_PE | X86_CR0_PG;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xc0), X86_BREAK);
    assert_true(f->cpu.s.efer & X86_EFER_LMA);
    assert_int_equal(f->cpu.mode, X86_MODE_32); /* compatibility mode */
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0x90, 0, 0, SEL_KCODE64, 0), X86_JUMP);
    assert_int_equal(f->cpu.mode, X86_MODE_64);
    REG(RAX) = X86_CR0_PE; /* paging cannot go off in 64-bit mode */
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xc0), X86_FAULT);
    sys_put(f, 0x90000, 4, 0x9100);
    sys_put(f, 0x90004, 2, SEL_KCODE32);
    REG(RBX) = 0x90000;
    assert_int_equal(FLAT_EXEC(f, 0xff, 0x2b), X86_JUMP); /* jmp far [rbx] */
    assert_int_equal(f->cpu.mode, X86_MODE_32);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xc0), X86_BREAK);
    assert_false(f->cpu.s.efer & X86_EFER_LMA);
}

static void call_gate32(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 3);
    /* a gate with two parameters */
    sys_gdt(f, SEL_TEST, 0x4000 | (uint64_t)SEL_KCODE32 << 16 | 2ULL << 32 | SYS_TYPE(0xc, 3));
    sys_put(f, SYS_USTACK, 8, 0x2222222211111111ULL);
    assert_int_equal(FLAT_EXEC(f, 0x9a, 0, 0, 0, 0, SEL_TEST | 3, 0), X86_JUMP);
    assert_int_equal(f->cpu.s.rip, 0x4000);
    assert_int_equal(f->cpu.cpl, 0);
    assert_int_equal(f->cpu.s.seg[X86_CS].selector, SEL_KCODE32);
    assert_int_equal(REG(RSP), SYS_KSTACK - 24);
    assert_int_equal(sys_get(f, REG(RSP), 4), FLAT_CODE + 7);
    assert_int_equal(sys_get(f, REG(RSP) + 4, 4), SEL_UCODE32 | 3);
    assert_int_equal(sys_get(f, REG(RSP) + 8, 8), 0x2222222211111111ULL);
    assert_int_equal(sys_get(f, REG(RSP) + 16, 4), SYS_USTACK);
    assert_int_equal(sys_get(f, REG(RSP) + 20, 4), SEL_UDATA | 3);
    REG(RAX) = SEL_KDATA;
    FLAT_EXEC(f, 0x8e, 0xd8);
    assert_int_equal(FLAT_EXEC(f, 0xca, 8, 0), X86_JUMP); /* retf 8 */
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 7);
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(REG(RSP), SYS_USTACK + 8);
    assert_true(f->cpu.s.seg[X86_DS].attr & X86_SEG_UNUSABLE); /* the kernel's is gone */
    assert_int_equal(f->cpu.s.seg[X86_ES].selector, SEL_UDATA | 3);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_TEST | 3, 0), X86_FAULT); /* jmp may not */
    assert_int_equal(f->cpu.fault.error, SEL_KCODE32);
}

static void call_gate64(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 3);
    sys_gdt(f, SEL_TEST, 0x4000 | (uint64_t)SEL_KCODE64 << 16 | SYS_TYPE(0xc, 3));
    sys_put(f, 0x90000, 4, 0);
    sys_put(f, 0x90004, 2, SEL_TEST | 3);
    REG(RBX) = 0x90000;
    assert_int_equal(FLAT_EXEC(f, 0xff, 0x1b), X86_JUMP); /* call far [rbx] */
    assert_int_equal(REG(RSP), SYS_KSTACK - 32);
    assert_int_equal(f->cpu.cpl, 0);
    assert_int_equal(f->cpu.s.rip, 0x4000);
    assert_int_equal(FLAT_EXEC(f, 0x48, 0xcb), X86_JUMP); /* retf */
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(REG(RSP), SYS_USTACK);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 2);
}

/* ---- tasks ---- */

static void make_task(struct flat_cpu *f, unsigned selector, uint64_t base, uint32_t eip)
{
    sys_gdt_system(f, selector, 9, 3, base, 0x67, false);
    memset(f->ram + base, 0, 0x68);
    sys_put(f, base + 0x20, 4, eip);
    sys_put(f, base + 0x24, 4, X86_FL_FIXED | X86_FL_CF);
    sys_put(f, base + 0x28, 4, 0xaaaa0000);
    sys_put(f, base + 0x38, 4, SYS_KSTACK - 0x1000);
    sys_put(f, base + 0x48, 2, SEL_KDATA);
    sys_put(f, base + 0x4c, 2, SEL_KCODE32);
    sys_put(f, base + 0x50, 2, SEL_KDATA);
    sys_put(f, base + 0x54, 2, SEL_KDATA);
}

static bool is_busy(struct flat_cpu *f, unsigned selector)
{
    return sys_get(f, SYS_GDT + selector + 5, 1) & 2;
}

static void task_call_and_return(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 0);
    make_task(f, SEL_TEST, SYS_TSS2, 0x9000);
    REG(RDX) = 0x1234;
    f->cpu.s.dr[7] |= 0x3;
    assert_int_equal(FLAT_EXEC(f, 0x9a, 0, 0, 0, 0, SEL_TEST, 0), X86_JUMP);
    f->cpu.s.rip = 0x9000; /* FLAT_EXEC leaves it to the instruction */
    assert_int_equal(REG(RAX), 0xaaaa0000);
    assert_int_equal(REG(RSP), SYS_KSTACK - 0x1000);
    assert_int_equal(f->cpu.s.seg[X86_TR].selector, SEL_TEST);
    assert_true(x86_flags_get(&f->cpu) & X86_FL_NT);
    assert_true(x86_flags_get(&f->cpu) & X86_FL_CF);
    assert_true(f->cpu.s.cr0 & X86_CR0_TS);
    assert_int_equal(f->cpu.s.dr[7] & 3, 2);
    assert_int_equal(sys_get(f, SYS_TSS2, 2), SEL_TSS);
    assert_true(is_busy(f, SEL_TEST));
    assert_true(is_busy(f, SEL_TSS));
    assert_int_equal(sys_get(f, SYS_TSS + 0x30, 4), 0x1234); /* EDX saved */
    assert_int_equal(sys_get(f, SYS_TSS + 0x20, 4), FLAT_CODE + 7);
    assert_int_equal(FLAT_EXEC(f, 0xcf), X86_JUMP); /* iret */
    assert_int_equal(f->cpu.s.seg[X86_TR].selector, SEL_TSS);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 7);
    assert_int_equal(REG(RDX), 0x1234);
    assert_false(is_busy(f, SEL_TEST));
    assert_false(x86_flags_get(&f->cpu) & X86_FL_NT);
    assert_false(sys_get(f, SYS_TSS2 + 0x24, 4) & X86_FL_NT);
}

static void task_jump_and_errors(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 0);
    make_task(f, SEL_TEST, SYS_TSS2, 0x9000);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_TEST, 0), X86_JUMP);
    assert_int_equal(f->cpu.s.rip, 0x9000);
    assert_false(is_busy(f, SEL_TSS));
    assert_false(x86_flags_get(&f->cpu) & X86_FL_NT);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_TEST, 0), X86_FAULT); /* busy */
    assert_int_equal(f->cpu.fault.vector, X86_GP);

    sys_start(f, false, 0);
    make_task(f, SEL_TEST, SYS_TSS2, 0x9000);
    sys_gdt_system(f, SEL_TEST, 9, 3, SYS_TSS2, 0x66, false);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_TEST, 0), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_TS);
    assert_int_equal(f->cpu.s.seg[X86_TR].selector, SEL_TSS);

    /* a bad stack segment faults in the new task */
    make_task(f, SEL_TEST, SYS_TSS2, 0x9000);
    sys_put(f, SYS_TSS2 + 0x50, 2, SEL_UDATA | 3);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_TEST, 0), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_TS);
    assert_int_equal(f->cpu.fault.error, SEL_UDATA);
    assert_int_equal(f->cpu.s.rip, 0x9000);
    assert_int_equal(f->cpu.s.seg[X86_TR].selector, SEL_TEST);
}

static void task_gate_takes_fault(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 3);
    make_task(f, SEL_TEST, SYS_TSS2, 0x9000);
    sys_put(f, SYS_IDT + X86_GP * 8, 8, (uint64_t)SEL_TEST << 16 | SYS_TYPE(0x5, 0));
    assert_int_equal(SYS_STEP(f, 0xf4), X86_FAULT);
    assert_int_equal(f->cpu.s.rip, 0x9000);
    assert_int_equal(f->cpu.cpl, 0);
    assert_int_equal(REG(RSP), SYS_KSTACK - 0x1000 - 4); /* the error code */
    assert_int_equal(sys_get(f, REG(RSP), 4), 0);
    assert_true(sys_get(f, SYS_TSS + 0x24, 4) & X86_FL_RF);
    assert_int_equal(sys_get(f, SYS_TSS + 0x20, 4), FLAT_CODE);
}

static void task16(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 0);
    sys_gdt_system(f, SEL_TEST, 1, 0, SYS_TSS2, 0x2b, false);
    sys_put(f, SYS_TSS2 + 0x0e, 2, 0x9000);
    sys_put(f, SYS_TSS2 + 0x10, 2, X86_FL_FIXED);
    sys_put(f, SYS_TSS2 + 0x12, 2, 0x4321);
    sys_put(f, SYS_TSS2 + 0x22, 2, SEL_KDATA);
    sys_put(f, SYS_TSS2 + 0x24, 2, SEL_KCODE32);
    sys_put(f, SYS_TSS2 + 0x26, 2, SEL_KDATA);
    sys_put(f, SYS_TSS2 + 0x28, 2, SEL_KDATA);
    assert_int_equal(FLAT_EXEC(f, 0x9a, 0, 0, 0, 0, SEL_TEST, 0), X86_JUMP);
    assert_int_equal(f->cpu.s.rip, 0x9000);
    assert_int_equal(REG(RAX), 0x4321);
    assert_int_equal(FLAT_EXEC(f, 0xcf), X86_JUMP);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 7);
}

/* Into a virtual-8086 task. */
static void task_vm86(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 0);
    make_task(f, SEL_TEST, SYS_TSS2, 0x9000);
    sys_put(f, SYS_TSS2 + 0x24, 4, X86_FL_FIXED | X86_FL_VM);
    sys_put(f, SYS_TSS2 + 0x4c, 2, 0x777);
    assert_int_equal(FLAT_EXEC(f, 0xea, 0, 0, 0, 0, SEL_TEST, 0), X86_JUMP);
    assert_int_equal(f->cpu.s.seg[X86_CS].base, 0x7770);
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(f->cpu.mode, X86_MODE_16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loads, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(null_selectors, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(limits, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(unreal_mode, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(questions, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(system_tables, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(far_jump32, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(to_long_mode_and_back, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(call_gate32, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(call_gate64, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(task_call_and_return, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(task_jump_and_errors, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(task_gate_takes_fault, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(task16, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(task_vm86, sys_setup, sys_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
