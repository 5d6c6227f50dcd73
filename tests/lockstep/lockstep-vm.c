/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One of the two VMs: the hosted program's board, without the program. */
#include <stdlib.h>
#include <string.h>

#include "block/block.h"
#include "dev/board.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/rng.h"
#include "tests/lockstep/lockstep.h"
#include "vmm/boot-file.h"

static const struct description *description(const struct side *side)
{
    return side->pair->d;
}

static void on_reset(void *opaque, struct vm *vm)
{
    struct side *side = opaque;
    uint64_t rsdp = 0;
    int r = board_direct_boot(side->board, &rsdp, &side->boot_error);

    boot_set_rsdp(side->boot, rsdp);
    if (r < 0 || boot_load(side->boot, vm, &side->boot_error) < 0)
        vm_request_shutdown(vm, VM_SHUTDOWN_ERROR);
}

static void disturb(struct side *side)
{
    const struct description *d = description(side);
    struct vcpu *vcpu = side->vm.vcpu[0];

    if (d->disturb_ram < side->ram.size) {
        ((uint8_t *)side->ram.base)[d->disturb_ram] ^= 1;
    } else {
        vcpu->cpu.s.gpr[X86_R12] ^= 1;
        if (side->vm.engine->state_put)
            (void)side->vm.engine->state_put(vcpu);
    }
}

static void on_stop(void *opaque, struct vm *vm)
{
    struct side *side = opaque;
    const struct description *d = description(side);
    uint64_t now = vm->vcpu[0]->cpu.instructions;

    if (!pair_meet(side)) {
        vm_request_shutdown(vm, VM_SHUTDOWN_HOST);
        return;
    }
    if (side->index == 1 && d->disturb && now == d->disturb)
        disturb(side);
    vm->icount.stop_at = pair_next_stop(side->pair, now);
}

static void on_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg)
{
    struct side *side = opaque;

    if (event == VM_EVENT_SHUTDOWN)
        pair_ended(side);
    else if (event == VM_EVENT_PANIC)
        vm_request_shutdown(vm, VM_SHUTDOWN_PANIC);
}

static int make_vm(struct side *side, struct error *err)
{
    const struct description *d = description(side);
    struct vm_config config = {.name = side->index ? "second" : "first", .ram_size = d->memory, .vcpus = 1};
    struct x86_cpuid_config cpuid = {.level = d->cpu, .vcpus = 1, .software_engine = true};
    struct vm *vm = &side->vm;
    int r = host_ram_init(&side->ram, d->memory, err);

    if (r < 0)
        return r;
    config.ram = side->ram.base;
    r = vm_init(vm, &side->plat.plat, &config, err);
    if (r < 0)
        return r;
    side->vm_made = true;
    vm->mem.discard = host_ram_discard;
    vm->mem.discard_opaque = &side->ram;
    vm->no_reboot = true;
    cpuid.tsc_khz = vm->clock.tsc_khz;
    vm->code_cache = d->code_cache;
    if ((r = icount_enable(vm, d->seed, err)) < 0 || (r = x86_cpuid_build(&vm->cpuid, &cpuid, err)) < 0 ||
        (r = vm_engine_init(vm, d->engine[side->index], err)) < 0 ||
        (r = vcpu_threads_create(&side->threads, vm, err)) < 0)
        return r;
    vm->on_event = on_event;
    vm->on_event_opaque = side;
    vm->icount.on_stop = on_stop;
    vm->icount.on_stop_opaque = side;
    vm->icount.stop_at = pair_next_stop(side->pair, 0);
    vm->on_reset = on_reset;
    vm->on_reset_opaque = side;
    return 0;
}

static int make_disk(struct side *side, unsigned i, struct error *err)
{
    const struct block_options options = {.path = description(side)->disk[i],
                                          .format = "raw",
                                          .snapshot = true,
                                          .io = BLOCK_IO_SYNC,
                                          .direct = BLOCK_DIRECT_OFF};
    struct device *dev;
    struct blk *blk;
    char id[16];
    int r = block_open(side->loop, &options, &blk, err);

    if (r < 0)
        return r;
    snprintf(id, sizeof(id), "disk%u", i);
    r = virtio_blk_create(&side->vm, side->board->pci, id, blk, 1, &dev, err);
    if (r < 0)
        blk->ops->close(blk);
    return r;
}

static int make_board(struct side *side, struct error *err)
{
    const struct description *d = description(side);
    struct board_config config = {.serial = {true}, .serial_dev = {&side->console.chardev}};
    struct device *dev;
    int r;

    side->board = calloc(1, sizeof(*side->board));
    if (!side->board)
        return error_set(err, ENOMEM, "out of memory");
    r = board_create(&side->vm, &config, side->board, err);
    for (unsigned i = 0; r == 0 && i < d->disks; i++)
        r = make_disk(side, i, err);
    return r < 0 ? r : virtio_rng_create(&side->vm, side->board->pci, "rng0", &dev, err);
}

static int make_boot(struct side *side, struct error *err)
{
    const struct description *d = description(side);
    struct boot_module_config modules[MAX_INITRDS];
    struct boot_config config = {
        .kernel = d->kernel, .append = d->append, .modules = modules, .module_count = d->initrds};

    for (unsigned i = 0; i < d->initrds; i++)
        modules[i] = (struct boot_module_config){.path = d->initrd[i]};
    return boot_open_files(&side->boot, &side->plat.plat, &config, err);
}

int side_create(struct side *side, struct error *err)
{
    int r;

    console_init(&side->console, side);
    side->loop = loop_create(err);
    if (!side->loop)
        return -err->code;
    plat_linux_init(&side->plat, side->loop, &side->vm);
    if ((r = make_boot(side, err)) < 0 || (r = make_vm(side, err)) < 0 || (r = make_board(side, err)) < 0)
        return r;
    vm_lock(&side->vm);
    vm_reset(&side->vm);
    vm_unlock(&side->vm);
    return side->boot_error.code ? error_set(err, side->boot_error.code, "%s", side->boot_error.text) : 0;
}

int side_start(struct side *side, struct error *err)
{
    int r;

    vm_lock(&side->vm);
    r = vcpu_threads_start(side->threads, &side->vm, err);
    if (r == 0)
        vm_resume(&side->vm);
    else
        vm_request_shutdown(&side->vm, VM_SHUTDOWN_ERROR);
    vm_unlock(&side->vm);
    return r;
}

void side_destroy(struct side *side)
{
    if (side->vm_made)
        vm_finish(&side->vm);
    free(side->board);
    free(side->threads);
    boot_close(side->boot);
    host_ram_finish(&side->ram);
    loop_destroy(side->loop);
    console_finish(&side->console);
}
