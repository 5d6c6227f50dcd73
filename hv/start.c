/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/start.h"

#include "hv/boot/acpi.h"
#include "hv/boot/boot-info.h"
#include "hv/console.h"
#include "hv/cpu/apic.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/irq.h"
#include "hv/log.h"
#include "hv/mem/page.h"
#include "hv/panic.h"
#include "hv/thread.h"

#define LINKED_AT 0x200000U

extern const uint8_t image_start[], image_end[];

void hv_start(uint32_t magic, uint64_t info, uint64_t delta)
{
    bool known;

    time_boot();
    cpu_init_first();
    boot_info.image_phys = LINKED_AT + delta;
    boot_info.image_size = SYMBOL(image_end) - SYMBOL(image_start);
    known = boot_info_read(magic, info);
    console_open();
    log_init();
    if (!known)
        panic("not started by a multiboot loader (0x%x)", magic);
    cpu_features_on();
    memory_init();
    console_remap();
    acpi_init();
    irq_init(); /* before the local APIC stops listening to the 8259s: nothing hangs between the two */
    apic_init(acpi.lapic);
    apic_init_cpu();
    time_init();
    thread_init_first();
    smp_start();
    thread_start();
    smp_go();
    if (!thread_create("main", &hv_group, &memory_own, hv_main, NULL))
        panic("no memory for the first thread");
    thread_idle_loop();
}
