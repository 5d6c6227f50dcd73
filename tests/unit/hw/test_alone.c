/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vCPUs on threads: while one is alone no other is in, and after a flush nobody uses what was before. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/hw/hw-internal.h"
#include "tests/unit/fake-plat.h"
#include "tests/unit/hw/fake-metal.h"

#define VCPUS  3U
#define ROUNDS 3000U

struct fixture {
    struct fake_plat fake;
    struct vm vm;
    struct engine_ops engine;
    struct hw_vm hw;
    struct hw_format format;
    struct hw_vcpu v[VCPUS];

    bool alone;            /* atomic: one is */
    bool stop;             /* atomic */
    unsigned entries;      /* atomic */
    unsigned wrong;        /* atomic: what must not be was seen */
    uint64_t count;        /* changed by those who are alone, with plain loads and stores */
    uint64_t using[VCPUS]; /* atomic: flushes that the vCPU in guest code has heeded, + 1; 0: it is out */
};

struct runner {
    struct fixture *f;
    unsigned index;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vm_config config = {.name = "test", .ram_size = MIB(1), .vcpus = VCPUS, .ram = (void *)0x10000000};

    fake_metal = (struct fake_metal){.piece = MEM_PAGE};
    fake_plat_init(&f->fake);
    assert_int_equal(vm_init(&f->vm, &f->fake.plat, &config, NULL), 0);
    f->engine.name = "test";
    assert_int_equal(vm_engine_init(&f->vm, &f->engine, NULL), 0);
    f->vm.engine_data = &f->hw;
    assert_int_equal(hw_vm_init(&f->hw, &f->vm, &f->format, NULL), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        f->v[i].vcpu = f->vm.vcpu[i];
        f->vm.vcpu[i]->engine_data = &f->v[i];
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hw_vm_finish(&f->hw);
    for (unsigned i = 0; i < VCPUS; i++)
        f->vm.vcpu[i]->engine_data = NULL;
    f->vm.engine_data = NULL;
    vm_finish(&f->vm);
    free(f);
    return 0;
}

static void must(struct fixture *f, bool right)
{
    if (!right)
        __atomic_fetch_add(&f->wrong, 1, __ATOMIC_RELAXED);
}

/* In and out of guest code, until told to stop. */
static void *run_guest(void *arg)
{
    struct runner *r = arg;
    struct fixture *f = r->f;
    struct hw_vcpu *v = &f->v[r->index];

    while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
        hw_guest_enter(v);
        __atomic_store_n(&f->using[r->index], v -> flushed + 1, __ATOMIC_SEQ_CST);
        must(f, !__atomic_load_n(&f->alone, __ATOMIC_SEQ_CST));
        __atomic_fetch_add(&f->entries, 1, __ATOMIC_RELAXED);
        must(f, !__atomic_load_n(&f->alone, __ATOMIC_SEQ_CST));
        __atomic_store_n(&f->using[r->index], 0, __ATOMIC_SEQ_CST);
        hw_guest_leave(v);
        sched_yield();
    }
    return NULL;
}

/* Instructions that want to be alone. */
static void *run_alone(void *arg)
{
    struct runner *r = arg;
    struct fixture *f = r->f;

    for (unsigned i = 0; i < ROUNDS; i++) {
        hw_step_enter(&f->v[r->index]);
        hw_exclusive(f->vm.vcpu[r->index], true);
        must(f, !__atomic_exchange_n(&f->alone, true, __ATOMIC_SEQ_CST));
        for (unsigned n = 0; n < VCPUS; n++)
            must(f, n == r->index || !__atomic_load_n(&f->using[n], __ATOMIC_SEQ_CST));
        f->count++;
        __atomic_store_n(&f->alone, false, __ATOMIC_SEQ_CST);
        hw_exclusive(f->vm.vcpu[r->index], false);
        hw_step_leave(&f->v[r->index]);
        sched_yield(); /* a guest that waits comes in between */
    }
    return NULL;
}

static void test_alone(void **state)
{
    struct fixture *f = *state;
    struct runner r[VCPUS];
    pthread_t thread[VCPUS];

    for (unsigned i = 0; i < VCPUS; i++) {
        r[i] = (struct runner){f, i};
        assert_int_equal(pthread_create(&thread[i], NULL, i ? run_alone : run_guest, &r[i]), 0);
    }
    for (unsigned i = 1; i < VCPUS; i++)
        pthread_join(thread[i], NULL);
    /* Now that nobody wants to be alone any more it gets in, if it has not before. */
    for (unsigned i = 0; i < 5000 && !__atomic_load_n(&f->entries, __ATOMIC_RELAXED); i++)
        usleep(1000);
    __atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
    pthread_join(thread[0], NULL);
    assert_int_equal(f->wrong, 0);
    assert_int_equal(f->count, ROUNDS * (VCPUS - 1));
    assert_int_equal(f->hw.alone_wanted, 0);
    assert_true(f->entries > 0);
}

static void test_flush(void **state)
{
    struct fixture *f = *state;
    struct runner r[VCPUS];
    pthread_t thread[VCPUS];

    for (unsigned i = 0; i < VCPUS; i++) {
        r[i] = (struct runner){f, i};
        assert_int_equal(pthread_create(&thread[i], NULL, run_guest, &r[i]), 0);
    }
    for (unsigned i = 1; i <= ROUNDS; i++) {
        hw_pages_flush(&f->hw);
        for (unsigned n = 0; n < VCPUS; n++) {
            uint64_t using = __atomic_load_n(&f->using[n], __ATOMIC_SEQ_CST);

            must(f, !using || using - 1 >= i);
        }
    }
    __atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < VCPUS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(f->wrong, 0);
    assert_int_equal(f->hw.flushes, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
