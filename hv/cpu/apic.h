/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APICs, as xAPIC or x2APIC (SDM 3A 10), and the vectors that the hypervisor uses:
 *
 *   0x20 .. 0x2f   the 8259s', which are masked: only spurious ones
 *   0x30 .. 0xef   devices, given out by hv/cpu/irq.h from the top down
 */
#ifndef HV_CPU_APIC_H
#define HV_CPU_APIC_H

#include "base/base.h"

#define VECTOR_DEVICES     0x30U
#define VECTOR_DEVICES_END 0xf0U
#define VECTOR_POKE        0xfdU
#define VECTOR_TIMER       0xfeU
#define VECTOR_SPURIOUS    0xffU

/* Once: which kind; where its registers are. Then on each processor. */
void apic_init(uint64_t address);
void apic_init_cpu(void);
uint32_t apic_id(void);
void apic_eoi(void);

void apic_ipi(uint32_t id, uint8_t vector);
void apic_nmi_others(void);
void apic_send_init(uint32_t id);
void apic_send_startup(uint32_t id, uint8_t page);

/* The timer: one-shot, in its own ticks, or at a TSC value where the processor has that. */
bool apic_timer_is_tsc(void);
void apic_timer_set_tsc(uint64_t tsc); /* 0: off */
void apic_timer_set_ticks(uint32_t ticks);
uint32_t apic_timer_ticks_left(void);

#endif
