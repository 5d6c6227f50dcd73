/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why an entry was refused: the processor says only "guest state". These are its
 * checks (SDM 26.3.1) in its order, on the state as we have it; the first that fails
 * is for the log.
 */
#include "engine/vmx/vmx-internal.h"

static bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 7) >> 7) == address;
}

static unsigned dpl(const struct x86_segment *seg)
{
    return (seg->attr & X86_SEG_DPL) >> 5;
}

static bool usable(const struct x86_segment *seg)
{
    return !(seg->attr & X86_SEG_UNUSABLE) && seg->attr & X86_SEG_P;
}

static const char *control_complaint(const struct x86_state *s)
{
    bool paging = s->cr0 & X86_CR0_PG, is_long = s->efer & X86_EFER_LMA;

    if (paging && !(s->cr0 & X86_CR0_PE))
        return "CR0 has paging without protection";
    if (is_long && !(paging && s->cr4 & X86_CR4_PAE))
        return "EFER has long mode without PAE paging";
    if (!is_long && s->cr4 & X86_CR4_PCIDE)
        return "CR4 has PCIDs outside of long mode";
    if (paging && is_long != !!(s->efer & X86_EFER_LME))
        return "EFER's LMA and LME differ";
    if (s->efer & ~(uint64_t)(X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE))
        return "EFER has reserved bits";
    if (s->dr[7] >> 32)
        return "DR7 has reserved bits";
    if (!canonical(s->sysenter_esp) || !canonical(s->sysenter_eip))
        return "SYSENTER's addresses are not canonical";
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = s->pat >> (8 * i) & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return "the PAT has a reserved type";
    }
    return NULL;
}

static const char *vm86_complaint(const struct x86_state *s)
{
    for (unsigned i = X86_ES; i <= X86_GS; i++) {
        const struct x86_segment *seg = &s->seg[i];

        if (seg->base != (uint64_t)seg->selector << 4 || seg->limit != 0xffff || (seg->attr & 0xff) != 0xf3)
            return "a segment of virtual-8086 mode is not of its kind";
    }
    return NULL;
}

static const char *segment_complaint(const struct x86_state *s)
{
    const struct x86_segment *cs = &s->seg[X86_CS], *ss = &s->seg[X86_SS], *tr = &s->seg[X86_TR];
    unsigned type = cs->attr & X86_SEG_TYPE;

    if (s->rflags & X86_FL_VM)
        return vm86_complaint(s);
    if (!usable(cs) || !(cs->attr & X86_SEG_S) || (type < 9 && type != 2 && type != 3))
        return "CS is no code";
    if (type >= 8 && (type & 4 ? dpl(cs) > dpl(ss) : dpl(cs) != dpl(ss)))
        return "the privileges of CS and SS differ";
    if (!(s->cr0 & X86_CR0_PE) && dpl(ss))
        return "SS has privilege 3 in real mode";
    if (s->efer & X86_EFER_LMA && (cs->attr & (X86_SEG_L | X86_SEG_DB)) == (X86_SEG_L | X86_SEG_DB))
        return "CS is 64-bit and 32-bit code";
    if (usable(tr) && (tr->attr & X86_SEG_S || (tr->attr & 5) != 1))
        return "TR is no TSS";
    if (tr->selector & 4 || (usable(&s->seg[X86_LDTR]) && s->seg[X86_LDTR].selector & 4))
        return "TR or LDTR is from the LDT";
    if (!canonical(tr->base) || !canonical(s->seg[X86_FS].base) || !canonical(s->seg[X86_GS].base) ||
        !canonical(s->gdtr.base) || !canonical(s->idtr.base))
        return "a segment's or table's base is not canonical";
    return NULL;
}

const char *vmx_state_complaint(const struct x86_state *s)
{
    bool is_64 = s->efer & X86_EFER_LMA && s->seg[X86_CS].attr & X86_SEG_L;
    const char *text = control_complaint(s);

    if (!text)
        text = segment_complaint(s);
    if (text)
        return text;
    if (!is_64 ? s->rip >> 32 : !canonical(s->rip))
        return "RIP is out of range";
    if (s->rflags & X86_FL_VM && (s->efer & X86_EFER_LMA || !(s->cr0 & X86_CR0_PE)))
        return "RFLAGS has virtual-8086 mode where there is none";
    if (s->rflags & 0xffc08028 || !(s->rflags & X86_FL_FIXED) || s->rflags >> 32)
        return "RFLAGS has reserved bits";
    return "a check that is not known here";
}
