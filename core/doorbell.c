/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/doorbell.h"

#include "core/vm.h"

void doorbell_hang(struct vm *vm, struct doorbell *bell, uint64_t address, unsigned size)
{
    const struct plat_ops *plat = vm->plat->ops;

    if (bell->hung && bell->address == address && bell->size == size)
        return;
    doorbell_unhang(vm, bell);
    if (!vm->engine || !vm->engine->ioeventfd || !plat->event_open)
        return;
    if (!bell->open && plat->event_open(vm->plat, &bell->event) < 0)
        return;
    bell->open = true;
    if (vm->engine->ioeventfd(vm, true, address, size, bell->event.fd, true) < 0)
        return;
    bell->address = address;
    bell->size = (uint8_t)size;
    bell->hung = true;
}

void doorbell_unhang(struct vm *vm, struct doorbell *bell)
{
    if (!bell->hung)
        return;
    bell->hung = false;
    (void)vm->engine->ioeventfd(vm, true, bell->address, bell->size, bell->event.fd, false);
}

void doorbell_finish(struct vm *vm, struct doorbell *bell)
{
    doorbell_unhang(vm, bell);
    if (bell->open)
        vm->plat->ops->event_close(vm->plat, &bell->event);
    bell->open = false;
}
