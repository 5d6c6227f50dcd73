/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Short ways from C back to translated code, where nothing but the next block is
 * called for: by the table of indirect branches, whose blocks look at their address
 * and page themselves, or by the link that an exit has. Whoever finds none of them
 * asks the dispatcher, which also sees to requests and events.
 */
#include "engine/bt/bt-internal.h"
#include "x86/exec-sys.h"

bool bt_deliver_fault(struct bt_vcpu *bv)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;

    bv->stats.faults++;
    vm_trace(bv->bvm->vm, EXCEPTION, "vCPU %u: exception %u, error 0x%x, at 0x%llx, cr2 0x%llx",
             bv->vcpu->index, cpu->fault.vector, cpu->fault.has_error ? cpu->fault.error : 0,
             (unsigned long long)cpu->s.rip, (unsigned long long)cpu->fault_cr2);
    return x86_deliver_fault(cpu);
}

bool bt_is_quiet(const struct bt_vcpu *bv)
{
    const struct x86_cpu *cpu = &bv->vcpu->cpu;

    return !bt_polled(bv->frame) && !bv->want_plain && !cpu->s.shadow && !events_due(cpu, &bv->events) &&
           !x86_debug_active(cpu) && cpu->flat && cpu->mode != X86_MODE_16 &&
           bv->epoch == __atomic_load_n(&bv->bvm->epoch, __ATOMIC_SEQ_CST);
}

static uint64_t enter(struct bt_vcpu *bv, uint64_t code)
{
    const struct x86_cpu *cpu = &bv->vcpu->cpu;
    struct bt_frame *f = bv->frame;

    f->fs_base = cpu->s.seg[X86_FS].base;
    f->gs_base = cpu->s.seg[X86_GS].base;
    f->lin = cpu->s.rip; /* for the checked entry */
    bv->next = -1;
    return code;
}

/* 0: the table has nothing for s.rip. */
static uint64_t by_table(struct bt_vcpu *bv)
{
    const struct x86_cpu *cpu = &bv->vcpu->cpu;
    uint32_t code = bv->frame->jump[bt_class_of(bv->key)][cpu->s.rip & (BIT(BT_JUMP_BITS) - 1)];
    bool known = code != (uint32_t)(uintptr_t)bv->bvm->code.exec;

    return known && bt_is_canonical(cpu, cpu->s.rip) ? enter(bv, code) : 0;
}

uint64_t bt_go_on(struct bt_vcpu *bv)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    uint32_t key = bv->key;

    if (bv->next == BT_FAULT)
        bv->next = bt_deliver_fault(bv) ? BT_BREAK : BT_DOWN;
    if ((bv->next != BT_BREAK && bv->next != BT_LOOK) || !bt_is_quiet(bv))
        return 0;
    cpu->s.rflags &= ~(uint64_t)X86_FL_RF; /* only ever matters to breakpoints */
    bt_check_generation(bv);
    bv->key = bt_state_key(cpu);
    if (bv->key != key)
        bv->frame->shadow_sp = bv->frame->shadow_top; /* what lies there is of the old state */
    return bv->frame->class_key[bt_class_of(bv->key)] == bv->key ? by_table(bv) : 0;
}

uint64_t bt_shortcut(struct bt_vcpu *bv, const struct bt_site *exit, bool tried)
{
    uint64_t lin = bt_linear(&bv->vcpu->cpu, bv->vcpu->cpu.s.rip);
    struct bt_page *page = bt_known_page(bv, lin);
    const struct bt_block *to;

    if (tried && page)
        return 0;
    if (!page) {
        page = bt_find_page(bv, lin);
        if (!page)
            return 0;
        bt_unlock(bv->bvm);
    }
    if (!exit)
        return by_table(bv);
    to = __atomic_load_n(&exit->exit.to, __ATOMIC_ACQUIRE);
    if (!to || to->page != page || to->key != bv->key || bt_is_dead(to))
        return 0;
    return enter(bv, (uint64_t)(uintptr_t)(bv->bvm->code.exec + to->entry_saved));
}
