/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end: what happened, where (names of functions and who called them) and on which
 * processor goes to the console, the other processors stop, and then the machine restarts
 * after a few seconds ("panic=reboot", as if not said), or stands still ("panic=halt"),
 * by the command line or the configuration.
 */
#ifndef HV_PANIC_H
#define HV_PANIC_H

#include "base/base.h"

struct trap_frame;

_Noreturn void panic(const char *fmt, ...) ATTR_PRINTF(1, 2) ATTR_COLD;
/* That processor has not come back for so long: another one says where it is. */
_Noreturn void panic_stuck(unsigned cpu, unsigned seconds) ATTR_COLD;
/* What follows, if the command line does not say it. */
void panic_set(bool halt, unsigned seconds);
/* An exception that nobody can make good. */
_Noreturn void panic_trap(const struct trap_frame *frame, const char *what) ATTR_COLD;
/* Has some processor panicked? Whoever gets an NMI then stops for good. */
bool panicking(void);
/* The NMI's part on a processor that has not: where it was. Does not return. */
_Noreturn void panic_stop(uint64_t rip, uint64_t rbp);

/* Restarts the machine by ACPI's reset register, or one of the older ways. */
_Noreturn void machine_reset(void);
/* By ACPI (hv/power.c); stands still if the firmware does not say how. */
_Noreturn void machine_off(void);

/* "name+0x12" of an address in the image's text, or only the address; returns buf. */
const char *symbol_text(uint64_t address, char *buf, size_t size);

#endif
