/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the firmware's ACPI tables (ACPI 6.4, 5.2) say of the machine. A table with a wrong
 * checksum or length is passed over, with a warning; a machine without tables has one processor.
 */
#ifndef HV_BOOT_ACPI_H
#define HV_BOOT_ACPI_H

#include "hv/cpu/cpu.h"

#define ACPI_MAX_IOAPICS 16
#define ACPI_MAX_ECAMS   8

struct acpi_isa {
    uint32_t gsi;
    bool level, active_low;
};

struct acpi_ecam {
    uint64_t base; /* of bus 0 */
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

struct acpi {
    struct {
        uint32_t apic_id, node;
    } cpus[HV_MAX_CPUS]; /* that may be used, the first processor among them */
    unsigned cpu_count, cpus_dropped;

    struct {
        uint64_t address;
        uint32_t first_gsi;
    } ioapics[ACPI_MAX_IOAPICS];
    unsigned ioapic_count;
    struct acpi_isa isa[16]; /* by the 8259s' inputs */

    struct acpi_ecam ecams[ACPI_MAX_ECAMS]; /* PCI Express configuration space */
    unsigned ecam_count;

    uint64_t lapic;    /* the local APICs' registers */
    uint64_t hpet;     /* 0: none */
    uint16_t pm_timer; /* its port; 0: none */
    bool pm_timer_32;  /* counts in 32 bits, not 24 */
    uint8_t century;   /* the RTC's register of it; 0: none */

    uint16_t pm1_control[2]; /* ports of the registers that switch the machine off; 0: none */
    uint64_t dsdt_phys;
    const uint8_t *dsdt; /* NULL: none */
    uint32_t dsdt_len;

    uint8_t reset_space; /* 0: memory, 1: port, 2: PCI configuration; 0xff: no such register */
    uint64_t reset_address;
    uint8_t reset_value;
};

extern struct acpi acpi;

void acpi_init(void);

#endif
