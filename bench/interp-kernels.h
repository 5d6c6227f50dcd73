/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernels of the interpreter's benchmark. Their code lies in a section of its own,
 * which is copied into a guest as it is: compiled without builtins, vector
 * registers and jump tables, it needs nothing but what the arguments point to.
 */
#ifndef BENCH_INTERP_KERNELS_H
#define BENCH_INTERP_KERNELS_H

#include <stdint.h>

typedef uint64_t kernel_fn(uint8_t *data, uint64_t n);

kernel_fn kernel_loop, kernel_sieve, kernel_copy, kernel_calls, kernel_hash, kernel_strings, kernel_indirect;

/* The section, as the linker names its ends. */
extern const uint8_t __start_guest_text[], __stop_guest_text[];

#endif
