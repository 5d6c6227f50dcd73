/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine: its VMs and vCPUs, and the loop around translated code. */
#include "engine/bt/bt.h"

#include "base/fmt.h"
#include "core/device.h"
#include "core/vcpu-env.h"
#include "engine/bt/bt-internal.h"
#include "engine/bt/refill.h"
#include "engine/bt/translate.h"
#include "engine/common/thunk-memory.h"
#include "x86/exec-sys.h"
#include "x86/fpu.h"

/* ---- making and ending ---- */

static int bt_probe(struct error *err)
{
    int r = bt_code_probe(err);

    return r < 0 ? r : thunk_memory_probe(err);
}

static void bt_vm_finish(struct vm *vm)
{
    struct bt_vm *bvm = vm->engine_data;

    if (!bvm)
        return;
    bt_regions_finish(bvm);
    bt_code_finish(bvm);
    vm_free(vm, bvm->translation);
    vm_free(vm, bvm->ram);
    vm_free(vm, bvm);
    vm->engine_data = NULL;
}

static int bt_vm_init(struct vm *vm, struct error *err)
{
    struct bt_vm *bvm = vm_alloc(vm, sizeof(*bvm));
    int r;

    if (!bvm)
        return error_set(err, ENOMEM, "no memory for the translator");
    bvm->vm = vm;
    vm->engine_data = bvm;
    vm->plat->ops->lock_init(vm->plat, &bvm->lock);
    vm->plat->ops->lock_init(vm->plat, &bvm->exclusive);
    vm->plat->ops->random(vm->plat, &bvm->none, sizeof(bvm->none));
    /* Bits 48 to 62 all unlike bit 47: not canonical with 4 or 5 levels of tables. */
    bvm->none = (bvm->none & 0x000ffffffffff000ULL) | 0x4aa0000000000000ULL;
    bvm->ram = vm_alloc(vm, vm->mem.ram_size / MEM_PAGE * sizeof(*bvm->ram));
    bvm->translation = vm_alloc(vm, sizeof(*bvm->translation));
    if (!bvm->ram || !bvm->translation) {
        bt_vm_finish(vm);
        return error_set(err, ENOMEM, "no memory for the translator's tables");
    }
    r = bt_code_init(bvm, vm->code_cache, err);
    if (r < 0) {
        bt_vm_finish(vm);
        return r;
    }
    bt_stubs_make(bvm);
    if (vm->code_listener)
        vm->code_listener->made(vm->code_listener, bvm->code.exec, bvm->code.used, false, 0, "stubs");
    bvm->next_id = 2;
    bvm->epoch = 1; /* vCPUs' tables are of none */
    if (bt_regions_init(bvm) < 0) {
        bt_vm_finish(vm);
        return error_set(err, ENOMEM, "no memory for the translator's cache");
    }
    return 0;
}

static void bt_vcpu_finish(struct vcpu *vcpu)
{
    struct bt_vcpu *bv = bt_of(vcpu);

    if (!bv)
        return;
    thunk_memory_finish(&bv->thunks);
    vcpu->cpu.thunks = NULL;
    vcpu->cpu.tlb = NULL;
    vm_free(vcpu->vm, bv->frame);
    vm_free(vcpu->vm, bv->generic);
    vm_free(vcpu->vm, bv);
    vcpu->engine_data = NULL;
}

/* At the top a return address that no RET matches, and the stub for those that nobody knows. */
static void init_shadow(struct bt_vcpu *bv)
{
    struct bt_frame *f = bv->frame;
    uint64_t *top = &f->shadow[BT_SHADOW_WORDS - 2];

    top[0] = (uint64_t)(uintptr_t)bv->bvm->code.exec;
    top[1] = bv->bvm->none;
    f->shadow_top = (uint64_t)(uintptr_t)top;
    bt_clear_poll(f);
}

static int bt_vcpu_init(struct vcpu *vcpu, struct error *err)
{
    struct vm *vm = vcpu->vm;
    struct bt_vcpu *bv = vm_alloc(vm, sizeof(*bv));
    int r;

    if (!bv)
        return error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
    bv->vcpu = vcpu;
    bv->bvm = vm->engine_data;
    bv->ack = BT_PARKED;
    bv->evictions = BT_PARKED;
    vcpu->cpu.env = &vcpu_env;
    vcpu->engine_data = bv;
    bv->frame = vm_alloc(vm, sizeof(*bv->frame));
    bv->generic = vm_alloc(vm, X86_ID_COUNT * sizeof(*bv->generic));
    if (!bv->frame || !bv->generic) {
        bt_vcpu_finish(vcpu);
        return error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
    }
    bv->frame->self = bv->frame;
    bv->frame->cpu = &vcpu->cpu;
    bv->frame->vec_dead = 1;
    bv->frame->x87_dead = 1;
    bv->frame->x87_image = ALIGN_UP((uint64_t)(uintptr_t)bv->frame->x87_room, 64);
    bv->frame->host_mxcsr = X86_MXCSR_INIT;
    init_shadow(bv);
    vcpu->cpu.tlb = &bv->frame->tlb;
    bt_refill_init(bv);
    bt_forget(bv);
    r = thunk_memory_init(&bv->thunks, err);
    if (r < 0) {
        bt_vcpu_finish(vcpu);
        return r;
    }
    vcpu->cpu.thunks = &bv->thunks;
    return 0;
}

static int bt_state_get(struct vcpu *vcpu)
{
    x86_state_flush(&vcpu->cpu);
    return 0;
}

/* Memory may be another now, too. */
static int bt_state_put(struct vcpu *vcpu)
{
    struct bt_vcpu *bv = bt_of(vcpu);

    x86_state_changed(&vcpu->cpu);
    bt_check_generation(bv);
    bt_flush_all(bv);
    bt_park(bv);
    return 0;
}

static void bt_kick(struct vcpu *vcpu)
{
    bt_set_poll(bt_of(vcpu)->frame);
}

/* ---- the key ---- */

uint32_t bt_state_key(const struct x86_cpu *cpu)
{
    const struct x86_state *s = &cpu->s;
    bool alignment = s->cr0 & X86_CR0_AM && s->rflags & X86_FL_AC && cpu->cpl == 3;
    bool x87 = ~s->x87.fcw & X86_FSW_EXCEPTIONS || s->x87.fsw & X86_FSW_ES;
    bool unmasked = (s->mxcsr & X86_MXCSR_MASKS) != X86_MXCSR_MASKS;
    bool wide_stack = cpu->mode == X86_MODE_64 || s->seg[X86_SS].attr & X86_SEG_DB;

    return cpu->mode | (uint32_t)cpu->cpl << 2 | (uint32_t)cpu->flat << 4 | (uint32_t)wide_stack << 5 |
           (uint32_t)(s->cr0 & 15) << 6 | (uint32_t) !!(s->cr4 & X86_CR4_OSFXSR) << 10 |
           (uint32_t) !!(s->cr4 & X86_CR4_OSXSAVE) << 11 | (uint32_t) !!(s->rflags & X86_FL_VM) << 12 |
           (alignment ? BT_KEY_ALIGNED : 0U) | (uint32_t)(s->xcr0 >> 1 & 3) << 14 |
           (uint32_t)cpu->mmu_index << 16 | (unmasked ? BT_KEY_UNMASKED : 0U) |
           (s->cr4 & X86_CR4_SMAP ? BT_KEY_SMAP : 0U) | (x87 ? BT_KEY_X87 : 0U);
}

/* After an instruction or event that may have changed more than registers and memory. */
static void look_around(struct bt_vcpu *bv)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;

    bv->single = x86_debug_active(cpu) || !cpu->flat || cpu->mode == X86_MODE_16;
    /* RF only ever matters to breakpoints; it lasts for one instruction. */
    if (!x86_debug_active(cpu))
        cpu->s.rflags &= ~(uint64_t)X86_FL_RF;
    bv->key = bt_state_key(cpu);
    bt_check_generation(bv);
}

/* All of the class's indirect branches lead to the stub that asks. */
static void forget_jumps(struct bt_vcpu *bv, enum bt_class class)
{
    uint32_t *jump = bv->frame->jump[class], stub = (uint32_t)(uintptr_t)bv->bvm->code.exec;

    for (unsigned i = 0; i < ARRAY_SIZE(bv->frame->jump[class]); i++)
        jump[i] = stub;
}

/* The frame's tables are for this key and for what the cache holds. False: blocks that were known have gone.
 */
static bool check_tables(struct bt_vcpu *bv)
{
    bool same = !bt_see_evictions(bv);
    uint32_t epoch = __atomic_load_n(&bv->bvm->epoch, __ATOMIC_SEQ_CST);
    enum bt_class class = bt_class_of(bv->key);
    struct bt_frame *f = bv->frame;

    if (unlikely(bv->epoch != epoch)) {
        for (unsigned c = 0; c < BT_CLASSES; c++)
            forget_jumps(bv, c);
        bt_forget(bv);
        bv->epoch = epoch;
        same = false;
    }
    if (unlikely(f->class_key[class] != bv->key)) {
        forget_jumps(bv, class);
        f->class_key[class] = bv->key;
    }
    return same;
}

/* ---- between blocks ---- */

/* All that may happen between two instructions. False: *exit is why to leave. */
static bool see_to_requests(struct bt_vcpu *bv, enum vm_exit *exit)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    bool go_on;

    bt_clear_poll(bv->frame);
    if (events_take(cpu, X86_REQ_ENGINE))
        bt_attend(bv);
    if (events_take(cpu, X86_REQ_TLB_FLUSH))
        bt_tlb_flush(bv);
    go_on = events_see_to(bv->vcpu, &bv->events, exit);
    bv->frame->waiting = bv->events.irq || cpu->s.nmi_pending;
    return go_on;
}

static void respect_shadow(struct bt_vcpu *bv)
{
    bv->single = bt_polled(bv->frame) || events_in_shadow(&bv->vcpu->cpu, &bv->events) || bv->single;
}

static enum bt_next step(struct bt_vcpu *bv)
{
    bv->stats.steps++;
    return x86_step(&bv->vcpu->cpu) == X86_HALT ? BT_HALT : BT_BREAK; /* a fault it has delivered */
}

/* Where an indirect branch led there may be no code at all: the branch faults, as if it had not run. */
static bool check_branch(struct bt_vcpu *bv)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    const struct bt_site *site;

    if (likely(bt_is_canonical(cpu, cpu->s.rip)))
        return true;
    site = bt_site_at(bv->bvm, bv->frame->branch);
    cpu->s.rip = site->rip;
    cpu->s.gpr[X86_RSP] -= site->undo;
    cpu->instructions -= bv->bvm->vm->icount.on; /* it was counted */
    x86_raise_error(cpu, X86_GP, 0);
    return false;
}

/* No block begins where the longest might run past the limit. */
static uint64_t block_limit(const struct x86_cpu *cpu)
{
    uint64_t limit = cpu->instruction_limit;

    return limit < BT_MAX_INSNS ? 0 : limit - BT_MAX_INSNS + 1;
}

/* Runs translated code until something other than the next block is called for. */
static enum bt_next run_blocks(struct bt_vcpu *bv)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    struct bt_frame *f = bv->frame;
    const uint8_t *exec = bv->bvm->code.exec;
    bt_enter_fn *enter = (bt_enter_fn *)(uintptr_t)(exec + bv->bvm->code.enter);
    struct bt_site *site = NULL;
    bool indirect = false;

    f->limit = block_limit(cpu);
    for (;;) {
        struct bt_block *block;
        bool plain = bv->want_plain;
        uint64_t code;

        if (bv->bvm->vm->icount.on && cpu->instructions >= f->limit)
            return BT_STEP;
        if (!check_tables(bv)) {
            site = NULL;
            indirect = false;
        }
        bv->want_plain = false;
        bv->next = BT_LOOK;
        code = plain ? 0 : bt_shortcut(bv, site, indirect);
        if (!code) {
            block = bt_find(bv, plain);
            if (!block)
                return bv->next;
            if (bv->epoch != __atomic_load_n(&bv->bvm->epoch, __ATOMIC_SEQ_CST))
                continue;
            if (site)
                bt_link(bv, site, block);
            else
                bt_remember_jump(bv, block);
            code = (uint64_t)(uintptr_t)(exec + block->entry_saved);
        }
        f->fs_base = cpu->s.seg[X86_FS].base;
        f->gs_base = cpu->s.seg[X86_GS].base;
        f->site = NULL;
        f->count = cpu->instructions;
        bv->next = -1;
        enter(f, (const void *)(uintptr_t)code);
        cpu->instructions = f->count;
        bt_acquire(bv->bvm);
        bv->key = bt_state_key(cpu);
        site = NULL;
        indirect = false;
        if (bv->next >= 0) { /* bt_slow() says so */
            if (bv->next != BT_LOOK || bt_is_asked(f) || cpu->s.shadow)
                return bv->next;
            continue;
        }
        if (f->site) {
            site = f->site;
            cpu->s.rip = site->exit.rip;
        } else {
            indirect = true;
            cpu->s.rip = f->lin;
            if (!check_branch(bv))
                return BT_FAULT;
        }
        if (bt_polled(f))
            return BT_LOOK;
    }
}

static enum vm_exit run(struct bt_vcpu *bv)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    enum vm_exit exit;

    if (cpu->instructions >= cpu->instruction_limit)
        return VM_EXIT_LIMIT;
    if (!see_to_requests(bv, &exit))
        return exit;
    look_around(bv);
    if (cpu->s.shadow)
        respect_shadow(bv);
    for (;;) {
        enum bt_next next = bv->single ? BT_STEP : run_blocks(bv);

        if (next == BT_STEP) {
            if (cpu->instructions >= cpu->instruction_limit) /* the last block ended there */
                return VM_EXIT_LIMIT;
            next = step(bv);
        }
        if (next == BT_DOWN || (next == BT_FAULT && !bt_deliver_fault(bv)))
            return VM_EXIT_SHUTDOWN;
        if (cpu->instructions >= cpu->instruction_limit)
            return VM_EXIT_LIMIT;
        if (next != BT_LOOK)
            look_around(bv);
        if (unlikely(cpu->s.shadow) && cpu->s.activity == X86_ACT_RUN) {
            respect_shadow(bv);
        } else if (bt_polled(bv->frame) || events_due(cpu, &bv->events)) {
            if (!see_to_requests(bv, &exit))
                return exit;
            look_around(bv);
        }
    }
}

static enum vm_exit bt_vcpu_run(struct vcpu *vcpu)
{
    struct bt_vcpu *bv = bt_of(vcpu);
    enum vm_exit exit;

    bt_set_gs(bv->bvm, bv->frame);
    bt_enter_guest(bv);
    exit = run(bv);
    bt_park(bv);
    x86_state_flush(&vcpu->cpu);
    return exit;
}

const struct engine_ops bt_engine = {
    .name = "bt",
    .can_count = true,
    .probe = bt_probe,
    .vm_init = bt_vm_init,
    .vm_finish = bt_vm_finish,
    .vcpu_init = bt_vcpu_init,
    .vcpu_finish = bt_vcpu_finish,
    .vcpu_run = bt_vcpu_run,
    .vcpu_kick = bt_kick,
    .state_get = bt_state_get,
    .state_put = bt_state_put,
    .memory_written = bt_memory_written,
    .page_write_fast = bt_page_write_fast,
    .exclusive = bt_exclusive,
    .counters = bt_counters,
    .dump_code = bt_dump_code,
};
