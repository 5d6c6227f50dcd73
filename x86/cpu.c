/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A processor's beginnings (SDM 3A table 9-1), and what is derived from its
 * state: mode, privilege, which TLB its accesses use.
 */
#include "x86/exec-sys.h"
#include "x86/flags.h"
#include "x86/fpu.h"
#include "x86/system-internal.h"

#define PAT_DEFAULT   0x0007040600070406ULL
#define MXCSR_DEFAULT 0x1f80U
#define FCW_RESET     0x40
#define MISC_FAST     BIT(0)
#define MISC_NO_BTS   BIT(11)
#define MISC_NO_PEBS  BIT(12)

/* ---- derived state ---- */

static bool segment_is_flat(const struct x86_segment *s)
{
    uint32_t want = X86_SEG_P | X86_SEG_S | X86_TYPE_WRITE;
    uint32_t mask = want | X86_TYPE_CODE | X86_TYPE_DOWN | X86_SEG_UNUSABLE;

    return s->base == 0 && s->limit == 0xffffffff && (s->attr & mask) == want;
}

/* CS, which is read only where its type lets it be, and checked at each branch. */
static bool code_is_flat(const struct x86_segment *s)
{
    return s->base == 0 && s->limit == 0xffffffff && s->attr & X86_SEG_P && s->attr & X86_TYPE_READ;
}

static bool is_flat(const struct x86_cpu *cpu)
{
    const struct x86_segment *seg = cpu->s.seg;

    if (cpu->mode == X86_MODE_64)
        return true;
    return code_is_flat(&seg[X86_CS]) && segment_is_flat(&seg[X86_SS]) && segment_is_flat(&seg[X86_DS]) &&
           segment_is_flat(&seg[X86_ES]);
}

static enum x86_mode code_mode(const struct x86_cpu *cpu)
{
    uint32_t attr = cpu->s.seg[X86_CS].attr;

    if (x86_long(cpu) && attr & X86_SEG_L)
        return X86_MODE_64;
    return attr & X86_SEG_DB && !(x86_protected(cpu) && x86_vm86(cpu)) ? X86_MODE_32 : X86_MODE_16;
}

static unsigned privilege(const struct x86_cpu *cpu)
{
    if (!x86_protected(cpu))
        return 0;
    return x86_vm86(cpu) ? 3 : x86_seg_dpl(&cpu->s.seg[X86_SS]);
}

void x86_mode_changed(struct x86_cpu *cpu)
{
    cpu->mode = code_mode(cpu);
    cpu->cpl = (uint8_t)privilege(cpu);
    if (cpu->cpl == 3)
        cpu->mmu_index = X86_MMU_USER;
    else if (cpu->s.cr4 & X86_CR4_SMAP && cpu->s.rflags & X86_FL_AC)
        cpu->mmu_index = X86_MMU_KERNEL_AC;
    else
        cpu->mmu_index = X86_MMU_KERNEL;
    cpu->tlb_now = cpu->tlb ? cpu->tlb->entry[cpu->mmu_index] : NULL;
    cpu->flat = is_flat(cpu);
}

void x86_state_changed(struct x86_cpu *cpu)
{
    x86_flags_set(cpu, cpu->s.rflags);
    x86_x87_update_summary(&cpu->s.x87); /* the host's x87 derives it, and would raise what we did not see */
    cpu->debug_trap = 0;
    x86_tlb_init(cpu);
    x86_mode_changed(cpu);
}

void x86_state_flush(struct x86_cpu *cpu)
{
    cpu->s.rflags = x86_flags_get(cpu);
}

/* ---- reset ---- */

static void reset_segments(struct x86_state *s)
{
    for (unsigned i = X86_ES; i <= X86_GS; i++)
        s->seg[i] = x86_real_segment(0, 0x93);
    s->seg[X86_CS] =
        (struct x86_segment){.selector = 0xf000, .base = 0xffff0000, .limit = 0xffff, .attr = 0x9b};
    s->seg[X86_LDTR] = (struct x86_segment){.limit = 0xffff, .attr = X86_SEG_P | X86_SYS_LDT};
    s->seg[X86_TR] = (struct x86_segment){.limit = 0xffff, .attr = X86_SEG_P | X86_SYS_TSS32_BUSY};
    s->gdtr = s->idtr = (struct x86_table_reg){.limit = 0xffff};
}

/* What INIT leaves alone: caches, MSRs, the x87 and vector state, XCR0 (SDM 3A table 9-1). */
static void reset_power_on(struct x86_cpu *cpu)
{
    struct x86_state *s = &cpu->s;

    memset(s, 0, sizeof(*s));
    s->cr0 = X86_CR0_CD | X86_CR0_NW;
    s->x87.fcw = FCW_RESET;
    s->x87.ftw = 0xff; /* 5555h: all zero, none empty */
    s->mxcsr = MXCSR_DEFAULT;
    s->xcr0 = X86_XCR0_X87;
    s->pat = PAT_DEFAULT;
    s->misc_enable = MISC_FAST | MISC_NO_BTS | MISC_NO_PEBS;
}

/* Family, model and stepping, straight from the model: resets come with locks held that CPUID's answer may
 * need. */
static uint32_t signature(const struct x86_cpuid_model *model)
{
    for (unsigned i = 0; i < model->count; i++) {
        if (model->leaf[i].leaf == 1)
            return model->leaf[i].eax;
    }
    return 0;
}

void x86_reset(struct x86_cpu *cpu, bool init)
{
    struct x86_state *s = &cpu->s;

    if (!init)
        reset_power_on(cpu);
    memset(s->gpr, 0, sizeof(s->gpr));
    memset(s->dr, 0, sizeof(s->dr));
    reset_segments(s);
    s->cr0 = (s->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = s->efer = 0;
    s->rflags = X86_FL_FIXED;
    s->rip = 0xfff0;
    s->dr[6] = X86_DR6_FIXED;
    s->dr[7] = X86_DR7_FIXED;
    s->shadow = 0;
    s->nmi_masked = s->nmi_pending = s->exception_pending = s->interrupt_pending = false;
    s->activity = init && cpu->apic_id != 0 ? X86_ACT_WAIT_SIPI : X86_ACT_RUN;
    s->gpr[X86_RDX] = signature(cpu->cpuid);
    x86_state_changed(cpu);
}

void x86_start_sipi(struct x86_cpu *cpu, uint8_t vector)
{
    struct x86_segment *cs = &cpu->s.seg[X86_CS];

    cs->selector = (uint16_t)(vector << 8);
    cs->base = (uint64_t)vector << 12;
    cpu->s.rip = 0;
    cpu->s.activity = X86_ACT_RUN;
    x86_mode_changed(cpu);
}
