/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AMD-V as an engine for the bare machine: nested paging and all that engine/hw shares with VT-x. */
#ifndef ENGINE_SVM_SVM_H
#define ENGINE_SVM_SVM_H

#include "core/engine.h"
#include "core/metal.h"

struct plat;

extern const struct engine_ops svm_engine;

/*
 * Makes this processor one that runs guests: on each, once, after its GS base, TR and control registers are
 * what they stay. plat: whose memory it takes (about 2 MiB). 0 or a negative errno with a line that
 * says what the processor lacks or the firmware has turned off.
 */
int svm_cpu_on(struct metal_cpu *cpu, struct plat *plat, struct error *err);

#endif
