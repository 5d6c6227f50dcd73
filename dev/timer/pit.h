/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254 programmable interval timer (Intel 8254 data sheet) at ports 0x40 to
 * 0x43, counter 0 on ISA interrupt 0, and port 0x61 (NMI status and control: the
 * speaker's gate, counter 2's output, the refresh toggle).
 */
#ifndef DEV_TIMER_PIT_H
#define DEV_TIMER_PIT_H

#include "core/vm.h"

#define PIT_HZ 1193182U

struct pit;

int pit_create(struct vm *vm, struct pit **out);
/* Takes counter 0 off its interrupt line, and back: the HPET replaces it. */
void pit_mute(struct pit *pit, bool mute);

#endif
