/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A whole board with a fake clock and vCPUs that never run. */
#ifndef TESTS_UNIT_DEV_FIXTURE_H
#define TESTS_UNIT_DEV_FIXTURE_H

#include "base/base.h"

#include "core/device.h"
#include "core/vm.h"
#include "dev/board.h"
#include "tests/unit/fake-plat.h"

#define FIXTURE_RAM MIB(4)

struct fixture {
    struct fake_plat plat; /* first */
    struct vm vm;
    struct board board;
    struct chardev serial;
    uint8_t output[256]; /* what the guest wrote to COM1 */
    size_t output_len;
    size_t room;      /* how many bytes more COM1's far end takes */
    unsigned resumed; /* how often COM1 had room again */
    unsigned events[VM_EVENT_ERROR + 1];
    uint64_t event_arg;
    uint8_t *ram;
};

/* 0 or what vm_init(), vm_engine_init() or board_create() returned. */
int fixture_try(struct fixture *f, unsigned vcpus, unsigned fail_after);
void fixture_init(struct fixture *f, unsigned vcpus);
void fixture_finish(struct fixture *f);
/* cmocka's: one with one vCPU in *state, and its end. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

uint8_t inb(struct fixture *f, uint16_t port);
void outb(struct fixture *f, uint16_t port, uint8_t value);
uint32_t inl(struct fixture *f, uint16_t port);
void outl(struct fixture *f, uint16_t port, uint32_t value);
/* MMIO by a vCPU. */
uint32_t readl(struct fixture *f, unsigned cpu, uint64_t gpa);
void writel(struct fixture *f, unsigned cpu, uint64_t gpa, uint32_t value);
void advance(struct fixture *f, uint64_t ns);

/* Is the interrupt line up? */
bool line_up(struct fixture *f, unsigned gsi);
/* Unmasks an IO-APIC pin: edges or levels at it reach vCPU 0 as the vector, whose APIC is enabled. */
void route(struct fixture *f, unsigned pin, uint8_t vector, bool level);
/* The vector that vCPU 0 takes, ended at once; -1: none. */
int take(struct fixture *f);

#endif
