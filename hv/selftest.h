/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "selftest" on the command line: tests of what only the machine itself can show. They are of tests/hv,
 * linked into build/tests/hv/batuta-hv-selftest; batuta-hv has none of them, and says so. False: something
 * failed.
 */
#ifndef HV_SELFTEST_H
#define HV_SELFTEST_H

#include "base/base.h"

struct sched_group;

/* The kernel: memory, threads, timers, interrupts; or the panic of that name (tests/hv/selftest.c). */
__attribute__((weak)) bool selftest_kernel(const char *what);

/* "selftest=drv", after host_pci_scan(): the drivers on the machine's own devices. The disk is written to. */
__attribute__((weak)) bool selftest_drivers(struct sched_group *group);

#endif
