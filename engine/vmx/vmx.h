/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VT-x on the bare machine: vCPUs behind core/engine.h, on top of core/metal.h.
 * Each processor is turned on before a VM runs there.
 */
#ifndef ENGINE_VMX_VMX_H
#define ENGINE_VMX_VMX_H

#include "core/engine.h"

struct metal_cpu;
struct plat;

extern const struct engine_ops vmx_engine;

/* Does this processor have VT-x at all (be it turned off)? */
bool vmx_present(void);

/*
 * Puts this processor into VMX operation, where INIT is blocked. plat: whose memory it
 * takes. Fails with one line that says what is missing.
 */
int vmx_cpu_on(struct metal_cpu *cpu, struct plat *plat, struct error *err);
/* Out of it, before another kernel is started or the machine is reset. */
void vmx_cpu_off(struct metal_cpu *cpu);

#endif
