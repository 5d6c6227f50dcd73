/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flat processor for each test of integer instructions. */
#ifndef TESTS_X86_EXEC_FIXTURE_H
#define TESTS_X86_EXEC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/x86-exec/flat-cpu.h"

#define DATA       0x40000ULL
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline int setup(void **state)
{
    struct flat_cpu *f = aligned_alloc(64, ALIGN_UP(sizeof(*f), 64));

    flat_init(f, NULL);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    flat_finish(*state);
    free(*state);
    return 0;
}

static inline uint64_t *gpr(struct flat_cpu *f)
{
    return f->cpu.s.gpr;
}

static inline void assert_page_fault(const struct flat_cpu *f, uint64_t cr2, uint32_t error)
{
    assert_int_equal(f->cpu.fault.vector, X86_PF);
    assert_int_equal(f->cpu.fault_cr2, cr2);
    assert_int_equal(f->cpu.fault.error, error);
}

#endif
