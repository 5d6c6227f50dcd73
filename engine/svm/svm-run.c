/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In and out of guest code.
 *
 * What exits, and why:
 *  - INTR, NMI: they are the machine's. GIF is clear around VMRUN, so nothing is lost in between.
 *  - INIT: would reset the processor under us; the hypervisor sends none.
 *  - SHUTDOWN: a triple fault is the guest's reset, not the machine's.
 *  - FERR_FREEZE: of the 386's coprocessor; nothing follows from it.
 *  - #MC: is the machine's, and handed to the hypervisor's handler.
 *  - #AC; #DB while a breakpoint is set: a guest could have the processor deliver them in an endless loop
 *    without an instruction between. Each goes in as an event of its own, and interrupts of the machine come
 *    through. A single step ends TF, and so cannot loop.
 *  - CPUID, HLT, MSRs: as the model says; but for those MSRs that the control block holds.
 *  - Ports: all of them.
 *  - Writes of CR0 but TS and MP, of CR4 and CR8; DRs: see svm-state.c and engine/hw.
 *  - Task switches: take several steps that nested faults must not tear apart. Software does them.
 *  - IRET, while NMIs are masked: it ends that.
 *  - INVD, WBINVD: the caches are everybody's.
 *  - INT1: is delivered by software, as not all processors do it alike.
 *  - MONITOR, MWAIT, RDPMC, RSM, RDPRU, MCOMMIT, all of AMD-V's own; RDTSCP where the model lacks it: faults.
 *  - XSETBV: the hypervisor must know XCR0.
 *  - PAUSE in a loop, where the processor counts them and there is another vCPU to wait for.
 * Not SMI: the firmware's handler runs as it does without us, and comes back to the guest. Not INVLPG, CR3,
 * page faults: nested paging. APIC virtualization (AVIC) would change svm_inject(), svm_window() and what of
 * the local APIC exits, and bring two exits of its own.
 *
 * What of one VM another could see, and why it does not:
 *  - general registers are loaded whole; vectors, x87, MXCSR, XCR0: engine/hw/fpu.c
 *  - DR0 to DR3: MOV DR exits, and they are loaded where DR7 turns one on
 *  - DR6, DR7, CR2, the MSRs of SYSCALL and SYSENTER, FS and GS bases, PAT: in the control block
 *  - TSC_AUX, SPEC_CTRL: flush_msrs(), svm_unload(); all other MSRs exit
 *  - protection keys: CR4.PKE cannot be set; XSS stays 0; what XCR0 does not name is off
 *  - translations: ASIDs; branch predictors: IBPB where another VM was here before
 * Instructions that the processor has, the model has not, and nothing turns off (XSAVES, CLZERO …) just work.
 */
#include "base/bytes.h"
#include "engine/svm/svm-internal.h"

/* ---- the way in ---- */

/* engine/svm/enter.S */
void svm_enter(uint64_t *gpr, uint64_t guest, uint64_t host, unsigned flags);

static void set_intercept(struct vmcb *c, unsigned word, uint32_t bit, bool on)
{
    uint32_t value = on ? c->intercept[word] | bit : c->intercept[word] & ~bit;

    if (value == c->intercept[word])
        return;
    c->intercept[word] = value;
    c->clean &= ~SVM_CLEAN_INTERCEPTS;
}

void svm_vmcb_init(struct svm_vcpu *v)
{
    const struct svm_vm *vm = svm_vm_of(v->hw.vcpu->vm);
    const struct x86_cpuid_model *model = v->hw.vcpu->cpu.cpuid;
    struct vmcb *c = v->vmcb;

    c->dr_read = c->dr_write = 0xffff;
    c->intercept[0] = SVM_I_INTR | SVM_I_NMI | SVM_I_INIT | SVM_I_CR0_WRITE | SVM_I_RDPMC | SVM_I_CPUID |
                      SVM_I_RSM | SVM_I_INVD | SVM_I_HLT | SVM_I_INVLPGA | SVM_I_IO | SVM_I_MSR | SVM_I_TASK |
                      SVM_I_FERR | SVM_I_SHUTDOWN;
    c->intercept[1] = SVM_I_VMRUN | SVM_I_VMMCALL | SVM_I_VMLOAD | SVM_I_VMSAVE | SVM_I_STGI | SVM_I_CLGI |
                      SVM_I_SKINIT | SVM_I_ICEBP | SVM_I_WBINVD | SVM_I_MONITOR | SVM_I_MWAIT |
                      SVM_I_MWAIT_IF | SVM_I_XSETBV;
    if (vm->has.rdpru)
        c->intercept[1] |= SVM_I_RDPRU;
    if (vm->has.mcommit)
        c->intercept[2] |= SVM_I_MCOMMIT;
    if (!x86_feature(model, X86_FEAT_RDTSCP))
        c->intercept[1] |= SVM_I_RDTSCP;
    if (vm->has.pause_filter && v->hw.vcpu->vm->vcpu_count > 1) {
        c->intercept[0] |= SVM_I_PAUSE;
        c->pause_count = 3000; /* so many, at most so many cycles apart: longer than a lock is held */
        c->pause_threshold = vm->has.pause_threshold ? 128 : 0;
    }
    c->iopm = metal_phys(vm->maps);
    c->msrpm = metal_phys(vm->maps + SVM_MAPS_IO);
    c->vintr = SVM_V_MASKING | SVM_V_IGN_TPR;
    c->nested = 1;
    c->nested_cr3 = metal_phys(vm->hw.root);
}

/* ---- struct hw_ops ---- */

/* The guest has a virtual interrupt, or not. */
static void set_virtual(struct svm_vcpu *v, bool on, uint8_t vector)
{
    struct vmcb *c = v->vmcb;

    c->vintr = on ? c->vintr | SVM_V_IRQ : c->vintr & ~SVM_V_IRQ;
    c->vintr_vector = vector;
    c->clean &= ~SVM_CLEAN_VINTR;
}

/*
 * QEMU 7.2 delivers an injected interrupt twice if the machine interrupts at the same time. There it goes in
 * as a virtual one, which the guest takes before its next instruction; if the machine interrupts first, it is
 * still there at the exit (not so on Bochs 2.7, which never says that it was taken). If the virtual one is
 * wanted as a window for another, software delivers it: svm_window().
 */
static void svm_inject(struct hw_vcpu *hw, enum hw_event event, uint8_t vector, bool has_error,
                       uint32_t error)
{
    static const uint32_t type[] = {
        [HW_INTERRUPT] = 0, [HW_NMI] = SVM_EVENT_NMI, [HW_EXCEPTION] = SVM_EVENT_FAULT};
    struct svm_vcpu *v = svm_vcpu_of(hw);

    if (event == HW_INTERRUPT && svm_vm_of(hw->vcpu->vm)->has.injects_twice) {
        v->interrupt = true;
        set_virtual(v, true, vector);
        return;
    }
    v->vmcb->inject = SVM_EVENT_VALID | type[event] | vector;
    if (has_error)
        v->vmcb->inject |= SVM_EVENT_ERROR | (uint64_t)error << 32;
}

/* After an exit: has the guest taken the interrupt? */
static void virtual_taken(struct svm_vcpu *v)
{
    struct x86_state *s = &v->hw.vcpu->cpu.s;

    v->interrupt = false;
    if (!(v->vmcb->vintr & SVM_V_IRQ))
        return;
    s->interrupt_pending = true;
    s->interrupt_soft = false;
    s->interrupt_vector = v->vmcb->vintr_vector;
    set_virtual(v, false, 0);
    v->hw.look = true;
}

static void svm_window(struct hw_vcpu *hw, bool interrupt, bool nmi)
{
    struct svm_vcpu *v = svm_vcpu_of(hw);
    struct vmcb *c = v->vmcb;

    set_intercept(c, 0, SVM_I_IRET, hw->vcpu->cpu.s.nmi_masked);
    set_intercept(c, 0, SVM_I_VINTR, interrupt);
    if (interrupt && v->interrupt) { /* one goes in and another waits: the window is the virtual one */
        virtual_taken(v);
        hw_deliver_soft(hw);
    }
    if (!v->interrupt && interrupt != !!(c->vintr & SVM_V_IRQ))
        set_virtual(v, interrupt, 0);
}

static void svm_load(struct hw_vcpu *v, bool moved)
{
    struct svm_cpu *cpu = svm_cpu_of(v->cpu);
    uint64_t ratio = hw_vm_of(v->vcpu->vm)->tsc_ratio;

    if (moved)
        svm_vcpu_of(v)->vmcb->clean = 0;
    if (cpu->has.tsc_ratio && cpu->tsc_ratio != ratio) {
        hw_wrmsr(SVM_MSR_TSC_RATIO, ratio);
        cpu->tsc_ratio = ratio;
    }
}

static void svm_unload(struct hw_vcpu *v)
{
    struct svm_cpu *cpu = svm_cpu_of(v->cpu);

    /* The hypervisor, and a guest whose model has no such register, run without. */
    if (cpu->spec_ctrl) {
        hw_wrmsr(X86_MSR_SPEC_CTRL, 0);
        cpu->spec_ctrl = 0;
    }
}

/* Guest translations go: all of the tag's, or the tag becomes another. */
static void flush_tlb(struct svm_vcpu *v)
{
    const struct svm_cpu *cpu = svm_cpu_of(v->hw.cpu);

    v->hw.flush = false;
    if (cpu->has.flush_by_asid && v->hw.tag) {
        v->vmcb->tlb_control = SVM_TLB_ASID;
        return;
    }
    if (hw_tag(&v->hw))
        v->vmcb->tlb_control = SVM_TLB_ALL;
    v->vmcb->asid = v->hw.tag;
    v->vmcb->clean &= ~SVM_CLEAN_ASID;
}

/* ---- exits ---- */

/*
 * What was being delivered. INT n, INT3 and INTO are not delivered again, but executed: rip is still at them.
 */
static void requeue(struct hw_vcpu *v, uint64_t event, bool task)
{
    uint8_t vector = (uint8_t)event;

    switch (event & SVM_EVENT_TYPE) {
    case 0:
        hw_requeue(v, HW_INTERRUPT, vector, false, 0);
        break;
    case SVM_EVENT_NMI:
        hw_requeue(v, HW_NMI, vector, false, 0);
        break;
    case SVM_EVENT_FAULT:
        /* By a task gate, executing the instruction again raises its fault again, and is what is right should
         * it have been an INT n; Bochs tells of an old exception then. */
        if (task && vector != X86_DB)
            break;
        if (vector > X86_XM) /* QEMU's word for a virtual interrupt */
            hw_requeue(v, HW_INTERRUPT, vector, false, 0);
        else if (vector != X86_BP && vector != X86_OF)
            hw_requeue(v, HW_EXCEPTION, vector, event & SVM_EVENT_ERROR, (uint32_t)(event >> 32));
        break;
    default:
        break;
    }
}

static void exit_io(struct hw_vcpu *v, const struct vmcb *c)
{
    uint64_t info = c->exit_info1;

    if (info & SVM_IO_STRING)
        hw_step(v);
    else
        hw_pio(v, (uint16_t)(info >> 16), info >> 4 & 7, info & SVM_IO_IN, c->exit_info2);
}

static void exit_nested_fault(struct hw_vcpu *v, const struct vmcb *c)
{
    uint64_t info = c->exit_info1;

    if (c->byte_count && c->byte_count <= sizeof(c->bytes) && svm_cpu_of(v->cpu)->has.decode_assists) {
        v->bytes = c->bytes;
        v->byte_count = c->byte_count;
    }
    hw_nested_fault(v, c->exit_info2, info & SVM_FAULT_WRITE ? HW_WRITE : 0,
                    info & SVM_FAULT_FINAL && !(info & SVM_FAULT_FETCH));
}

static void exit_exception(struct hw_vcpu *v, const struct vmcb *c)
{
    uint8_t vector = (uint8_t)(c->exit_code - SVM_EXIT_EXCEPTION);

    if (vector == X86_MC)
        __asm__ volatile("int $18");
    else
        hw_raise(v, vector, vector == X86_AC, (uint32_t)c->exit_info1);
}

/*
 * What a guest can have done that VMRUN refuses (APM 2, section 15.5.1); NULL: nothing. On a processor there
 * is no way there. QEMU's far jumps take a code segment of both sizes.
 */
static const char *complaint(const struct vmcb *c)
{
    bool paging = c->cr0 & X86_CR0_PG, is_long = paging && c->efer & X86_EFER_LME;

    if (paging && !(c->cr0 & X86_CR0_PE))
        return "paging without protection";
    if (is_long && !(c->cr4 & X86_CR4_PAE))
        return "long mode without PAE paging";
    if (is_long && (c->cs.attr & SVM_SEG_L_DB) == SVM_SEG_L_DB)
        return "a code segment of 64 bits and of 32";
    return NULL;
}

static void exit_refused(struct hw_vcpu *v, const struct vmcb *c)
{
    const char *why = (uint32_t)c->exit_code == SVM_EXIT_INVALID ? complaint(c) : NULL;

    vm_log(
        v->vcpu->vm, why ? LOG_WARN : LOG_ERROR,
        "vCPU %u: AMD-V %s%s: exit 0x%llx (0x%llx, 0x%llx) at 0x%llx; CR0 0x%llx CR3 0x%llx CR4 0x%llx EFER "
        "0x%llx CS 0x%x",
        v->vcpu->index, why ? "refuses what the guest has made of its processor: " : "stops", why ? why : "",
        (unsigned long long)c->exit_code, (unsigned long long)c->exit_info1,
        (unsigned long long)c->exit_info2, (unsigned long long)c->rip, (unsigned long long)c->cr0,
        (unsigned long long)c->cr3, (unsigned long long)c->cr4, (unsigned long long)c->efer, c->cs.attr);
    hw_leave(v, why ? VM_EXIT_SHUTDOWN : VM_EXIT_ERROR);
}

static void exit_rare(struct hw_vcpu *v, const struct vmcb *c)
{
    switch (c->exit_code) {
    case SVM_EXIT_EXCEPTION ... SVM_EXIT_EXCEPTION + 31:
        exit_exception(v, c);
        break;
    case SVM_EXIT_NMI: /* the hypervisor's handler has run */
    case SVM_EXIT_SMI:
    case SVM_EXIT_INIT:
        break;
    case SVM_EXIT_PAUSE:
        hw_pause(v);
        break;
    case SVM_EXIT_SHUTDOWN:
        hw_leave(v, VM_EXIT_SHUTDOWN);
        break;
    case SVM_EXIT_CR_READ ... SVM_EXIT_DR_WRITE + 15:
    case SVM_EXIT_CR0_WRITE ... SVM_EXIT_CPUID - 1:
    case SVM_EXIT_CPUID + 1 ... SVM_EXIT_PAUSE - 1:
    case SVM_EXIT_HLT + 1 ... SVM_EXIT_IO - 1:
    case SVM_EXIT_MSR + 1 ... SVM_EXIT_SHUTDOWN - 1:
    case SVM_EXIT_SHUTDOWN + 1 ... SVM_EXIT_LAST_INSTRUCTION:
        hw_step(v);
        break;
    default: /* SVM_EXIT_INVALID among them */
        exit_refused(v, c);
        break;
    }
}

static void handle_exit(struct svm_vcpu *v)
{
    struct hw_vcpu *hw = &v->hw;
    const struct vmcb *c = v->vmcb;
    uint64_t next = svm_vm_of(hw->vcpu->vm)->has.next_rip ? c->next_rip : 0;

    if (unlikely(c->exit_event & SVM_EVENT_VALID))
        requeue(hw, c->exit_event, c->exit_code == SVM_EXIT_TASK);
    switch (c->exit_code) {
    case SVM_EXIT_IO:
        exit_io(hw, c);
        break;
    case SVM_EXIT_MSR:
        hw_msr(hw, c->exit_info1 & 1, next);
        break;
    case SVM_EXIT_NESTED_FAULT:
        exit_nested_fault(hw, c);
        break;
    case SVM_EXIT_INTR:
        hw_external(hw);
        break;
    case SVM_EXIT_HLT:
        hw_halt(hw, next);
        break;
    case SVM_EXIT_VINTR:
        hw_window(hw);
        break;
    case SVM_EXIT_CPUID:
        hw_cpuid(hw, next);
        break;
    default:
        exit_rare(hw, c);
        break;
    }
}

static void svm_run(struct hw_vcpu *hw)
{
    struct svm_vcpu *v = svm_vcpu_of(hw);
    struct x86_state *s = &hw->vcpu->cpu.s;
    struct vmcb *c = v->vmcb;

    hw_guest_enter(hw);
    if (hw->changed)
        svm_flush_state(v);
    if (unlikely(hw->flush))
        flush_tlb(v);
    c->rax = s->gpr[X86_RAX];
    c->rsp = s->gpr[X86_RSP];
    c->rip = s->rip;
    c->rflags = s->rflags;
    c->shadow = s->shadow != 0;
    svm_enter(s->gpr, v->phys, svm_cpu_of(hw->cpu)->host_phys, hw->cpu->enter_flags);
    hw_guest_leave(hw);
    s->gpr[X86_RAX] = c->rax;
    s->gpr[X86_RSP] = c->rsp;
    s->rip = c->rip;
    s->rflags = c->rflags;
    s->shadow = 0;
    if (unlikely(c->shadow & 1)) { /* which of them is not told */
        s->shadow = X86_SHADOW_STI | X86_SHADOW_SS;
        hw->look = true;
    }
    c->clean = SVM_CLEAN_ALL;
    c->tlb_control = 0;
    c->inject = 0;
    if (v->interrupt)
        virtual_taken(v);
    handle_exit(v);
}

const struct hw_ops svm_hw_ops = {
    .enter = svm_run,
    .fetch = svm_fetch,
    .inject = svm_inject,
    .window = svm_window,
    .load = svm_load,
    .unload = svm_unload,
};
