/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small programs that are measured natively and in VMs: one static binary holds
 * them all, so that every subject runs the very same instructions.
 *
 * A kernel's work is cut into rounds. Each round does the same and returns the
 * same checksum, so that a fast subject may run many and a slow one few: what is
 * compared is the time of a round. Anything that must not be timed is in prepare.
 */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel {
    const char *group, *name;
    /* The answer of CPUID decides; a kernel without it runs on every x86-64. */
    bool (*usable)(void);
    void (*prepare)(void);
    uint64_t (*round)(void);
};

/* Each ends with a kernel that has no name. */
extern const struct kernel integer_kernels[], data_kernels[], fp_kernels[], memory_kernels[],
    system_kernels[], smp_kernels[];

/* What a kernel hides from the compiler, so that nothing is computed at compile time or left out. */
#define HIDE(x) __asm__ volatile("" : "+r"(x) : : "memory")

/* A fixed pseudo-random sequence (xorshift64). */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
#define SEED 0x9e3779b97f4a7c15ULL

/* FNV-1a over bytes. */
uint64_t checksum(const void *data, size_t size);
/* Text like a log file's, always the same, for whatever packs and searches. */
void text_fill(char *to, size_t size);
/* Ends the program with a message if a call of the C library failed. */
void must(bool worked, const char *what);
/* malloc that cannot fail. */
void *allocate(size_t size);
double now(void);

#endif
