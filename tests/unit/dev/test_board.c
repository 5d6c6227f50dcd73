/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold for every device of the board: state round trips, reset, refused states, failing
 * allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tests/unit/dev/fixture.h"

struct buffer {
    struct state_io io;
    uint8_t data[65536];
    size_t size;
};

static int append(struct state_io *io, void *buf, size_t len)
{
    struct buffer *b = (struct buffer *)io;

    if (len > sizeof(b->data) - b->size)
        return -ENOSPC;
    memcpy(b->data + b->size, buf, len);
    b->size += len;
    return 0;
}

/* A device's fields, without the record's header in front of them. */
static struct buffer *save(struct device *dev)
{
    struct buffer *b = calloc(1, sizeof(*b));

    b->io.transfer = append;
    assert_int_equal(state_save_object(&b->io, dev->ops->state, dev->id, device_object(dev), NULL), 0);
    return b;
}

#define HEADER 80U /* docs/formats/state-stream.md: kind, version, length, name, instance */

static int load(struct device *dev, const struct buffer *b)
{
    return state_load_object(b->data + HEADER, b->size - HEADER, dev->ops->state->version, dev->ops->state,
                             device_object(dev), NULL);
}

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Random register accesses, so that states are not those of power-on. */
static void stir(struct fixture *f, uint64_t seed, unsigned steps)
{
    static const uint16_t ports[] = {0x20, 0xa0, 0x40, 0x60, 0x70, 0x4d0, 0x600, 0x3f8, 0x2f8, 0xcf8, 0x510};
    static const uint64_t pages[] = {0xfec00000, 0xfed00000, 0xfed00100, 0xfee00000, 0xfee00300, 0xe00f8000};

    for (unsigned i = 0; i < steps; i++) {
        uint64_t r = next(&seed);
        uint16_t port = (uint16_t)(ports[r % ARRAY_SIZE(ports)] + (r >> 8 & 7));
        uint64_t gpa = pages[r % ARRAY_SIZE(pages)] + (r >> 8 & 0xffc);

        if (r >> 60 & 1)
            vcpu_pio_write(f->vm.vcpu[0], port, r >> 32, 1U << (r >> 58 & 1));
        else
            vcpu_mmio_write(f->vm.vcpu[r >> 57 & 1], gpa, (uint32_t)(r >> 32), 4);
        if (i % 16 == 0)
            advance(f, r & 0xffff);
        if (f->vm.reset_requested)
            vm_reset(&f->vm);
        f->vm.state = VM_RUNNING;
        clock_start(&f->vm);
    }
}

/* Saved, loaded into a second machine, and saved there: the same bytes, for every device. */
static void states_round_trip(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct fixture *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
        struct device *dev;
        unsigned devices = 0;

        fixture_init(a, 2);
        fixture_init(b, 2);
        stir(a, seed * 0x9e3779b97f4a7c15ULL, 400);
        b->plat.now = a->plat.now;
        clock_stop(&b->vm);
        b->vm.clock.base = clock_now(&a->vm);
        memcpy(b->vm.irqs.line_level, a->vm.irqs.line_level, sizeof(b->vm.irqs.line_level));
        list_for_each (dev, &a->vm.devices, link) {
            struct device *other = device_find(&b->vm, dev->id);
            struct buffer *first = save(dev), *second;

            assert_non_null(other);
            if (load(other, first))
                fail_msg("seed %llu: %s refuses its own state", (unsigned long long)seed, dev->id);
            second = save(other);
            if (first->size != second->size || memcmp(first->data, second->data, first->size))
                fail_msg("seed %llu: %s changed", (unsigned long long)seed, dev->id);
            free(first);
            free(second);
            devices++;
        }
        assert_true(devices >= 14);
        assert_memory_equal(a->vm.irqs.line_level, b->vm.irqs.line_level, sizeof(a->vm.irqs.line_level));
        fixture_finish(a);
        fixture_finish(b);
        free(a);
        free(b);
    }
}

/* The 8254 and timer 2 of the HPET, once, in 0.1 ms. */
static void arm_both(struct fixture *f)
{
    writel(f, 0, 0xfed00140, 16U << 9 | BIT(2));
    writel(f, 0, 0xfed00148, readl(f, 0, 0xfed000f0) + 10000);
    writel(f, 0, 0xfed0014c, 0);
    writel(f, 0, 0xfed00010, 1);
    outb(f, 0x43, 0x38);
    outb(f, 0x40, 120);
    outb(f, 0x40, 0);
}

/* How many interrupts came by vectors 0x30 and 0x40, in a number. */
static unsigned taken(struct fixture *f)
{
    unsigned n = 0;
    int v;

    while ((v = take(f)) >= 0)
        n += v == 0x30 ? 1 : v == 0x40 ? 0x10 : 0x100;
    return n;
}

/* Due, and saved before it has fired: it does where it is loaded. What has fired does not once more. */
static void due_timers_are_saved(void **state)
{
    static const char *const devices[] = {"pit", "hpet"};
    struct fixture *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

    fixture_init(a, 1);
    fixture_init(b, 1);
    for (unsigned fired = 0; fired < 2; fired++) {
        for (unsigned i = 0; i < 2; i++) {
            route(i ? b : a, 2, 0x30, false);
            route(i ? b : a, 16, 0x40, false);
        }
        arm_both(a);
        (void)taken(a); /* the 8254's output rises with the mode */
        if (fired)
            advance(a, 1000000);
        else
            a->plat.now += 1000000;
        assert_int_equal(taken(a), fired ? 0x11 : 0);
        clock_stop(&a->vm);
        clock_stop(&b->vm);
        b->vm.clock.base = a->vm.clock.base;
        for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
            struct buffer *saved = save(device_find(&a->vm, devices[i]));

            assert_int_equal(load(device_find(&b->vm, devices[i]), saved), 0);
            free(saved);
        }
        (void)taken(b);
        for (unsigned i = 0; i < 2; i++) {
            struct fixture *f = i ? b : a;

            clock_start(&f->vm);
            advance(f, 10000000);
            assert_int_equal(taken(f), fired ? 0 : 0x11);
        }
    }
    fixture_finish(a);
    fixture_finish(b);
    free(a);
    free(b);
}

/* After a reset every device is as a new one, but for what a battery keeps. */
static void reset_is_power_on(void **state)
{
    struct fixture *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    struct device *dev;

    fixture_init(a, 2);
    fixture_init(b, 2);
    stir(a, 77, 2000);
    vm_reset(&a->vm);
    clock_stop(&a->vm);
    clock_stop(&b->vm);
    a->vm.clock.base = b->vm.clock.base = 0; /* clocks are not the devices' */
    list_for_each (dev, &a->vm.devices, link)
        dev->ops->reset(dev);
    list_for_each (dev, &a->vm.devices, link) {
        struct device *other = device_find(&b->vm, dev->id);

        if (strcmp(dev->id, "rtc") && !state_equal(dev->ops->state, device_object(dev), device_object(other)))
            fail_msg("%s remembers something", dev->id);
    }
    for (unsigned i = 0; i < IRQ_GSI_COUNT; i++)
        assert_int_equal(a->vm.irqs.line_level[i], 0);
    fixture_finish(a);
    fixture_finish(b);
    free(a);
    free(b);
}

/* A state with any byte changed loads or is refused; the machine goes on either way. */
static void lying_states_do_no_harm(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint64_t seed = 4711;
    struct device *dev;
    unsigned refused = 0;

    fixture_init(f, 2);
    stir(f, 99, 500);
    list_for_each (dev, &f->vm.devices, link) {
        struct buffer *good = save(dev);

        for (unsigned i = 0; i < 200 && good->size > HEADER; i++) {
            struct buffer *bad = malloc(sizeof(*bad));

            *bad = *good;
            for (unsigned k = 0; k <= i % 4; k++) {
                uint64_t r = next(&seed);

                bad->data[HEADER + r % (bad->size - HEADER)] ^= (uint8_t)(r >> 32);
            }
            refused += load(dev, bad) != 0;
            if (load(dev, good))
                fail_msg("%s does not take its good state back", dev->id);
            free(bad);
        }
        /* Everything ones: never a state that a device with fields could hold. */
        memset(good->data + HEADER, 0xff, good->size - HEADER);
        (void)load(dev, good);
        dev->ops->reset(dev);
        free(good);
    }
    assert_true(refused > 100);
    stir(f, 5, 500);
    fixture_finish(f);
    free(f);
}

static void allocations_may_fail(void **state)
{
    for (unsigned n = 1;; n++) {
        struct fixture *f = calloc(1, sizeof(*f));
        int r = fixture_try(f, 1, n);

        fixture_finish(f);
        free(f);
        if (!r) {
            assert_true(n > 14);
            break;
        }
        assert_int_equal(r, -ENOMEM);
    }
}

/* Every port and a sweep of MMIO, each width, reads and writes. */
static void sweeps(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    fixture_init(f, 1);
    for (unsigned port = 0; port < 0x10000; port++) {
        for (unsigned size = 1; size <= 4; size *= 2) {
            (void)vcpu_pio_read(f->vm.vcpu[0], (uint16_t)port, size);
            vcpu_pio_write(f->vm.vcpu[0], (uint16_t)port, 0xa5a5a5a5, size);
        }
        if (f->vm.reset_requested)
            vm_reset(&f->vm);
        f->vm.state = VM_RUNNING;
        clock_start(&f->vm);
    }
    for (uint64_t gpa = 0xfec00000; gpa < 0xfef00000; gpa += 4 + gpa % 3) {
        (void)vcpu_mmio_read(f->vm.vcpu[0], gpa, 1U << (gpa & 3));
        vcpu_mmio_write(f->vm.vcpu[0], gpa, ~0ULL, 1U << (gpa & 3));
    }
    advance(f, 1000000000);
    fixture_finish(f);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_round_trip),    cmocka_unit_test(due_timers_are_saved),
        cmocka_unit_test(reset_is_power_on),    cmocka_unit_test(lying_states_do_no_harm),
        cmocka_unit_test(allocations_may_fail), cmocka_unit_test(sweeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
