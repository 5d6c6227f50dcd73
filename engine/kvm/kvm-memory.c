/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory as KVM's slots, one for each piece of RAM or ROM, and which of its pages were written. */
#include <stdlib.h>

#include "engine/kvm/kvm-internal.h"

static int set_slot(const struct kvm_vm *k, unsigned slot, const struct mem_ram *ram, uint32_t flags)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = ram->rom ? KVM_MEM_READONLY : flags,
        .guest_phys_addr = ram->gpa,
        .memory_size = ram->size,
        .userspace_addr = (uintptr_t)ram->host,
    };

    return kvm_ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

int kvm_memory_add(struct kvm_vm *k, const struct vm *vm, struct error *err)
{
    for (unsigned i = 0; i < vm->mem.ram_count; i++) {
        const struct mem_ram *ram = &vm->mem.ram[i];
        int r = set_slot(k, i, ram, 0);

        if (r < 0)
            return error_set(err, -r, "KVM refuses %llu bytes of guest memory at 0x%llx",
                             (unsigned long long)ram->size, (unsigned long long)ram->gpa);
    }
    return 0;
}

int kvm_dirty_track(struct vm *vm, bool on)
{
    for (unsigned i = 0; i < vm->mem.ram_count; i++) {
        int r = set_slot(kvm_vm_of(vm), i, &vm->mem.ram[i], on ? KVM_MEM_LOG_DIRTY_PAGES : 0);

        if (r < 0)
            return r;
    }
    return 0;
}

static int collect(struct vm *vm, unsigned slot, uint64_t *bits)
{
    const struct mem_ram *ram = &vm->mem.ram[slot];
    struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bits};
    uint64_t first = ram->offset / MEM_PAGE / 64;
    int r = kvm_ioctl(kvm_vm_of(vm)->vm_fd, KVM_GET_DIRTY_LOG, &log);

    /* Pieces of RAM are of whole MiB, so that words of the one map are words of the other. */
    for (uint64_t w = 0; r >= 0 && w < ram->size / MEM_PAGE / 64; w++) {
        if (bits[w])
            __atomic_fetch_or(&vm->mem.dirty[first + w], bits[w], __ATOMIC_RELAXED);
    }
    return r;
}

int kvm_dirty_collect(struct vm *vm)
{
    uint64_t *bits = calloc(vm->mem.ram_size / MEM_PAGE / 64 + 1, sizeof(*bits));
    int r = bits ? 0 : -ENOMEM;

    for (unsigned i = 0; r >= 0 && i < vm->mem.ram_count; i++)
        r = vm->mem.ram[i].rom ? 0 : collect(vm, i, bits);
    free(bits);
    return r < 0 ? r : 0;
}
