/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code in the old modes, from a program in long mode. legacy_run() takes it to 32-bit
 * protected mode without paging, with flat segments, where the code returns or jumps to
 * legacy_return. A trap there notes what it was, and goes on at legacy_recover.
 */
#ifndef TESTS_GUEST_LEGACY_H
#define TESTS_GUEST_LEGACY_H

#include "tests/guest/isolation/machine.h"

/* Selectors */
#define SEL_DATA       0x10
#define SEL_CODE       0x18
#define SEL_CODE16     0x20 /* at CODE16, 64 KiB */
#define SEL_DATA16     0x28
#define SEL_TSS        0x30
#define SEL_OTHER_TSS  0x38
#define SEL_SMALL      0x40 /* data: legacy_area, limit 0xfff */
#define SEL_DOWN       0x48 /* data, grows down to 0x1000 */
#define SEL_READ_ONLY  0x50
#define SEL_ABSENT     0x58
#define SEL_USER_CODE  0x60
#define SEL_USER_DATA  0x68
#define SEL_STACK16    0x70 /* at CODE16, SP instead of ESP */
#define SEL_SMALL_CODE 0x78 /* flat, limit 0xfff */
#define SEL_TASK_GATE  0x80
#define SEL_LDT        0x88

#define CODE16         0x10000

extern uint64_t legacy_gdt[32], legacy_idt[256];
extern uint32_t legacy_tss[2][2200]; /* each with room for its I/O permissions */
extern uint8_t legacy_area[8192];

extern uint32_t legacy_vector, legacy_error, legacy_eip, legacy_cs, legacy_eflags, legacy_regs[8],
    legacy_recover, legacy_result[64];
extern uint8_t legacy_stack_top[], legacy_stubs[];

/* Tables as they are to be; before each run that may have changed them. */
void legacy_prepare(void);
void legacy_run(void (*entry)(void));
void legacy_return(void);

/* For 32-bit code in __asm__: runs `text`, and adds the vector (or -1) and the error code to the results. */
#define LEGACY_TRY(text)                                                                                     \
    "movl $8f, legacy_recover; movl $-1, legacy_vector; movl $0, legacy_error\n" text                        \
    "\n8: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov $legacy_stack_top - 64, %esp\n"  \
    "mov legacy_at, %eax; mov legacy_vector, %ecx; mov %ecx, (%eax); mov legacy_error, %ecx\n"               \
    "mov %ecx, 4(%eax); addl $8, legacy_at\n"
extern uint32_t legacy_at;

/* Compares what LEGACY_TRY noted. */
void legacy_expect(const char *name, const int32_t (*wanted)[2], unsigned count);

#endif
