/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page walk against a second description of the rules: every paging mode,
 * page size and combination of rights and control bits; then TLB and faults.
 */
#include "tests/unit/x86-sys/sys-cpu.h"

#define TABLES 0x40000ULL /* one page for each level from here on */
#define TARGET 0x80000ULL /* what 4 KiB pages map to */

struct mode {
    const char *name;
    unsigned levels, entry, index_bits;
    bool lm;
};

static const struct mode modes[] = {
    {"32-bit", 2, 4, 10, false},
    {"PAE", 3, 8, 9, false},
    {"4-level", 4, 8, 9, true},
    {"5-level", 5, 8, 9, true},
};

static void mode_start(struct flat_cpu *f, const struct mode *m, uint64_t cr4)
{
    struct x86_state *s = &f->cpu.s;

    flat_mode(f, m->lm ? X86_MODE_64 : X86_MODE_32, 0);
    s->efer = m->lm ? X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE : m->entry == 8 ? X86_EFER_NXE : 0;
    s->cr3 = TABLES;
    s->cr4 = cr4 | X86_CR4_PSE | (m->entry == 8 ? X86_CR4_PAE : 0) | (m->levels == 5 ? X86_CR4_LA57 : 0);
    x86_state_changed(&f->cpu);
}

static uint64_t entry_gpa(const struct mode *m, unsigned level, uint64_t lin)
{
    unsigned shift = 12 + (level - 1) * m->index_bits;
    unsigned index = (unsigned)(lin >> shift) & ((1U << m->index_bits) - 1);

    if (m->levels == 3 && level == 3)
        index &= 3;
    return TABLES + (m->levels - level) * 0x1000 + index * m->entry;
}

/* Maps lin with a leaf at level `leaf`; upper entries have `upper` rights. Returns the gpa of lin. */
static uint64_t map(struct flat_cpu *f, const struct mode *m, uint64_t lin, unsigned leaf, uint64_t rights,
                    uint64_t upper)
{
    uint64_t offset_bits = 12 + (leaf - 1) * m->index_bits;
    uint64_t target = leaf == 1 ? TARGET : 0;

    memset(f->ram + TABLES, 0, 0x6000);
    for (unsigned level = m->levels; level >= leaf; level--) {
        uint64_t next = TABLES + (m->levels - level + 1) * 0x1000;
        uint64_t value = level == leaf ? target | rights | (leaf > 1 ? X86_PTE_PS : 0) : next | upper;

        if (m->levels == 3 && level == 3)
            value = next | X86_PTE_P; /* has no rights */
        sys_put(f, entry_gpa(m, level, lin), m->entry, value);
    }
    x86_tlb_flush(&f->cpu);
    return target | (lin & (BIT64(offset_bits) - 1));
}

struct rights {
    bool user, write, nx;
};

/* What the manual says (SDM 3A 4.6), said again. */
static bool expect_allowed(const struct x86_state *s, struct rights r, enum x86_mem_access access,
                           unsigned mmu)
{
    bool supervisor = mmu != X86_MMU_USER;

    if (!supervisor && !r.user)
        return false;
    switch (access) {
    case X86_MEM_FETCH:
        return !r.nx && !(supervisor && r.user && s->cr4 & X86_CR4_SMEP);
    case X86_MEM_READ:
        return !(r.user && mmu == X86_MMU_KERNEL && s->cr4 & X86_CR4_SMAP);
    default:
        if (r.user && mmu == X86_MMU_KERNEL && s->cr4 & X86_CR4_SMAP)
            return false;
        return r.write || (supervisor && !(s->cr0 & X86_CR0_WP));
    }
}

static uint32_t expect_error(const struct x86_state *s, const struct mode *m, enum x86_mem_access access,
                             unsigned mmu, uint32_t error)
{
    bool fetch_bit = s->cr4 & X86_CR4_SMEP || (s->efer & X86_EFER_NXE && m->entry == 8);

    return error | (access == X86_MEM_WRITE ? X86_PF_W : 0) | (mmu == X86_MMU_USER ? X86_PF_U : 0) |
           (access == X86_MEM_FETCH && fetch_bit ? X86_PF_I : 0);
}

static uint64_t pte_rights(const struct mode *m, struct rights r)
{
    return X86_PTE_P | (r.user ? X86_PTE_U : 0) | (r.write ? X86_PTE_W : 0) |
           (r.nx && m->entry == 8 ? X86_PTE_NX : 0);
}

static void check_access(struct flat_cpu *f, const struct mode *m, uint64_t lin, unsigned leaf,
                         struct rights r, bool at_upper, enum x86_mem_access access, unsigned mmu)
{
    const struct rights all = {true, true, false};
    uint64_t gpa = map(f, m, lin, leaf, pte_rights(m, at_upper ? all : r), pte_rights(m, at_upper ? r : all));
    uint64_t leaf_gpa = entry_gpa(m, leaf, lin), pte;
    struct x86_translation t;
    bool allowed;

    if (m->entry == 4)
        r.nx = false;
    if (at_upper && (leaf == m->levels || (m->levels == 3 && leaf == 2)))
        r = all; /* there is no level above that has rights */
    allowed = x86_translate(&f->cpu, lin, access, mmu, &t);
    assert_int_equal(allowed, expect_allowed(&f->cpu.s, r, access, mmu));
    pte = sys_get(f, leaf_gpa, m->entry);
    if (allowed) {
        assert_int_equal(t.gpa, gpa);
        assert_true(pte & X86_PTE_A);
        assert_int_equal(!!(pte & X86_PTE_D), access == X86_MEM_WRITE);
        if (leaf < m->levels && !(m->levels == 3 && leaf == 2))
            assert_true(sys_get(f, entry_gpa(m, leaf + 1, lin), m->entry) & X86_PTE_A);
    } else {
        assert_int_equal(f->cpu.fault.vector, X86_PF);
        assert_int_equal(f->cpu.fault.error, expect_error(&f->cpu.s, m, access, mmu, X86_PF_P));
        assert_int_equal(f->cpu.fault_cr2, lin);
        assert_false(pte & X86_PTE_D);
    }
}

static unsigned max_leaf(const struct mode *m)
{
    return m->lm ? 3 : 2;
}

static void every_right(void **state)
{
    struct flat_cpu *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(modes) * 8; i++) {
        const struct mode *m = &modes[i / 8];
        uint64_t cr4 = (i & 1 ? X86_CR4_SMEP : 0) | (i & 2 ? X86_CR4_SMAP : 0);

        mode_start(f, m, cr4);
        f->cpu.s.cr0 = i & 4 ? f->cpu.s.cr0 | X86_CR0_WP : f->cpu.s.cr0 & ~(uint64_t)X86_CR0_WP;
        for (unsigned leaf = 1; leaf <= max_leaf(m); leaf++) {
            for (unsigned n = 0; n < 8 * 2 * 3 * 3; n++) {
                struct rights r = {n & 1, n & 2, n & 4};

                check_access(f, m, 0x345678, leaf, r, n & 8, (enum x86_mem_access)(n / 16 % 3), n / 48);
            }
        }
    }
}

static void not_present_at_each_level(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_translation t;

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        const struct mode *m = &modes[i];

        mode_start(f, m, 0);
        for (unsigned level = m->levels; level; level--) {
            map(f, m, 0x5000, 1, FLAT_RW, FLAT_RW);
            sys_put(f, entry_gpa(m, level, 0x5000), m->entry, ~1ULL);
            assert_false(x86_translate(&f->cpu, 0x5000, X86_MEM_WRITE, X86_MMU_USER, &t));
            assert_int_equal(f->cpu.fault.error, X86_PF_W | X86_PF_U);
        }
    }
}

/* One reserved bit at a time. */
static void reserved_bits(void **state)
{
    struct flat_cpu *f = *state;
    static const struct {
        unsigned mode, leaf, level;
        uint64_t bit;
        uint64_t clear_efer;
    } cases[] = {
        {0, 2, 2, BIT64(21), 0},
        {1, 1, 1, BIT64(40), 0},
        {1, 1, 3, BIT64(1), 0},
        {1, 1, 3, BIT64(5), 0},
        {1, 1, 2, BIT64(52), 0},
        {1, 2, 2, BIT64(13), 0},
        {1, 1, 1, X86_PTE_NX, X86_EFER_NXE},
        {2, 1, 1, BIT64(51), 0},
        {2, 1, 4, X86_PTE_PS, 0},
        {2, 2, 2, BIT64(20), 0},
        {2, 3, 3, BIT64(29), 0},
        {2, 3, 3, BIT64(13), 0},
        {2, 1, 2, X86_PTE_NX, X86_EFER_NXE},
        {3, 1, 5, X86_PTE_PS, 0},
        {3, 1, 4, BIT64(45), 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct mode *m = &modes[cases[i].mode];
        struct x86_translation t;
        uint64_t gpa;

        mode_start(f, m, 0);
        f->cpu.s.efer &= ~cases[i].clear_efer;
        map(f, m, 0x7000, cases[i].leaf, FLAT_RW, FLAT_RW);
        assert_true(x86_translate(&f->cpu, 0x7000, X86_MEM_READ, X86_MMU_USER, &t));
        gpa = entry_gpa(m, cases[i].level, 0x7000);
        sys_put(f, gpa, m->entry, sys_get(f, gpa, m->entry) | cases[i].bit);
        x86_tlb_flush(&f->cpu);
        assert_false(x86_translate(&f->cpu, 0x7000, X86_MEM_READ, X86_MMU_USER, &t));
        assert_int_equal(f->cpu.fault.error, X86_PF_P | X86_PF_RSVD | X86_PF_U);
    }
}

/* Bits that are not reserved after all: PS without PSE, 1 GiB pages where the model has none are. */
static void page_sizes_need_features(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_translation t;
    uint64_t saved = f->model.features[X86_FEAT_PDPE1GB / 64];

    mode_start(f, &modes[0], 0);
    map(f, &modes[0], 0x7000, 1, FLAT_RW, FLAT_RW | X86_PTE_PS);
    f->cpu.s.cr4 = 0;
    x86_state_changed(&f->cpu);
    assert_true(x86_translate(&f->cpu, 0x7000, X86_MEM_READ, X86_MMU_USER, &t));
    assert_int_equal(t.gpa, TARGET);

    mode_start(f, &modes[2], 0);
    map(f, &modes[2], 0x7000, 3, FLAT_RW, FLAT_RW);
    f->model.features[X86_FEAT_PDPE1GB / 64] &= ~BIT64(X86_FEAT_PDPE1GB % 64);
    assert_false(x86_translate(&f->cpu, 0x7000, X86_MEM_READ, X86_MMU_USER, &t));
    assert_int_equal(f->cpu.fault.error, X86_PF_P | X86_PF_RSVD | X86_PF_U);
    f->model.features[X86_FEAT_PDPE1GB / 64] = saved;
}

static void canonical_addresses(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_translation t;

    mode_start(f, &modes[2], 0);
    assert_false(x86_translate(&f->cpu, BIT64(47), X86_MEM_READ, X86_MMU_KERNEL, &t));
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    mode_start(f, &modes[3], 0);
    assert_false(x86_translate(&f->cpu, BIT64(47), X86_MEM_READ, X86_MMU_KERNEL, &t));
    assert_int_equal(f->cpu.fault.vector, X86_PF);
    assert_false(x86_translate(&f->cpu, BIT64(56), X86_MEM_READ, X86_MMU_KERNEL, &t));
    assert_int_equal(f->cpu.fault.vector, X86_GP);
}

static void no_paging(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_translation t;

    sys_start(f, false, 0);
    assert_true(x86_translate(&f->cpu, 0x100001234ULL, X86_MEM_WRITE, X86_MMU_USER, &t));
    assert_int_equal(t.gpa, 0x1234);
    assert_ptr_equal(t.host, f->ram + 0x1234);
}

/* ---- TLB ---- */

static bool store(struct flat_cpu *f, uint64_t lin)
{
    return x86_store(&f->cpu, lin, 8, 1);
}

/* A page that was only read must still get its D bit from the first store. */
static void dirty_after_read(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t value;

    mode_start(f, &modes[2], 0);
    map(f, &modes[2], 0x9000, 1, FLAT_RW, FLAT_RW);
    assert_true(x86_load(&f->cpu, 0x9000, 8, &value));
    assert_false(sys_get(f, entry_gpa(&modes[2], 1, 0x9000), 8) & X86_PTE_D);
    assert_true(store(f, 0x9000));
    assert_true(sys_get(f, entry_gpa(&modes[2], 1, 0x9000), 8) & X86_PTE_D);
}

/* Old translations live until they are flushed, and no longer. */
static void flushes(void **state)
{
    struct flat_cpu *f = *state;
    const struct mode *m = &modes[2];
    uint64_t pte = entry_gpa(m, 1, 0x9000), generation;

    mode_start(f, m, X86_CR4_PGE);
    map(f, m, 0x9000, 1, FLAT_RW, FLAT_RW);
    assert_true(store(f, 0x9000));
    sys_put(f, pte, 8, 0);
    assert_true(store(f, 0x9000));
    generation = f->tlb.generation;
    x86_tlb_flush_page(&f->cpu, 0x9fff);
    assert_true(f->tlb.generation > generation);
    assert_false(store(f, 0x9000));

    /* CR3 spares global pages, CR4.PGE does not */
    map(f, m, 0x9000, 1, FLAT_RW | X86_PTE_G, FLAT_RW);
    assert_true(store(f, 0x9000));
    sys_put(f, pte, 8, 0);
    f->cpu.s.gpr[X86_RAX] = TABLES;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xd8), X86_BREAK); /* mov cr3, rax */
    assert_true(store(f, 0x9000));
    f->cpu.s.gpr[X86_RAX] = f->cpu.s.cr4 & ~(uint64_t)X86_CR4_PGE;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xe0), X86_BREAK); /* mov cr4, rax */
    assert_false(store(f, 0x9000));

    map(f, m, 0x9000, 1, FLAT_RW, FLAT_RW);
    assert_true(store(f, 0x9000));
    sys_put(f, pte, 8, 0);
    FLAT_EXEC(f, 0x0f, 0x22, 0xd8 + 0); /* mov cr3, rax: any value flushes what is not global */
    f->cpu.s.cr3 = TABLES;
    assert_false(store(f, 0x9000));
}

/* INVLPG of any address in a large page drops all of it. */
static void large_page_flush(void **state)
{
    struct flat_cpu *f = *state;

    for (unsigned leaf = 2; leaf <= 3; leaf++) {
        const struct mode *m = &modes[2];

        mode_start(f, m, 0);
        map(f, m, 0x1000, leaf, FLAT_RW, FLAT_RW);
        assert_true(store(f, 0x81000));
        assert_true(store(f, 0x90000));
        sys_put(f, entry_gpa(m, leaf, 0), 8, 0);
        f->cpu.s.gpr[X86_RAX] = 0x1ff000;
        assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0x38), X86_BREAK); /* invlpg [rax] */
        assert_false(store(f, 0x81000));
        assert_false(store(f, 0x90000));
    }
    mode_start(f, &modes[0], 0); /* 4 MiB */
    map(f, &modes[0], 0, 2, FLAT_RW, FLAT_RW);
    assert_true(store(f, 0x90000));
    sys_put(f, TABLES, 4, 0);
    x86_tlb_flush_page(&f->cpu, 0x3ff000);
    assert_false(store(f, 0x90000));
}

static void protection(void **state)
{
    struct flat_cpu *f = *state;

    sys_start(f, true, 0);
    assert_true(store(f, 0x60000));
    assert_int_equal(f->stored_calls, 0);
    f->slow_page = 0x60000;
    assert_true(store(f, 0x60008)); /* still fast: nobody said otherwise */
    assert_int_equal(f->stored_calls, 0);
    x86_tlb_protect(&f->cpu, 0x60000);
    assert_true(store(f, 0x60010));
    assert_true(store(f, 0x60018));
    assert_int_equal(f->stored_calls, 2);
    f->slow_page = 1;
    assert_true(store(f, 0x60020));
    assert_true(store(f, 0x60028));
    assert_int_equal(f->stored_calls, 2);
}

/* The PAT bit of a large page is no address bit. */
static void large_page_pat(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_translation t;

    mode_start(f, &modes[2], 0);
    map(f, &modes[2], 0x9000, 2, FLAT_RW, FLAT_RW);
    sys_put(f, entry_gpa(&modes[2], 2, 0x9000), 8, FLAT_RW | X86_PTE_PS | BIT64(12));
    assert_true(x86_translate(&f->cpu, 0x8123, X86_MEM_READ, X86_MMU_USER, &t));
    assert_int_equal(t.gpa, 0x8123);
}

/* Without CR4.PGE no page is global. */
static void global_needs_pge(void **state)
{
    struct flat_cpu *f = *state;

    mode_start(f, &modes[2], 0);
    map(f, &modes[2], 0x9000, 1, FLAT_RW | X86_PTE_G, FLAT_RW);
    assert_true(store(f, 0x9000));
    sys_put(f, entry_gpa(&modes[2], 1, 0x9000), 8, 0);
    f->cpu.s.gpr[X86_RAX] = TABLES;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xd8), X86_BREAK); /* mov cr3, rax */
    assert_false(store(f, 0x9000));
}

static struct x86_page rom_page(struct x86_cpu *cpu, uint64_t gpa)
{
    struct x86_page page = flat_env_page(cpu, gpa);

    page.rom = gpa == TARGET;
    return page;
}

/* Stores to ROM are dropped, also the second one, and also A and D in tables there. */
static void rom(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_env env = flat_env;
    uint64_t value;

    env.page = rom_page;
    f->cpu.env = &env;
    mode_start(f, &modes[2], 0);
    map(f, &modes[2], 0x9000, 1, FLAT_RW, FLAT_RW);
    sys_put(f, TARGET, 8, 0x1234);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(store(f, 0x9000));
        assert_true(x86_load(&f->cpu, 0x9000, 8, &value));
        assert_int_equal(value, 0x1234);
    }
    memcpy(f->ram + TARGET, f->ram + TABLES + 0x3000, 0x1000);
    sys_put(f, TABLES + 0x2000, 8, TARGET | FLAT_RW);
    sys_put(f, TARGET + 9 * 8, 8, 0x60000 | FLAT_RW);
    x86_tlb_flush(&f->cpu);
    assert_true(store(f, 0x9000));
    assert_int_equal(sys_get(f, 0x60000, 8), 1);
    assert_int_equal(sys_get(f, TARGET + 9 * 8, 8), 0x60000 | FLAT_RW);
    f->cpu.env = &flat_env;
}

static void quiet_walk(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t gpa;

    mode_start(f, &modes[3], 0);
    map(f, &modes[3], 0x9000, 1, X86_PTE_P, FLAT_RW);
    assert_true(x86_walk_quiet(&f->cpu, 0x9123, &gpa));
    assert_int_equal(gpa, TARGET + 0x123);
    assert_false(sys_get(f, entry_gpa(&modes[3], 1, 0x9000), 8) & X86_PTE_A);
    assert_false(x86_walk_quiet(&f->cpu, 0x400000, &gpa));
    assert_false(x86_walk_quiet(&f->cpu, BIT64(60), &gpa));
}

/* Tables that lie in a device, or nowhere, or in themselves. */
static void tables_anywhere(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_translation t;

    mode_start(f, &modes[2], 0);
    f->cpu.s.cr3 = FLAT_MMIO;
    x86_translate(&f->cpu, 0x1000, X86_MEM_WRITE, X86_MMU_USER, &t);
    f->cpu.s.cr3 = 0xffffff000ULL;
    x86_translate(&f->cpu, 0x1000, X86_MEM_WRITE, X86_MMU_USER, &t);
    f->cpu.s.cr3 = TABLES;
    memset(f->ram + TABLES, 0, 0x1000);
    sys_put(f, TABLES, 8, TABLES | FLAT_RW);
    x86_tlb_flush(&f->cpu);
    assert_true(x86_translate(&f->cpu, 0, X86_MEM_WRITE, X86_MMU_USER, &t));
    assert_int_equal(t.gpa, TABLES);
    assert_int_equal(sys_get(f, TABLES, 8), TABLES | FLAT_RW | X86_PTE_A | X86_PTE_D);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_right, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(not_present_at_each_level, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(reserved_bits, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(page_sizes_need_features, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(canonical_addresses, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(no_paging, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(dirty_after_read, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(flushes, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(large_page_flush, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(protection, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(large_page_pat, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(global_needs_pge, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(rom, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(quiet_walk, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(tables_anywhere, sys_setup, sys_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
