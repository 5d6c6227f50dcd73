/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System calls, control registers, debug registers, ports, and small system instructions. */
#include "tests/unit/x86-sys/sys-cpu.h"

#define REG(n) (f->cpu.s.gpr[X86_##n])

static void assert_fault(struct flat_cpu *f, enum x86_result result, uint8_t vector)
{
    assert_int_equal(result, X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, vector);
}

/* ---- system calls ---- */

static void vendor(struct flat_cpu *f, bool amd)
{
    f->model.leaf[0].ebx = amd ? 0x68747541 : 0x756e6547;
}

static void syscall64(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    sys_start(f, true, 3);
    s->star = (uint64_t)(SEL_UCODE32 | 3) << 48 | (uint64_t)SEL_KCODE64 << 32;
    s->lstar = 0xffffffff81000000ULL;
    s->sfmask = X86_FL_IF | X86_FL_TF | X86_FL_DF;
    s->rflags = X86_FL_FIXED | X86_FL_IF | X86_FL_DF | X86_FL_RF;
    f->cpu.cc = 0;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x05), X86_JUMP);
    assert_int_equal(s->rip, s->lstar);
    assert_int_equal(REG(RCX), FLAT_CODE + 2);
    assert_int_equal(REG(R11), X86_FL_FIXED | X86_FL_IF | X86_FL_DF);
    assert_int_equal(x86_flags_get(&f->cpu), X86_FL_FIXED);
    assert_int_equal(s->seg[X86_CS].selector, SEL_KCODE64);
    assert_int_equal(s->seg[X86_SS].selector, SEL_KDATA);
    assert_int_equal(f->cpu.cpl, 0);
    assert_int_equal(REG(RSP), SYS_USTACK);
    assert_int_equal(FLAT_EXEC(f, 0x48, 0x0f, 0x07), X86_JUMP); /* sysretq */
    assert_int_equal(s->rip, FLAT_CODE + 2);
    assert_int_equal(s->seg[X86_CS].selector, SEL_UCODE64 | 3);
    assert_int_equal(s->seg[X86_SS].selector, SEL_UDATA | 3);
    assert_int_equal(f->cpu.cpl, 3);
    assert_int_equal(f->cpu.mode, X86_MODE_64);
    assert_int_equal(x86_flags_get(&f->cpu), X86_FL_FIXED | X86_FL_IF | X86_FL_DF);
    assert_fault(f, FLAT_EXEC(f, 0x48, 0x0f, 0x07), X86_GP); /* from ring 3 */
    s->efer &= ~(uint64_t)X86_EFER_SCE;
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x05), X86_UD);
}

static void syscall_vendors(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    for (unsigned amd = 0; amd < 2; amd++) {
        vendor(f, amd);
        /* compatibility mode */
        sys_start(f, true, 3);
        flat_mode(f, X86_MODE_32, 3);
        s->star = (uint64_t)SEL_KCODE64 << 32;
        s->cstar = 0xffffffff82000000ULL;
        s->sysenter_cs = SEL_KCODE64;
        s->sysenter_eip = 0xffffffff83000000ULL;
        s->sysenter_esp = SYS_KSTACK;
        if (amd) {
            assert_int_equal(FLAT_EXEC(f, 0x0f, 0x05), X86_JUMP);
            assert_int_equal(s->rip, s->cstar);
            flat_mode(f, X86_MODE_32, 3);
            assert_fault(f, FLAT_EXEC(f, 0x0f, 0x34), X86_UD); /* no sysenter */
        } else {
            assert_fault(f, FLAT_EXEC(f, 0x0f, 0x05), X86_UD);
            assert_int_equal(FLAT_EXEC(f, 0x0f, 0x34), X86_JUMP);
            assert_int_equal(s->rip, s->sysenter_eip);
            assert_int_equal(REG(RSP), SYS_KSTACK);
        }
        /* a wild return address faults in ring 0 on Intel, in ring 3 on AMD */
        sys_start(f, true, 0);
        REG(RCX) = BIT64(47);
        REG(R11) = 2;
        assert_int_equal(FLAT_EXEC(f, 0x48, 0x0f, 0x07), amd ? X86_JUMP : X86_FAULT);
        assert_int_equal(f->cpu.cpl, amd ? 3 : 0);
    }
}

static void sysenter32(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    vendor(f, true);
    sys_start(f, false, 3);
    s->rflags |= X86_FL_IF;
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x34), X86_GP); /* no CS */
    s->sysenter_cs = 0x100;
    s->sysenter_eip = 0x4000;
    s->sysenter_esp = 0x5000;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x34), X86_JUMP);
    assert_int_equal(s->rip, 0x4000);
    assert_int_equal(s->seg[X86_SS].selector, 0x108);
    assert_false(s->rflags & X86_FL_IF);
    REG(RDX) = 0x9000;
    REG(RCX) = SYS_USTACK;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x35), X86_JUMP);
    assert_int_equal(s->seg[X86_CS].selector, 0x113);
    assert_int_equal(s->rip, 0x9000);
    assert_int_equal(f->cpu.cpl, 3);
}

/* ---- control registers ---- */

static enum x86_result write_cr(struct flat_cpu *f, unsigned cr, uint64_t value)
{
    REG(RAX) = value;
    return FLAT_EXEC(f, 0x0f, 0x22, (uint8_t)(0xc0 | cr << 3));
}

static void control_registers(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    sys_start(f, true, 0);
    f->model.cr4_allowed &= 0x3fffff;
    assert_fault(f, write_cr(f, 0, s->cr0 | BIT64(32)), X86_GP);
    assert_fault(f, write_cr(f, 0, s->cr0 & ~(uint64_t)X86_CR0_PE), X86_GP);
    assert_fault(f, write_cr(f, 0, s->cr0 | X86_CR0_NW), X86_GP);
    assert_fault(f, write_cr(f, 4, s->cr4 & ~(uint64_t)X86_CR4_PAE), X86_GP);
    assert_fault(f, write_cr(f, 4, s->cr4 ^ X86_CR4_LA57), X86_GP);
    assert_fault(f, write_cr(f, 4, s->cr4 | BIT64(31)), X86_GP);
    assert_fault(f, write_cr(f, 3, BIT64(51)), X86_GP);
    assert_fault(f, write_cr(f, 5, 0), X86_UD);
    assert_int_equal(write_cr(f, 3, s->cr3 | 1), X86_BREAK);
    assert_fault(f, write_cr(f, 4, s->cr4 | X86_CR4_PCIDE), X86_GP); /* CR3 has a PCID */
    assert_int_equal(write_cr(f, 3, FLAT_TABLES), X86_BREAK);
    assert_int_equal(write_cr(f, 4, s->cr4 | X86_CR4_PCIDE), X86_BREAK);
    assert_int_equal(write_cr(f, 3, BIT64(63) | FLAT_TABLES | 5), X86_BREAK);
    assert_int_equal(s->cr3, FLAT_TABLES | 5);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x20, 0xd9), X86_NEXT); /* mov rcx, cr3 */
    assert_int_equal(REG(RCX), FLAT_TABLES | 5);
    assert_fault(f, FLAT_EXEC(f, 0x44, 0x0f, 0x22, 0xc0), X86_GP); /* mov cr8, rax: > 15 */
    REG(RAX) = 9;
    assert_int_equal(FLAT_EXEC(f, 0x44, 0x0f, 0x22, 0xc0), X86_BREAK);
    assert_int_equal(s->cr8, 9);
    REG(RAX) = 0;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0xf0), X86_BREAK); /* lmsw: PE stays */
    assert_true(s->cr0 & X86_CR0_PE);
    REG(RAX) = 0xe;
    FLAT_EXEC(f, 0x0f, 0x01, 0xf0);
    assert_true(s->cr0 & X86_CR0_TS);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x06), X86_BREAK); /* clts */
    assert_false(s->cr0 & X86_CR0_TS);
    flat_mode(f, X86_MODE_64, 3);
    assert_fault(f, write_cr(f, 2, 0), X86_GP);
}

static void paging_off(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    sys_start(f, true, 0);
    flat_mode(f, X86_MODE_32, 0); /* compatibility mode: only from there */
    s->cr4 |= X86_CR4_PCIDE;
    assert_fault(f, write_cr(f, 0, X86_CR0_PE), X86_GP);
    s->cr4 &= ~(uint64_t)X86_CR4_PCIDE;
    assert_int_equal(write_cr(f, 0, X86_CR0_PE), X86_BREAK);
    assert_false(s->efer & X86_EFER_LMA);
    s->cr4 &= ~(uint64_t)X86_CR4_PAE; /* LME without PAE */
    assert_fault(f, write_cr(f, 0, X86_CR0_PE | X86_CR0_PG), X86_GP);
    s->cr4 |= X86_CR4_PAE;
    s->seg[X86_TR].attr = X86_SEG_P | 3; /* a 16-bit TSS */
    assert_fault(f, write_cr(f, 0, X86_CR0_PE | X86_CR0_PG), X86_GP);

    sys_start_real(f);
    REG(RAX) = 1;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0xf0), X86_BREAK); /* lmsw ax */
    assert_true(s->cr0 & X86_CR0_PE);
}

static void smap_and_ac(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t value;

    sys_start(f, true, 0);
    assert_true(x86_load(&f->cpu, 0x60000, 8, &value)); /* a user page */
    assert_int_equal(write_cr(f, 4, f->cpu.s.cr4 | X86_CR4_SMAP), X86_BREAK);
    assert_false(x86_load(&f->cpu, 0x60000, 8, &value));
    assert_int_equal(f->cpu.fault.error, X86_PF_P);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0xcb), X86_NEXT); /* stac */
    assert_true(x86_load(&f->cpu, 0x60000, 8, &value));
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0xca), X86_NEXT); /* clac */
    assert_false(x86_load(&f->cpu, 0x60000, 8, &value));
}

/* ---- what needs a state of the units ---- */

static void unit_checks(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;
    static const uint8_t sse[] = {0x0f, 0x57, 0xc0}, mmx[] = {0x0f, 0xef, 0xc0}, x87[] = {0xd9, 0xe8},
                         wait[] = {0x9b}, avx[] = {0xc5, 0xf8, 0x57, 0xc0},
                         vex_gpr[] = {0xc4, 0xe2, 0x78, 0xf2, 0xc0};
    static const struct {
        const uint8_t *code;
        uint8_t len;
        uint64_t cr0, cr4_clear;
        int vector;
    } cases[] = {
        {sse, 3, 0, 0, -1},
        {sse, 3, X86_CR0_EM, 0, X86_UD},
        {sse, 3, X86_CR0_TS, 0, X86_NM},
        {sse, 3, 0, X86_CR4_OSFXSR, X86_UD},
        {mmx, 3, X86_CR0_EM, 0, X86_UD},
        {mmx, 3, X86_CR0_TS, 0, X86_NM},
        {x87, 2, X86_CR0_EM, 0, X86_NM},
        {x87, 2, X86_CR0_TS, 0, X86_NM},
        {wait, 1, X86_CR0_TS, 0, X86_NM},
        {avx, 4, X86_CR0_TS, 0, X86_NM},
        {avx, 4, 0, X86_CR4_OSXSAVE, X86_UD},
        {vex_gpr, 5, X86_CR0_TS, X86_CR4_OSXSAVE, -1},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct x86_insn insn;
        enum x86_result result;

        sys_start(f, true, 3);
        s->cr0 |= cases[i].cr0;
        s->cr4 &= ~cases[i].cr4_clear;
        assert_int_equal(x86_decode(cases[i].code, cases[i].len, X86_MODE_64, &insn), 0);
        result = x86_check(&f->cpu, &insn);
        if (cases[i].vector < 0)
            assert_int_equal(result, X86_NEXT);
        else
            assert_fault(f, result, (uint8_t)cases[i].vector);
    }
    sys_start_real(f);
    s->cr4 |= X86_CR4_OSXSAVE;
    s->xcr0 = 7;
    assert_int_equal(x86_decode(avx, sizeof(avx), X86_MODE_64, &f->insn),
                     0); /* as if real mode decoded VEX */
    assert_fault(f, x86_check(&f->cpu, &f->insn), X86_UD);
    sys_start(f, true, 3);
    s->xcr0 = X86_XCR0_X87 | X86_XCR0_SSE;
    assert_fault(f, flat_exec(f, avx, sizeof(avx)), X86_UD);
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x01, 0xcb), X86_UD); /* stac in ring 3 */
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0xaa), X86_UD);       /* rsm */
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x01, 0xc1), X86_UD); /* vmcall */
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x01, 0xd9), X86_UD); /* vmmcall */
}

/* ---- small ones ---- */

static void counters_and_bases(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    sys_start(f, true, 3);
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x31), X86_NEXT); /* rdtsc */
    s->cr4 |= X86_CR4_TSD;
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x31), X86_GP);
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x33), X86_GP);                   /* rdpmc */
    assert_fault(f, FLAT_EXEC(f, 0xf3, 0x48, 0x0f, 0xae, 0xd0), X86_UD); /* wrfsbase */
    s->cr4 |= X86_CR4_FSGSBASE;
    REG(RAX) = 0x7fff00001234;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x48, 0x0f, 0xae, 0xd0), X86_NEXT);
    assert_int_equal(s->seg[X86_FS].base, 0x7fff00001234);
    REG(RCX) = ~0ULL;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x0f, 0xae, 0xc1), X86_NEXT); /* rdfsbase ecx */
    assert_int_equal(REG(RCX), 0x1234);
    REG(RAX) = BIT64(50);
    assert_fault(f, FLAT_EXEC(f, 0xf3, 0x48, 0x0f, 0xae, 0xd8), X86_GP); /* wrgsbase */
    assert_fault(f, FLAT_EXEC(f, 0x0f, 0x01, 0xf8), X86_GP);             /* swapgs */
    sys_start(f, true, 0);
    s->seg[X86_GS].base = 1;
    s->kernel_gs_base = 2;
    FLAT_EXEC(f, 0x0f, 0x01, 0xf8);
    assert_int_equal(s->seg[X86_GS].base, 2);
    assert_int_equal(s->kernel_gs_base, 1);
    REG(RAX) = ~0ULL;
    f->cpu.cc = 0xffff;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0xc7, 0xf0), X86_NEXT); /* rdrand eax */
    assert_int_equal(x86_flags_get(&f->cpu) & X86_FL_ARITH, X86_FL_CF);
    assert_int_equal(REG(RAX) >> 32, 0);
    assert_int_equal(FLAT_EXEC(f, 0xf4), X86_HALT);
    assert_int_equal(s->activity, X86_ACT_HALT);
}

static void invpcid(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t generation;

    sys_start(f, true, 0);
    REG(RBX) = 0x90000;
    sys_put(f, 0x90000, 8, 0);
    sys_put(f, 0x90008, 8, 0x60000);
    for (REG(RAX) = 0; REG(RAX) < 4; REG(RAX)++) {
        generation = f->tlb.generation;
        assert_int_equal(FLAT_EXEC(f, 0x66, 0x0f, 0x38, 0x82, 0x03), X86_BREAK); /* invpcid rax, [rbx] */
        assert_true(f->tlb.generation > generation);
    }
    assert_fault(f, FLAT_EXEC(f, 0x66, 0x0f, 0x38, 0x82, 0x03), X86_GP);
    REG(RAX) = 0;
    sys_put(f, 0x90000, 8, 1); /* a PCID without CR4.PCIDE */
    assert_fault(f, FLAT_EXEC(f, 0x66, 0x0f, 0x38, 0x82, 0x03), X86_GP);
}

/* ---- ports ---- */

static void ports(void **state)
{
    struct flat_cpu *f = *state;
    uint16_t bitmap = 0x68;

    sys_start(f, false, 3);
    assert_int_equal(FLAT_EXEC(f, 0xe4, 0x10), X86_BREAK); /* in al, 0x10: bit clear */
    sys_put(f, SYS_TSS + bitmap + 0x10 / 8, 1, 1);
    assert_fault(f, FLAT_EXEC(f, 0xe4, 0x10), X86_GP);
    assert_int_equal(FLAT_EXEC(f, 0xe4, 0x11), X86_BREAK);
    assert_fault(f, FLAT_EXEC(f, 0xe5, 0x0d), X86_GP); /* in eax, 0x0d: four ports */
    f->cpu.s.rflags |= X86_FL_IOPL;
    assert_int_equal(FLAT_EXEC(f, 0xe4, 0x10), X86_BREAK);
    f->cpu.s.rflags &= ~(uint64_t)X86_FL_IOPL;
    f->cpu.s.seg[X86_TR].limit = 0x67 + 0x10 / 8;
    assert_fault(f, FLAT_EXEC(f, 0xe4, 0x11), X86_GP); /* the byte after must be there too */
    f->cpu.s.seg[X86_TR].limit++;
    assert_int_equal(FLAT_EXEC(f, 0xe4, 0x08), X86_BREAK);
    assert_fault(f, FLAT_EXEC(f, 0xe4, 0x11), X86_GP);
    f->cpu.s.seg[X86_TR].attr = X86_SEG_P | 0x3; /* a 16-bit TSS has no bitmap */
    assert_fault(f, FLAT_EXEC(f, 0xe4, 0), X86_GP);
}

static void string_ports(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    REG(RDI) = 0x5ffff;
    REG(RCX) = 3000;
    REG(RDX) = 0x60;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x6c), X86_AGAIN); /* rep insb */
    assert_int_equal(REG(RCX) + REG(RDI), 0x5ffff + 3000);
    assert_int_equal(sys_get(f, 0x5ffff, 1), 0x88 ^ 0x60);
    while (FLAT_EXEC(f, 0xf3, 0x6c) == X86_AGAIN) {
    }
    assert_int_equal(REG(RCX), 0);
    /* nothing is read from the port if the store would fault */
    flat_page(f, 0x60000, 0x60000, 0);
    REG(RDI) = 0x5fffe;
    REG(RCX) = 2;
    assert_fault(f, FLAT_EXEC(f, 0xf3, 0x6d), X86_PF); /* rep insd */
    assert_int_equal(REG(RCX), 2);
    assert_int_equal(f->cpu.fault_cr2, 0x60000);
    REG(RSI) = 0x50003;
    f->cpu.s.rflags |= X86_FL_DF;
    sys_put(f, 0x50000, 4, 0x44332211);
    REG(RCX) = 3;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x6e), X86_BREAK); /* rep outsb, downwards */
    assert_int_equal(f->mmio_value, 0x22);
    assert_int_equal(REG(RSI), 0x50000);
}

static unsigned elements_left;

static bool no_more_time(struct x86_cpu *cpu)
{
    return --elements_left == 0;
}

/* On the bare machine nobody takes the processor from it: it asks between two elements. */
static void string_ports_yield(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    f->cpu.must_yield = no_more_time;
    REG(RSI) = 0x50000;
    REG(RCX) = 100;
    REG(RDX) = 0x60;
    elements_left = 7;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x6f), X86_AGAIN); /* rep outsd */
    assert_int_equal(REG(RCX), 93);
    assert_int_equal(REG(RSI), 0x50000 + 7 * 4);
    assert_true(f->cpu.s.rip == FLAT_CODE);
    elements_left = 93; /* the last one: it is done */
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x6f), X86_BREAK);
    assert_int_equal(REG(RCX), 0);
}

/* ---- debugging ---- */

static enum x86_result write_dr(struct flat_cpu *f, unsigned dr, uint64_t value)
{
    REG(RAX) = value;
    return FLAT_EXEC(f, 0x0f, 0x23, (uint8_t)(0xc0 | dr << 3));
}

static void debug_registers(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    assert_fault(f, write_dr(f, 7, BIT64(32)), X86_GP);
    assert_int_equal(write_dr(f, 7, 0xffffd3ff), X86_BREAK);
    assert_int_equal(f->cpu.s.dr[7], 0xffff07ff);
    f->cpu.s.dr[7] = X86_DR7_FIXED;
    assert_int_equal(write_dr(f, 4, 0xffffffff), X86_BREAK); /* DR6 without CR4.DE */
    assert_int_equal(f->cpu.s.dr[6], 0xffffefff);
    f->cpu.s.cr4 |= X86_CR4_DE;
    assert_fault(f, write_dr(f, 4, 0), X86_UD);
    f->cpu.s.dr[6] = X86_DR6_FIXED;
    f->cpu.s.dr[7] |= X86_DR7_GD;
    assert_fault(f, write_dr(f, 0, 0), X86_DB);
    assert_true(f->cpu.s.dr[6] & X86_DR6_BD);
    f->cpu.s.rip = FLAT_CODE;
    assert_true(x86_deliver_fault(&f->cpu));
    assert_false(f->cpu.s.dr[7] & X86_DR7_GD);
}

static void single_step(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    f->cpu.s.rflags |= X86_FL_TF;
    assert_int_equal(SYS_STEP(f, 0x90), X86_FAULT);
    assert_handler(f, X86_DB);
    assert_true(f->cpu.s.dr[6] & X86_DR6_BS);
    assert_int_equal(sys_get(f, REG(RSP), 8), FLAT_CODE + 1);
    assert_true(sys_get(f, REG(RSP) + 16, 8) & X86_FL_TF);
    assert_false(sys_get(f, REG(RSP) + 16, 8) & X86_FL_RF);
    assert_false(f->cpu.s.rflags & X86_FL_TF);
    assert_int_equal(SYS_STEP(f, 0x48, 0xcf), X86_JUMP); /* iretq sets TF: one more instruction runs */
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 1);
    SYS_STEP(f, 0x90);
    assert_handler(f, X86_DB);
    assert_int_equal(sys_get(f, REG(RSP), 8), FLAT_CODE + 2);
    /* MOV SS holds it back */
    sys_start(f, true, 0);
    f->cpu.s.rflags |= X86_FL_TF;
    REG(RAX) = SEL_KDATA;
    assert_int_equal(SYS_STEP(f, 0x8e, 0xd0), X86_BREAK);
    SYS_STEP(f, 0x90);
    assert_handler(f, X86_DB);
    assert_int_equal(sys_get(f, REG(RSP), 8), FLAT_CODE + 3);
}

static void breakpoints(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_state *s = &f->cpu.s;

    sys_start(f, true, 0);
    s->dr[0] = FLAT_CODE;
    s->dr[7] = X86_DR7_FIXED | 2;
    assert_int_equal(SYS_STEP(f, 0x90), X86_FAULT);
    assert_handler(f, X86_DB);
    assert_true(s->dr[6] & 1);
    assert_int_equal(sys_get(f, REG(RSP), 8), FLAT_CODE);
    sys_put(f, REG(RSP) + 16, 4, X86_FL_FIXED | X86_FL_RF); /* the debugger goes on */
    SYS_STEP(f, 0x48, 0xcf);
    assert_int_equal(SYS_STEP(f, 0x90), X86_NEXT);
    assert_int_equal(s->rip, FLAT_CODE + 1);

    /* writes of four bytes at 0x60004; reads pass */
    sys_start(f, true, 0);
    s->dr[6] = X86_DR6_FIXED;
    s->dr[7] = X86_DR7_FIXED;
    REG(RAX) = 0x60004;
    SYS_STEP(f, 0x0f, 0x23, 0xc8); /* mov dr1, rax */
    REG(RAX) = X86_DR7_FIXED | 4 | 0xd << 20;
    SYS_STEP(f, 0x0f, 0x23, 0xf8);
    REG(RBX) = 0x60000;
    assert_int_equal(SYS_STEP(f, 0x8b, 0x4b, 0x04), X86_NEXT);  /* mov ecx, [rbx + 4] */
    assert_int_equal(SYS_STEP(f, 0x89, 0x0b), X86_NEXT);        /* mov [rbx], ecx */
    assert_int_equal(SYS_STEP(f, 0x88, 0x4b, 0x07), X86_FAULT); /* mov [rbx + 7], cl */
    assert_handler(f, X86_DB);
    assert_int_equal(s->dr[6] & 0xf, 2);
    assert_int_equal(sys_get(f, REG(RSP), 8), FLAT_CODE + 14);
    assert_int_equal(sys_get(f, 0x60007, 1), (uint8_t)REG(RCX)); /* a trap: the store is done */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(syscall64, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(syscall_vendors, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(sysenter32, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(control_registers, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(paging_off, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(smap_and_ac, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(unit_checks, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(counters_and_bases, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(invpcid, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(ports, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(string_ports, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(string_ports_yield, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(debug_registers, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(single_step, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(breakpoints, sys_setup, sys_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
