/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must be the same after an instruction, and what to print if it is not. */
#include "tests/diff/diff.h"

#include "base/bytes.h"
#include "x86/regs.h"

/* RF is set in the frame of a signal, and IF and IOPL are not the program's. */
#define COMPARED_FLAGS (X86_FL_ARITH | X86_FL_DF | X86_FL_TF | X86_FL_NT | X86_FL_AC | X86_FL_ID)

struct field {
    const char *name;
    uint16_t offset, size;
};

#define LINUX_TASK_SIZE (BIT64(47) - 4096)

#define FIRST_POINTER   6  /* FOP */
#define LAST_POINTER    16 /* FDP */

static const struct field fields[] = {
    {"fcw", 0, 2}, {"fsw", 2, 2}, {"ftw", 4, 1}, {"fop", 6, 2}, {"fip", 8, 8}, {"fdp", 16, 8},
};

/*
 * AMD's processors save and restore FOP, FIP and FDP only while an exception is
 * pending (APM 2 11.4.4): those of before survive a context switch only if one was
 * pending then, and new ones can be seen only if one is pending now.
 */
static bool is_field_kept(const struct diff_case *test, const struct field *field, const uint8_t *native)
{
    bool before = load_le16(test->in.xsave + 2) & X86_FSW_ES, now = load_le16(native + 2) & X86_FSW_ES;

    if (field->offset < FIRST_POINTER)
        return true;
    if (field->offset == LAST_POINTER && !before && !has_memory_operand(&test->insn))
        return false;
    return now;
}

static const char *compare_fpu(const struct diff_case *test, const uint8_t *a, const uint8_t *b,
                               uint32_t mxcsr)
{
    if ((load_le32(a + 24) ^ load_le32(b + 24)) & mxcsr)
        return "mxcsr";
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (is_field_kept(test, &fields[i], a) &&
            memcmp(a + fields[i].offset, b + fields[i].offset, fields[i].size))
            return fields[i].name;
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(a + 32 + i * 16UL, b + 32 + i * 16UL, 10))
            return "st/mm";
    if (memcmp(a + 160, b + 160, 256))
        return "xmm";
    return memcmp(a + X86_XSAVE_AVX, b + X86_XSAVE_AVX, 256) ? "ymm" : NULL;
}

/* Linux reports every user access to the kernel's half as if something were mapped there. */
static uint32_t error_mask(const struct diff_state *s)
{
    return s->cr2 >= LINUX_TASK_SIZE ? ~X86_PF_P : ~0U;
}

/* Accesses in several parts may meet the unmapped page before they meet the end of what is canonical. */
static bool straddles_canonical(const struct diff_case *test)
{
    uint64_t at = operand_linear(test);

    return at < BIT64(47) && at + image_size(&test->insn) > BIT64(47);
}

static bool is_pair(const struct diff_state *a, const struct diff_state *b, int one, int other)
{
    return (a->vector == one && b->vector == other) || (a->vector == other && b->vector == one);
}

/* Two faults at once, and no manual says which comes first. */
static bool is_order_free(const struct diff_case *test, const struct diff_state *native,
                          const struct diff_state *ours)
{
    if (native->vector < 0 || ours->vector < 0)
        return false;
    if (straddles_canonical(test))
        return true;
    switch (test->insn.id) {
    case X86_CALL: /* a bad stack, a target that is not canonical */
        return is_pair(native, ours, X86_PF, X86_GP) || is_pair(native, ours, X86_SS_FAULT, X86_GP);
    case X86_RETF: /* the new CS, the rest of the frame */
    case X86_IRET:
        return true;
    case X86_CMPS: /* two bad operands */
    case X86_MOVS:
        return is_pair(native, ours, X86_PF, X86_GP);
    default: /* misaligned and not canonical */
        return is_pair(native, ours, X86_SS_FAULT, X86_GP) && operand_linear(test) & 15;
    }
}

static bool is_byte_mask_move(unsigned id)
{
    return id == X86_MASKMOVQ || id == X86_MASKMOVDQU || id == X86_VMASKMOVDQU;
}

/* Which byte of a saved image, or of a store under a byte mask, is touched first is nobody's promise. */
static bool is_same_page_fault(const struct diff_case *test, const struct diff_state *a,
                               const struct diff_state *b)
{
    uint64_t at = operand_linear(test), size = image_size(&test->insn);

    if ((test->insn.id == X86_CMPS || test->insn.id == X86_RETF || test->insn.id == X86_IRET) &&
        a->cr2 != b->cr2)
        return true; /* which of the bad places is read first */
    if (is_state_image(test->insn.id) || is_byte_mask_move(test->insn.id)) {
        /* With 32-bit addresses it goes on at 0 behind 4 GiB. */
        uint64_t mask = test->insn.addrsize == 4 ? UINT32_MAX : UINT64_MAX;

        return ((a->cr2 - at) & mask) < size && ((b->cr2 - at) & mask) < size;
    }
    return a->cr2 == b->cr2 && !((a->error ^ b->error) & error_mask(a));
}

/*
 * An unmasked overflow or underflow sets PE if the result is inexact with an exponent of any size; ours has
 * it as the masked response would. DPPS and DPPD report their first step's exceptions only; ours those of
 * all.
 */
static uint32_t mxcsr_mask(const struct diff_case *test, const struct diff_state *native)
{
    uint32_t mxcsr = load_le32(native->xsave + 24);

    if (native->vector != X86_XM)
        return ~0U;
    if (test->insn.id == X86_DPPS || test->insn.id == X86_DPPD || test->insn.id == X86_VDPPS ||
        test->insn.id == X86_VDPPD)
        return ~X86_MXCSR_FLAGS;
    return mxcsr & ~(mxcsr >> X86_MXCSR_MASK_SHIFT) & (X86_MXCSR_OE | X86_MXCSR_UE) ? ~X86_MXCSR_PE : ~0U;
}

/* Leaving 64-bit mode makes the upper halves undefined (SDM 1 3.4.1.1). */
static bool is_same_registers(const struct diff_state *native, const struct diff_state *ours)
{
    uint64_t mask = native->selector[X86_CS] == 0x23 ? 0xffffffff : ~0ULL;

    for (unsigned i = 0; i < 16; i++)
        if ((native->gpr[i] ^ ours->gpr[i]) & mask)
            return false;
    return true;
}

const char *compare_states(const struct diff_case *test, const struct diff_state *native,
                           const struct diff_state *ours, bool strict)
{
    uint64_t flags = COMPARED_FLAGS;

    if (native->vector != ours->vector && is_order_free(test, native, ours))
        return NULL;
    if (native->vector != ours->vector)
        return "exception";
    if (native->vector == X86_PF && !is_same_page_fault(test, native, ours))
        return "page fault";
    if (native->vector >= 0 && native->vector != X86_PF && native->error != ours->error)
        return "error code";
    if (native->rip != ours->rip)
        return "rip";
    if (!is_same_registers(native, ours))
        return "registers";
    if (native->vector < 0 && !strict)
        flags &= ~(uint64_t)test->row->flags_undefined;
    /* Faulting in the middle, Intel's have the flags of before (SDM 2B REP), AMD's those of the last compare.
     */
    if (native->vector >= 0 && (test->insn.id == X86_CMPS || test->insn.id == X86_SCAS))
        flags &= ~(uint64_t)X86_FL_ARITH;
    if ((native->rflags ^ ours->rflags) & flags)
        return "flags";
    if (memcmp(native->selector, ours->selector, sizeof(native->selector)))
        return "selectors";
    if (native->fs_base != ours->fs_base || native->gs_base != ours->gs_base)
        return "segment base";
    return compare_fpu(test, native->xsave, ours->xsave, mxcsr_mask(test, native));
}

static void print_pair(FILE *to, const char *name, uint64_t in, uint64_t native, uint64_t ours)
{
    if (in == native && native == ours)
        return;
    fprintf(to, "  %-8s %016llx -> %016llx, ours %016llx%s\n", name, (unsigned long long)in,
            (unsigned long long)native, (unsigned long long)ours, native == ours ? "" : "   <<<");
}

static void print_bytes(FILE *to, const char *name, unsigned n, const uint8_t *in, const uint8_t *native,
                        const uint8_t *ours, unsigned size)
{
    const uint8_t *lines[3] = {in, native, ours};
    static const char *const titles[3] = {"before", "native", "ours"};

    if (!memcmp(in, native, size) && !memcmp(native, ours, size))
        return;
    fprintf(to, "  %s%u%s\n", name, n, memcmp(native, ours, size) ? "   <<<" : "");
    for (unsigned i = 0; i < 3; i++) {
        fprintf(to, "    %-7s", titles[i]);
        for (unsigned k = size; k--;)
            fprintf(to, "%02x%s", lines[i][k], k % 4 ? "" : " ");
        fputc('\n', to);
    }
}

void print_case(FILE *to, const struct diff_case *test, const struct diff_state *native,
                const struct diff_state *ours)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    char text[128];

    x86_insn_format(&test->insn, test->in.rip, text, sizeof(text));
    fprintf(to, "  bytes   ");
    for (unsigned i = 0; i < test->insn.length; i++)
        fprintf(to, " %02x", test->bytes[i]);
    fprintf(
        to,
        "\n  insn     %s\n  native: exception %d error %x cr2 %llx; ours: exception %d error %x cr2 %llx\n",
        text, native->vector, native->error, (unsigned long long)native->cr2, ours->vector, ours->error,
        (unsigned long long)ours->cr2);
    print_pair(to, "rip", test->in.rip, native->rip, ours->rip);
    for (unsigned i = 0; i < 16; i++)
        print_pair(to, names[i], test->in.gpr[i], native->gpr[i], ours->gpr[i]);
    for (unsigned i = 0; i < test->insn.operand_count; i++) {
        const struct x86_operand *op = &test->insn.op[i];
        if (op->kind == X86_OP_MEM && test->insn.mem.base < 16)
            fprintf(to, "  memory base %s = %016llx\n", names[test->insn.mem.base],
                    (unsigned long long)test->in.gpr[test->insn.mem.base]);
        if (op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR)
            fprintf(to, "  operand %s = %016llx\n", names[op->reg & 15],
                    (unsigned long long)test->in.gpr[op->reg & 15]);
        if (op->kind == X86_OP_REG && op->reg_class == X86_RC_VEC) {
            const uint8_t *v = test->in.xsave + 160 + op->reg * 16UL,
                          *h = test->in.xsave + 576 + op->reg * 16UL;
            fprintf(to, "  operand vec%u = %016llx %016llx %016llx %016llx\n", op->reg,
                    (unsigned long long)load_le64(h + 8), (unsigned long long)load_le64(h),
                    (unsigned long long)load_le64(v + 8), (unsigned long long)load_le64(v));
        }
    }
    print_pair(to, "rflags", test->in.rflags & COMPARED_FLAGS, native->rflags & COMPARED_FLAGS,
               ours->rflags & COMPARED_FLAGS);
    for (unsigned i = 0; i < DIFF_SELECTORS; i++)
        print_pair(to, "selector", test->in.selector[i], native->selector[i], ours->selector[i]);
    print_pair(to, "fs_base", test->in.fs_base, native->fs_base, ours->fs_base);
    print_pair(to, "gs_base", test->in.gs_base, native->gs_base, ours->gs_base);
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        uint16_t at = fields[i].offset, size = fields[i].size;
        uint64_t mask = size == 8 ? ~0ULL : BIT64(size * 8) - 1;
        if (i < 2)
            fprintf(to, "  %s = %llx\n", fields[i].name,
                    (unsigned long long)(load_le64(test->in.xsave + at) & mask));
        print_pair(to, fields[i].name, load_le64(test->in.xsave + at) & mask,
                   load_le64(native->xsave + at) & mask, load_le64(ours->xsave + at) & mask);
    }
    fprintf(to, "  mxcsr %x -> %x, ours %x\n", load_le32(test->in.xsave + 24), load_le32(native->xsave + 24),
            load_le32(ours->xsave + 24));
    for (unsigned i = 0; i < 8; i++)
        print_bytes(to, "st", i, test->in.xsave + 32 + i * 16UL, native->xsave + 32 + i * 16UL,
                    ours->xsave + 32 + i * 16UL, 10);
    for (unsigned i = 0; i < 16; i++)
        print_bytes(to, "xmm", i, test->in.xsave + 160 + i * 16UL, native->xsave + 160 + i * 16UL,
                    ours->xsave + 160 + i * 16UL, 16);
    for (unsigned i = 0; i < 16; i++)
        print_bytes(to, "ymm high", i, test->in.xsave + 576 + i * 16UL, native->xsave + 576 + i * 16UL,
                    ours->xsave + 576 + i * 16UL, 16);
}
