/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the interpreter is: small kernels of compiled C, run in a bare guest
 * and natively; prints millions of guest instructions a second and the ratio of
 * times. usage: interp-mips [KERNEL…]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/interp/interp.h"
#include "tests/unit/interp/machine.h"

/* Guest code lies in a section of its own, which is copied as it is: no data but what the arguments point to.
 */
#define KERNEL                                                                                               \
    __attribute__((section("guest_text"), noinline, noclone, target("general-regs-only"),                    \
                   optimize("no-tree-loop-distribute-patterns", "no-jump-tables")))

extern const uint8_t __start_guest_text[], __stop_guest_text[];

KERNEL static uint64_t kernel_loop(uint8_t *data, uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n * 1000000; i++) {
        sum += i ^ (sum >> 3);
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

KERNEL static uint64_t kernel_sieve(uint8_t *data, uint64_t n)
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

KERNEL static uint64_t kernel_copy(uint8_t *data, uint64_t n)
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

KERNEL static uint64_t kernel_calls(uint8_t *data, uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++)
        sum += fib(24);
    return sum;
}

KERNEL static uint64_t kernel_hash(uint8_t *data, uint64_t n)
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

KERNEL static uint64_t kernel_strings(uint8_t *data, uint64_t n)
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

KERNEL static uint64_t kernel_indirect(uint8_t *data, uint64_t n)
{
    step_fn *volatile fns[2] = {step_a, step_b};
    uint64_t x = 1;

    for (uint64_t i = 0; i < n * 100000; i++)
        x = fns[x & 1](x) + i;
    return x;
}

static const struct kernel {
    const char *name;
    uint64_t (*fn)(uint8_t *data, uint64_t n);
    uint64_t n;
} kernels[] = {
    {"loop", kernel_loop, 40},          {"sieve", kernel_sieve, 80}, {"copy", kernel_copy, 70},
    {"calls", kernel_calls, 100},       {"hash", kernel_hash, 60},   {"strings", kernel_strings, 80},
    {"indirect", kernel_indirect, 100},
};

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

#define DATA 0x200000

static void run(const struct kernel *k)
{
    static uint8_t native_data[MIB(1)];
    /* call *%rbx; hlt */
    static const uint8_t entry[] = {0xff, 0xd3, 0xf4};
    static struct machine m;
    uint64_t base = 0x100000, expected;
    struct x86_state *s;
    double start, native, guest;

    memset(native_data, 0, sizeof(native_data));
    start = now();
    expected = k->fn(native_data, k->n);
    native = now() - start;

    machine_init(&m, &interp_engine, 1);
    machine_put(&m, MACHINE_CODE, entry, sizeof(entry));
    machine_put(&m, base, __start_guest_text, (size_t)(__stop_guest_text - __start_guest_text));
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    s = machine_state(&m, 0);
    s->gpr[X86_RBX] = base + (uint64_t)((const uint8_t *)k->fn - __start_guest_text);
    s->gpr[X86_RDI] = DATA;
    s->gpr[X86_RSI] = k->n;
    start = now();
    machine_run(&m, 0);
    guest = now() - start;
    printf("%-10s %8.1f MIPS %8.1f x native%s\n", k->name,
           (double)m.vm.vcpu[0]->cpu.instructions / guest * 1e-6, guest / native,
           s->gpr[X86_RAX] == expected ? "" : "  WRONG RESULT");
    if (getenv("INTERP_STATS")) {
        char text[1024];

        interp_stats_format(m.vm.vcpu[0], text, sizeof(text));
        fputs(text, stdout);
    }
    machine_finish(&m);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
        bool wanted = argc < 2;

        for (int a = 1; a < argc; a++)
            wanted |= !strcmp(argv[a], kernels[i].name);
        if (wanted)
            run(&kernels[i]);
    }
    return 0;
}
