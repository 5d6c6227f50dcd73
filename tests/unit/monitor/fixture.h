/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A monitor with three VMs, of which the last is off, and ports whose other ends the test holds. */
#ifndef TESTS_UNIT_MONITOR_FIXTURE_H
#define TESTS_UNIT_MONITOR_FIXTURE_H

#include "monitor/monitor.h"
#include "tests/unit/fake-plat.h"

#define FIXTURE_VMS 3
#define FIXTURE_OUT (1U << 19)

/* A port of the machine: what the monitor wrote, and room for how much more. */
struct wire {
    struct chardev chardev; /* first */
    char out[FIXTURE_OUT];
    size_t len;
    size_t room; /* ~0: any amount */
    unsigned resumed;
};

/* A VM's device: what it got, and how often it heard of room. */
struct device_end {
    struct chardev *chardev;
    char in[4096];
    size_t len, room;
    unsigned writable;
};

struct fixture {
    struct fake_plat plat;
    struct vm vm[FIXTURE_VMS - 1];
    uint8_t *ram;
    struct control_target target[FIXTURE_VMS];
    struct device_end device[FIXTURE_VMS];
    struct wire terminal, management;
    struct monitor *monitor;
    uint64_t now, until;
    unsigned wakes, held;
    unsigned started, stopped, forced, machine, rebooted, screened;
    const char *refuse; /* start() fails with it */
    char append[2048];  /* what it got */
};

/* NULL: no memory (plat.fail_after). */
struct fixture *fixture_create(unsigned fail_after);
void fixture_destroy(struct fixture *f);

/* Time goes on, and the monitor and the VMs' threads do all that they have to. */
void fixture_run(struct fixture *f, uint64_t ns);
/* The VM writes all; false: its device had to wait, and wrote less. */
bool fixture_write(struct fixture *f, unsigned vm, const void *bytes, size_t len);
/* Somebody types; all of it arrives. */
void fixture_type(struct fixture *f, struct wire *wire, const void *keys, size_t len);
/* What came out since the last time, after some time. */
const char *fixture_output(struct fixture *f, struct wire *wire);
void fixture_connect(struct fixture *f, bool connected);

#endif
