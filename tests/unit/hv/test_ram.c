/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv/mem/ram.c on the host: "physical" memory is an arena, as in test_page.c; the window is
 * never followed, so its mappings are only counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/mem/map.h"
#include "hv/mem/ram.h"
#include "hv/thread.h"

#define ARENA  MIB(64)
#define RAM    (MIB(16) + MIB(1))
#define WINDOW (WINDOW_BASE + GIB(7))

static uint8_t *arena, *states;
static struct memory_account account = {.name = "vm", .limit = ~0ULL};
static struct guest_ram *ram;
static uint8_t *window; /* an address, no memory */
static unsigned yields;

void thread_yield(void)
{
    yields++;
}

/* ---- hv/mem/map.h ---- */

static uint64_t mapped[9]; /* physical addresses by piece; 0: not mapped */
static unsigned adds;

uint64_t map_reserve(uint64_t size, uint64_t align)
{
    return WINDOW;
}

int map_prepare(uint64_t virt, uint64_t size)
{
    return 0;
}

int map_add(uint64_t virt, uint64_t phys, uint64_t size, enum map_kind kind)
{
    uint64_t *entry = &mapped[(virt - WINDOW) / MIB(2)];

    assert_int_equal(*entry, 0);
    assert_int_equal(kind, MAP_RAM);
    *entry = phys;
    adds++;
    return 0;
}

void map_remove(uint64_t virt, uint64_t size)
{
    memset(mapped, 0, sizeof(mapped));
}

/* ---- tests ---- */

static int setup(void **state)
{
    struct error err = {0};

    arena = aligned_alloc(MIB(32), ARENA);
    states = malloc(ARENA / PAGE_SIZE);
    memset(arena, 0xcc, ARENA); /* what another VM left */
    memset(mapped, 0, sizeof(mapped));
    adds = 0;
    page_init((uintptr_t)arena - DIRECT_BASE, (uintptr_t)arena - DIRECT_BASE + ARENA, states);
    page_add((uintptr_t)arena - DIRECT_BASE, ARENA);
    account = (struct memory_account){.name = "vm", .limit = ~0ULL};
    yields = 0;
    assert_int_equal(guest_ram_create(&ram, RAM, &account, &err), 0);
    assert_int_equal(yields, 9); /* after each piece: there may be tens of thousands */
    window = guest_ram_host(ram);
    return 0;
}

static int teardown(void **state)
{
    guest_ram_destroy(ram);
    assert_true(account.used < KIB(64)); /* slabs, for the next */
    free(arena);
    free(states);
    return 0;
}

static void assert_clear(unsigned piece, uint64_t size)
{
    const uint8_t *p = phys_to_virt(mapped[piece]);

    assert_true(mapped[piece] != 0);
    for (uint64_t i = 0; i < size; i += 512)
        assert_int_equal(p[i], 0);
}

/* Not more is cleared at a time than the caller has time for; what is there costs nothing. */
static void test_ready(void **state)
{
    unsigned pieces = 0;

    assert_true(guest_ram_ready(ram, window + 5, 0, &pieces));
    assert_false(guest_ram_ready(ram, window + MIB(4) - 1, 2, &pieces));
    assert_int_equal(adds, 0);
    pieces = 1;
    assert_false(guest_ram_ready(ram, window + MIB(4) - 1, 2, &pieces));
    assert_int_equal(pieces, 0);
    assert_int_equal(adds, 1);
    assert_clear(1, MIB(2));
    pieces = 1;
    assert_true(guest_ram_ready(ram, window + MIB(4) - 1, 2, &pieces));
    assert_int_equal(adds, 2);
    assert_clear(2, MIB(2));
    pieces = 0;
    assert_true(guest_ram_ready(ram, window + MIB(2), MIB(4), &pieces));
    assert_false(guest_ram_ready(ram, window + MIB(2), MIB(4) + 1, &pieces));
    /* The last one, of 1 MiB; and what is none of its memory is not its business. */
    pieces = 3;
    assert_true(guest_ram_ready(ram, window + RAM - 1, 1, &pieces));
    assert_int_equal(pieces, 2);
    assert_clear(8, MIB(1));
    assert_true(guest_ram_ready(ram, window + RAM, 1, &pieces));
    assert_true(guest_ram_ready(ram, &pieces, sizeof(pieces), &pieces));
    assert_int_equal(adds, 3);
}

/* What the guest touched first is cleared already: only the window's mapping is missing. */
static void test_touched_by_the_guest(void **state)
{
    unsigned pieces = 0;
    uint64_t size, phys = guest_ram_phys(ram, MIB(6) + 0x5000, &size);
    uint8_t *p = phys_to_virt(phys);

    assert_int_equal(size, MIB(2));
    assert_int_equal(p[0], 0);
    p[0] = 0x77;
    assert_true(guest_ram_ready(ram, window + MIB(6), MIB(2), &pieces));
    assert_int_equal(mapped[3] + 0x5000, phys);
    assert_int_equal(p[0], 0x77);
}

/* A large request takes as many turns as it has pieces, and each of them gets on. */
static void test_turns(void **state)
{
    unsigned turns = 0, pieces;

    do {
        pieces = 1;
        turns++;
    } while (!guest_ram_ready(ram, window, RAM, &pieces));
    assert_int_equal(turns, 9);
    assert_int_equal(adds, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ready),
        TEST(test_touched_by_the_guest),
        TEST(test_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
