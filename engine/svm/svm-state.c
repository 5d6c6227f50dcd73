/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between struct x86_state and the control block. What the guest sees of its control
 * registers and what the processor works with differ in:
 *  - CR0.CD and NW: never set for the processor (RAM is cached whatever a guest at its reset says); while the
 *    guest has them set, it is asked for each access to CR0;
 *  - CR4.MCE: always set, so that a machine check of the host is not a shutdown; while the guest has it
 * clear, reads of CR4 exit;
 *  - EFER.SVME: always set; accesses to EFER exit.
 */
#include "engine/svm/svm-internal.h"

#define CR0_HIDDEN (X86_CR0_CD | X86_CR0_NW)

/* ---- segments ---- */

/* A loaded TSS is busy, which not every processor says of its own register; QEMU ends itself where it is
 * said. */
#define TR_BUSY 2U

struct vmcb_segment svm_segment_to(const struct x86_segment *s)
{
    uint32_t attr = s->attr & X86_SEG_UNUSABLE ? 0 : s->attr;

    return (struct vmcb_segment){
        .selector = s->selector,
        .attr = (uint16_t)((attr & 0xff) | (attr >> 4 & 0xf00)),
        .limit = s->limit,
        .base = s->base,
    };
}

struct x86_segment svm_segment_from(const struct vmcb_segment *s)
{
    uint32_t attr = (s->attr & 0xffU) | (s->attr & 0xf00U) << 4;

    return (struct x86_segment){
        .selector = s->selector,
        .attr = attr & X86_SEG_P ? attr : attr | X86_SEG_UNUSABLE,
        .limit = s->limit,
        .base = s->base,
    };
}

static void fetch_segments(struct x86_state *s, const struct vmcb *c)
{
    s->seg[X86_ES] = svm_segment_from(&c->es);
    s->seg[X86_SS] = svm_segment_from(&c->ss);
    s->seg[X86_DS] = svm_segment_from(&c->ds);
    s->seg[X86_FS] = svm_segment_from(&c->fs);
    s->seg[X86_GS] = svm_segment_from(&c->gs);
    s->seg[X86_LDTR] = svm_segment_from(&c->ldtr);
    s->seg[X86_TR] = svm_segment_from(&c->tr);
    s->seg[X86_TR].attr |= TR_BUSY;
    /* The privilege is the block's own field; SYSRET leaves SS as it was. */
    s->seg[X86_SS].attr = (s->seg[X86_SS].attr & ~X86_SEG_DPL) | (uint32_t)(c->cpl & 3) << 5;
    s->gdtr = (struct x86_table_reg){.base = c->gdtr.base, .limit = (uint16_t)c->gdtr.limit};
    s->idtr = (struct x86_table_reg){.base = c->idtr.base, .limit = (uint16_t)c->idtr.limit};
}

static uint8_t privilege(const struct x86_state *s)
{
    if (!(s->cr0 & X86_CR0_PE))
        return 0;
    return s->rflags & X86_FL_VM ? 3 : s->seg[X86_SS].attr >> 5 & 3;
}

static void flush_segments(struct vmcb *c, const struct x86_state *s)
{
    c->es = svm_segment_to(&s->seg[X86_ES]);
    c->ss = svm_segment_to(&s->seg[X86_SS]);
    c->ds = svm_segment_to(&s->seg[X86_DS]);
    c->fs = svm_segment_to(&s->seg[X86_FS]);
    c->gs = svm_segment_to(&s->seg[X86_GS]);
    c->ldtr = svm_segment_to(&s->seg[X86_LDTR]);
    c->tr = svm_segment_to(&s->seg[X86_TR]);
    c->cpl = privilege(s);
    c->gdtr.base = s->gdtr.base;
    c->gdtr.limit = s->gdtr.limit;
    c->idtr.base = s->idtr.base;
    c->idtr.limit = s->idtr.limit;
}

/* ---- the rest ---- */

void svm_fetch(struct hw_vcpu *v, uint32_t parts)
{
    const struct vmcb *c = svm_vcpu_of(v)->vmcb;
    struct x86_state *s = &v->vcpu->cpu.s;

    if (parts & HW_CODE) {
        s->seg[X86_CS] = svm_segment_from(&c->cs);
        s->cr3 = c->cr3;
    }
    if (parts & HW_SEGMENTS)
        fetch_segments(s, c);
    if (parts & HW_CONTROL) {
        s->cr0 = (c->cr0 & ~(uint64_t)CR0_HIDDEN) | (s->cr0 & CR0_HIDDEN);
        s->cr2 = c->cr2;
        s->dr[6] = c->dr6;
        s->dr[7] = c->dr7; /* a #DB clears GD */
        if (svm_vm_of(v->vcpu->vm)->spec_ctrl_direct)
            s->spec_ctrl = c->spec_ctrl;
    }
    if (parts & HW_SYSCALL) {
        s->star = c->star;
        s->lstar = c->lstar;
        s->cstar = c->cstar;
        s->sfmask = c->sfmask;
        s->kernel_gs_base = c->kernel_gs_base;
        s->sysenter_cs = c->sysenter_cs;
        s->sysenter_esp = c->sysenter_esp;
        s->sysenter_eip = c->sysenter_eip;
    }
}

static void flush_control(struct vmcb *c, const struct x86_state *s)
{
    bool hides_cr0 = s->cr0 & CR0_HIDDEN, hides_cr4 = !(s->cr4 & X86_CR4_MCE);
    uint16_t read = (uint16_t)((hides_cr0 ? BIT(0) : 0) | (hides_cr4 ? BIT(4) : 0));
    uint16_t write = (uint16_t)((hides_cr0 ? BIT(0) : 0) | BIT(4) | BIT(8));
    uint32_t exceptions = BIT(X86_MC) | BIT(X86_AC) | (s->dr[7] & 0xff ? BIT(X86_DB) : 0);

    c->cr0 = (s->cr0 & ~(uint64_t)CR0_HIDDEN) | X86_CR0_ET;
    c->cr2 = s->cr2;
    c->cr4 = s->cr4 | X86_CR4_MCE;
    c->efer = s->efer | X86_EFER_SVME;
    c->pat = s->pat;
    c->dr6 = (uint32_t)s->dr[6];
    c->dr7 = (uint32_t)s->dr[7];
    c->spec_ctrl = s->spec_ctrl; /* for processors that switch it */
    c->clean &= ~(SVM_CLEAN_CR | SVM_CLEAN_CR2 | SVM_CLEAN_DR | SVM_CLEAN_NESTED);
    if (c->cr_read != read || c->cr_write != write || c->exceptions != exceptions) {
        c->cr_read = read;
        c->cr_write = write;
        c->exceptions = exceptions;
        c->clean &= ~SVM_CLEAN_INTERCEPTS;
    }
}

/* Reads of CR8 do not exit. */
static void flush_tpr(struct vmcb *c, struct vcpu *vcpu)
{
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;
    uint32_t tpr = lapic ? (uint32_t)lapic->cr8_read(vcpu) & 15 : 0;

    if ((c->vintr & 0xff) == tpr)
        return;
    c->vintr = (c->vintr & ~0xffU) | tpr;
    c->clean &= ~SVM_CLEAN_VINTR;
}

/* Loaded: what of the model-specific registers is the guest's while it runs, but not in the control block. */
static void flush_msrs(struct svm_vcpu *v)
{
    const struct x86_state *s = &v->hw.vcpu->cpu.s;
    struct svm_cpu *cpu = svm_cpu_of(v->hw.cpu);

    if (cpu->has.rdtscp && cpu->tsc_aux != s->tsc_aux) {
        hw_wrmsr(X86_MSR_TSC_AUX, s->tsc_aux);
        cpu->tsc_aux = s->tsc_aux;
    }
    if (svm_vm_of(v->hw.vcpu->vm)->spec_ctrl && cpu->spec_ctrl != s->spec_ctrl) {
        hw_wrmsr(X86_MSR_SPEC_CTRL, s->spec_ctrl);
        cpu->spec_ctrl = s->spec_ctrl;
    }
}

/* DR0 to DR3 matter while DR7 turns one on; MOV DR exits, so that nobody sees them else. */
static void load_breakpoints(const struct x86_state *s)
{
    if (!(s->dr[7] & 0xff))
        return;
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
                     :
                     : "r"(s->dr[0]), "r"(s->dr[1]), "r"(s->dr[2]), "r"(s->dr[3]));
}

void svm_flush_state(struct svm_vcpu *v)
{
    const struct x86_state *s = &v->hw.vcpu->cpu.s;
    uint32_t parts = v->hw.changed;
    struct vmcb *c = v->vmcb;

    v->hw.changed = 0;
    if (parts & HW_CODE) {
        c->cs = svm_segment_to(&s->seg[X86_CS]);
        c->cr3 = s->cr3;
        c->clean &= ~(SVM_CLEAN_SEGMENTS | SVM_CLEAN_CR);
    }
    if (parts & HW_SEGMENTS) {
        flush_segments(c, s);
        if (svm_vm_of(v->hw.vcpu->vm)->has.injects_twice)
            c->tr.attr &= (uint16_t)~TR_BUSY;
        c->clean &= ~(SVM_CLEAN_SEGMENTS | SVM_CLEAN_TABLES);
    }
    if (parts & HW_CONTROL)
        flush_control(c, s);
    if (parts & HW_SYSCALL) {
        c->star = s->star;
        c->lstar = s->lstar;
        c->cstar = s->cstar;
        c->sfmask = s->sfmask;
        c->kernel_gs_base = s->kernel_gs_base;
        c->sysenter_cs = s->sysenter_cs;
        c->sysenter_esp = s->sysenter_esp;
        c->sysenter_eip = s->sysenter_eip;
    }
    if (parts & HW_TSC) {
        c->tsc_offset = v->hw.tsc_offset;
        c->clean &= ~SVM_CLEAN_INTERCEPTS;
    }
    if (parts & HW_TPR)
        flush_tpr(c, v->hw.vcpu);
    if (parts & HW_MSRS) {
        flush_msrs(v);
        load_breakpoints(s);
    }
}
