/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of the differential test: 64-bit mode at CPL 3, page tables for the
 * few pages that exist natively, a GDT as Linux has it, and for the supervisor
 * an IDT whose handlers halt.
 */
#ifndef TESTS_DIFF_GUEST_H
#define TESTS_DIFF_GUEST_H

#include "tests/diff/diff.h"

/* Its memory, page by page. */
enum {
    GUEST_PML4,
    GUEST_PDPT,
    GUEST_PD,
    GUEST_PT,
    GUEST_PDPT_SYSTEM, /* the same for DIFF_SYSTEM */
    GUEST_PD_SYSTEM,
    GUEST_PT_SYSTEM,
    GUEST_GDT, /* from here four at DIFF_SYSTEM */
    GUEST_IDT,
    GUEST_STUBS,
    GUEST_STACK,
    GUEST_DATA,
    GUEST_CODE = GUEST_DATA + 3,
    GUEST_PAGES = GUEST_CODE + 3,
};

#define GUEST_STUBS_AT  (DIFF_SYSTEM + 0x2000)
#define GUEST_STUB_SIZE 16U
#define GUEST_STACK_TOP (DIFF_SYSTEM + 0x4000)

/* Fills all but the data and code of memory, GUEST_PAGES pages at gpa. */
void guest_make(uint8_t *memory, uint64_t gpa);
/* Control registers and tables, once; the CPUID model must be there. */
void guest_control(struct x86_cpu *cpu, uint64_t gpa);
void guest_load_state(struct x86_cpu *cpu, const struct diff_state *in);
void guest_store_state(struct x86_cpu *cpu, struct diff_state *out);

#endif
