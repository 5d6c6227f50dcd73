/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor put together: engine, drivers, switch, description, VMs, monitor. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "engine/hw/hw.h"
#include "engine/svm/svm.h"
#include "engine/vmx/vmx.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/drv/disk.h"
#include "hv/drv/host-pci.h"
#include "hv/drv/host-virtio.h"
#include "hv/drv/net-thread.h"
#include "hv/drv/uart.h"
#include "hv/hv.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/panic.h"
#include "hv/random.h"
#include "hv/selftest.h"
#include "hv/settings.h"
#include "hv/start.h"
#include "monitor/monitor.h"

#define CONFIG_MODULE "batuta-hv.conf"

static struct hv hv;

static void describe(void)
{
    const struct boot_info *b = &boot_info;

    hv_log(LOG_INFO, "batuta-hv on %u processor%s, %llu MiB of memory, loaded by %s", cpu_count,
           cpu_count == 1 ? "" : "s", (unsigned long long)(page_total_bytes() >> 20), b->loader);
    if (b->dropped)
        hv_log(LOG_WARN, "the loader named %u memory ranges or modules more than there is room for",
               b->dropped);
}

/* ---- the engine ---- */

struct engine_choice {
    const char *name;
    const struct engine_ops *ops;
    uint32_t leaf, bit; /* of CPUID, in ECX: it is there */
    int (*cpu_on)(struct metal_cpu *cpu, struct plat *plat, struct error *err);
};

static const struct engine_choice engines[] = {
    {"AMD-V", &svm_engine, 0x80000001, 2, svm_cpu_on},
    {"VT-x", &vmx_engine, 1, 5, vmx_cpu_on},
};

/* Of one processor. */
struct turn_on {
    const struct engine_choice *engine;
    struct sched_group group;
    uint64_t affinity;
    struct thread *thread;
    struct error err;
};

static void turn_on_here(void *arg)
{
    struct turn_on *t = arg;

    (void)t->engine->cpu_on(metal_cpu(), &hv.plat.plat, &t->err);
}

/* A thread that may run on one processor only turns virtualization on there. */
static int turn_on(const struct engine_choice *engine, struct error *err)
{
    struct turn_on *all = heap_alloc(cpu_count * sizeof(*all), &memory_own);

    if (!all)
        return error_set(err, ENOMEM, "no memory for its threads");
    for (unsigned i = 0; i < cpu_count; i++) {
        struct turn_on *t = &all[i];
        const struct sched_params params = {.shares = SCHED_SHARES_DEFAULT, .affinity = &t->affinity};

        t->engine = engine;
        t->affinity = BIT64(i);
        if (sched_group_init(&hv_sched, &t->group, &params, err) < 0)
            continue;
        t->thread = thread_create("turn-on", &t->group, &memory_own, turn_on_here, t);
        if (!t->thread)
            error_set(err, ENOMEM, "no memory for a thread");
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        struct turn_on *t = &all[i];

        if (t->thread) {
            thread_join(t->thread);
            sched_group_finish(&hv_sched, &t->group);
        }
        if (t->err.code)
            *err = t->err;
    }
    heap_free(all);
    return -err->code;
}

/* What is done about processors that work ahead of time, and what cannot be. */
static void tell_speculation(void)
{
    const struct hw_speculation *s = &((const struct hw_cpu *)metal_cpu()->engine_data)->speculation;
    struct hw_facts facts;

    hw_facts_read(&facts);
    hv.arch_capabilities = facts.arch_capabilities;
    hv_log(LOG_INFO, "speculation:%s%s%s%s%s", s->spec_ctrl || s->auto_ibrs ? " IBRS" : "",
           s->fill_rsb ? " RSB" : "", s->flush_l1d ? " L1D" : "", s->verw ? " VERW" : "",
           s->split_code ? " small pages of code" : " large pages of code");
    if (s->wants_retpolines && !HV_RETPOLINES)
        hv_log(LOG_WARN, "speculation: guests can lead this processor's indirect branches astray: build with "
                         "-Dretpolines=true");
    if (s->wants_siblings)
        hv_log(LOG_WARN, "speculation: threads of a core see each other's data on this processor: turn "
                         "hyper-threading off in the firmware's setup, if guests do not trust each other");
}

static void choose_engine(void)
{
    struct error err = {0};

    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        if (!(cpuid(engines[i].leaf, 0).ecx >> engines[i].bit & 1))
            continue;
        if (turn_on(&engines[i], &err) < 0) {
            hv_log(LOG_ERROR, "%s cannot be used: %s", engines[i].name, err.text);
            return;
        }
        hv.engine = engines[i].ops;
        hv.engine_name = engines[i].name;
        hv_log(LOG_INFO, "VMs run on %s", hv.engine_name);
        tell_speculation();
        return;
    }
    hv_log(LOG_ERROR, "this processor has neither AMD-V nor VT-x: no VM can run");
}

/* CPUID's brand string, without the blanks that some begin with. */
static const char *processor_name(void)
{
    static uint32_t words[13];
    const char *name = (const char *)words;

    if (cpuid(0x80000000, 0).eax < 0x80000004)
        return "unknown processor";
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid c = cpuid(0x80000002 + i, 0);

        memcpy(&words[i * 4], &c, sizeof(c));
    }
    while (*name == ' ')
        name++;
    return name;
}

/* ---- the description ---- */

const struct boot_module *hv_module_find(const char *name)
{
    for (unsigned i = 0; i < boot_info.module_count; i++) {
        char own[64];

        hv_module_name(own, sizeof(own), boot_info.modules[i].text);
        if (text_equal(own, name))
            return &boot_info.modules[i];
    }
    return NULL;
}

static void report(void *opaque, const struct hv_report *r)
{
    hv_log(r->vm || r->line ? LOG_WARN : LOG_INFO, "%s", r->text);
}

static void *config_memory(size_t size)
{
    return heap_alloc(size, &memory_own);
}

static void check_config(void)
{
    static struct hv_module modules[BOOT_MAX_MODULES];
    static char names[BOOT_MAX_MODULES][64];
    struct hv_machine machine = {
        .memory = page_free_bytes() - (HV_OWN_MEMORY - MIN(memory_own.used, HV_OWN_MEMORY)),
        .processors = cpu_count,
        .modules = modules,
        .module_count = boot_info.module_count,
        .modules_known = true,
        .devices_known = true,
    };
    uint8_t mac[6];

    for (unsigned i = 0; i < boot_info.module_count; i++) {
        hv_module_name(names[i], sizeof(names[i]), boot_info.modules[i].text);
        modules[i] = (struct hv_module){.name = names[i], .size = boot_info.modules[i].size};
    }
    while (disk_get(machine.disks))
        machine.disks++;
    while (host_net_mac(machine.nics, mac))
        machine.nics++;
    hv_config_check(&hv.config, &machine, report, NULL);
}

static void read_config(void)
{
    const struct boot_module *module = hv_module_find(CONFIG_MODULE);
    const char *text = module ? phys_to_virt(module->phys) : "";

    if (!module)
        hv_log(LOG_ERROR, "there is no boot module '%s': no VMs", CONFIG_MODULE);
    if (hv_config_read(&hv.config, CONFIG_MODULE, text, module ? module->size : 0, config_memory, heap_free,
                       report, NULL) < 0)
        hv_log(LOG_ERROR, "no memory for the configuration");
    check_config();
}

/* ---- network ---- */

/* A flood from the wire takes no more than a VM does, and half a processor at most. */
static const struct sched_params net_params = {.shares = SCHED_SHARES_DEFAULT, .cap = 500};

static void start_network(void)
{
    if (sched_group_init(&hv_sched, &hv.net_group, &net_params, NULL) < 0)
        panic("the scheduler refuses the network's threads");
    switch_init(&hv.net, time_now);
    hv.net.fdb.age = (uint32_t)hv.config.net.age;
    for (unsigned i = 0; i < HV_MAX_NICS; i++) {
        const struct hv_nic *nic = &hv.config.nic[i];
        struct switch_config config = {
            .trunk = nic->port.trunk, .vlan = nic->port.vlan, .allowed = nic->port.vlans};
        struct error err = {0};
        char name[8];

        if (!host_net_mac(i, config.guard.address))
            break;
        if (nic->line && !nic->uplink)
            continue;
        fmt_print(name, sizeof(name), "nic%u", i);
        config.name = name;
        if (net_thread_start(i, &hv.net, &config, &hv.net_group, &err) < 0)
            hv_log(LOG_WARN, "NIC %u is not on the switch: %s", i, err.text);
    }
}

/* ---- VMs ---- */

static void make_guests(void)
{
    for (unsigned i = 0; i < hv.config.vm_count; i++) {
        struct guest *g = heap_alloc(sizeof(*g), &memory_own);
        struct error err = {0};

        if (!g)
            error_set(&err, ENOMEM, "out of memory");
        else if (guest_create(g, &hv, hv.config.vm[i], hv.guest_count, &err) == 0)
            hv.guest[hv.guest_count++] = g;
        if (err.code) {
            hv_log(LOG_ERROR, "%s: left out: %s", hv.config.vm[i]->machine.name, err.text);
            heap_free(g);
        }
    }
}

static void start_guests(void)
{
    for (unsigned i = 0; hv.engine && i < hv.guest_count; i++) {
        if (hv.guest[i]->config->autostart)
            (void)guest_start(hv.guest[i], NULL, NULL);
    }
}

static void own_log(struct plat_metal *plat, enum log_level level, const char *text)
{
    hv_log(level, "%s", text);
}

void hv_main(void *arg)
{
    struct error err = {0};
    char test[32] = "";
    bool tested = boot_option("selftest", test, sizeof(test));

    hv.processor = processor_name();
    describe();
    random_init();
    plat_metal_init(&hv.plat, "batuta-hv", ~0ULL, &hv_group);
    hv.plat.log = own_log;
    if (tested && !selftest_kernel)
        hv_log(LOG_ERROR, "selftest: batuta-hv is without tests: boot batuta-hv-selftest");
    else if (tested && !text_equal(test, "drv"))
        (void)selftest_kernel(test);
    choose_engine();
    io_init();
    host_pci_scan();
    if (selftest_drivers && text_equal(test, "drv"))
        (void)selftest_drivers(&hv_group);
    read_config();
    settings_apply(&hv.config.own);
    start_network();
    make_guests();
    if (hv_monitor_start(&hv, uart_open(), &err) < 0)
        hv_log(LOG_ERROR, "there is no monitor: %s", err.text);
    hv_log(LOG_INFO, "ready");
    start_guests();
    for (;;)
        thread_wait();
}
