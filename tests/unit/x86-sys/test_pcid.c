/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address spaces side by side in the TLB (SDM 3A 4.10): what each flush must drop,
 * must not drop if the switch shall be worth it, and never mixes up. Each space maps
 * PAGE to a page of its own, which holds the space's number.
 */
#include "tests/unit/x86-sys/sys-cpu.h"

#define SPACES     12 /* more than the TLB keeps */
#define TABLES     0x140000ULL
#define TARGET     0x80000ULL
#define PAGE       0x9000ULL
#define GLOBAL     0xa000ULL
#define DESCRIPTOR 0xb000ULL /* of INVPCID: in all spaces */
#define KEEP       BIT64(63)

static uint64_t pte_gpa(unsigned space, uint64_t lin)
{
    return TABLES + space * 0x4000 + 0x3000 + (lin >> 12) * 8;
}

static void put_target(struct flat_cpu *f, unsigned space, uint64_t lin, unsigned number, uint64_t bits)
{
    sys_put(f, pte_gpa(space, lin), 8, (TARGET + number * 0x1000) | FLAT_RW | bits);
}

static uint64_t cr3_of(unsigned space)
{
    return (TABLES + space * 0x4000) | (space + 1);
}

static enum x86_result load_cr3(struct flat_cpu *f, uint64_t value)
{
    f->cpu.s.gpr[X86_RAX] = value;
    return FLAT_EXEC(f, 0x0f, 0x22, 0xd8); /* mov cr3, rax */
}

static void go(struct flat_cpu *f, unsigned space, uint64_t keep)
{
    assert_int_equal(load_cr3(f, cr3_of(space) | keep), X86_BREAK);
    assert_int_equal(f->cpu.s.cr3, cr3_of(space));
}

static void write_cr4(struct flat_cpu *f, uint64_t value)
{
    f->cpu.s.gpr[X86_RAX] = value;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xe0), X86_BREAK);
}

/* The number in the page that is seen at lin; ~0: a fault. */
static uint64_t seen(struct flat_cpu *f, uint64_t lin)
{
    uint64_t value;

    return x86_load(&f->cpu, lin, 8, &value) ? value : ~0ULL;
}

static enum x86_result invpcid(struct flat_cpu *f, unsigned type, uint64_t pcid, uint64_t lin)
{
    uint64_t gpa = TARGET + 0x40000;

    sys_put(f, gpa, 8, pcid);
    sys_put(f, gpa + 8, 8, lin);
    f->cpu.s.gpr[X86_RAX] = type;
    f->cpu.s.gpr[X86_RBX] = DESCRIPTOR;
    return FLAT_EXEC(f, 0x66, 0x0f, 0x38, 0x82, 0x03); /* invpcid rax, [rbx] */
}

static void invlpg(struct flat_cpu *f, uint64_t lin)
{
    f->cpu.s.gpr[X86_RAX] = lin;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0x38), X86_BREAK);
}

static void start(struct flat_cpu *f)
{
    flat_mode(f, X86_MODE_64, 0);
    memset(f->ram + TABLES, 0, SPACES * 0x4000);
    for (unsigned i = 0; i < SPACES; i++) {
        uint64_t base = TABLES + i * 0x4000;

        for (unsigned level = 0; level < 3; level++)
            sys_put(f, base + level * 0x1000, 8, (base + (level + 1) * 0x1000) | FLAT_RW);
        put_target(f, i, PAGE, i, 0);
        put_target(f, i, GLOBAL, 32, X86_PTE_G);
        put_target(f, i, DESCRIPTOR, 64, X86_PTE_G);
        sys_put(f, TARGET + i * 0x1000, 8, i);
    }
    for (unsigned i = SPACES; i < 40; i++)
        sys_put(f, TARGET + i * 0x1000, 8, i);
    f->cpu.s.cr3 = TABLES;
    x86_state_changed(&f->cpu);
    write_cr4(f, f->cpu.s.cr4 | X86_CR4_PGE | X86_CR4_PCIDE);
    f->cpu.s.cr3 = cr3_of(0);
}

/* The mark says whether a translation from before is still used: it leads to the old page. */
static void remap(struct flat_cpu *f, unsigned space, unsigned number)
{
    put_target(f, space, PAGE, number, 0);
}

static void kept_with_bit_63(void **state)
{
    struct flat_cpu *f = *state;

    start(f);
    assert_int_equal(seen(f, PAGE), 0);
    go(f, 1, 0);
    assert_int_equal(seen(f, PAGE), 1);
    remap(f, 0, 20);
    remap(f, 1, 21);
    go(f, 0, KEEP);
    assert_int_equal(seen(f, PAGE), 0);
    go(f, 0, KEEP); /* its own */
    assert_int_equal(seen(f, PAGE), 0);
    go(f, 1, KEEP);
    assert_int_equal(seen(f, PAGE), 1);
    go(f, 0, 0);
    assert_int_equal(seen(f, PAGE), 20);
    go(f, 1, KEEP); /* the flush was not its */
    assert_int_equal(seen(f, PAGE), 1);
    go(f, 1, 0);
    assert_int_equal(seen(f, PAGE), 21);
}

/* Bit 63 means nothing good without PCIDs. */
static void bit_63_alone(void **state)
{
    struct flat_cpu *f = *state;

    start(f);
    assert_int_equal(load_cr3(f, TABLES), X86_BREAK);
    write_cr4(f, f->cpu.s.cr4 & ~(uint64_t)X86_CR4_PCIDE);
    assert_int_equal(load_cr3(f, TABLES | KEEP), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    assert_int_equal(f->cpu.s.cr3, TABLES);
}

static void never_mixed(void **state)
{
    struct flat_cpu *f = *state;
    unsigned at = 0;
    uint64_t random = 1;

    start(f);
    for (unsigned i = 0; i < 2000; i++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        at = (unsigned)(random >> 33) % SPACES;
        go(f, at, random >> 63 ? KEEP : 0);
        assert_int_equal(seen(f, PAGE), at);
        assert_true(x86_store(&f->cpu, PAGE + 8, 8, i));
        assert_int_equal(sys_get(f, TARGET + at * 0x1000 + 8, 8), i);
        assert_int_equal(seen(f, GLOBAL), 32);
    }
}

static void invpcid_types(void **state)
{
    struct flat_cpu *f = *state;

    for (unsigned type = 0; type < 4; type++) {
        for (unsigned present = 0; present < 2; present++) { /* of the other space, or of the present one */
            start(f);
            assert_int_equal(seen(f, PAGE), 0);
            assert_int_equal(seen(f, GLOBAL), 32);
            go(f, 1, 0);
            assert_int_equal(seen(f, PAGE), 1);
            remap(f, 0, 20);
            remap(f, 1, 21);
            put_target(f, 0, GLOBAL, 22, X86_PTE_G);
            put_target(f, 1, GLOBAL, 22, X86_PTE_G);
            assert_int_equal(invpcid(f, type, present ? 2 : 1, PAGE), X86_BREAK);
            assert_int_equal(seen(f, PAGE), present || type > 1 ? 21 : 1);
            assert_int_equal(seen(f, GLOBAL), type == 2 ? 22 : 32);
            go(f, 0, KEEP);
            assert_int_equal(seen(f, PAGE), !present || type > 1 ? 20 : 0);
        }
    }
    assert_int_equal(invpcid(f, 4, 1, PAGE), X86_FAULT);
    assert_int_equal(invpcid(f, 0, 0x1000, PAGE), X86_FAULT);
    assert_int_equal(invpcid(f, 0, 1, BIT64(60)), X86_FAULT);
}

/* INVLPG drops a global page for all, and of others that of the present space only. */
static void invlpg_and_globals(void **state)
{
    struct flat_cpu *f = *state;

    start(f);
    assert_int_equal(seen(f, GLOBAL), 32);
    assert_int_equal(seen(f, PAGE), 0);
    go(f, 1, 0);
    assert_int_equal(seen(f, PAGE), 1);
    for (unsigned i = 0; i < 2; i++) {
        put_target(f, i, GLOBAL, 22, X86_PTE_G);
        remap(f, i, 20 + i);
    }
    assert_int_equal(seen(f, GLOBAL), 32);
    invlpg(f, GLOBAL);
    assert_int_equal(seen(f, GLOBAL), 22);
    invlpg(f, PAGE);
    assert_int_equal(seen(f, PAGE), 21);
    go(f, 0, KEEP);
    assert_int_equal(seen(f, GLOBAL), 22);
    assert_int_equal(seen(f, PAGE), 0);
    invlpg(f, PAGE);
    assert_int_equal(seen(f, PAGE), 20);
}

/* What flushes everything flushes what is put aside, too: CR4.PGE, CR4.PCIDE, CR0.WP, the engine. */
static void full_flushes(void **state)
{
    struct flat_cpu *f = *state;

    for (unsigned how = 0; how < 4; how++) {
        start(f);
        assert_int_equal(seen(f, PAGE), 0);
        go(f, 1, 0);
        assert_int_equal(seen(f, PAGE), 1);
        remap(f, 0, 20);
        if (how == 0) {
            write_cr4(f, f->cpu.s.cr4 & ~(uint64_t)X86_CR4_PGE);
        } else if (how == 1) {
            f->cpu.s.cr3 &= ~0xfffULL;
            write_cr4(f, f->cpu.s.cr4 & ~(uint64_t)X86_CR4_PCIDE);
            write_cr4(f, f->cpu.s.cr4 | X86_CR4_PCIDE);
        } else if (how == 2) {
            f->cpu.s.gpr[X86_RAX] = f->cpu.s.cr0 & ~(uint64_t)X86_CR0_WP;
            assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xc0), X86_BREAK);
        } else {
            x86_tlb_flush(&f->cpu);
        }
        go(f, 0, KEEP);
        assert_int_equal(seen(f, PAGE), 20);
    }
}

/* Write rights that are taken away while a space is not the present one do not come back with it. */
static void protected_meanwhile(void **state)
{
    struct flat_cpu *f = *state;

    start(f);
    assert_true(x86_store(&f->cpu, PAGE, 8, 0));
    assert_int_equal(f->stored_calls, 0);
    go(f, 1, 0);
    go(f, 0, KEEP);
    assert_true(x86_store(&f->cpu, PAGE, 8, 0));
    assert_int_equal(f->stored_calls, 0);
    go(f, 1, KEEP);
    f->slow_page = TARGET;
    x86_tlb_protect(&f->cpu, TARGET);
    go(f, 0, KEEP);
    assert_true(x86_store(&f->cpu, PAGE, 8, 0));
    assert_int_equal(f->stored_calls, 1);
}

/* The first store still sets D after a read, a switch and a switch back. */
static void dirty_after_switch(void **state)
{
    struct flat_cpu *f = *state;

    start(f);
    assert_int_equal(seen(f, PAGE), 0);
    go(f, 1, 0);
    go(f, 0, KEEP);
    assert_int_equal(seen(f, PAGE), 0);
    assert_false(sys_get(f, pte_gpa(0, PAGE), 8) & X86_PTE_D);
    assert_true(x86_store(&f->cpu, PAGE, 8, 0));
    assert_true(sys_get(f, pte_gpa(0, PAGE), 8) & X86_PTE_D);
}

/* A large page that was entered in one space is gone from it after INVLPG there, of any of its addresses. */
static void large_page_comes_back(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t lin = 0x400000, pde = TABLES + 0x2000 + 2 * 8;

    start(f);
    sys_put(f, pde, 8, 0 | FLAT_RW | X86_PTE_PS);
    assert_int_equal(seen(f, lin + TARGET + 0x3000), 3);
    go(f, 1, 0);
    assert_int_equal(seen(f, lin), ~0ULL);
    sys_put(f, pde, 8, 0);
    go(f, 0, KEEP);
    assert_int_equal(seen(f, lin + TARGET + 0x3000), 3);
    invlpg(f, lin + 0x1ff000);
    assert_int_equal(seen(f, lin + TARGET + 0x3000), ~0ULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_with_bit_63, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(bit_63_alone, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(never_mixed, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(invpcid_types, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(invlpg_and_globals, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(full_flushes, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(protected_meanwhile, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(dirty_after_switch, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(large_page_comes_back, sys_setup, sys_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
