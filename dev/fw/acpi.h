/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables (ACPI 6.3) made from the machine's own description: RSDP, XSDT, FADT,
 * FACS, MADT, MCFG, HPET, WDAT, DSDT.
 */
#ifndef DEV_FW_ACPI_H
#define DEV_FW_ACPI_H

#include "core/vm.h"

struct board;

#define ACPI_TABLES_MAX 8

struct acpi_tables {
    size_t length; /* of what was written to the buffer */
    uint64_t rsdp; /* guest-physical */
    struct {
        size_t offset, length; /* in the buffer */
    } table[ACPI_TABLES_MAX];  /* all but the RSDP, for tests and firmware interfaces */
    unsigned count;
};

/*
 * Writes all tables to buf, which the caller copies to gpa_base (a multiple of 64;
 * in 0xe0000..0xfffff for guests to find the RSDP, which comes first). -ENOSPC: buf is too small.
 */
int acpi_build(struct vm *vm, const struct board *board, uint8_t *buf, size_t size, uint64_t gpa_base,
               struct acpi_tables *out);

#endif
