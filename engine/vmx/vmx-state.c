/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct x86_state ↔ VMCS. Attributes of segments are ordered alike in both; what the
 * VM-entry checks (SDM 26.3.1) want beyond what a processor can have in its registers
 * is made so where no guest can tell: a usable segment is an accessed one, a task
 * register is busy and not NULL, granularity follows from the limit.
 *
 * CR0 and CR4 in the VMCS are what the processor needs; bits that are not the guest's
 * to change (…_mask) it reads from the shadows.
 */
#include "base/bytes.h"
#include "core/memory.h"
#include "engine/vmx/vmx-internal.h"

/* All of CR0 but these exits when it is written, as hw.h wants, and all of CR4. CD and NW would switch the
 * machine's caches off, NE is VT-x's; MCE is the host's, or a machine check would shut the guest down. */
#define CR0_OWN      (X86_CR0_MP | X86_CR0_TS)

#define SEG_BUSY     2U
#define SEG_ACCESSED 1U
#define SEG_TSS32    (X86_SEG_P | 11U)

/* ---- fields that are not written again ---- */

static const uint32_t field_of[VMX_C_COUNT] = {
    [VMX_C_RIP] = VMCS_GUEST_RIP,
    [VMX_C_RSP] = VMCS_GUEST_RSP,
    [VMX_C_RFLAGS] = VMCS_GUEST_RFLAGS,
    [VMX_C_BLOCKING] = VMCS_GUEST_BLOCKING,
    [VMX_C_CR0] = VMCS_GUEST_CR0,
    [VMX_C_CR0_SHADOW] = VMCS_CR0_SHADOW,
    [VMX_C_CR3] = VMCS_GUEST_CR3,
    [VMX_C_CR4] = VMCS_GUEST_CR4,
    [VMX_C_CR4_SHADOW] = VMCS_CR4_SHADOW,
    [VMX_C_EFER] = VMCS_GUEST_EFER,
    [VMX_C_PAT] = VMCS_GUEST_PAT,
    [VMX_C_DR7] = VMCS_GUEST_DR7,
    [VMX_C_ENTRY] = VMCS_ENTRY_CONTROLS,
    [VMX_C_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS,
    [VMX_C_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
    [VMX_C_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP,
    [VMX_C_GDTR_BASE] = VMCS_GUEST_GDTR_BASE,
    [VMX_C_GDTR_LIMIT] = VMCS_GUEST_GDTR_LIMIT,
    [VMX_C_IDTR_BASE] = VMCS_GUEST_IDTR_BASE,
    [VMX_C_IDTR_LIMIT] = VMCS_GUEST_IDTR_LIMIT,
};

static void put(struct vmx_vcpu *v, enum vmx_cached which, uint64_t value)
{
    if (v->cached[which] == value)
        return;
    v->cached[which] = value;
    vmcs_write(field_of[which], value);
}

static uint64_t get(struct vmx_vcpu *v, enum vmx_cached which)
{
    return v->cached[which] = vmcs_read(field_of[which]);
}

void vmx_state_init(struct vmx_vcpu *v, const struct vmx_caps *caps)
{
    v->cr0_must = (caps->cr0_must & ~VMX_CR0_UNRESTRICTED) | X86_CR0_NE;
    v->cr4_must = caps->cr4_must | VMX_CR4_VMXE | X86_CR4_MCE;
    for (unsigned i = 0; i < VMX_C_COUNT; i++) {
        v->cached[i] = 0;
        vmcs_write(field_of[i], 0);
    }
    memset(v->seg, 0xff, sizeof(v->seg)); /* no segment is so */
}

/* ---- segments: enum x86_seg_id counts as the VMCS does ---- */

static uint32_t rights_of(const struct x86_segment *seg, unsigned id)
{
    uint32_t attr = seg->attr & (X86_SEG_TYPE | X86_SEG_S | X86_SEG_DPL | X86_SEG_P | X86_SEG_AVL |
                                 X86_SEG_L | X86_SEG_DB | X86_SEG_G | X86_SEG_UNUSABLE);

    if (!(attr & X86_SEG_P))
        attr |= X86_SEG_UNUSABLE;
    if (id == X86_TR) {
        attr |= SEG_BUSY;
        if (attr & X86_SEG_UNUSABLE)
            attr = SEG_TSS32;
    } else if (id != X86_LDTR) {
        attr |= SEG_ACCESSED;
    }
    if (seg->limit > 0xfffff)
        attr |= X86_SEG_G;
    else if ((seg->limit & 0xfff) != 0xfff)
        attr &= ~X86_SEG_G;
    return attr;
}

static void segment_put(struct vmx_vcpu *v, const struct x86_state *s, unsigned i)
{
    const struct x86_segment *seg = &s->seg[i];

    if (!memcmp(seg, &v->seg[i], sizeof(*seg)))
        return;
    v->seg[i] = *seg;
    vmcs_write(VMCS_GUEST_SELECTOR + 2 * i, seg->selector);
    vmcs_write(VMCS_GUEST_BASE + 2 * i, seg->base);
    vmcs_write(VMCS_GUEST_LIMIT + 2 * i, seg->limit);
    vmcs_write(VMCS_GUEST_RIGHTS + 2 * i, rights_of(seg, i));
}

static void segment_get(struct vmx_vcpu *v, struct x86_state *s, unsigned i)
{
    struct x86_segment *seg = &s->seg[i];

    seg->selector = (uint16_t)vmcs_read(VMCS_GUEST_SELECTOR + 2 * i);
    seg->base = vmcs_read(VMCS_GUEST_BASE + 2 * i);
    seg->limit = (uint32_t)vmcs_read(VMCS_GUEST_LIMIT + 2 * i);
    seg->attr = (uint32_t)vmcs_read(VMCS_GUEST_RIGHTS + 2 * i);
    v->seg[i] = *seg;
}

static void segments_put(struct vmx_vcpu *v, const struct x86_state *s)
{
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        if (i != X86_CS)
            segment_put(v, s, i);
    }
    put(v, VMX_C_GDTR_BASE, s->gdtr.base);
    put(v, VMX_C_GDTR_LIMIT, s->gdtr.limit);
    put(v, VMX_C_IDTR_BASE, s->idtr.base);
    put(v, VMX_C_IDTR_LIMIT, s->idtr.limit);
}

static void segments_get(struct vmx_vcpu *v, struct x86_state *s)
{
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        if (i != X86_CS)
            segment_get(v, s, i);
    }
    s->gdtr.base = get(v, VMX_C_GDTR_BASE);
    s->gdtr.limit = (uint16_t)get(v, VMX_C_GDTR_LIMIT);
    s->idtr.base = get(v, VMX_C_IDTR_BASE);
    s->idtr.limit = (uint16_t)get(v, VMX_C_IDTR_LIMIT);
}

/* ---- control registers ---- */

static bool pae_paging(const struct x86_state *s)
{
    return s->cr0 & X86_CR0_PG && s->cr4 & X86_CR4_PAE && !(s->efer & X86_EFER_LMA);
}

/* PAE's four top entries are registers, loaded with CR3; an entry takes them from the VMCS. */
static void pdptes_put(struct vmx_vcpu *v, const struct x86_state *s)
{
    uint64_t entry[4] = {0};

    (void)mem_read(v->hw.vcpu->vm, s->cr3 & 0xffffffe0, entry, sizeof(entry));
    for (unsigned i = 0; i < 4; i++)
        vmcs_write(VMCS_GUEST_PDPTE + 2 * i, entry[i]);
}

/*
 * CR3 or what says how it is used is written. Only if it is news do PAE's entries come
 * from memory again: the processor has its own, from when the guest loaded CR3.
 */
static void paging_put(struct vmx_vcpu *v, const struct x86_state *s)
{
    uint64_t now[ARRAY_SIZE(v->paging)] = {s->cr0 & (X86_CR0_PG | X86_CR0_WP), s->cr3, s->cr4, s->efer};

    if (!memcmp(v->paging, now, sizeof(now)))
        return;
    memcpy(v->paging, now, sizeof(now));
    v->hw.flush = true;
    if (pae_paging(s))
        pdptes_put(v, s);
}

static void control_put(struct vmx_vcpu *v, const struct x86_state *s)
{
    uint64_t entry = vmx_vm_of(v->hw.vcpu->vm)->caps.control[VMX_ENTRY];

    put(v, VMX_C_CR0, (s->cr0 & ~(uint64_t)(X86_CR0_CD | X86_CR0_NW)) | v->cr0_must);
    put(v, VMX_C_CR0_SHADOW, s->cr0);
    put(v, VMX_C_CR4, s->cr4 | v->cr4_must);
    put(v, VMX_C_CR4_SHADOW, s->cr4);
    put(v, VMX_C_EFER, s->efer);
    put(v, VMX_C_PAT, s->pat);
    put(v, VMX_C_DR7, s->dr[7]);
    put(v, VMX_C_ENTRY, entry | (s->efer & X86_EFER_LMA ? VMX_ENTRY_LONG_MODE : 0));
}

static void control_get(struct vmx_vcpu *v, struct x86_state *s)
{
    s->cr0 = (s->cr0 & ~(uint64_t)CR0_OWN) | (get(v, VMX_C_CR0) & CR0_OWN);
    s->pat = get(v, VMX_C_PAT);
}

/* ---- instruction pointer, flags, what blocks events: at each entry and exit ---- */

void vmx_state_enter(struct vmx_vcpu *v)
{
    const struct x86_state *s = &v->hw.vcpu->cpu.s;
    bool is_nmi = v->event && (v->event & VMX_EVENT_TYPE) == VMX_EVENT_NMI;
    /* An NMI that goes in blocks others by itself, and must not be blocked. */
    uint32_t blocking = s->nmi_masked && !is_nmi ? VMX_BLOCKED_NMI : 0;

    if (s->shadow & X86_SHADOW_SS)
        blocking |= VMX_BLOCKED_SS;
    else if (s->shadow & X86_SHADOW_STI && s->rflags & X86_FL_IF)
        blocking |= VMX_BLOCKED_STI;
    if (blocking != v->cached[VMX_C_BLOCKING] || s->rip != v->cached[VMX_C_RIP] ||
        s->rflags != v->cached[VMX_C_RFLAGS]) {
        put(v, VMX_C_BLOCKING, blocking);
        put(v, VMX_C_RIP, s->rip);
        put(v, VMX_C_RFLAGS, s->rflags);
        /* A single step that the shadow holds back must be told of (26.3.1.5). */
        vmcs_write(VMCS_GUEST_PENDING_DEBUG,
                   blocking & ~VMX_BLOCKED_NMI && s->rflags & X86_FL_TF ? X86_DR6_BS : 0);
    }
    put(v, VMX_C_RSP, s->gpr[X86_RSP]);
}

void vmx_state_exit(struct vmx_vcpu *v)
{
    struct x86_state *s = &v->hw.vcpu->cpu.s;
    uint64_t blocking = get(v, VMX_C_BLOCKING);

    s->rip = get(v, VMX_C_RIP);
    s->gpr[X86_RSP] = get(v, VMX_C_RSP);
    s->rflags = get(v, VMX_C_RFLAGS);
    s->shadow = (uint8_t)((blocking & VMX_BLOCKED_STI ? X86_SHADOW_STI : 0) |
                          (blocking & VMX_BLOCKED_SS ? X86_SHADOW_SS : 0));
    s->nmi_masked = blocking & VMX_BLOCKED_NMI;
}

/* ---- SYSENTER; what else is of system calls is in the processor's MSRs ---- */

static void sysenter_get(struct vmx_vcpu *v, struct x86_state *s)
{
    s->sysenter_esp = get(v, VMX_C_SYSENTER_ESP);
    s->sysenter_eip = get(v, VMX_C_SYSENTER_EIP);
}

static void sysenter_put(struct vmx_vcpu *v, const struct x86_state *s)
{
    put(v, VMX_C_SYSENTER_CS, s->sysenter_cs);
    put(v, VMX_C_SYSENTER_ESP, s->sysenter_esp);
    put(v, VMX_C_SYSENTER_EIP, s->sysenter_eip);
}

void vmx_state_get(struct vmx_vcpu *v, uint32_t parts)
{
    struct x86_state *s = &v->hw.vcpu->cpu.s;

    if (parts & HW_CODE) {
        segment_get(v, s, X86_CS);
        s->cr3 = v->paging[1] = get(v, VMX_C_CR3);
    }
    if (parts & HW_SEGMENTS)
        segments_get(v, s);
    if (parts & HW_CONTROL)
        control_get(v, s);
    if (parts & HW_SYSCALL)
        sysenter_get(v, s);
}

void vmx_state_put(struct vmx_vcpu *v, uint32_t parts)
{
    const struct x86_state *s = &v->hw.vcpu->cpu.s;

    if (parts & HW_CODE) {
        segment_put(v, s, X86_CS);
        put(v, VMX_C_CR3, s->cr3);
    }
    if (parts & HW_SEGMENTS)
        segments_put(v, s);
    if (parts & HW_CONTROL)
        control_put(v, s);
    if (parts & (HW_CODE | HW_CONTROL))
        paging_put(v, s);
    if (parts & HW_SYSCALL)
        sysenter_put(v, s);
}

/*
 * ---- CR8: the processor's copy, whose lowering exits; what the model has follows at the next exit ----
 *
 * The register has 8 bits, of which MOV to CR8 writes the upper four and clears the
 * lower: a bit that is set there tells whether it has been written.
 */

#define APIC_TPR  (0x80 / sizeof(uint32_t))
#define UNTOUCHED 1U

static void set_threshold(struct vmx_vcpu *v, uint64_t value)
{
    v->apic[APIC_TPR] = (uint32_t)value << 4 | UNTOUCHED;
    if (v->tpr != value)
        vmcs_write(VMCS_TPR_THRESHOLD, value);
    v->tpr = value;
}

void vmx_tpr_put(struct vmx_vcpu *v)
{
    struct x86_cpu *cpu = &v->hw.vcpu->cpu;

    if (v->apic)
        set_threshold(v, cpu->env->cr8_read(cpu));
}

void vmx_tpr_get(struct vmx_vcpu *v)
{
    struct x86_cpu *cpu = &v->hw.vcpu->cpu;

    if (likely(!v->apic || v->apic[APIC_TPR] & UNTOUCHED))
        return;
    set_threshold(v, v->apic[APIC_TPR] >> 4 & 15);
    cpu->env->cr8_write(cpu, v->tpr);
}
