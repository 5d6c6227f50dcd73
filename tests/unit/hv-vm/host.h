/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor's VMs (hv/vm/build.c, devices.c, plat.c) on the host: under them a machine
 * of POSIX threads with memory from malloc(), and the interpreter for an engine. There is one VM,
 * and the test's own thread is its I/O thread.
 */
#ifndef TESTS_UNIT_HV_VM_HOST_H
#define TESTS_UNIT_HV_VM_HOST_H

#include "core/net.h"
#include "hv/hv.h"

#define HOST_TSC_KHZ 2100000U

struct host {
    struct hv hv;
    struct guest guest;
    char said[65536]; /* by its first console */
    size_t said_len;
    enum vm_event last_event; /* shutdowns apart */
    uint64_t last_arg;
    char log[1024];     /* the last line */
    void (*idle)(void); /* on the I/O thread between two pieces of work, no lock held; NULL: nothing */
};

extern struct host host;

/* With the first VM of the description `text`; modules must stay. Aborts with a reason if it is wrong. */
void host_init(const char *text, const struct engine_ops *engine);
void host_module(const char *name, const void *bytes, size_t size);
/* guest_build() has been; the VM runs until it is off. False: it was not within so many seconds. */
bool host_run(unsigned seconds);
void host_finish(void);

#endif
