/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The high precision event timer (IA-PC HPET specification 1.0a): a 64-bit counter
 * of 100 MHz at 0xfed00000, three comparators, periodic and one-shot, edge and
 * level, legacy replacement of IRQ 0 and 8.
 */
#ifndef DEV_TIMER_HPET_H
#define DEV_TIMER_HPET_H

#include "core/vm.h"

#define HPET_BASE   0xfed00000ULL
#define HPET_SIZE   0x400U
#define HPET_TIMERS 3U
/* Low half of the capabilities register, as the ACPI table repeats it: Intel, 64 bits, legacy, three timers.
 */
#define HPET_ID        (0x80860000U | BIT(15) | BIT(13) | (HPET_TIMERS - 1) << 8 | 1)
#define HPET_MIN_TICKS 1000U

struct hpet;
struct pit;
struct rtc;

/* pit and rtc: what it replaces in legacy mode. */
int hpet_create(struct vm *vm, struct pit *pit, struct rtc *rtc, struct hpet **out);

#endif
