/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of engine/hw. */
#ifndef ENGINE_HW_HW_INTERNAL_H
#define ENGINE_HW_HW_INTERNAL_H

#include "engine/hw/hw.h"

/* alone.c: the vCPU touches guest memory by itself; waits while another is alone. */
void hw_step_enter(struct hw_vcpu *v);
void hw_step_leave(struct hw_vcpu *v);

/* The processor's TSC at the guest's rate; v->tsc_offset is what the guest's is ahead of it. */
uint64_t hw_scaled_tsc(const struct hw_vm *h);
/* cpu.s.tsc_offset has changed. */
void hw_tsc_moved(struct hw_vcpu *v);

/* While loaded: what x86/ has changed of vectors and XCR0 into the registers. */
void hw_fpu_reload(struct hw_vcpu *v);

#endif
