/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions and interrupts as they arrive, and instructions that may fault and say so. */
#ifndef HV_CPU_TRAP_H
#define HV_CPU_TRAP_H

#include "base/base.h"

#define TRAP_DB      1U
#define TRAP_NMI     2U
#define TRAP_DF      8U
#define TRAP_PF      14U
#define TRAP_MC      18U

#define TRAP_IST_NMI 1U
#define TRAP_IST_DF  2U
#define TRAP_IST_MC  3U

#define SEL_CODE     0x08U
#define SEL_DATA     0x10U
#define SEL_TSS      0x18U

/* As hv/cpu/traps.S stores it. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

void trap_handle(struct trap_frame *frame);
/* The IDT, once; then each processor loads it. */
void trap_init(void);
void trap_use(void);

/* An exception at `at` goes on at `to`. */
#define FIXUP(at, to) ".pushsection .fixup, \"a\"\n .quad " at ", " to "\n .popsection\n"

/* False: a page fault (or #GP: not canonical). */
static inline bool probe_read64(uint64_t address, uint64_t *value)
{
    uint64_t v = 0;
    bool ok = false;

    __asm__ volatile("1: mov (%2), %0\n mov $1, %1\n2:\n" FIXUP("1b", "2b")
                     : "+r"(v), "+q"(ok)
                     : "r"(address)
                     : "memory");
    if (ok)
        *value = v;
    return ok;
}

static inline bool probe_write8(uint64_t address, uint8_t value)
{
    bool ok = false;

    __asm__ volatile("1: movb %1, (%2)\n mov $1, %0\n2:\n" FIXUP("1b", "2b")
                     : "+q"(ok)
                     : "q"(value), "r"(address)
                     : "memory");
    return ok;
}

/* Calls the address, where a RET stands. False: nothing can be executed there. */
bool probe_call(uint64_t address);

#endif
