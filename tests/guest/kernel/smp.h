/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Further processors: they start in real mode, and go on in long mode or wherever they are told to. */
#ifndef TESTS_GUEST_SMP_H
#define TESTS_GUEST_SMP_H

#include "tests/guest/kernel/kernel.h"

#define TRAMPOLINE 0x8000ULL

unsigned processor_count(void);
/* All other processors run work(0…) with interrupts off; returns how many there are. */
unsigned start_all(void (*work)(unsigned index));
/* The same where fw_cfg does not tell how many there are. */
void start_others(unsigned others, void (*work)(unsigned index));
extern volatile uint32_t ap_count; /* that have started */

/* The mode as the trampoline's dword takes it (smp.c), for who sends INIT and SIPI itself. */
void place_trampoline(uint32_t mode);
void send_ipi(uint32_t destination, uint32_t command);
void pause_a_little(unsigned n);

#endif
