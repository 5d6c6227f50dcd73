/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine that a test is compiled for: -DTEST_BT, or the interpreter. */
#ifndef TESTS_UNIT_INTERP_ENGINE_H
#define TESTS_UNIT_INTERP_ENGINE_H

#ifdef TEST_BT
#include "engine/bt/bt.h"
#define TEST_ENGINE      bt_engine
#define TEST_ENGINE_NAME "bt"
/* Blocks that 1000 stores beside the code may cost: the translator gives the page up now and then. */
#define TEST_KILLED_BESIDE 16
#define TEST_COUNTS        0 /* it counts instructions under --icount only */
#else
#include "engine/interp/interp.h"
#define TEST_ENGINE        interp_engine
#define TEST_ENGINE_NAME   "interp"
#define TEST_KILLED_BESIDE 0
#define TEST_COUNTS        1
#endif

#include "core/vm.h"

struct test_counts {
    uint64_t blocks, killed;
};

static inline struct test_counts test_counts_of(struct vcpu *vcpu)
{
#ifdef TEST_BT
    struct bt_stats stats;

    bt_stats_get(vcpu->vm, &stats);
#else
    struct interp_stats stats;

    interp_stats_get(vcpu, &stats);
#endif
    return (struct test_counts){.blocks = stats.blocks, .killed = stats.killed};
}

static inline size_t test_engine_statistics(struct vcpu *vcpu, char *buf, size_t size)
{
#ifdef TEST_BT
    return bt_stats_format(vcpu->vm, buf, size);
#else
    return interp_stats_format(vcpu, buf, size);
#endif
}

#endif
