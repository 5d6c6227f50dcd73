/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/hash.h"

#include "base/hash.h"
#include "core/device.h"

void vcpu_normal_state(struct vcpu *vcpu, struct x86_state *s)
{
    const struct engine_ops *engine = vcpu->vm->engine;

    if (engine->state_get && !vcpu->state_dirty)
        (void)engine->state_get(vcpu);
    x86_state_flush(&vcpu->cpu);
    *s = vcpu->cpu.s;
    s->dr[4] = s->dr[5] = 0;
    /* Until there is AVX-512, only YMM0 to YMM15 exist. */
    for (unsigned i = 0; i < ARRAY_SIZE(s->vec); i++) {
        for (unsigned q = i < 16 ? 4 : 0; q < 8; q++)
            s->vec[i].q[q] = 0;
    }
    if (!s->exception_pending) {
        s->exception_vector = 0;
        s->exception_has_error = false;
    }
    if (!s->exception_has_error)
        s->exception_error = 0;
    if (!s->interrupt_pending) {
        s->interrupt_vector = 0;
        s->interrupt_soft = false;
    }
}

uint64_t vcpu_hash(struct vcpu *vcpu)
{
    struct x86_state s;

    vcpu_normal_state(vcpu, &s);
    return state_hash(&x86_state_table, &s, HASH_BEGIN);
}

uint64_t vm_hash_devices(struct vm *vm)
{
    uint64_t h = hash_word(HASH_BEGIN, clock_now(vm));
    struct device *dev;

    h = hash_bytes(h, vm->irqs.line_level, sizeof(vm->irqs.line_level));
    list_for_each (dev, &vm->devices, link)
        h = state_hash(dev->ops->state, device_object(dev), h);
    return h;
}

uint64_t vm_hash_ram(const struct vm *vm)
{
    uint64_t h = HASH_BEGIN;

    for (unsigned i = 0; i < vm->mem.ram_count; i++)
        h = hash_bytes(h, vm->mem.ram[i].host, vm->mem.ram[i].size);
    return h;
}
