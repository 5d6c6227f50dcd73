/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/metal.h for unit tests: one processor, physical addresses that are the host's
 * own moved by a constant, guests' RAM in pieces as large as the test says.
 */
#ifndef TESTS_UNIT_HW_FAKE_METAL_H
#define TESTS_UNIT_HW_FAKE_METAL_H

#include "core/metal.h"

/* Far from all that the host's addresses can be mistaken for. */
#define FAKE_PHYS_MOVE 0x100000000000ULL
#define FAKE_RAM_PHYS  0x4000000000ULL /* of the guest's RAM at offset 0, plus ram_skew */

struct fake_metal {
    struct metal_cpu cpu;
    uint64_t piece;    /* what metal_ram() says of its size */
    uint64_t ram_skew; /* the RAM's distance from an aligned address */
    unsigned yields, kicks, siblings;
    bool must_yield;
    void (*on_yield)(struct vcpu *vcpu);
};

extern struct fake_metal fake_metal;

#endif
