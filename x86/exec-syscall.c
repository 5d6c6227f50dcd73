/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT: transfers whose segments come from MSRs
 * and not from tables (SDM 2B; APM 3). Where the vendors differ, the CPU
 * model's vendor decides: AMD has SYSCALL outside of 64-bit mode and no
 * SYSENTER in long mode; Intel checks SYSRET's address before it leaves ring 0.
 */
#include "x86/exec-sys.h"
#include "x86/system-internal.h"

#define ATTR_FLAT   (X86_SEG_S | X86_SEG_P | X86_SEG_G)
#define ATTR_CODE32 (ATTR_FLAT | X86_SEG_DB | 0xb)
#define ATTR_CODE64 (ATTR_FLAT | X86_SEG_L | 0xb)
#define ATTR_DATA   (ATTR_FLAT | X86_SEG_DB | 0x3)

/* Flat CS and SS of the given privilege. */
static void flat_segments(struct x86_cpu *cpu, unsigned cs, unsigned ss, bool wide, unsigned cpl)
{
    cpu->s.seg[X86_CS] = (struct x86_segment){
        .selector = (uint16_t)((cs & 0xfffc) | cpl),
        .limit = 0xffffffff,
        .attr = (wide ? ATTR_CODE64 : ATTR_CODE32) | cpl << 5,
    };
    cpu->s.seg[X86_SS] = (struct x86_segment){
        .selector = (uint16_t)((ss & 0xfffc) | cpl),
        .limit = 0xffffffff,
        .attr = ATTR_DATA | cpl << 5,
    };
}

static bool syscall_available(struct x86_cpu *cpu)
{
    return cpu->s.efer & X86_EFER_SCE && x86_protected(cpu) &&
           (cpu->mode == X86_MODE_64 || x86_vendor_amd(cpu));
}

enum x86_result x86_exec_syscall(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t next = cpu->s.rip + insn->length, flags = x86_flags_get(cpu);
    unsigned cs = (unsigned)(cpu->s.star >> 32) & 0xffff;

    if (!syscall_available(cpu))
        return x86_raise(cpu, X86_UD);
    if (x86_long(cpu)) {
        cpu->s.gpr[X86_RCX] = cpu->mode == X86_MODE_64 ? next : next & X86_LIN_MASK32;
        cpu->s.gpr[X86_R11] = flags & ~(uint64_t)X86_FL_RF;
        cpu->s.rip = cpu->mode == X86_MODE_64 ? cpu->s.lstar : cpu->s.cstar;
        flags &= ~(cpu->s.sfmask | X86_FL_RF);
    } else {
        cpu->s.gpr[X86_RCX] = next & X86_LIN_MASK32;
        cpu->s.rip = cpu->s.star & X86_LIN_MASK32;
        flags &= ~(uint64_t)(X86_FL_VM | X86_FL_IF | X86_FL_RF);
    }
    flat_segments(cpu, cs, cs + 8, x86_long(cpu), 0);
    x86_flags_set(cpu, flags);
    x86_mode_changed(cpu);
    return X86_JUMP;
}

enum x86_result x86_exec_sysret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned base = (unsigned)(cpu->s.star >> 48) & 0xffff;
    uint64_t target = cpu->s.gpr[X86_RCX];
    bool wide = cpu->mode == X86_MODE_64 && insn->opsize == 8;

    if (!syscall_available(cpu))
        return x86_raise(cpu, X86_UD);
    if (cpu->cpl != 0)
        return x86_raise_error(cpu, X86_GP, 0);
    if (wide && !x86_vendor_amd(cpu) && !x86_canonical(cpu, target))
        return x86_raise_error(cpu, X86_GP, 0);
    flat_segments(cpu, wide ? base + 16 : base, base + 8, wide, 3);
    cpu->s.rip = wide ? target : target & X86_LIN_MASK32;
    if (x86_long(cpu))
        x86_flags_set(cpu, (cpu->s.gpr[X86_R11] & 0x3c7fd7) | X86_FL_FIXED);
    else
        cpu->s.rflags |= X86_FL_IF;
    x86_mode_changed(cpu);
    return X86_JUMP;
}

static bool sysenter_available(struct x86_cpu *cpu)
{
    return !(x86_long(cpu) && x86_vendor_amd(cpu));
}

enum x86_result x86_exec_sysenter(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned cs = (unsigned)cpu->s.sysenter_cs & 0xfffc;

    if (!sysenter_available(cpu))
        return x86_raise(cpu, X86_UD);
    if (!x86_protected(cpu) || !cs)
        return x86_raise_error(cpu, X86_GP, 0);
    x86_flags_set(cpu, x86_flags_get(cpu) & ~(uint64_t)(X86_FL_VM | X86_FL_IF | X86_FL_RF));
    flat_segments(cpu, cs, cs + 8, x86_long(cpu), 0);
    cpu->s.gpr[X86_RSP] = x86_wrap(cpu, cpu->s.sysenter_esp);
    cpu->s.rip = x86_wrap(cpu, cpu->s.sysenter_eip);
    x86_mode_changed(cpu);
    return X86_JUMP;
}

enum x86_result x86_exec_sysexit(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned cs = (unsigned)cpu->s.sysenter_cs & 0xfffc;
    uint64_t rip = cpu->s.gpr[X86_RDX], rsp = cpu->s.gpr[X86_RCX];
    bool wide = insn->opsize == 8;

    if (!sysenter_available(cpu))
        return x86_raise(cpu, X86_UD);
    if (!x86_protected(cpu) || !cs || cpu->cpl != 0)
        return x86_raise_error(cpu, X86_GP, 0);
    if (wide && !(x86_canonical(cpu, rip) && x86_canonical(cpu, rsp)))
        return x86_raise_error(cpu, X86_GP, 0);
    if (wide)
        flat_segments(cpu, cs + 32, cs + 40, true, 3);
    else
        flat_segments(cpu, cs + 16, cs + 24, false, 3);
    cpu->s.gpr[X86_RSP] = wide ? rsp : rsp & X86_LIN_MASK32;
    cpu->s.rip = wide ? rip : rip & X86_LIN_MASK32;
    x86_mode_changed(cpu);
    return X86_JUMP;
}
