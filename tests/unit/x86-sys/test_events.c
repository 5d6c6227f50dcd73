/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions and interrupts in every mode, what goes wrong on the way, and the way back. */
#include "tests/unit/x86-sys/sys-cpu.h"

#define REG(n) (f->cpu.s.gpr[X86_##n])

/* The frame of 64-bit mode: [error] RIP CS RFLAGS RSP SS from the top of the stack. */
static void assert_frame64(struct flat_cpu *f, uint64_t rsp, bool has_error, uint64_t error, uint64_t rip,
                           uint64_t cs, uint64_t old_rsp, uint64_t ss)
{
    assert_int_equal(REG(RSP), rsp);
    if (has_error) {
        assert_int_equal(sys_get(f, rsp, 8), error);
        rsp += 8;
    }
    assert_int_equal(sys_get(f, rsp, 8), rip);
    assert_int_equal(sys_get(f, rsp + 8, 8), cs);
    assert_int_equal(sys_get(f, rsp + 24, 8), old_rsp);
    assert_int_equal(sys_get(f, rsp + 32, 8), ss);
}

static void fault_from_user64(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 3);
    REG(RSP) = SYS_USTACK + 4; /* misaligned: the processor aligns its own */
    f->cpu.s.rflags |= X86_FL_IF | X86_FL_TF * 0 | X86_FL_AC | X86_FL_NT;
    assert_int_equal(SYS_STEP(f, 0xf4), X86_FAULT); /* hlt */
    assert_handler(f, X86_GP);
    assert_frame64(f, SYS_KSTACK - 48, true, 0, FLAT_CODE, SEL_UCODE64 | 3, SYS_USTACK + 4, SEL_UDATA | 3);
    assert_int_equal(f->cpu.cpl, 0);
    assert_int_equal(f->cpu.s.seg[X86_CS].selector, SEL_KCODE64);
    assert_int_equal(f->cpu.s.seg[X86_SS].selector, 0);
    assert_true(f->cpu.s.seg[X86_SS].attr & X86_SEG_UNUSABLE);
    assert_int_equal(f->cpu.s.rflags & (X86_FL_IF | X86_FL_NT | X86_FL_RF), 0);
    /* the image has RF, for a fault */
    assert_int_equal(sys_get(f, SYS_KSTACK - 48 + 24, 8) & (X86_FL_RF | X86_FL_IF | X86_FL_NT),
                     X86_FL_RF | X86_FL_IF | X86_FL_NT);
}

static void same_level64_aligns(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    REG(RSP) = SYS_USTACK - 3;
    assert_int_equal(SYS_STEP(f, 0x0f, 0x0b), X86_FAULT); /* ud2 */
    assert_handler(f, X86_UD);
    assert_frame64(f, SYS_USTACK - 16 - 40, false, 0, FLAT_CODE, SEL_KCODE64, SYS_USTACK - 3, SEL_KDATA);
    assert_int_equal(f->cpu.s.seg[X86_SS].selector, SEL_KDATA); /* stays at the same privilege */
}

static void ist_and_trap_gate(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    sys_gate(f, 0x80, 0xf, 3, SEL_KCODE64, sys_handler(0x80), 1);
    f->cpu.s.rflags |= X86_FL_IF;
    assert_int_equal(SYS_STEP(f, 0xcd, 0x80), X86_JUMP);
    assert_handler(f, 0x80);
    assert_frame64(f, SYS_IST1 - 40, false, 0, FLAT_CODE + 2, SEL_KCODE64, SYS_USTACK, SEL_KDATA);
    assert_true(f->cpu.s.rflags & X86_FL_IF); /* a trap gate leaves it */
    assert_false(sys_get(f, SYS_IST1 - 40 + 16, 8) & X86_FL_RF);
}

static void iret64(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 3);
    f->cpu.s.seg[X86_FS].base = 0x12345000; /* of a NULL selector, as Linux has it */
    f->cpu.s.seg[X86_FS].attr = X86_SEG_UNUSABLE;
    f->cpu.s.seg[X86_FS].selector = 0;
    f->cpu.s.nmi_masked = true;
    SYS_STEP(f, 0xcc); /* int3 */
    assert_handler(f, X86_BP);
    assert_int_equal(SYS_STEP(f, 0x48, 0xcf), X86_JUMP); /* iretq */
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 1);
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(REG(RSP), SYS_USTACK);
    assert_int_equal(f->cpu.s.seg[X86_SS].selector, SEL_UDATA | 3);
    assert_int_equal(f->cpu.s.seg[X86_FS].base, 0x12345000);
    assert_false(f->cpu.s.nmi_masked);

    /* to compatibility mode, and back by an exception */
    sys_start(f, true, 0);
    REG(RSP) = SYS_KSTACK - 40;
    sys_put(f, SYS_KSTACK - 40, 8, 0x9000);
    sys_put(f, SYS_KSTACK - 32, 8, SEL_UCODE32 | 3);
    sys_put(f, SYS_KSTACK - 24, 8, X86_FL_FIXED | X86_FL_IF);
    sys_put(f, SYS_KSTACK - 16, 8, SYS_USTACK);
    sys_put(f, SYS_KSTACK - 8, 8, SEL_UDATA | 3);
    assert_int_equal(SYS_STEP(f, 0x48, 0xcf), X86_JUMP);
    assert_int_equal(f->cpu.mode, X86_MODE_32);
    assert_int_equal(f->cpu.cpl, 3);
    SYS_STEP(f, 0xcc);
    assert_handler(f, X86_BP);
    assert_int_equal(f->cpu.mode, X86_MODE_64);
}

/* In 64-bit mode SS:RSP come from the frame at every privilege. */
static void iret64_same_level(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    REG(RSP) = SYS_USTACK - 3;
    SYS_STEP(f, 0x0f, 0x0b);
    assert_int_not_equal(REG(RSP), SYS_USTACK - 3);
    SYS_STEP(f, 0x48, 0xcf);
    assert_int_equal(REG(RSP), SYS_USTACK - 3);
}

/* Ring 3 may not change IF and IOPL by IRET, nor 16 bits the upper flags. */
static void iret_flags(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t sp = SYS_USTACK - 40;

    for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
        sys_start(f, true, cpl);
        REG(RSP) = sp;
        sys_put(f, sp, 8, 0x9000);
        sys_put(f, sp + 8, 8, f->cpu.s.seg[X86_CS].selector);
        sys_put(f, sp + 16, 8, X86_FL_FIXED | X86_FL_IF | X86_FL_IOPL | X86_FL_AC | X86_FL_ID | X86_FL_CF);
        sys_put(f, sp + 24, 8, SYS_USTACK);
        sys_put(f, sp + 32, 8, f->cpu.s.seg[X86_SS].selector);
        assert_int_equal(SYS_STEP(f, 0x48, 0xcf), X86_JUMP);
        assert_int_equal(x86_flags_get(&f->cpu), X86_FL_FIXED | X86_FL_AC | X86_FL_ID | X86_FL_CF |
                                                     (cpl ? 0 : X86_FL_IF | X86_FL_IOPL));
    }
    sys_start(f, false, 0);
    f->cpu.s.rflags |= X86_FL_ID;
    REG(RSP) = sp;
    sys_put(f, sp, 2, 0x9000);
    sys_put(f, sp + 2, 2, SEL_KCODE32);
    sys_put(f, sp + 4, 4, X86_FL_FIXED | X86_FL_AC);
    assert_int_equal(SYS_STEP(f, 0x66, 0xcf), X86_JUMP);
    assert_int_equal(x86_flags_get(&f->cpu), X86_FL_FIXED | X86_FL_ID);
}

/* IRET to a bad place faults before anything changed. */
static void iret64_faults(void **state)
{
    struct flat_cpu *f = *state;
    static const struct {
        uint64_t rip, cs, ss;
        uint32_t error;
        uint8_t vector;
    } cases[] = {
        {BIT64(47), SEL_UCODE64 | 3, SEL_UDATA | 3, 0, X86_GP},
        {0x9000, 0, SEL_UDATA | 3, 0, X86_GP},
        {0x9000, SEL_UDATA | 3, SEL_UDATA | 3, SEL_UDATA, X86_GP},
        {0x9000, SEL_UCODE64 | 3, SEL_KDATA, SEL_KDATA, X86_GP},
        {0x9000, SEL_UCODE64 | 3, 3, 0, X86_GP},
        {0x9000, SEL_UCODE64 | 3, 0xff0 | 3, 0xff0, X86_GP},
        {0x9000, SEL_KCODE64 | 1, SEL_KDATA | 1, SEL_KCODE64, X86_GP},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t sp = SYS_USTACK - 40;

        sys_start(f, true, 0);
        REG(RSP) = sp;
        sys_put(f, sp, 8, cases[i].rip);
        sys_put(f, sp + 8, 8, cases[i].cs);
        sys_put(f, sp + 16, 8, X86_FL_FIXED | X86_FL_IF);
        sys_put(f, sp + 24, 8, 0x1000);
        sys_put(f, sp + 32, 8, cases[i].ss);
        assert_int_equal(SYS_STEP(f, 0x48, 0xcf), X86_FAULT);
        assert_handler(f, cases[i].vector);
        assert_frame64(f, ALIGN_DOWN(sp, 16) - 48, true, cases[i].error, FLAT_CODE, SEL_KCODE64, sp,
                       SEL_KDATA);
    }
}

/* ---- bad gates ---- */

static void gate_errors(void **state)
{
    struct flat_cpu *f = *state;
    static const struct {
        unsigned type, dpl, selector;
        bool present;
        uint8_t vector;
        uint32_t error;
    } cases[] = {
        {0xe, 3, SEL_KCODE64, false, X86_NP, 0x80 * 8 + 2},
        {0x6, 3, SEL_KCODE64, true, X86_GP, 0x80 * 8 + 2},
        {0x5, 3, SEL_KCODE64, true, X86_GP, 0x80 * 8 + 2},
        {0xe, 0, SEL_KCODE64, true, X86_GP, 0x80 * 8 + 2},
        {0xe, 3, 0, true, X86_GP, 0},
        {0xe, 3, SEL_KCODE32, true, X86_GP, SEL_KCODE32},
        {0xe, 3, SEL_KDATA, true, X86_GP, SEL_KDATA},
        {0xe, 3, 0x7f8, true, X86_GP, 0x7f8},
        {0xe, 3, SEL_TEST, true, X86_NP, SEL_TEST},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_start(f, true, 3);
        sys_gdt(f, SEL_TEST, (SYS_FLAT | SYS_TYPE(0x1b, 0) | SYS_L) & ~BIT64(47));
        sys_gate(f, 0x80, cases[i].type, cases[i].dpl, cases[i].selector, 0x1000, 0);
        if (!cases[i].present)
            f->ram[SYS_IDT + 0x800 + 5] &= 0x7f;
        assert_int_equal(SYS_STEP(f, 0xcd, 0x80), X86_FAULT);
        assert_handler(f, cases[i].vector);
        assert_frame64(f, SYS_KSTACK - 48, true, cases[i].error, FLAT_CODE, SEL_UCODE64 | 3, SYS_USTACK,
                       SEL_UDATA | 3);
    }
}

/* An external interrupt ignores the gate's DPL, and its nested faults have EXT. */
static void external_interrupt(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 3);
    f->cpu.s.rflags |= X86_FL_IF;
    f->cpu.s.activity = X86_ACT_HALT;
    assert_true(x86_can_interrupt(&f->cpu));
    assert_true(x86_deliver_interrupt(&f->cpu, 0x31));
    assert_handler(f, 0x31);
    assert_int_equal(f->cpu.s.activity, X86_ACT_RUN);
    assert_false(x86_can_interrupt(&f->cpu));

    sys_start(f, true, 0);
    sys_gate(f, 0x31, 0xe, 0, SEL_KDATA, 0x1000, 0);
    assert_true(x86_deliver_interrupt(&f->cpu, 0x31));
    assert_handler(f, X86_GP);
    assert_int_equal(sys_get(f, REG(RSP), 8), SEL_KDATA | 1);
}

static void nmi(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    f->cpu.s.nmi_pending = true;
    assert_true(x86_deliver_nmi(&f->cpu));
    assert_handler(f, X86_NMI);
    assert_true(f->cpu.s.nmi_masked);
    assert_false(f->cpu.s.nmi_pending);
    SYS_STEP(f, 0x48, 0xcf);
    assert_false(f->cpu.s.nmi_masked);
}

static void shadows(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    SYS_STEP(f, 0xfb); /* sti */
    assert_false(x86_can_interrupt(&f->cpu));
    SYS_STEP(f, 0x90);
    assert_true(x86_can_interrupt(&f->cpu));
    SYS_STEP(f, 0xfb); /* IF was set: no shadow */
    assert_true(x86_can_interrupt(&f->cpu));
    REG(RAX) = SEL_KDATA;
    SYS_STEP(f, 0x8e, 0xd0); /* mov ss, eax */
    assert_false(x86_can_interrupt(&f->cpu));
    SYS_STEP(f, 0x90);
    assert_true(x86_can_interrupt(&f->cpu));
    SYS_STEP(f, 0xfa);
    assert_false(x86_can_interrupt(&f->cpu));
}

/* ---- faults while delivering ---- */

static void double_fault(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    f->ram[SYS_IDT + X86_GP * 16 + 5] = 0; /* #GP → #NP: contributory twice */
    f->cpu.s.gpr[X86_RAX] = BIT64(47);
    assert_int_equal(SYS_STEP(f, 0x8b, 0x00), X86_FAULT); /* mov eax, [rax] */
    assert_handler(f, X86_DF);
    assert_int_equal(sys_get(f, REG(RSP), 8), 0);
    assert_int_equal(sys_get(f, REG(RSP) + 8, 8), FLAT_CODE);

    /* page fault, then another: the stack is not mapped, IST saves it */
    sys_start(f, true, 0);
    sys_gate(f, X86_DF, 0xe, 0, SEL_KCODE64, sys_handler(X86_DF), 1);
    REG(RSP) = 0x300000;
    REG(RAX) = 0x400000;
    assert_int_equal(SYS_STEP(f, 0x8b, 0x00), X86_FAULT);
    assert_handler(f, X86_DF);
    assert_int_equal(REG(RSP), SYS_IST1 - 48);
    assert_int_equal(f->cpu.s.cr2, 0x300000 - 8);
}

/* Page fault, then a contributory one. */
static void page_fault_without_gate(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    f->ram[SYS_IDT + X86_PF * 16 + 5] = 0xe; /* not present */
    REG(RAX) = 0x400000;
    SYS_STEP(f, 0x8b, 0x00);
    assert_handler(f, X86_DF);
    /* but a benign one, then #NP, is one after the other */
    sys_start(f, true, 0);
    f->ram[SYS_IDT + X86_UD * 16 + 5] = 0xe;
    SYS_STEP(f, 0x0f, 0x0b);
    assert_handler(f, X86_NP);
    assert_int_equal(sys_get(f, REG(RSP), 8), X86_UD * 8 + 3);
}

/* Contributory, then a page fault: no double fault, one after the other. */
static void serial_faults(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    sys_gate(f, X86_PF, 0xe, 0, SEL_KCODE64, sys_handler(X86_PF), 1);
    REG(RSP) = 0x300000;
    REG(RAX) = BIT64(47);
    SYS_STEP(f, 0x8b, 0x00);
    assert_handler(f, X86_PF);
    assert_int_equal(f->cpu.s.cr2, 0x300000 - 8);
    assert_int_equal(sys_get(f, REG(RSP), 8), X86_PF_W);
}

static void triple_fault(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    f->cpu.s.idtr.limit = 0;
    assert_int_equal(SYS_STEP(f, 0x0f, 0x0b), X86_HALT);
    assert_int_equal(f->cpu.s.activity, X86_ACT_SHUTDOWN);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE);
}

/* ---- 32-bit ---- */

static void inner_stack32(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 3);
    assert_int_equal(SYS_STEP(f, 0xcd, 0x80), X86_JUMP);
    assert_handler(f, 0x80);
    assert_int_equal(REG(RSP), SYS_KSTACK - 20);
    assert_int_equal(sys_get(f, SYS_KSTACK - 20, 4), FLAT_CODE + 2);
    assert_int_equal(sys_get(f, SYS_KSTACK - 16, 4), SEL_UCODE32 | 3);
    assert_int_equal(sys_get(f, SYS_KSTACK - 8, 4), SYS_USTACK);
    assert_int_equal(sys_get(f, SYS_KSTACK - 4, 4), SEL_UDATA | 3);
    assert_int_equal(f->cpu.s.seg[X86_SS].selector, SEL_KDATA);
    assert_int_equal(f->cpu.cpl, 0);
    assert_int_equal(SYS_STEP(f, 0xcf), X86_JUMP); /* iret */
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 2);
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(REG(RSP), SYS_USTACK);

    /* a 16-bit gate from ring 0 */
    sys_start(f, false, 0);
    sys_gate(f, 0x40, 0x6, 0, SEL_KCODE32, 0x5432, 0);
    SYS_STEP(f, 0xcd, 0x40);
    assert_int_equal(f->cpu.s.rip, 0x5432);
    assert_int_equal(REG(RSP), SYS_USTACK - 6);
    assert_int_equal(sys_get(f, SYS_USTACK - 6, 2), (FLAT_CODE + 2) & 0xffff);
}

static void bad_inner_stack32(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, false, 3);
    sys_put(f, SYS_TSS + 8, 2, SEL_UDATA | 3);
    sys_gate(f, X86_TS, 0xe, 0, SEL_TEST, sys_handler(X86_TS), 0);
    sys_gdt(f, SEL_TEST, SYS_FLAT | SYS_TYPE(0x1f, 0) | SYS_DB); /* conforming: no stack switch */
    SYS_STEP(f, 0xcd, 0x80);
    assert_handler(f, X86_TS);
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(sys_get(f, REG(RSP), 4), SEL_UDATA);
}

/* ---- real mode and virtual-8086 mode ---- */

static void real_mode(void **state)
{
    struct flat_cpu *f = *state;

    sys_start_real(f);
    sys_put(f, 0x21 * 4, 4, 0x0123f000 + 0x4567 - 0xf000);
    f->cpu.s.rflags |= X86_FL_IF;
    assert_int_equal(SYS_STEP(f, 0xcd, 0x21), X86_JUMP);
    assert_int_equal(f->cpu.s.seg[X86_CS].selector, 0x123);
    assert_int_equal(f->cpu.s.seg[X86_CS].base, 0x1230);
    assert_int_equal(f->cpu.s.rip, 0x4567);
    assert_int_equal(REG(RSP), 0x7000 - 6);
    assert_int_equal(sys_get(f, 0x7000 - 6, 2), FLAT_CODE + 2);
    assert_int_equal(sys_get(f, 0x7000 - 4, 2), 0);
    assert_true(sys_get(f, 0x7000 - 2, 2) & X86_FL_IF);
    assert_false(f->cpu.s.rflags & X86_FL_IF);
    assert_int_equal(SYS_STEP(f, 0xcf), X86_JUMP);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 2);
    assert_true(f->cpu.s.rflags & X86_FL_IF);

    /* faults push no error code */
    sys_put(f, X86_GP * 4, 4, 0x1000);
    sys_put(f, X86_SS_FAULT * 4, 4, 0x2000);
    f->cpu.s.gpr[X86_RBX] = 0xffff;
    SYS_STEP(f, 0x8b, 0x07); /* mov ax, [bx]: over the limit */
    assert_int_equal(f->cpu.s.rip, 0x1000);
    assert_int_equal(REG(RSP), 0x7000 - 6);
    /* no room in the table: shutdown */
    f->cpu.s.idtr.limit = 3;
    assert_int_equal(SYS_STEP(f, 0xcd, 0x21), X86_HALT);
    assert_int_equal(f->cpu.s.activity, X86_ACT_SHUTDOWN);
}

static void enter_vm86(struct flat_cpu *f, unsigned iopl)
{
    uint64_t sp = SYS_USTACK - 36;
    const uint32_t image[] = {FLAT_CODE, 0,     X86_FL_FIXED | X86_FL_VM | iopl << 12 | X86_FL_IF,
                              0x7000,    0x0,   0x200,
                              0x300,     0x400, 0x500};

    sys_start(f, false, 0);
    REG(RSP) = sp;
    memcpy(f->ram + sp, image, sizeof(image));
    assert_int_equal(SYS_STEP(f, 0xcf), X86_JUMP);
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(f->cpu.mode, X86_MODE_16);
    assert_int_equal(f->cpu.s.seg[X86_GS].base, 0x5000);
}

static void vm86(void **state)
{
    struct flat_cpu *f = *state;

    enter_vm86(f, 0);
    SYS_STEP(f, 0xcd, 0x21); /* IOPL 0: #GP into the monitor */
    assert_handler(f, X86_GP);
    assert_int_equal(REG(RSP), SYS_KSTACK - 40);
    assert_int_equal(sys_get(f, SYS_KSTACK - 4, 4), 0x500);  /* GS */
    assert_int_equal(sys_get(f, SYS_KSTACK - 16, 4), 0x200); /* ES */
    assert_true(sys_get(f, SYS_KSTACK - 28, 4) & X86_FL_VM);
    assert_false(f->cpu.s.rflags & X86_FL_VM);
    assert_true(f->cpu.s.seg[X86_DS].attr & X86_SEG_UNUSABLE);

    enter_vm86(f, 3);
    SYS_STEP(f, 0xcd, 0x80);
    assert_handler(f, 0x80);
    assert_int_equal(f->cpu.cpl, 0);

    enter_vm86(f, 0);
    SYS_STEP(f, 0xfa); /* cli */
    assert_handler(f, X86_GP);
    enter_vm86(f, 3);
    assert_int_equal(SYS_STEP(f, 0xfa), X86_NEXT);
    assert_false(f->cpu.s.rflags & X86_FL_IF);
}

/* ---- saved events ---- */

static void pending_events(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    sys_start(f, true, 0);
    s->exception_pending = s->interrupt_pending = true;
    s->exception_vector = X86_GP;
    s->exception_has_error = true;
    s->exception_error = 0x18;
    s->interrupt_vector = 0x44;
    assert_true(x86_deliver_pending(&f->cpu));
    assert_handler(f, X86_GP);
    assert_int_equal(sys_get(f, REG(RSP), 8), 0x18);
    assert_true(x86_deliver_pending(&f->cpu));
    assert_handler(f, 0x44);
    s->nmi_pending = true;
    assert_true(x86_deliver_pending(&f->cpu));
    assert_handler(f, X86_NMI);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fault_from_user64, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(same_level64_aligns, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(ist_and_trap_gate, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(iret64, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(iret64_same_level, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(iret_flags, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(iret64_faults, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(gate_errors, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(external_interrupt, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(nmi, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(shadows, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(double_fault, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(page_fault_without_gate, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(serial_faults, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(triple_fault, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(inner_stack32, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(bad_inner_stack32, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(real_mode, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(vm86, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(pending_events, sys_setup, sys_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
