/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least of a bare machine that an engine runs on: one processor, all memory mapped
 * one to one, a timer interrupt each millisecond. Boots by multiboot 1 (QEMU -kernel,
 * GRUB) with tests/guest/kernel/start.S, and ends with a verdict on the debug ports.
 */
#ifndef TESTS_HV_BARE_H
#define TESTS_HV_BARE_H

#include "core/metal.h"
#include "core/vm.h"

#define BARE_GUEST_RAM MIB(32)

struct bare_plat {
    struct plat plat;
    struct vm *vm;
    uint64_t deadline; /* of clock_run() */
    struct plat_work *work;
    unsigned allocations; /* not yet freed */
};

extern struct metal_cpu bare_cpu;
extern volatile uint64_t bare_interrupts; /* of the machine, while guests ran or slept */

/* Memory of the guest to come: zeroed. */
void *bare_guest_ram(uint64_t size);
void bare_plat_init(struct bare_plat *bare, struct vm *vm);
/* Memory that was handed out since the last call is free again. */
void bare_memory_reset(void);

/* Whose processor this is: what they lack is known. */
enum bare_bed { BARE_REAL, BARE_QEMU, BARE_BOCHS };
enum bare_bed bare_bed(void);
/* linux.c: modules as multiboot 1 lists them. */
bool bare_linux(const struct engine_ops *engine, const void *modules, unsigned count);

void bare_print(const char *text);
void bare_printf(const char *fmt, ...) ATTR_PRINTF(1, 2);
void bare_end(bool pass) __attribute__((noreturn));

#endif
