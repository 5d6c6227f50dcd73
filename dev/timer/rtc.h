/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MC146818 real-time clock (Motorola data sheet) with 256 bytes of CMOS memory
 * at ports 0x70 to 0x73, interrupt 8. It keeps UTC, from the VM clock and
 * clock.rtc_base; what the guest sets is an offset to that, and like the memory
 * outlives a reset, as by a battery.
 */
#ifndef DEV_TIMER_RTC_H
#define DEV_TIMER_RTC_H

#include "core/vm.h"

#define RTC_CENTURY 0x32U /* the register's index, for the FADT */

struct rtc;

int rtc_create(struct vm *vm, struct rtc **out);
/* Takes it off its interrupt line, and back: the HPET replaces it. */
void rtc_mute(struct rtc *rtc, bool mute);

#endif
