/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between struct x86_state and KVM's own structures.
 */
#include <string.h>

#include "engine/kvm/kvm-internal.h"
#include "x86/fpu.h"

/* struct x86_segment.attr is the descriptor's bits 40..47 and, from bit 12 on, 52..55. */
static struct kvm_segment segment_to_kvm(const struct x86_segment *s)
{
    return (struct kvm_segment){
        .base = s->base,
        .limit = s->limit,
        .selector = s->selector,
        .type = s->attr & X86_SEG_TYPE,
        .s = !!(s->attr & X86_SEG_S),
        .dpl = s->attr >> 5 & 3,
        .present = !!(s->attr & X86_SEG_P),
        .avl = !!(s->attr & X86_SEG_AVL),
        .l = !!(s->attr & X86_SEG_L),
        .db = !!(s->attr & X86_SEG_DB),
        .g = !!(s->attr & X86_SEG_G),
        .unusable = s->attr & X86_SEG_UNUSABLE || !(s->attr & X86_SEG_P),
    };
}

static struct x86_segment segment_from_kvm(const struct kvm_segment *k)
{
    return (struct x86_segment){
        .base = k->base,
        .limit = k->limit,
        .selector = k->selector,
        .attr = (k->type & X86_SEG_TYPE) | (k->s ? X86_SEG_S : 0) | (k->dpl & 3U) << 5 |
                (k->present ? X86_SEG_P : 0) | (k->avl ? X86_SEG_AVL : 0) | (k->l ? X86_SEG_L : 0) |
                (k->db ? X86_SEG_DB : 0) | (k->g ? X86_SEG_G : 0) | (k->unusable ? X86_SEG_UNUSABLE : 0),
    };
}

static int put_regs(int fd, const struct x86_state *s)
{
    struct kvm_regs r = {
        .rax = s->gpr[X86_RAX],
        .rbx = s->gpr[X86_RBX],
        .rcx = s->gpr[X86_RCX],
        .rdx = s->gpr[X86_RDX],
        .rsi = s->gpr[X86_RSI],
        .rdi = s->gpr[X86_RDI],
        .rsp = s->gpr[X86_RSP],
        .rbp = s->gpr[X86_RBP],
        .r8 = s->gpr[8],
        .r9 = s->gpr[9],
        .r10 = s->gpr[10],
        .r11 = s->gpr[11],
        .r12 = s->gpr[12],
        .r13 = s->gpr[13],
        .r14 = s->gpr[14],
        .r15 = s->gpr[15],
        .rip = s->rip,
        .rflags = s->rflags,
    };

    return kvm_ioctl(fd, KVM_SET_REGS, &r);
}

static int get_regs(int fd, struct x86_state *s)
{
    struct kvm_regs r;
    int e = kvm_ioctl(fd, KVM_GET_REGS, &r);

    if (e < 0)
        return e;
    s->gpr[X86_RAX] = r.rax;
    s->gpr[X86_RBX] = r.rbx;
    s->gpr[X86_RCX] = r.rcx;
    s->gpr[X86_RDX] = r.rdx;
    s->gpr[X86_RSI] = r.rsi;
    s->gpr[X86_RDI] = r.rdi;
    s->gpr[X86_RSP] = r.rsp;
    s->gpr[X86_RBP] = r.rbp;
    s->gpr[8] = r.r8;
    s->gpr[9] = r.r9;
    s->gpr[10] = r.r10;
    s->gpr[11] = r.r11;
    s->gpr[12] = r.r12;
    s->gpr[13] = r.r13;
    s->gpr[14] = r.r14;
    s->gpr[15] = r.r15;
    s->rip = r.rip;
    s->rflags = r.rflags;
    return 0;
}

static int put_sregs(int fd, const struct vcpu *vcpu)
{
    const struct x86_state *s = &vcpu->cpu.s;
    struct kvm_sregs r;
    int e = kvm_ioctl(fd, KVM_GET_SREGS, &r); /* for apic_base, which is not in cpu.s */

    if (e < 0)
        return e;
    r.es = segment_to_kvm(&s->seg[X86_ES]);
    r.cs = segment_to_kvm(&s->seg[X86_CS]);
    r.ss = segment_to_kvm(&s->seg[X86_SS]);
    r.ds = segment_to_kvm(&s->seg[X86_DS]);
    r.fs = segment_to_kvm(&s->seg[X86_FS]);
    r.gs = segment_to_kvm(&s->seg[X86_GS]);
    r.ldt = segment_to_kvm(&s->seg[X86_LDTR]);
    r.tr = segment_to_kvm(&s->seg[X86_TR]);
    r.gdt = (struct kvm_dtable){.base = s->gdtr.base, .limit = s->gdtr.limit};
    r.idt = (struct kvm_dtable){.base = s->idtr.base, .limit = s->idtr.limit};
    r.cr0 = s->cr0;
    r.cr2 = s->cr2;
    r.cr3 = s->cr3;
    r.cr4 = s->cr4;
    r.cr8 = s->cr8;
    r.efer = s->efer;
    memset(r.interrupt_bitmap, 0, sizeof(r.interrupt_bitmap));
    if (s->interrupt_pending)
        r.interrupt_bitmap[s->interrupt_vector / 64] |= BIT64(s->interrupt_vector % 64);
    return kvm_ioctl(fd, KVM_SET_SREGS, &r);
}

static int get_sregs(int fd, struct x86_state *s)
{
    struct kvm_sregs r;
    int e = kvm_ioctl(fd, KVM_GET_SREGS, &r);

    if (e < 0)
        return e;
    s->seg[X86_ES] = segment_from_kvm(&r.es);
    s->seg[X86_CS] = segment_from_kvm(&r.cs);
    s->seg[X86_SS] = segment_from_kvm(&r.ss);
    s->seg[X86_DS] = segment_from_kvm(&r.ds);
    s->seg[X86_FS] = segment_from_kvm(&r.fs);
    s->seg[X86_GS] = segment_from_kvm(&r.gs);
    s->seg[X86_LDTR] = segment_from_kvm(&r.ldt);
    s->seg[X86_TR] = segment_from_kvm(&r.tr);
    s->gdtr = (struct x86_table_reg){.base = r.gdt.base, .limit = r.gdt.limit};
    s->idtr = (struct x86_table_reg){.base = r.idt.base, .limit = r.idt.limit};
    s->cr0 = r.cr0;
    s->cr2 = r.cr2;
    s->cr3 = r.cr3;
    s->cr4 = r.cr4;
    s->cr8 = r.cr8;
    s->efer = r.efer;
    return 0;
}

#define XSTATE (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX)

static int put_fpu(int fd, const struct vcpu *vcpu)
{
    const struct x86_state *s = &vcpu->cpu.s;
    /* Without AVX in its CPUID, the guest has no upper halves, nor perhaps the host. */
    uint64_t have = X86_XCR0_X87 | X86_XCR0_SSE | vcpu->vm->cpuid.xcr0_allowed;
    struct kvm_xsave x;
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = s->xcr0}}};
    int e;

    memset(&x, 0, sizeof(x));
    x86_xsave_pack(s, (uint8_t *)x.region, XSTATE & have);
    e = kvm_ioctl(fd, KVM_SET_XSAVE, &x);
    if (e < 0)
        return e;
    e = kvm_ioctl(fd, KVM_SET_XCRS, &xcrs);
    return s->xcr0 == X86_XCR0_X87 ? 0 : e;
}

static int get_fpu(int fd, struct x86_state *s)
{
    struct kvm_xsave x;
    struct kvm_xcrs xcrs;
    int e = kvm_ioctl(fd, KVM_GET_XSAVE, &x);

    if (e < 0)
        return e;
    x86_xsave_unpack(s, (const uint8_t *)x.region, XSTATE);
    if (kvm_ioctl(fd, KVM_GET_XCRS, &xcrs) >= 0 && xcrs.nr_xcrs)
        s->xcr0 = xcrs.xcrs[0].value;
    return 0;
}

static int put_events(int fd, const struct x86_state *s)
{
    struct kvm_vcpu_events ev;
    int e = kvm_ioctl(fd, KVM_GET_VCPU_EVENTS, &ev);

    if (e < 0)
        return e;
    ev.exception.injected = s->exception_pending;
    ev.exception.nr = s->exception_vector;
    ev.exception.has_error_code = s->exception_has_error;
    ev.exception.error_code = s->exception_error;
    ev.interrupt.injected = s->interrupt_pending;
    ev.interrupt.nr = s->interrupt_vector;
    ev.interrupt.soft = s->interrupt_soft;
    ev.interrupt.shadow = (s->shadow & X86_SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
                          (s->shadow & X86_SHADOW_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
    ev.nmi.injected = false;
    ev.nmi.masked = s->nmi_masked;
    ev.nmi.pending = s->nmi_pending;
    ev.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    return kvm_ioctl(fd, KVM_SET_VCPU_EVENTS, &ev);
}

static int get_events(int fd, struct x86_state *s)
{
    struct kvm_vcpu_events ev;
    int e = kvm_ioctl(fd, KVM_GET_VCPU_EVENTS, &ev);

    if (e < 0)
        return e;
    s->exception_pending = ev.exception.injected;
    s->exception_vector = ev.exception.injected ? ev.exception.nr : 0;
    s->exception_has_error = ev.exception.has_error_code;
    s->exception_error = ev.exception.error_code;
    s->interrupt_pending = ev.interrupt.injected;
    s->interrupt_vector = ev.interrupt.injected ? ev.interrupt.nr : 0;
    s->interrupt_soft = ev.interrupt.soft;
    s->shadow = (uint8_t)((ev.interrupt.shadow & KVM_X86_SHADOW_INT_STI ? X86_SHADOW_STI : 0) |
                          (ev.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? X86_SHADOW_SS : 0));
    /* One on its way in has masked the others already. */
    s->nmi_masked = ev.nmi.masked && !ev.nmi.injected;
    s->nmi_pending = ev.nmi.pending || ev.nmi.injected;
    return 0;
}

static int put_activity(int fd, const struct x86_state *s)
{
    static const uint32_t states[] = {
        [X86_ACT_RUN] = KVM_MP_STATE_RUNNABLE,
        [X86_ACT_HALT] = KVM_MP_STATE_HALTED,
        [X86_ACT_WAIT_SIPI] = KVM_MP_STATE_INIT_RECEIVED,
        [X86_ACT_SHUTDOWN] = KVM_MP_STATE_RUNNABLE,
    };
    struct kvm_mp_state mp = {.mp_state = states[s->activity]};

    return kvm_ioctl(fd, KVM_SET_MP_STATE, &mp);
}

static int get_activity(int fd, struct x86_state *s)
{
    struct kvm_mp_state mp;
    int e = kvm_ioctl(fd, KVM_GET_MP_STATE, &mp);

    if (e < 0)
        return e;
    s->activity = X86_ACT_RUN;
    if (mp.mp_state == KVM_MP_STATE_HALTED)
        s->activity = X86_ACT_HALT;
    else if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
        s->activity = X86_ACT_WAIT_SIPI;
    return 0;
}

static int transfer_debug(int fd, struct x86_state *s, bool put)
{
    struct kvm_debugregs d = {
        .db = {s->dr[0], s->dr[1], s->dr[2], s->dr[3]}, .dr6 = s->dr[6], .dr7 = s->dr[7]};
    int e = kvm_ioctl(fd, put ? KVM_SET_DEBUGREGS : KVM_GET_DEBUGREGS, &d);

    if (e < 0 || put)
        return e;
    memcpy(s->dr, d.db, sizeof(d.db));
    s->dr[6] = d.dr6;
    s->dr[7] = d.dr7;
    return 0;
}

static int put(struct vcpu *vcpu, bool at_rest)
{
    int fd = kvm_vcpu_of(vcpu)->fd;
    struct x86_state *s = &vcpu->cpu.s;
    const char *what;
    int e;

    x86_state_flush(&vcpu->cpu);
    kvm_msrs_transfer(fd, s, at_rest, true);
    if ((what = "control registers and segments", (e = put_sregs(fd, vcpu)) < 0) ||
        (what = "general registers", (e = put_regs(fd, s)) < 0) ||
        (what = "vector registers", (e = put_fpu(fd, vcpu)) < 0) ||
        (what = "time stamp counter", (e = at_rest ? kvm_tsc_put(vcpu) : 0) < 0) ||
        (what = "debug registers", (e = transfer_debug(fd, s, true)) < 0) ||
        (what = "pending events", (e = put_events(fd, s)) < 0) ||
        (what = "activity", (e = put_activity(fd, s)) < 0))
        vm_log(vcpu->vm, LOG_ERROR,
               "vCPU %u: KVM refuses its %s (%s); CR0 %llx, CR4 %llx, EFER %llx, XCR0 %llx", vcpu->index,
               what, strerror(-e), (unsigned long long)s->cr0, (unsigned long long)s->cr4,
               (unsigned long long)s->efer, (unsigned long long)s->xcr0);
    return e;
}

/* The activity first: asked for it, KVM carries out an INIT or start-up IPI that has come, which changes the
 * rest. */
static int get(struct vcpu *vcpu, bool at_rest)
{
    int fd = kvm_vcpu_of(vcpu)->fd;
    struct x86_state *s = &vcpu->cpu.s;
    int e;

    if ((e = get_activity(fd, s)) < 0 || (e = get_regs(fd, s)) < 0 || (e = get_sregs(fd, s)) < 0 ||
        (e = get_fpu(fd, s)) < 0)
        return e;
    kvm_msrs_transfer(fd, s, at_rest, false);
    if (at_rest && (e = kvm_tsc_get(vcpu)) < 0)
        return e;
    if ((e = transfer_debug(fd, s, false)) < 0 || (e = get_events(fd, s)) < 0)
        return e;
    x86_state_changed(&vcpu->cpu);
    return 0;
}

int kvm_state_put(struct vcpu *vcpu)
{
    return put(vcpu, true);
}

int kvm_state_get(struct vcpu *vcpu)
{
    return get(vcpu, true);
}

int kvm_step_put(struct vcpu *vcpu)
{
    return put(vcpu, false);
}

int kvm_step_get(struct vcpu *vcpu)
{
    return get(vcpu, false);
}
