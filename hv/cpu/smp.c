/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All processors are started at once; each takes the next free number, so numbers are in the order of arrival
 * and without gaps. They wait, ready, until the first one knows how many have come and lets them into the
 * scheduler.
 */
#include "base/bytes.h"
#include "hv/boot/acpi.h"
#include "hv/boot/boot-info.h"
#include "hv/cpu/apic.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/timer.h"
#include "hv/cpu/trap.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/mem/map.h"
#include "hv/panic.h"
#include "hv/thread.h"

#define TRAMPOLINE_LOW 0x1000U
#define TRAMPOLINE_TOP 0xa0000U
#define ARRIVAL_NS     2000000000ULL

/* As hv/boot/trampoline.S reads it. */
struct trampoline {
    uint32_t cr3, efer;
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint16_t pad;
    uint32_t entry64, selector;
    uint32_t next, count; /* numbers given, and how many there are */
    uint64_t *stacks;
    void (*entry)(uint32_t number);
} __attribute__((packed, aligned(8)));

_Static_assert(sizeof(struct trampoline) == 48, "trampoline.S has the offsets");

extern const uint8_t trampoline_start[], trampoline_64[], trampoline_data[], trampoline_end[], boot_gdt[];
extern uint64_t boot_pml4[];

static struct {
    struct cpu *cpu[HV_MAX_CPUS]; /* by number, without the first processor */
    uint64_t stack[HV_MAX_CPUS];
    uint64_t tsc[HV_MAX_CPUS]; /* at its arrival */
    unsigned count;
    unsigned arrived; /* atomic */
    bool go;          /* atomic */
} smp;

static void note_id(struct cpu *cpu)
{
    cpu->metal.apic_id = apic_id();
    for (unsigned i = 0; i < acpi.cpu_count; i++) {
        if (acpi.cpus[i].apic_id == cpu->metal.apic_id)
            cpu->node = acpi.cpus[i].node;
    }
}

/* ---- on the new processor ---- */

static void arrive(uint32_t number)
{
    struct cpu *cpu = smp.cpu[number];

    cpu_features_on();
    map_use();
    cpu_tables_use(cpu);
    apic_init_cpu();
    note_id(cpu);
    map_catch_up();
    smp.tsc[number] = rdtsc();
    __atomic_fetch_add(&smp.arrived, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&smp.go, __ATOMIC_ACQUIRE))
        cpu_pause();
    map_catch_up();
    thread_idle_loop();
}

/* ---- on the first one ---- */

/* A page below 640 KiB that is free memory, not in a module's way. PAGE_NONE: none. */
static uint64_t find_page(void)
{
    const struct boot_info *b = &boot_info;

    for (uint64_t page = TRAMPOLINE_TOP - PAGE_SIZE; page >= TRAMPOLINE_LOW; page -= PAGE_SIZE) {
        bool free = false;

        for (unsigned i = 0; i < b->range_count; i++)
            free |= b->ranges[i].kind == BOOT_FREE && page >= b->ranges[i].base &&
                    page + PAGE_SIZE <= b->ranges[i].base + b->ranges[i].size;
        for (unsigned i = 0; i < b->module_count; i++)
            free &= b->modules[i].phys >= page + PAGE_SIZE || b->modules[i].phys + b->modules[i].size <= page;
        if (free)
            return page;
    }
    return PAGE_NONE;
}

static volatile struct trampoline *lay_trampoline(uint64_t page)
{
    uint8_t *copy = phys_to_virt(page);
    struct trampoline *t = (void *)(copy + (SYMBOL(trampoline_data) - SYMBOL(trampoline_start)));

    memcpy(copy, trampoline_start, SYMBOL(trampoline_end) - SYMBOL(trampoline_start));
    *t = (struct trampoline){
        .cr3 = (uint32_t)map_trampoline_root(boot_pml4),
        .efer = (uint32_t)(rdmsr(MSR_EFER) & (EFER_LME | EFER_NXE)),
        .gdt_limit = 23,
        .gdt_base = (uint32_t)virt_to_phys(boot_gdt),
        .entry64 = (uint32_t)(page + SYMBOL(trampoline_64) - SYMBOL(trampoline_start)),
        .selector = SEL_CODE,
        .count = smp.count,
        .stacks = smp.stack,
        .entry = arrive,
    };
    return t;
}

static unsigned arrived(void)
{
    return __atomic_load_n(&smp.arrived, __ATOMIC_ACQUIRE);
}

static void wait_for_all(uint64_t ns)
{
    uint64_t end = time_now() + ns;

    while (arrived() < smp.count && time_now() < end)
        cpu_pause();
}

/* INIT, then the start-up IPI, twice if somebody did not hear the first (SDM 3A 8.4.4.1). The 10 ms behind
 * INIT are for processors of the last century, which are not 64-bit. */
static void send_startup(uint64_t page)
{
    uint32_t self = apic_id();

    for (unsigned pass = 0; pass < 3 && arrived() < smp.count; pass++) {
        unsigned sent = 0;

        for (unsigned i = 0; i < acpi.cpu_count && sent < smp.count; i++) {
            if (acpi.cpus[i].apic_id == self)
                continue;
            if (pass == 0)
                apic_send_init(acpi.cpus[i].apic_id);
            else
                apic_send_startup(acpi.cpus[i].apic_id, (uint8_t)(page >> 12));
            sent++;
        }
        if (pass == 0)
            time_delay(200000);
        else
            wait_for_all(pass == 1 ? 2000000 : ARRIVAL_NS);
    }
}

static unsigned wanted_count(void)
{
    char buf[8];
    const char *limit = boot_option("maxcpus", buf, sizeof(buf));
    unsigned count = MAX(acpi.cpu_count, 1U), n = 0;

    for (; limit && *limit >= '0' && *limit <= '9'; limit++)
        n = n * 10 + (unsigned)(*limit - '0');
    return n ? MIN(n, count) : count;
}

static void create_cpus(void)
{
    unsigned wanted = wanted_count() - 1;

    for (smp.count = 0; smp.count < wanted; smp.count++) {
        struct cpu *cpu = cpu_create(smp.count + 1);

        if (!cpu || !thread_create_idle(cpu, &smp.stack[smp.count])) {
            hv_log(LOG_WARN, "no memory to start more than %u processors", smp.count + 1);
            return;
        }
        smp.cpu[smp.count] = cpu;
    }
}

void smp_start(void)
{
    uint64_t page = find_page(), begin = rdtsc();
    volatile struct trampoline *t;

    note_id(cpu_this());
    create_cpus();
    if (!smp.count)
        return;
    if (page == PAGE_NONE) {
        hv_log(LOG_WARN, "no free page below 640 KiB: only one processor can be used");
        return;
    }
    t = lay_trampoline(page);
    send_startup(page);
    if (arrived() < smp.count)
        hv_log(LOG_WARN, "%u of %u processors did not start", smp.count - arrived(), smp.count);
    /* Who comes later finds no number; who has one is ready in a moment. */
    t->count = 0;
    while (arrived() < MIN(t->next, smp.count))
        cpu_pause();
    smp.count = arrived();
    for (unsigned i = 0; i < smp.count; i++) {
        cpus[i + 1] = smp.cpu[i];
        if (smp.tsc[i] < begin || smp.tsc[i] > rdtsc())
            hv_log(LOG_WARN, "processor %u: its time stamp counter is not in step: time will jump", i + 1);
    }
    cpu_count = smp.count + 1;
}

void smp_go(void)
{
    __atomic_store_n(&smp.go, true, __ATOMIC_RELEASE);
}
