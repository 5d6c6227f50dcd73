/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM made from its description, up to its first instruction: the machine model as this program composes it.
 */
#include "base/bytes.h"
#include "core/metal.h"
#include "hv/hv.h"
#include "hv/mem/ram.h"

#define COPY_PIECE KIB(256)

/*
 * What firmware would have done, and the kernel, in fresh RAM. Nobody else has the VM yet, and no lock is
 * held: a kernel takes its time, in which others run. This is no on_reset(), as a VM is never reset: it is
 * made anew.
 */
static int power_on(struct guest *g, struct error *err)
{
    uint64_t rsdp = 0;
    int r = board_direct_boot(&g->board, &rsdp, err);

    if (r < 0)
        return r;
    boot_set_rsdp(g->boot, rsdp);
    return boot_load(g->boot, &g->vm, err);
}

static int make_vm(struct guest *g, struct error *err)
{
    const struct machine_config *m = &g->config->machine;
    struct vm_config config = {.name = m->name, .ram_size = m->memory, .vcpus = (unsigned)m->cpus};
    int r = guest_ram_create(&g->ram, m->memory, &g->plat.account, err);

    if (r < 0)
        return r;
    config.ram = guest_ram_host(g->ram);
    g->plat.ram = g->ram;
    r = vm_init(&g->vm, &g->plat.plat, &config, err);
    if (r < 0)
        return r;
    g->vm.no_reboot = m->no_reboot;
    g->vm.on_event = guest_event;
    g->vm.on_event_opaque = g;
    return 0;
}

static int make_cpus(struct guest *g, struct error *err)
{
    static const enum x86_cpu_level levels[] = {
        [CPU_V2] = X86_CPU_V2, [CPU_V3] = X86_CPU_V3, [CPU_HOST] = X86_CPU_HOST};
    const struct machine_config *m = &g->config->machine;
    struct x86_cpuid_config config = {.level = levels[m->cpu],
                                      .vcpus = (unsigned)m->cpus,
                                      .tsc_khz = metal_tsc_khz(),
                                      .steal_time = true,
                                      .arch_capabilities = g->hv->arch_capabilities};
    int r = x86_cpuid_build(&g->vm.cpuid, &config, err);

    return r < 0 ? r : vm_engine_init(&g->vm, g->hv->engine, err);
}

/* The hypervisor works on one thing for as long as a guest's image is copied: others may run between. */
static int module_read(const struct boot_source *source, uint64_t offset, void *buf, uint64_t len,
                       struct error *err)
{
    const uint8_t *from = (const uint8_t *)source->data + offset;

    while (len) {
        uint64_t n = MIN(len, COPY_PIECE);

        memcpy(buf, from, n);
        from += n;
        buf = (uint8_t *)buf + n;
        len -= n;
        thread_yield(); /* interrupts, too, though nobody else may want the processor */
    }
    return 0;
}

static const struct boot_source_ops module_ops = {.read = module_read};

static int module_source(const char *name, struct boot_source *source, struct error *err)
{
    const struct boot_module *module = hv_module_find(name);

    if (!module)
        return error_set(err, ENOENT, "there is no boot module '%s'", name);
    *source = (struct boot_source){
        .name = name, .size = module->size, .ops = &module_ops, .data = phys_to_virt(module->phys)};
    return 0;
}

static int open_boot(struct guest *g, struct error *err)
{
    const struct machine_config *m = &g->config->machine;
    struct boot_source source;
    int r = module_source(m->kernel, &source, err);

    r = r < 0 ? r
              : boot_open(&g->boot, &g->plat.plat, (enum boot_protocol)m->kernel_format, &source,
                          g->append ? g->append : m->append, err);
    for (unsigned i = 0; r == 0 && i < m->initrd_count; i++) {
        r = module_source(m->initrd[i].path, &source, err);
        r = r < 0 ? r : boot_add_module(g->boot, &source, m->initrd[i].cmdline, err);
    }
    return r < 0 ? r : boot_reserve(g->boot, BOARD_TABLES_BASE, BOARD_TABLES_SIZE, BOOT_MEM_RESERVED);
}

int guest_build(struct guest *g, struct error *err)
{
    static int (*const steps[])(struct guest * g, struct error * err) = {make_vm, make_cpus, guest_devices,
                                                                         open_boot};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
        r = steps[i](g, err);
    if (r < 0)
        return r;
    vm_lock(&g->vm);
    vm_reset(&g->vm);
    vm_unlock(&g->vm);
    return power_on(g, err);
}
