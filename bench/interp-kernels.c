/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/interp-kernels.h"

#define KERNEL __attribute__((section("guest_text"), noinline))

KERNEL uint64_t kernel_loop(uint8_t *data, uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n * 1000000; i++) {
        sum += i ^ (sum >> 3);
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

KERNEL uint64_t kernel_sieve(uint8_t *data, uint64_t n)
{
    uint64_t count = 0;

    for (uint64_t round = 0; round < n; round++) {
        for (uint32_t i = 0; i < 100000; i++)
            data[i] = 1;
        for (uint32_t i = 2; i < 100000; i++) {
            if (!data[i])
                continue;
            count++;
            for (uint32_t j = i * 2; j < 100000; j += i)
                data[j] = 0;
        }
    }
    return count;
}

KERNEL uint64_t kernel_copy(uint8_t *data, uint64_t n)
{
    uint64_t *from = (uint64_t *)data, *to = from + 4096;

    for (uint64_t round = 0; round < n * 100; round++) {
        for (unsigned i = 0; i < 4096; i++)
            to[i] = from[i] + round;
    }
    return to[7];
}

KERNEL static uint64_t fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

KERNEL uint64_t kernel_calls(uint8_t *data, uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++)
        sum += fib(24);
    return sum;
}

KERNEL uint64_t kernel_hash(uint8_t *data, uint64_t n)
{
    uint32_t *table = (uint32_t *)data;
    uint64_t x = 88172645463325252ULL, hits = 0;

    for (uint64_t i = 0; i < n * 100000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t key = (uint32_t)x % 60000, slot = (key * 2654435761U) >> 16;
        while (table[slot] && table[slot] != key)
            slot = (slot + 1) & 0xffff;
        hits += table[slot] == key;
        table[slot] = key;
    }
    return hits;
}

KERNEL uint64_t kernel_strings(uint8_t *data, uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t round = 0; round < n * 1000; round++) {
        uint8_t *p = data;
        for (unsigned i = 0; i < 200; i++)
            p[i] = (uint8_t)('a' + (i * 7 + round) % 26);
        p[200] = 0;
        for (uint32_t h = 5381; *p; p++) {
            h = h * 33 ^ *p;
            sum += h >> 5;
            if (*p == 'q')
                sum++;
        }
    }
    return sum;
}

typedef uint64_t step_fn(uint64_t);
KERNEL static uint64_t step_a(uint64_t x)
{
    return x * 3 + 1;
}
KERNEL static uint64_t step_b(uint64_t x)
{
    return x >> 1 ^ 0x55;
}

KERNEL uint64_t kernel_indirect(uint8_t *data, uint64_t n)
{
    step_fn *volatile fns[2];
    uint64_t x = 1;

    fns[0] = step_a;
    fns[1] = step_b;

    for (uint64_t i = 0; i < n * 100000; i++)
        x = fns[x & 1](x) + i;
    return x;
}
