/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv/mem/page.c and heap.c on the host. "Physical" addresses are the arena's, less
 * DIRECT_BASE, so that phys_to_virt() leads back into it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/mem/heap.h"
#include "hv/mem/page.h"

#define ARENA MIB(64)

static uint8_t *arena;
static uint8_t *states;

static uint64_t phys_of(const void *p)
{
    return (uint64_t)(uintptr_t)p - DIRECT_BASE;
}

/* All of the arena but its first page and 3 pages in the middle. */
static int setup(void **state)
{
    arena = aligned_alloc(MIB(32), ARENA);
    states = malloc(ARENA / PAGE_SIZE);
    memory_own.used = memory_own.peak = 0;
    memset(memory_own.slabs, 0, sizeof(memory_own.slabs));
    page_init(phys_of(arena), phys_of(arena) + ARENA, states);
    page_add(phys_of(arena) + PAGE_SIZE, MIB(10) - PAGE_SIZE);
    page_add(phys_of(arena) + MIB(10) + 3 * PAGE_SIZE, ARENA - MIB(10) - 3 * PAGE_SIZE);
    return 0;
}

static int teardown(void **state)
{
    free(arena);
    free(states);
    return 0;
}

static void test_whole(void **state)
{
    struct memory_account account = {.name = "test", .limit = ~0ULL};
    uint64_t free_at_first = page_free_bytes(), block[64];
    unsigned n = 0;

    assert_int_equal(free_at_first, ARENA - 4 * PAGE_SIZE);
    /* 32 MiB lie together in the second half, and 16 + 4 + … in the first. */
    block[n++] = page_alloc(13, &account);
    assert_int_equal(block[0], phys_of(arena) + MIB(32));
    assert_true(page_alloc(13, &account) == PAGE_NONE);
    block[n++] = page_alloc(12, &account);
    assert_int_equal(block[1], phys_of(arena) + MIB(16));
    assert_int_equal(account.used, MIB(48));
    page_free(block[0], 13, &account);
    page_free(block[1], 12, &account);
    assert_int_equal(account.used, 0);
    assert_int_equal(account.peak, MIB(48));
    assert_int_equal(page_free_bytes(), free_at_first);
    /* It has grown together again. */
    assert_int_equal(page_alloc(13, &account), phys_of(arena) + MIB(32));
}

static void test_limit(void **state)
{
    struct memory_account account = {.name = "test", .limit = 10 * PAGE_SIZE};
    uint64_t free_at_first = page_free_bytes(), a, b;

    assert_true(page_alloc(4, &account) == PAGE_NONE);
    a = page_alloc(3, &account);
    assert_true(a != PAGE_NONE);
    assert_true(page_alloc(2, &account) == PAGE_NONE);
    b = page_alloc(1, &account);
    assert_true(b != PAGE_NONE);
    assert_true(page_alloc(0, &account) == PAGE_NONE);
    assert_int_equal(account.used, account.limit);
    page_free(a, 3, &account);
    page_free(b, 1, &account);
    assert_int_equal(page_free_bytes(), free_at_first);
    assert_true(page_alloc(PAGE_MAX_ORDER + 1, &account) == PAGE_NONE);
    assert_true(page_alloc_many(0, &account) == PAGE_NONE);
}

/* Every number of pages, exactly that many are taken, and nobody's overlap. */
static void test_many(void **state)
{
    struct memory_account account = {.name = "test", .limit = ~0ULL};
    uint64_t block[70], free_at_first = page_free_bytes();

    for (unsigned n = 1; n < 70; n++) {
        uint64_t before = page_free_bytes();

        block[n] = page_alloc_many(n, &account);
        assert_true(block[n] != PAGE_NONE);
        assert_int_equal(before - page_free_bytes(), n * PAGE_SIZE);
        memset(phys_to_virt(block[n]), (int)n, n * PAGE_SIZE);
    }
    for (unsigned n = 1; n < 70; n++) {
        const uint8_t *p = phys_to_virt(block[n]);

        for (unsigned i = 0; i < n * PAGE_SIZE; i += 64)
            assert_int_equal(p[i], n);
        page_free_many(block[n], n, &account);
    }
    assert_int_equal(account.used, 0);
    assert_int_equal(page_free_bytes(), free_at_first);
}

static void test_split(void **state)
{
    struct memory_account account = {.name = "test", .limit = ~0ULL};
    uint64_t free_at_first = page_free_bytes(), block = page_alloc_split(12, 9, &account);

    assert_true(block != PAGE_NONE);
    for (unsigned i = 0; i < 8; i++)
        page_free(block + (i ^ 5) * MIB(2), 9, &account);
    assert_int_equal(page_free_bytes(), free_at_first);
    assert_int_equal(page_alloc(12, &account), block);
}

/* Random use against a model: which page is whose. */
static void test_random(void **state)
{
    struct memory_account account = {.name = "test", .limit = MIB(40)};
    struct {
        uint64_t phys, count;
    } held[300] = {{0}};
    uint8_t *owner = calloc(ARENA / PAGE_SIZE, 2);
    uint64_t used = 0, free_at_first = page_free_bytes();

    srand(1);
    for (unsigned round = 0; round < 100000; round++) {
        unsigned i = (unsigned)rand() % 300;

        if (held[i].count) {
            page_free_many(held[i].phys, held[i].count, &account);
            memset(owner + (held[i].phys - phys_of(arena)) / PAGE_SIZE, 0, held[i].count);
            used -= held[i].count;
            held[i].count = 0;
        } else {
            uint64_t count = 1ULL << (unsigned)rand() % 7, phys;

            count += (unsigned)rand() % 2 ? (unsigned)rand() % count : 0;
            phys = page_alloc_many(count, &account);
            if (phys == PAGE_NONE) {
                assert_true((used + count) * PAGE_SIZE > account.limit || used > 4096);
                continue;
            }
            for (uint64_t p = (phys - phys_of(arena)) / PAGE_SIZE, k = 0; k < count; k++) {
                assert_false(owner[p + k]);
                owner[p + k] = 1;
            }
            held[i].phys = phys;
            held[i].count = count;
            used += count;
        }
        assert_int_equal(account.used, used * PAGE_SIZE);
        assert_int_equal(page_free_bytes(), free_at_first - used * PAGE_SIZE);
    }
    free(owner);
}

static void test_heap(void **state)
{
    struct memory_account one = {.name = "one", .limit = MIB(8)}, two = {.name = "two", .limit = MIB(8)};
    uint64_t free_at_first = page_free_bytes();
    struct {
        uint8_t *p;
        size_t size;
    } held[200] = {{0}};

    srand(2);
    for (unsigned round = 0; round < 100000; round++) {
        unsigned i = (unsigned)rand() % 200;
        struct memory_account *account = i % 2 ? &one : &two;

        if (held[i].p) {
            for (size_t k = 0; k < held[i].size; k += 61)
                assert_int_equal(held[i].p[k], (uint8_t)i);
            heap_free(held[i].p);
            held[i].p = NULL;
            continue;
        }
        held[i].size = (size_t)1 + (unsigned)rand() % ((unsigned)rand() % 8 ? 2100 : 100000);
        held[i].p = heap_alloc(held[i].size, account);
        assert_non_null(held[i].p);
        assert_int_equal((uintptr_t)held[i].p % (held[i].size >= PAGE_SIZE ? PAGE_SIZE : 64), 0);
        for (size_t k = 0; k < held[i].size; k++)
            assert_int_equal(held[i].p[k], 0);
        memset(held[i].p, (int)i, held[i].size);
    }
    for (unsigned i = 0; i < 200; i++)
        heap_free(held[i].p);
    heap_trim(&one);
    heap_trim(&two);
    assert_int_equal(one.used, 0);
    assert_int_equal(two.used, 0);
    assert_int_equal(page_free_bytes(), free_at_first);
}

static void test_heap_limit(void **state)
{
    struct memory_account account = {.name = "test", .limit = KIB(64)};
    void *p[2000];
    unsigned n = 0;

    assert_null(heap_alloc(KIB(64) + 1, &account));
    assert_null(heap_alloc(~(size_t)0, &account));
    while (n < 2000 && (p[n] = heap_alloc(100, &account)))
        n++;
    /* 31 of 128 bytes a page, but one page that is left of the large one that did not fit. */
    assert_in_range(n, 15 * 31, 16 * 31);
    assert_in_range(account.used, KIB(60), KIB(64));
    while (n)
        heap_free(p[--n]);
    heap_trim(&account);
    assert_int_equal(account.used, 0);
    assert_true(account.peak <= account.limit);
}

static struct memory_account shared = {.name = "shared", .limit = MIB(32)};

static void *hammer(void *arg)
{
    void *p[50] = {NULL};
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (unsigned round = 0; round < 2000; round++) {
        unsigned i = (unsigned)rand_r(&seed) % 50;

        heap_free(p[i]);
        p[i] = heap_alloc((size_t)1 + (unsigned)rand_r(&seed) % 9000, &shared);
    }
    for (unsigned i = 0; i < 50; i++)
        heap_free(p[i]);
    return NULL;
}

static void test_threads(void **state)
{
    uint64_t free_at_first = page_free_bytes();
    pthread_t thread[2];

    for (uintptr_t i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, hammer, (void *)(i + 1));
    for (unsigned i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    heap_trim(&shared);
    assert_int_equal(shared.used, 0);
    assert_int_equal(page_free_bytes(), free_at_first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_heap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_heap_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
