/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's TSC beside the VM's clock, on a machine that is away for a while between two reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/hw/hw.h"
#include "tests/unit/fake-plat.h"
#include "tests/unit/hw/fake-metal.h"

#define AWAY  MIB(256) /* ticks: tens of milliseconds */
#define SLACK 100000U  /* ticks: what two reads of the TSC are apart, and more */

static unsigned away; /* which of the reads to come */

/* The VM's clock is the processor's TSC; the machine is away after the read. */
static uint64_t slow_now(struct plat *plat)
{
    uint64_t now = hw_rdtsc();

    if (away && !--away) {
        while (hw_rdtsc() - now < AWAY)
            ;
    }
    return now;
}

static void test_never_behind(void **state)
{
    for (unsigned which = 0; which < 8; which++) {
        struct fake_plat fake;
        struct plat_ops ops;
        struct vm vm = {.engine =
                            &(const struct engine_ops){.name = "hw", .clock_changed = hw_clock_changed}};
        struct hw_vm hw = {.tsc_ratio = 1ULL << 32};
        uint64_t clock, guest;

        fake_plat_init(&fake);
        ops = *fake.plat.ops;
        ops.now = slow_now;
        fake.plat.ops = &ops;
        vm.plat = &fake.plat;
        vm.engine_data = &hw;
        away = 0;
        clock_init(&vm);
        away = which;
        clock_start(&vm);
        away = 0;
        clock = clock_tsc(&vm);
        guest = hw_rdtsc() + hw.tsc_base;
        assert_true(guest + SLACK >= clock);
        clock = clock_tsc(&vm);
        assert_true(guest < clock + AWAY / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_never_behind)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
