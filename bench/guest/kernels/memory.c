/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving and reading memory. */
#include "kernels.h"

#include <string.h>

#define BLOCK (1u << 20)

static uint8_t source[BLOCK], target[BLOCK];

static void blocks_prepare(void)
{
    uint64_t random = SEED;

    for (unsigned i = 0; i < BLOCK; i += 8) {
        uint64_t r = next_random(&random);

        memcpy(source + i, &r, 8);
    }
}

static uint64_t memcpy_round(void)
{
    uint8_t *to = target;

    HIDE(to);
    memcpy(to, source, BLOCK);
    return checksum(target + BLOCK - 64, 64);
}

/* As programs mostly do it: 1 to 256 bytes at any address. */
static uint64_t small_copies_round(void)
{
    uint64_t random = SEED;

    for (unsigned i = 0; i < 4000; i++) {
        uint64_t r = next_random(&random);

        memcpy(target + (r & 0xffff), source + (r >> 16 & 0xffff), (r >> 32 & 255) + 1);
    }
    return checksum(target, 256);
}

static uint64_t memset_round(void)
{
    uint8_t *to = target;

    HIDE(to);
    memset(to, 0x5a, BLOCK);
    return checksum(target + BLOCK - 64, 64);
}

static uint64_t rep_movs_round(void)
{
    void *to = target;
    const void *from = source;
    size_t count = BLOCK / 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return checksum(target + BLOCK - 64, 64);
}

static uint64_t rep_stos_round(void)
{
    void *to = target;
    size_t count = BLOCK;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0x33) : "memory");
    return checksum(target + BLOCK - 64, 64);
}

/* McCalpin's triad over three arrays of 2 MiB. */

#define DOUBLES (256u << 10)

static double *triad[3];

static void triad_prepare(void)
{
    for (unsigned i = 0; i < 3; i++)
        triad[i] = allocate(DOUBLES * sizeof(double));
    for (unsigned i = 0; i < DOUBLES; i++) {
        triad[1][i] = i;
        triad[2][i] = 1.0 / (i + 1);
    }
}

static uint64_t triad_round(void)
{
    double *restrict a = triad[0], *restrict b = triad[1], *restrict c = triad[2];
    double factor = 3;

    HIDE(factor);
    for (unsigned i = 0; i < DOUBLES; i++)
        a[i] = b[i] + factor * c[i];
    return checksum(a, 512);
}

/* A chain through 32 MiB in no order: each load waits for the last one, and most miss every TLB. */

#define LINKS (8u << 20)

static uint32_t *chain;

static void chase_prepare(void)
{
    uint64_t random = SEED;

    /* Sattolo's shuffle makes one cycle of it. */
    chain = allocate(LINKS * sizeof(*chain));
    for (uint32_t i = 0; i < LINKS; i++)
        chain[i] = i;
    for (uint32_t i = LINKS - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(next_random(&random) % i), swap = chain[i];

        chain[i] = chain[j];
        chain[j] = swap;
    }
}

static uint64_t chase_round(void)
{
    uint32_t at = 0;

    for (unsigned i = 0; i < 50000; i++)
        at = chain[at];
    return at;
}

const struct kernel memory_kernels[] = {
    {"memory", "memcpy", NULL, blocks_prepare, memcpy_round},
    {"memory", "memcpy-small", NULL, blocks_prepare, small_copies_round},
    {"memory", "memset", NULL, NULL, memset_round},
    {"memory", "rep-movs", NULL, blocks_prepare, rep_movs_round},
    {"memory", "rep-stos", NULL, NULL, rep_stos_round},
    {"memory", "triad", NULL, triad_prepare, triad_round},
    {"memory", "random", NULL, chase_prepare, chase_round},
    {NULL, NULL, NULL, NULL, NULL},
};
