/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cannot be compared in user mode, one reason each. */
#include "tests/diff/diff.h"

#include <cpuid.h>

bool has_memory_operand(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->op[i].kind == X86_OP_MEM)
            return true;
    return false;
}

bool is_state_image(unsigned id)
{
    switch (id) {
    case X86_FXSAVE:
    case X86_FXRSTOR:
    case X86_XSAVE:
    case X86_XSAVEC:
    case X86_XSAVEOPT:
    case X86_XRSTOR:
    case X86_FLDENV:
    case X86_FNSTENV:
    case X86_FRSTOR:
    case X86_FNSAVE:
        return true;
    default:
        return false;
    }
}

unsigned image_size(const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_FXSAVE:
    case X86_FXRSTOR:
        return 512;
    case X86_XSAVE:
    case X86_XSAVEC:
    case X86_XSAVEOPT:
    case X86_XRSTOR:
        return X86_XSAVE_SIZE;
    default:
        break;
    }
    for (unsigned i = 0; i < insn->operand_count; i++) /* MASKMOVQ's is implicit */
        if (insn->op[i].kind == X86_OP_MEM && insn->op[i].size)
            return insn->op[i].size;
    return 8;
}

uint64_t operand_offset(const struct diff_case *test)
{
    const struct x86_mem *mem = &test->insn.mem;
    uint64_t offset = (uint64_t)mem->disp;

    if (mem->base < X86_NO_REG)
        offset += test->in.gpr[mem->base];
    else if (mem->base == X86_RIP)
        offset += test->in.rip + test->insn.length;
    if (mem->index < X86_NO_REG)
        offset += test->in.gpr[mem->index] << mem->scale;
    return test->insn.addrsize == 4 ? (uint32_t)offset : offset;
}

uint64_t operand_linear(const struct diff_case *test)
{
    const struct x86_mem *mem = &test->insn.mem;

    return operand_offset(test) + (mem->seg == X86_FS   ? test->in.fs_base
                                   : mem->seg == X86_GS ? test->in.gs_base
                                                        : 0);
}

struct reason {
    uint16_t id;
    const char *why;
};

static const struct reason skipped[] = {
    {X86_SYSCALL, "enters the host's kernel"},
    {X86_SYSENTER, "enters the host's kernel"},
    {X86_INT1, "delivered through the IDT: tests/unit has event delivery"},
    {X86_INT3, "delivered through the IDT: tests/unit has event delivery"},
    {X86_CPUID, "the guest's CPUID is the model's"},
    {X86_XGETBV, "the guest's XCR0 is the model's"},
    {X86_RDTSC, "time goes on"},
    {X86_RDTSCP, "time goes on"},
    {X86_RDRAND, "random"},
    {X86_RDSEED, "random"},
    {X86_RDPID, "the host's processor number"},
    {X86_RDPRU, "counters go on"},
    {X86_SGDT, "emulated by Linux under UMIP"},
    {X86_SIDT, "emulated by Linux under UMIP"},
    {X86_SLDT, "emulated by Linux under UMIP"},
    {X86_SMSW, "emulated by Linux under UMIP"},
    {X86_STR, "emulated by Linux under UMIP"},
};

static const struct reason faulting[] = {
    {X86_UD0, "always #UD"},
    {X86_UD1, "always #UD"},
    {X86_UD2, "always #UD"},
    {X86_CLI, "IOPL is 0"},
    {X86_STI, "IOPL is 0"},
    {X86_IN, "IOPL is 0"},
    {X86_OUT, "IOPL is 0"},
    {X86_INS, "IOPL is 0"},
    {X86_OUTS, "IOPL is 0"},
    {X86_INT, "Linux's gates are not for user mode"},
    {X86_RSM, "not in system-management mode"},
    {X86_RDPMC, "CR4.PCE is 0"},
};

static const char *find(const struct reason *reasons, size_t n, unsigned id)
{
    for (size_t i = 0; i < n; i++)
        if (reasons[i].id == id)
            return reasons[i].why;
    return NULL;
}

/* What our software has and the host's processor may lack; the model's other features come from the host. */
static bool host_lacks(unsigned feature)
{
    unsigned eax, ebx, ecx, edx;

    if (feature != X86_FEAT_SERIALIZE || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return false;
    return !(edx >> 14 & 1);
}

const char *row_skip_reason(const struct x86_row *row)
{
    if (host_lacks(row->feature))
        return "the host's processor does not have it";
    return find(skipped, ARRAY_SIZE(skipped), row->id);
}

const char *row_fault_reason(const struct x86_row *row)
{
    if (row->properties & X86_ROW_PRIVILEGED)
        return "privileged";
    return find(faulting, ARRAY_SIZE(faulting), row->id);
}
