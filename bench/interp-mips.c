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

#include "bench/interp-kernels.h"
#include "tests/unit/interp/engine.h"
#include "tests/unit/interp/machine.h"

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

static void emit(void *opaque, enum trace_event event, const char *text)
{
    fprintf(stderr, "%s\n", text);
}

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

    machine_init(&m, &TEST_ENGINE, 1);
    if (getenv("INTERP_TRACE")) { /* an event of --trace */
        m.vm.trace.emit = emit;
        trace_enable(&m.vm.trace, getenv("INTERP_TRACE"));
    }
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

        test_engine_statistics(m.vm.vcpu[0], text, sizeof(text));
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
