/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/engines.h"

#include <string.h>

#include "core/vm.h"
#include "engine/bt/bt.h"
#include "engine/interp/interp.h"
#include "engine/kvm/kvm.h"
#include "vmm/kvm-speed.h"

static const struct {
    enum opt_engine choice;
    const struct engine_ops *ops;
} engines[] = {
    {ENGINE_KVM, &kvm_engine},
    {ENGINE_BT, &bt_engine},
    {ENGINE_INTERP, &interp_engine},
};

int engine_kvm_speed(uint64_t *instructions_per_second, struct error *err)
{
    int r = kvm_measure(instructions_per_second, err);

    if (r == 0)
        kvm_speed_remember(*instructions_per_second);
    return r;
}

void engine_statistics(struct vcpu *vcpu, char *buf, size_t size)
{
    buf[0] = 0;
    if (vcpu->vm->engine == &interp_engine)
        interp_stats_format(vcpu, buf, size);
    else if (vcpu->vm->engine == &bt_engine && vcpu->index == 0) /* its translations are the VM's */
        bt_stats_format(vcpu->vm, buf, size);
}

/* Should --engine auto pass it over, although it runs? */
static bool too_slow(enum opt_engine choice)
{
    uint64_t speed = 0;

    if (choice != ENGINE_KVM)
        return false;
    if (!kvm_speed_recall(&speed) && engine_kvm_speed(&speed, NULL) < 0)
        return true;
    return speed < ENGINE_KVM_WORTH;
}

const struct engine_ops *engine_choose(int choice, bool count, struct error *slower, struct error *err)
{
    struct error why = {0};

    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        const struct engine_ops *ops = engines[i].ops;

        if (choice != ENGINE_AUTO && choice != (int)engines[i].choice)
            continue;
        if (choice == ENGINE_AUTO && count && !ops->can_count)
            continue;
        why.code = 0;
        if (ops->probe(&why) == 0) {
            if (choice != ENGINE_AUTO || !too_slow(engines[i].choice))
                return ops;
        } else if (choice != ENGINE_AUTO) {
            error_set(err, why.code, "--engine %s: %s", ops->name, why.text);
            return NULL;
        } else if (engines[i].choice == ENGINE_BT) {
            error_set(slower, why.code, "%s", why.text);
        }
    }
    error_set(err, why.code ? why.code : ENODEV, "no CPU engine can run on this machine: %s", why.text);
    return NULL;
}
