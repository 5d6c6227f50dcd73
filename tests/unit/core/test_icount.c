/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual time from instructions: an engine that does nothing but count, to see when things happen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/device.h"
#include "tests/unit/fake-plat.h"

#define RAM MIB(1)

struct event {
    uint64_t count, now;
    int what;
};

struct fixture {
    struct fake_plat fake;
    struct vm vm;
    uint8_t *ram;
    struct timer timer[3];
    struct plat_work work;
    struct event event[16];
    unsigned events;
    uint64_t halt_at; /* instructions */
    uint64_t device_at;
    void (*device)(struct fixture *f); /* called "by an instruction" */
    bool irq;                          /* waits in the local APIC */
    unsigned halts;
};

static struct fixture *current;

static void note(int what)
{
    struct fixture *f = current;

    assert_true(f->events < ARRAY_SIZE(f->event));
    f->event[f->events++] = (struct event){f->vm.vcpu[0]->cpu.instructions, clock_now(&f->vm), what};
}

static enum vm_exit count(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = &vcpu->cpu;
    struct fixture *f = current;

    for (;;) {
        if (cpu->instructions >= cpu->instruction_limit)
            return VM_EXIT_LIMIT;
        if (cpu->request & X86_REQ_EXIT)
            return VM_EXIT_REQUEST;
        if (cpu->request & X86_REQ_INTERRUPT && f->irq) {
            f->irq = false;
            note(6);
            cpu->s.activity = X86_ACT_RUN;
        }
        cpu->request = 0;
        if (cpu->s.activity == X86_ACT_HALT) {
            assert_true(++f->halts < 100); /* and no time passes: for ever */
            return VM_EXIT_HALT;
        }
        if (cpu->instructions == f->device_at && f->device)
            f->device(f);
        if (++cpu->instructions == f->halt_at)
            cpu->s.activity = X86_ACT_HALT;
    }
}

static const struct engine_ops counter = {.name = "counter", .can_count = true, .vcpu_run = count};
static const struct engine_ops other = {.name = "other", .vcpu_run = count};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    struct vm_config config = {.name = "test", .ram_size = RAM, .vcpus = 1};

    current = f;
    fake_plat_init(&f->fake);
    config.ram = f->ram = calloc(1, RAM);
    f->device_at = f->halt_at = ~0ULL;
    *state = f;
    return vm_init(&f->vm, &f->fake.plat, &config, &err) < 0 || icount_enable(&f->vm, 7, &err) < 0 ||
           vm_engine_init(&f->vm, &counter, &err) < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vm_finish(&f->vm);
    assert_int_equal(f->fake.allocations, 0);
    free(f->ram);
    free(f);
    return 0;
}

static void on_timer(void *opaque)
{
    note((int)(intptr_t)opaque);
}

static void on_end(void *opaque)
{
    note(99);
    vm_request_shutdown(&current->vm, VM_SHUTDOWN_HOST);
}

static void arm(struct fixture *f, unsigned i, void (*fn)(void *opaque), uint64_t deadline)
{
    timer_init(&f->timer[i], &f->vm, "test", fn, (void *)(intptr_t)i);
    timer_arm(&f->timer[i], deadline);
}

static void run(struct fixture *f)
{
    f->fake.now = 12345; /* the host's time does not matter */
    f->vm.vcpu[0]->cpu.s.activity = X86_ACT_RUN;
    f->vm.state = VM_PAUSED;
    vm_resume(&f->vm);
    vcpu_loop(f->vm.vcpu[0]);
}

static void expect(const struct fixture *f, unsigned i, int what, uint64_t instructions, uint64_t now)
{
    assert_true(i < f->events);
    assert_int_equal(f->event[i].what, what);
    assert_int_equal(f->event[i].count, instructions);
    assert_int_equal(f->event[i].now, now);
}

static void test_timers_at_their_instruction(void **state)
{
    struct fixture *f = *state;

    arm(f, 0, on_timer, 1000);
    arm(f, 1, on_timer, 1001);
    arm(f, 2, on_end, 5000000);
    run(f);
    assert_int_equal(f->events, 3);
    expect(f, 0, 0, 1000, 1000);
    expect(f, 1, 1, 1001, 1001);
    expect(f, 2, 99, 5000000, 5000000);
}

static void arm_soon(struct fixture *f)
{
    arm(f, 0, on_timer, clock_now(&f->vm) + 10); /* sooner than the limit that the engine was given */
    arm(f, 1, on_timer, 3);                      /* past: after this instruction */
}

static void test_armed_by_an_instruction(void **state)
{
    struct fixture *f = *state;

    arm(f, 2, on_end, 100000);
    f->device_at = 500;
    f->device = arm_soon;
    run(f);
    assert_int_equal(f->events, 3);
    expect(f, 0, 1, 501, 501);
    expect(f, 1, 0, 510, 510);
    expect(f, 2, 99, 100000, 100000);
}

static void wake(void *opaque)
{
    note(5);
    current->vm.vcpu[0]->cpu.s.activity = X86_ACT_RUN;
}

static void test_halt_skips_to_the_next_timer(void **state)
{
    struct fixture *f = *state;

    f->halt_at = 100;
    arm(f, 0, on_timer, 4000);
    arm(f, 1, wake, 5000);
    arm(f, 2, on_end, 6000);
    run(f);
    assert_int_equal(f->events, 3);
    expect(f, 0, 0, 100, 4000);
    expect(f, 1, 5, 100, 5000);
    expect(f, 2, 99, 1100, 6000);
}

static bool irq_pending(struct vcpu *vcpu)
{
    return current->irq;
}

static void interrupt(void *opaque)
{
    current->irq = true;
    vcpu_request(current->vm.vcpu[0], X86_REQ_INTERRUPT);
}

/* The timer behind it is sooner than what the engine was told before it halted: the wait ends for both
 * reasons. */
static void test_interrupt_wakes_before_another_timer(void **state)
{
    static const struct lapic_ops lapic = {.pending = irq_pending};
    struct fixture *f = *state;

    f->vm.irqs.lapic = &lapic;
    f->vm.vcpu[0]->cpu.s.rflags |= X86_FL_IF;
    f->halt_at = 100;
    arm(f, 0, interrupt, 4000);
    arm(f, 1, on_timer, 4500);
    arm(f, 2, on_end, 6000);
    run(f);
    assert_int_equal(f->events, 3);
    expect(f, 0, 6, 100, 4000);
    expect(f, 1, 1, 600, 4500);
    expect(f, 2, 99, 2100, 6000);
}

static void on_work(void *opaque)
{
    note(7);
}

static void defer_work(struct fixture *f)
{
    f->work = (struct plat_work){.fn = on_work};
    vm_defer(&f->vm, &f->work);
    vm_defer(&f->vm, &f->work); /* once */
}

static void test_deferred_work_before_the_next_instruction(void **state)
{
    struct fixture *f = *state;

    arm(f, 2, on_end, 1000);
    f->device_at = 321;
    f->device = defer_work;
    run(f);
    assert_int_equal(f->events, 2);
    expect(f, 0, 7, 322, 322);
    assert_null(f->fake.work);
}

static void on_stop(void *opaque, struct vm *vm)
{
    note(8);
    vm->icount.stop_at = vm->icount.stop_at == ICOUNT_NEVER && current->events < 3 ? 777 : ICOUNT_NEVER;
}

static void test_stops_come_first(void **state)
{
    struct fixture *f = *state;

    arm(f, 0, on_timer, 700);
    arm(f, 2, on_end, 1000);
    f->vm.icount.stop_at = 700;
    f->vm.icount.on_stop = on_stop;
    run(f);
    expect(f, 0, 8, 700, 700);
    expect(f, 1, 0, 700, 700);
    expect(f, 2, 8, 777, 777);
    expect(f, 3, 99, 1000, 1000);
}

static void test_random_numbers_repeat(void **state)
{
    struct fixture *f = *state;
    uint8_t a[21], b[21];

    vm_random(&f->vm, a, sizeof(a));
    vm_random(&f->vm, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    f->vm.icount.random = 7;
    vm_random(&f->vm, b, sizeof(b));
    assert_memory_equal(a, b, sizeof(a));
    assert_int_equal(f->vm.clock.rtc_base, ICOUNT_EPOCH);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    struct vm_config config = {.name = "test", .ram_size = RAM, .vcpus = 2, .ram = f->ram};
    struct error err = {0};
    static struct vm vm;

    assert_int_equal(vm_init(&vm, &f->fake.plat, &config, &err), 0);
    assert_int_equal(icount_enable(&vm, 0, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--cpus 1"));
    config.vcpus = 1;
    assert_int_equal(vm_init(&vm, &f->fake.plat, &config, &err), 0);
    assert_int_equal(icount_enable(&vm, 0, &err), 0);
    err = (struct error){0};
    assert_int_equal(vm_engine_init(&vm, &other, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "other engine cannot count"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timers_at_their_instruction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_armed_by_an_instruction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_halt_skips_to_the_next_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt_wakes_before_another_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deferred_work_before_the_next_instruction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_come_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_numbers_repeat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };

    return cmocka_run_group_tests_name("icount", tests, NULL, NULL);
}
