/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nested page tables: a guest gets its own RAM, its ROMs to read, and nothing else. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/device.h"
#include "engine/hw/hw.h"
#include "tests/unit/fake-plat.h"
#include "tests/unit/hw/fake-metal.h"

#define RAM     GIB(3) /* never touched: nobody needs it to exist */
#define THERE   BIT64(0)
#define WRITE   BIT64(1)
#define EXECUTE BIT64(2)
#define LARGE   BIT64(7)
#define ADDRESS 0x000ffffffffff000ULL

struct fixture {
    struct fake_plat fake;
    struct vm vm;
    struct engine_ops engine;
    struct hw_vm hw;
    struct hw_format format;
    uint8_t *rom;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vm_config config = {.name = "test", .ram_size = RAM, .vcpus = 1, .ram = (void *)0x10000000};

    fake_metal = (struct fake_metal){.piece = MEM_PAGE};
    fake_plat_init(&f->fake);
    assert_int_equal(vm_init(&f->vm, &f->fake.plat, &config, NULL), 0);
    f->engine.name = "test";
    f->vm.engine = &f->engine;
    f->format = (struct hw_format){.table = 0x27, .leaf = 0x807, .huge = true, .large = true};
    f->rom = aligned_alloc(4096, 16 * 4096);
    f->vm.engine_data = &f->hw;
    assert_int_equal(hw_vm_init(&f->hw, &f->vm, &f->format, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hw_vm_finish(&f->hw);
    f->vm.engine_data = NULL;
    vm_finish(&f->vm);
    assert_int_equal(f->fake.allocations, 0);
    free(f->rom);
    free(f);
    return 0;
}

/* The entry that maps gpa, 0 if none, as a processor walks; *bits: log2 of its page. */
static uint64_t walk(const struct fixture *f, uint64_t gpa, unsigned *bits)
{
    const uint64_t *table = f->hw.root;

    for (*bits = 39;; *bits -= 9) {
        uint64_t entry = table[gpa >> *bits & 511];

        if (!(entry & THERE) || *bits == 12 || entry & LARGE)
            return entry & THERE ? entry : 0;
        assert_int_equal(entry & ~ADDRESS, f->format.table);
        table = metal_virt(entry & ADDRESS);
    }
}

static void assert_page(const struct fixture *f, uint64_t gpa, unsigned want_bits, uint64_t phys, bool write)
{
    unsigned bits;
    uint64_t entry = walk(f, gpa, &bits);

    assert_int_not_equal(entry, 0);
    assert_int_equal(bits, want_bits);
    assert_int_equal(entry & ADDRESS & ~(BIT64(bits) - 1), phys & ~(BIT64(bits) - 1));
    assert_int_equal(!!(entry & WRITE), write);
}

static bool mapped(const struct fixture *f, uint64_t gpa)
{
    unsigned bits;

    return walk(f, gpa, &bits) != 0;
}

static void test_small(void **state)
{
    struct fixture *f = *state;

    assert_true(hw_pages_fill(&f->hw, 0x123456, false));
    assert_page(f, 0x123456, 12, FAKE_RAM_PHYS + 0x123000, true);
    assert_false(mapped(f, 0x122fff));
    assert_false(mapped(f, 0x124000));
    assert_true(hw_pages_fill(&f->hw, MEM_HIGH_BASE + 0x5000, true));
    assert_page(f, MEM_HIGH_BASE + 0x5000, 12, FAKE_RAM_PHYS + MEM_LOW_MAX + 0x5000, true);
}

static void test_nothing_else(void **state)
{
    static const uint64_t gpa[] = {MEM_LOW_MAX, 0xfee00000,         MEM_ECAM_BASE, MEM_HIGH_BASE + GIB(1),
                                   BIT64(48),   BIT64(48) + 0x1000, ~0ULL};
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(gpa); i++) {
        assert_false(hw_pages_fill(&f->hw, gpa[i], false));
        assert_false(hw_pages_fill(&f->hw, gpa[i], true));
        if (gpa[i] < BIT64(48))
            assert_false(mapped(f, gpa[i]));
    }
}

static void test_large(void **state)
{
    struct fixture *f = *state;

    fake_metal.piece = MIB(2);
    assert_true(hw_pages_fill(&f->hw, MIB(5) + 77, true));
    assert_page(f, MIB(4), 21, FAKE_RAM_PHYS + MIB(4), true);
    assert_true(mapped(f, MIB(6) - 1));
    assert_false(mapped(f, MIB(6)));
    fake_metal.piece = GIB(1);
    assert_true(hw_pages_fill(&f->hw, GIB(1) + MIB(5), false));
    assert_page(f, GIB(2) - 1, 30, FAKE_RAM_PHYS + GIB(1), true);
    assert_false(mapped(f, GIB(2)));
    /* The first GiB has smaller pages already, which stay. */
    assert_true(hw_pages_fill(&f->hw, MIB(4), true));
    assert_page(f, MIB(4), 21, FAKE_RAM_PHYS + MIB(4), true);
    /* And what is not there comes as one of those. */
    assert_true(hw_pages_fill(&f->hw, MIB(8) + 5, true));
    assert_page(f, MIB(8), 21, FAKE_RAM_PHYS + MIB(8), true);
}

/* Where large pages must not be executed: the entry of gpa, with what it may be. */
static void assert_executes(const struct fixture *f, uint64_t gpa, unsigned want_bits, bool executes)
{
    unsigned bits;
    uint64_t entry = walk(f, gpa, &bits);

    assert_int_equal(bits, want_bits);
    assert_true(entry & THERE);
    assert_int_equal(entry & ADDRESS & ~(BIT64(bits) - 1), FAKE_RAM_PHYS + (gpa & ~(BIT64(bits) - 1)));
    assert_int_equal(!!(entry & EXECUTE), executes);
    assert_int_equal(!!(entry & WRITE), true);
}

static void test_split_code(void **state)
{
    struct fixture *f = *state;
    uint64_t tables;

    f->format.execute = EXECUTE;
    f->format.leaf |= EXECUTE;
    fake_metal.piece = GIB(1);
    /* Data come in one piece; code in it cuts out 2 MiB, of which all may be executed. */
    assert_true(hw_pages_fill(&f->hw, GIB(1) + MIB(5), HW_WRITE));
    assert_executes(f, GIB(1) + MIB(5), 30, false);
    tables = f->hw.tables;
    assert_true(hw_pages_fill(&f->hw, GIB(1) + MIB(7), HW_FETCH));
    assert_int_equal(f->hw.tables, tables + 2);
    assert_executes(f, GIB(1) + MIB(7), 12, true);
    assert_executes(f, GIB(1) + MIB(6), 12, true);
    assert_executes(f, GIB(1) + MIB(8) - 4096, 12, true);
    assert_executes(f, GIB(1) + MIB(8), 21, false);
    assert_executes(f, GIB(1), 21, false);
    assert_executes(f, GIB(2) - 1, 21, false);
    /* It stays so, whoever faults there again. */
    assert_true(hw_pages_fill(&f->hw, GIB(1) + MIB(7), HW_WRITE));
    assert_true(hw_pages_fill(&f->hw, GIB(1) + MIB(7), HW_FETCH));
    assert_true(hw_pages_fill(&f->hw, GIB(1) + MIB(8), 0));
    assert_executes(f, GIB(1) + MIB(7), 12, true);
    assert_executes(f, GIB(1) + MIB(8), 21, false);
    assert_int_equal(f->hw.tables, tables + 2);
    /* Code where nothing was: a small page, and data beside it, too. */
    assert_true(hw_pages_fill(&f->hw, MIB(4), HW_FETCH));
    assert_executes(f, MIB(4), 12, true);
    assert_false(mapped(f, MIB(4) + 4096));
    assert_true(hw_pages_fill(&f->hw, MIB(4) + 4096, HW_WRITE));
    assert_executes(f, MIB(4) + 4096, 12, true);
    assert_true(hw_pages_fill(&f->hw, MIB(6), HW_WRITE));
    assert_executes(f, MIB(6), 21, false);
}

/* A processor without pages of 1 GiB. */
static void test_not_huge(void **state)
{
    struct fixture *f = *state;

    f->format.huge = false;
    fake_metal.piece = GIB(1);
    assert_true(hw_pages_fill(&f->hw, GIB(1), false));
    assert_page(f, GIB(1), 21, FAKE_RAM_PHYS + GIB(1), true);
    assert_false(mapped(f, GIB(1) + MIB(2)));
}

/* The machine's memory lies otherwise aligned than the guest's. */
static void test_skewed(void **state)
{
    struct fixture *f = *state;

    fake_metal.piece = MIB(2);
    fake_metal.ram_skew = 0x1000;
    assert_true(hw_pages_fill(&f->hw, MIB(4), true));
    assert_page(f, MIB(4), 12, FAKE_RAM_PHYS + MIB(4) + 0x1000, true);
}

/* A ROM over RAM, as firmware's below 1 MiB: no large page reaches over it. */
static void test_rom(void **state)
{
    struct fixture *f = *state;

    fake_metal.piece = GIB(1);
    assert_int_equal(mem_add_rom(&f->vm, 0xe0000, f->rom, 0x10000), 0);
    assert_true(hw_pages_fill(&f->hw, 0xe1234, false));
    assert_page(f, 0xe1234, 12, metal_phys(f->rom + 0x1000), false);
    assert_false(hw_pages_fill(&f->hw, 0xe1234, true));
    assert_page(f, 0xe1234, 12, metal_phys(f->rom + 0x1000), false);
    assert_true(hw_pages_fill(&f->hw, 0xdf000, true));
    assert_page(f, 0xdf000, 12, FAKE_RAM_PHYS + 0xdf000, true);
    assert_true(hw_pages_fill(&f->hw, MIB(2), true));
    assert_page(f, MIB(2), 21, FAKE_RAM_PHYS + MIB(2), true);
    assert_false(hw_pages_fill(&f->hw, 0xe0000, true));
}

static bool is_dirty(const struct fixture *f, uint64_t offset)
{
    return f->vm.mem.dirty[offset / MEM_PAGE / 64] >> (offset / MEM_PAGE % 64) & 1;
}

static unsigned count_dirty(struct fixture *f)
{
    unsigned n = 0;

    for (uint64_t w = 0; w < RAM / MEM_PAGE / 64; w++) {
        n += (unsigned)__builtin_popcountll(f->vm.mem.dirty[w]);
        f->vm.mem.dirty[w] = 0;
    }
    return n;
}

static void test_dirty(void **state)
{
    struct fixture *f = *state;
    uint64_t flushes;

    fake_metal.piece = MIB(2);
    assert_true(hw_pages_fill(&f->hw, MIB(4), true));
    f->vm.mem.dirty = vm_alloc(&f->vm, RAM / MEM_PAGE / 8);
    assert_int_equal(hw_dirty_track(&f->vm, true), 0);
    assert_int_equal(f->hw.flushes, 1);
    assert_false(mapped(f, MIB(4)));

    /* Read first, then written; written at once; only read. */
    assert_true(hw_pages_fill(&f->hw, MIB(4), false));
    assert_page(f, MIB(4), 12, FAKE_RAM_PHYS + MIB(4), false);
    assert_true(hw_pages_fill(&f->hw, MIB(4), true));
    assert_page(f, MIB(4), 12, FAKE_RAM_PHYS + MIB(4), true);
    assert_true(hw_pages_fill(&f->hw, MIB(4), false)); /* of another processor: the right stays */
    assert_page(f, MIB(4), 12, FAKE_RAM_PHYS + MIB(4), true);
    assert_true(hw_pages_fill(&f->hw, MEM_HIGH_BASE + 0x3000, true));
    assert_true(hw_pages_fill(&f->hw, MIB(8), false));

    assert_int_equal(hw_dirty_collect(&f->vm), 0);
    assert_true(is_dirty(f, MIB(4)));
    assert_true(is_dirty(f, MEM_LOW_MAX + 0x3000));
    assert_int_equal(count_dirty(f), 2);
    assert_int_equal(f->hw.flushes, 2);
    assert_page(f, MIB(4), 12, FAKE_RAM_PHYS + MIB(4), false);

    /* Nothing since then; then one of them again. */
    flushes = f->hw.flushes;
    assert_int_equal(hw_dirty_collect(&f->vm), 0);
    assert_int_equal(count_dirty(f), 0);
    assert_int_equal(f->hw.flushes, flushes);
    assert_true(hw_pages_fill(&f->hw, MIB(4), true));
    assert_int_equal(hw_dirty_collect(&f->vm), 0);
    assert_true(is_dirty(f, MIB(4)));
    assert_int_equal(count_dirty(f), 1);

    assert_int_equal(hw_dirty_track(&f->vm, false), 0);
    assert_true(hw_pages_fill(&f->hw, MIB(4), false));
    assert_page(f, MIB(4), 21, FAKE_RAM_PHYS + MIB(4), true);
}

/* Without memory for a table the VM ends with a word, and nothing is half done. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;

    for (unsigned n = 1; n <= 3; n++) {
        f->vm.state = VM_RUNNING;
        f->fake.fail_after = n;
        assert_true(hw_pages_fill(&f->hw, GIB(1), true));
        assert_int_equal(f->vm.state, VM_SHUTDOWN);
        assert_int_equal(f->vm.shutdown, VM_SHUTDOWN_ERROR);
        assert_false(mapped(f, GIB(1)));
        hw_pages_finish(&f->hw);
        f->fake.fail_after = 0;
        assert_int_equal(f->hw.tables, 0);
        assert_int_equal(hw_pages_init(&f->hw), 0);
    }
    f->vm.state = VM_PAUSED;
    assert_true(hw_pages_fill(&f->hw, GIB(1), true));
    assert_true(mapped(f, GIB(1)));
}

#define THREADS 4
#define FAULTS  20000U

static void *faults(void *arg)
{
    struct fixture *f = arg;

    for (unsigned i = 0; i < FAULTS; i++) {
        uint64_t gpa = (uint64_t)i * 2654435761U % MIB(512);

        if (!hw_pages_fill(&f->hw, gpa, i & 1) || !mapped(f, gpa))
            return f;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t thread[THREADS];

    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, faults, f), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    assert_page(f, 2654435761U % MIB(512), 12, FAKE_RAM_PHYS + 2654435761U % MIB(512), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_small, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_split_code, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_huge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_skewed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rom, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dirty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
