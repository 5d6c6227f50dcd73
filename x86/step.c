/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One instruction from its bytes to its consequences, with nothing cached. */
#include <errno.h> /* the constants only */

#include "x86/exec-sys.h"
#include "x86/operand.h"

/*
 * Instruction bytes of one page from s.rip + skip: how many of `max` were
 * stored; 0: none can be had, cpu->fault says why.
 */
static unsigned fetch_run(struct x86_cpu *cpu, unsigned skip, uint8_t *buf, unsigned max)
{
    uint64_t lin = cpu->s.rip + skip;
    struct x86_translation t;
    unsigned n;

    if (cpu->mode == X86_MODE_64) {
        if (!x86_branch_check(cpu, lin))
            return 0;
    } else {
        const struct x86_segment *cs = &cpu->s.seg[X86_CS];

        if (lin > cs->limit) {
            x86_raise_error(cpu, X86_GP, 0);
            return 0;
        }
        max = (unsigned)MIN((uint64_t)max, cs->limit - lin + 1);
        lin = (uint32_t)(lin + cs->base);
    }
    n = (unsigned)MIN((uint64_t)max, 4096 - (lin & 4095));
    if (!x86_translate(cpu, lin, X86_MEM_FETCH, cpu->mmu_index, &t))
        return 0;
    if (t.host) {
        memcpy(buf, t.host, n);
    } else {
        for (unsigned i = 0; i < n; i++)
            buf[i] = (uint8_t)cpu->env->mmio_read(cpu, t.gpa + i, 1);
    }
    return n;
}

int x86_fetch(struct x86_cpu *cpu, uint8_t buf[X86_MAX_INSN_LEN])
{
    unsigned have = 0, n;

    while (have < X86_MAX_INSN_LEN && (n = fetch_run(cpu, have, buf + have, X86_MAX_INSN_LEN - have)) != 0)
        have += n;
    return have ? (int)have : -1;
}

/* Fetches only as far as the instruction reaches, so that the page behind it cannot fault it. */
static enum x86_result fetch_and_decode(struct x86_cpu *cpu, struct x86_insn *insn)
{
    uint8_t buf[X86_MAX_INSN_LEN];
    unsigned have = 0;

    for (;;) {
        unsigned n = fetch_run(cpu, have, buf + have, X86_MAX_INSN_LEN - have);
        int error;

        if (n == 0)
            return X86_FAULT;
        have += n;
        error = x86_decode(buf, have, cpu->mode, insn);
        if (error == 0)
            return X86_NEXT;
        if (error == -E2BIG || (error == -EAGAIN && have == X86_MAX_INSN_LEN))
            return x86_raise_error(cpu, X86_GP, 0);
        if (error != -EAGAIN)
            return x86_raise(cpu, X86_UD);
    }
}

static bool uses_vectors(const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_FXSAVE:
    case X86_FXRSTOR:
    case X86_XSAVE:
    case X86_XSAVEC:
    case X86_XSAVEOPT:
    case X86_XSAVES:
    case X86_XRSTOR:
    case X86_XRSTORS:
        return true;
    default:
        return x86_insn_row(insn->row)->properties & (X86_ROW_VECTOR | X86_ROW_X87);
    }
}

static enum x86_result execute(struct x86_cpu *cpu, struct x86_insn *insn)
{
    enum x86_result result = x86_debug_before(cpu);

    cpu->s.shadow = 0;
    if (result == X86_NEXT)
        result = fetch_and_decode(cpu, insn);
    if (result == X86_NEXT && cpu->want_vectors && uses_vectors(insn))
        cpu->want_vectors(cpu);
    if (result == X86_NEXT)
        result = x86_check(cpu, insn);
    if (result == X86_NEXT)
        result = x86_exec_table[insn->id](cpu, insn);
    return result;
}

static enum x86_result deliver(struct x86_cpu *cpu)
{
    return x86_deliver_fault(cpu) ? X86_FAULT : X86_HALT;
}

enum x86_result x86_step(struct x86_cpu *cpu)
{
    struct x86_insn insn;
    bool debug = x86_debug_active(cpu), tf = cpu->s.rflags & X86_FL_TF, rf = cpu->s.rflags & X86_FL_RF;
    enum x86_mode mode = cpu->mode;
    enum x86_result result = execute(cpu, &insn);

    if (result == X86_FAULT)
        return deliver(cpu);
    if (result != X86_AGAIN) {
        cpu->instructions++;
        if (result != X86_JUMP) {
            cpu->s.rip += insn.length;
            if (mode != X86_MODE_64)
                cpu->s.rip = (uint32_t)cpu->s.rip;
        }
        /* RF covers one instruction, IRET's new one the next (SDM 3B 18.3.1.1). */
        if (rf && insn.id != X86_IRET)
            cpu->s.rflags &= ~(uint64_t)X86_FL_RF;
    }
    if (unlikely(debug) && x86_debug_after(cpu, &insn, tf) == X86_FAULT)
        return deliver(cpu);
    return result;
}
