/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/vm.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "core/device.h"

static void lay_out_ram(struct memory *mem, uint8_t *host, uint64_t size)
{
    uint64_t low = MIN(size, MEM_LOW_MAX);

    mem->ram_size = size;
    mem->ram_low = low;
    mem->ram[0] = (struct mem_ram){.gpa = 0, .size = low, .host = host};
    mem->ram_count = 1;
    if (size > low) {
        mem->ram[1] =
            (struct mem_ram){.gpa = MEM_HIGH_BASE, .size = size - low, .host = host + low, .offset = low};
        mem->ram_count = 2;
    }
}

int vm_init(struct vm *vm, struct plat *plat, const struct vm_config *config, struct error *err)
{
    if (!config->ram_size || config->ram_size % MIB(1) || config->ram_size > MEM_PCI64_BASE - MEM_HIGH_BASE)
        return error_set(err, EINVAL,
                         "memory of %llu bytes: must be a multiple of 1 MiB, from 1 MiB to 252 GiB",
                         (unsigned long long)config->ram_size);
    if (!config->vcpus || config->vcpus > VM_MAX_VCPUS)
        return error_set(err, EINVAL, "%u vCPUs: must be 1 to %d", config->vcpus, VM_MAX_VCPUS);
    memset(vm, 0, sizeof(*vm));
    vm->plat = plat;
    vm->name = config->name;
    vm->vcpu_count = config->vcpus;
    vm->state = VM_PAUSED;
    plat->ops->lock_init(plat, &vm->lock);
    list_init(&vm->devices);
    lay_out_ram(&vm->mem, config->ram, config->ram_size);
    clock_init(vm);
    return 0;
}

static void vcpu_destroy(struct vm *vm, unsigned i)
{
    struct vcpu *vcpu = vm->vcpu[i];

    if (!vcpu)
        return;
    if (vcpu->engine_data && vm->engine->vcpu_finish)
        vm->engine->vcpu_finish(vcpu);
    vm_free(vm, vcpu->cpu.tlb);
    vm_free(vm, vcpu);
    vm->vcpu[i] = NULL;
}

void vm_finish(struct vm *vm)
{
    while (!list_empty(&vm->devices)) {
        struct device *dev = list_entry(vm->devices.prev, struct device, link);
        list_remove(&dev->link);
        dev->ops->destroy(dev);
    }
    for (unsigned i = 0; i < VM_MAX_VCPUS; i++)
        vcpu_destroy(vm, i);
    if (vm->engine && vm->engine->vm_finish)
        vm->engine->vm_finish(vm);
    vm->engine = NULL;
    vm_free(vm, vm->mem.dirty);
    vm->mem.dirty = NULL;
}

static int vcpu_create(struct vm *vm, unsigned index, struct error *err)
{
    struct vcpu *vcpu = vm_alloc(vm, sizeof(*vcpu));

    if (!vcpu)
        return error_set(err, ENOMEM, "no memory for vCPU %u", index);
    vm->vcpu[index] = vcpu;
    vcpu->vm = vm;
    vcpu->index = index;
    vcpu->parked = true;
    vcpu->cpu.owner = vcpu;
    vcpu->cpu.apic_id = index;
    vcpu->cpu.cpuid = &vm->cpuid;
    vcpu->cpu.instruction_limit = ICOUNT_NEVER;
    return vm->engine->vcpu_init ? vm->engine->vcpu_init(vcpu, err) : 0;
}

int vm_engine_init(struct vm *vm, const struct engine_ops *engine, struct error *err)
{
    int r;

    if (vm->icount.on && !engine->can_count)
        return error_set(err, ENOTSUP, "--icount: the %s engine cannot count instructions: use --engine bt",
                         engine->name);
    vm->engine = engine;
    if (engine->vm_init && (r = engine->vm_init(vm, err)) < 0) {
        vm->engine = NULL;
        return r;
    }
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        r = vcpu_create(vm, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void vm_lock(struct vm *vm)
{
    vm->plat->ops->lock(vm->plat, &vm->lock);
}

void vm_unlock(struct vm *vm)
{
    vm->plat->ops->unlock(vm->plat, &vm->lock);
}

void vm_reset(struct vm *vm)
{
    struct device *dev;

    memset(vm->irqs.line_level, 0, sizeof(vm->irqs.line_level));
    list_for_each (dev, &vm->devices, link)
        dev->ops->reset(dev);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpu[i];

        x86_reset(&vcpu->cpu, false);
        vcpu->cpu.s.activity = i == 0 ? X86_ACT_RUN : X86_ACT_WAIT_SIPI;
        __atomic_store_n(&vcpu->cpu.request, 0, __ATOMIC_RELAXED);
        vcpu->state_dirty = true;
    }
    if (vm->on_reset)
        vm->on_reset(vm->on_reset_opaque, vm);
    vm->reset_requested = false;
}

void vm_emit(struct vm *vm, enum vm_event event, uint64_t arg)
{
    if (vm->on_event)
        vm->on_event(vm->on_event_opaque, vm, event, arg);
}

static void kick_all(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        if (vm->vcpu[i])
            vcpu_request(vm->vcpu[i], X86_REQ_EXIT);
    }
}

void vm_request_reset(struct vm *vm, bool by_guest)
{
    if (vm->state == VM_SHUTDOWN || vm->reset_requested)
        return;
    if (vm->no_reboot && by_guest) {
        vm_request_shutdown(vm, VM_SHUTDOWN_GUEST);
        return;
    }
    vm->reset_requested = true;
    vm_emit(vm, VM_EVENT_RESET, by_guest);
    kick_all(vm);
}

void vm_request_shutdown(struct vm *vm, enum vm_shutdown_cause cause)
{
    if (vm->state == VM_SHUTDOWN)
        return;
    vm->state = VM_SHUTDOWN;
    vm->shutdown = cause;
    vm->reset_requested = false;
    clock_stop(vm);
    vm_emit(vm, VM_EVENT_SHUTDOWN, cause);
    kick_all(vm);
}

static bool all_parked(const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        if (!vm->vcpu[i]->parked)
            return false;
    }
    return true;
}

void vm_pause(struct vm *vm)
{
    if (vm->state != VM_RUNNING)
        return;
    vm->state = VM_PAUSED;
    kick_all(vm);
    while (!all_parked(vm)) {
        vm_unlock(vm);
        vm->plat->ops->relax(vm->plat);
        vm_lock(vm);
    }
    clock_stop(vm);
    vm_emit(vm, VM_EVENT_STOP, 0);
}

void vm_pause_here(struct vm *vm)
{
    if (vm->state != VM_RUNNING)
        return;
    vm->state = VM_PAUSED;
    clock_stop(vm);
    vm_emit(vm, VM_EVENT_STOP, 0);
}

void vm_resume(struct vm *vm)
{
    if (vm->state != VM_PAUSED)
        return;
    vm->state = VM_RUNNING;
    clock_start(vm);
    vm_emit(vm, VM_EVENT_RESUME, 0);
    kick_all(vm);
}

void vm_log(struct vm *vm, enum log_level level, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    vm->plat->ops->log(vm->plat, level, text);
}
