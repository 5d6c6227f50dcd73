/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/state.h"
#include "core/vcpu.h"

#define S struct x86_state

static const struct state_field segment_fields[] = {
    STATE_INT(struct x86_segment, base),
    STATE_INT(struct x86_segment, limit),
    STATE_INT(struct x86_segment, attr),
    STATE_INT(struct x86_segment, selector),
    STATE_END,
};

static const struct state_field table_fields[] = {
    STATE_INT(struct x86_table_reg, base),
    STATE_INT(struct x86_table_reg, limit),
    STATE_END,
};

static const struct state_field x87_fields[] = {
    STATE_BYTES(struct x86_x87, st), STATE_INT(struct x86_x87, fcw),
    STATE_INT(struct x86_x87, fsw),  STATE_INT(struct x86_x87, ftw),
    STATE_INT(struct x86_x87, fop),  STATE_INT(struct x86_x87, fip),
    STATE_INT(struct x86_x87, fdp),  STATE_END,
};

static const struct state_field fields[] = {
    STATE_INTS(S, gpr, uint64_t),
    STATE_INT(S, rip),
    STATE_INT(S, rflags),
    STATE_STRUCT(S, seg, struct x86_segment, segment_fields),
    STATE_STRUCT(S, gdtr, struct x86_table_reg, table_fields),
    STATE_STRUCT(S, idtr, struct x86_table_reg, table_fields),
    STATE_INT(S, cr0),
    STATE_INT(S, cr2),
    STATE_INT(S, cr3),
    STATE_INT(S, cr4),
    STATE_INT(S, cr8),
    STATE_INT(S, efer),
    STATE_INT(S, xcr0),
    STATE_INTS(S, dr, uint64_t),
    STATE_INT(S, star),
    STATE_INT(S, lstar),
    STATE_INT(S, cstar),
    STATE_INT(S, sfmask),
    STATE_INT(S, kernel_gs_base),
    STATE_INT(S, sysenter_cs),
    STATE_INT(S, sysenter_esp),
    STATE_INT(S, sysenter_eip),
    STATE_INT(S, pat),
    STATE_INT(S, tsc_aux),
    STATE_INT(S, misc_enable),
    STATE_INT(S, spec_ctrl),
    STATE_INT(S, mtrr_def_type),
    STATE_INTS(S, mtrr_var, uint64_t),
    STATE_INTS(S, mtrr_fixed, uint64_t),
    STATE_INT(S, mcg_status),
    STATE_INT(S, tsc_offset),
    STATE_INT(S, tsc_adjust),
    STATE_INT(S, kvm_system_time),
    STATE_INT(S, kvm_wall_clock),
    STATE_INT_SINCE(2, S, kvm_steal_time),
    STATE_BYTES(S, vec),
    STATE_STRUCT(S, x87, struct x86_x87, x87_fields),
    STATE_INT(S, mxcsr),
    STATE_INT(S, activity),
    STATE_INT(S, shadow),
    STATE_BOOL(S, nmi_masked),
    STATE_BOOL(S, nmi_pending),
    STATE_BOOL(S, exception_pending),
    STATE_INT(S, exception_vector),
    STATE_BOOL(S, exception_has_error),
    STATE_INT(S, exception_error),
    STATE_BOOL(S, interrupt_pending),
    STATE_INT(S, interrupt_vector),
    STATE_BOOL(S, interrupt_soft),
    STATE_END,
};

static int post_load(void *object, unsigned version)
{
    const struct x86_state *s = object;

    (void)version;
    /* A guest could not have got here otherwise; engines rely on these. */
    if (s->activity > X86_ACT_SHUTDOWN || s->exception_vector > 31 || !(s->rflags & X86_FL_FIXED))
        return -EINVAL;
    if ((s->cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PE)) || s->cr8 > 15 || s->mxcsr & ~0xffffU)
        return -EINVAL;
    if (!!(s->efer & X86_EFER_LMA) != (s->efer & X86_EFER_LME && s->cr0 & X86_CR0_PG))
        return -EINVAL;
    return 0;
}

const struct state_table x86_state_table = {
    .name = "x86-cpu",
    .version = 2,
    .fields = fields,
    .post_load = post_load,
};
