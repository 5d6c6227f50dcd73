/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for the generated code of vector instructions: one piece seen twice,
 * writable and executable, so that no page is ever both.
 */
#ifndef ENGINE_COMMON_THUNK_MEMORY_H
#define ENGINE_COMMON_THUNK_MEMORY_H

#include "base/error.h"
#include "x86/thunk.h"

/* Can there be any here? 0 or a negative errno. */
int thunk_memory_probe(struct error *err);
/* Makes both mappings and sets up thunks. 0 or a negative errno. */
int thunk_memory_init(struct x86_thunks *thunks, struct error *err);
/* Harmless if init failed or never ran on this zeroed struct. */
void thunk_memory_finish(struct x86_thunks *thunks);

#endif
