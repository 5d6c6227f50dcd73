/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One machine, put into a block's state, run, and looked at. */
#include "tests/blocks/blocks.h"

#include "tests/diff/random-values.h"

#include <string.h>

#define PRESENT    1ULL
#define WRITABLE   2ULL
#define USER       4ULL
#define ACCESSED   0x20ULL
#define NO_EXECUTE BIT64(63)

enum {
    SEL_CODE64 = 8,
    SEL_DATA = 16,
    SEL_CODE32 = 24,
    SEL_USER_DATA = 0x23,
    SEL_USER64 = 0x2b,
    SEL_USER32 = 0x33
};

/* What is compared, and made anew for each block. Physical. */
static const struct region {
    const char *name;
    uint64_t base, size;
} regions[] = {
    {"code", CODE_BASE, CODE_PAGES * 4096}, {"code, the pages elsewhere", CODE_ELSEWHERE, 0x2000},
    {"data", DATA_BASE, DATA_PAGES * 4096}, {"stack", STACK_BASE, 0x2000},
    {"interrupt stack", IST_BASE, 0x1000},
};

/* ---- what never changes ---- */

static void put64(struct world *w, uint64_t gpa, uint64_t value)
{
    memcpy(w->machine.ram + gpa, &value, 8);
}

static void make_fixed(struct world *w)
{
    put64(w, MACHINE_GDT + 0x20, 0x00cff3000000ffff); /* user data */
    put64(w, MACHINE_GDT + 0x28, 0x00affb000000ffff); /* user code, 64 bits */
    put64(w, MACHINE_GDT + 0x30, 0x00cffb000000ffff); /* user code, 32 bits */
    put64(w, PAGE_PDPT32, 0x3000 | PRESENT);
    /* No large pages: everything else is not mapped. */
    for (unsigned i = 1; i < 512; i++)
        put64(w, 0x3000 + i * 8, 0);
}

void world_init(struct world *w, const struct engine_ops *engine)
{
    memset(w, 0, sizeof(*w));
    w->name = engine->name;
    machine_init_counted(&w->machine, engine, X86_CPU_V3);
    make_fixed(w);
}

void world_finish(struct world *w)
{
    machine_finish(&w->machine);
}

/* ---- a block's memory ---- */

static void set_page(struct world *w, uint64_t lin, uint64_t entry)
{
    put64(w, MACHINE_PT + (lin >> 12) * 8, entry);
}

static void make_pages(struct world *w, const struct block *b)
{
    const uint64_t rw = PRESENT | WRITABLE | USER, nx = b->data_nx ? NO_EXECUTE : 0;
    static const unsigned char data[DATA_PAGES] = {0, 1, 2, 3, 4, 0};

    memset(w->machine.ram + MACHINE_PT, 0, 4096);
    for (uint64_t lin = 0x1000; lin < 0x10000; lin += 4096)
        set_page(w, lin, lin | PRESENT); /* tables and handlers: not to be written over */
    for (unsigned i = 0; i < CODE_PAGES; i++) {
        uint64_t gpa = i == 1 && b->split_code ? CODE_ELSEWHERE : CODE_BASE + i * 4096ULL;

        set_page(w, CODE_BASE + i * 4096ULL, gpa | rw);
        set_page(w, CODE_ALIAS + i * 4096ULL, gpa | rw);
    }
    if (b->last_code)
        set_page(w, CODE_BASE + CODE_PAGES * 4096ULL, (CODE_ELSEWHERE + 0x1000) | rw | NO_EXECUTE);
    for (unsigned i = 0; i < DATA_PAGES; i++) {
        uint64_t entry = (DATA_BASE + data[i] * 4096ULL) | rw | nx;

        if (i == 2)
            entry &= ~WRITABLE;
        if (i == 4)
            entry &= ~USER;
        set_page(w, DATA_BASE + i * 4096ULL, i == 3 ? 0 : entry);
    }
    for (unsigned i = 0; i < 2; i++)
        set_page(w, STACK_BASE + i * 4096ULL, (STACK_BASE + i * 4096ULL) | rw | nx);
    set_page(w, IST_BASE, IST_BASE | PRESENT | WRITABLE);
}

static void make_gates(struct world *w, const struct block *b)
{
    uint64_t ist_top = IST_BASE + 0x1000;

    for (unsigned v = 0; v < 256; v++)
        w->machine.ram[MACHINE_IDT + v * 16 + 4] = b->ist;
    memset(w->machine.ram + PAGE_TSS, 0, 0x80);
    if (b->legacy) {
        store_le32(w->machine.ram + PAGE_TSS + 4, (uint32_t)ist_top);
        store_le32(w->machine.ram + PAGE_TSS + 8, SEL_DATA);
    } else {
        put64(w, PAGE_TSS + 4, ist_top);    /* RSP0 */
        put64(w, PAGE_TSS + 0x24, ist_top); /* IST1 */
    }
}

static void fill(struct world *w, const struct block *b)
{
    static uint8_t page[DATA_PAGES * 4096];
    uint64_t r = b->fill | 1;
    unsigned wide = b->mode == X86_MODE_64 ? 8 : 4;

    random_bytes(&r, page, DATA_PAGES * 4096);
    for (unsigned at = 0; at < sizeof(page); at += 512) /* values that mean something to somebody */
        random_vector(&r, page + at);
    for (unsigned i = 0; i < TABLE_SIZE; i++) {
        uint64_t to = b->item[block_standing(b, below(&r, b->count))].address;

        memcpy(page + (TABLE_AT - DATA_BASE) + i * wide, &to, wide);
    }
    mem_write(&w->machine.vm, DATA_BASE, page, DATA_PAGES * 4096);
    for (unsigned at = 0; at < 0x2000; at += wide) {
        uint64_t to = b->item[block_standing(b, below(&r, b->count))].address;

        if (!one_in(&r, 8))
            memcpy(page + at, &to, wide);
    }
    mem_write(&w->machine.vm, STACK_BASE, page, 0x2000);
    memset(page, 0, 4096);
    mem_write(&w->machine.vm, IST_BASE, page, 4096);
}

static void put_code(struct world *w, struct block *b)
{
    static uint8_t code[CODE_PAGES * 4096];
    struct vm *vm = &w->machine.vm;

    block_layout(b, code);
    mem_write(vm, CODE_BASE, code, sizeof(code));
    mem_write(vm, CODE_ELSEWHERE, code + 4096, 4096);
    memset(code, 0, 4096);
    mem_write(vm, CODE_ELSEWHERE + 4096, code, 4096);
}

/* ---- the processor ---- */

static struct x86_segment flat(uint16_t selector, uint32_t attr)
{
    return (struct x86_segment){
        .selector = selector, .limit = ~0U, .attr = attr | X86_SEG_S | X86_SEG_P | X86_SEG_G};
}

static void set_segments(struct x86_state *s, const struct block *b)
{
    uint32_t dpl = b->user ? X86_SEG_DPL : 0;
    uint16_t data = b->user ? SEL_USER_DATA : SEL_DATA;
    uint64_t fs = s->seg[X86_FS].base, gs = s->seg[X86_GS].base;

    for (unsigned i = X86_ES; i <= X86_GS; i++)
        s->seg[i] = flat(data, 3 | dpl | X86_SEG_DB);
    if (b->mode == X86_MODE_64)
        s->seg[X86_CS] = flat(b->user ? SEL_USER64 : SEL_CODE64, 11 | dpl | X86_SEG_L);
    else
        s->seg[X86_CS] = flat(b->user ? SEL_USER32 : SEL_CODE32, 11 | dpl | X86_SEG_DB);
    s->seg[X86_FS].base = fs;
    s->seg[X86_GS].base = gs;
    s->seg[X86_TR] =
        (struct x86_segment){.base = PAGE_TSS, .limit = 0x67, .selector = 0x40, .attr = 11 | X86_SEG_P};
}

static void set_state(struct world *w, const struct block *b)
{
    struct vcpu *vcpu = w->machine.vm.vcpu[0];
    struct x86_state *s = &vcpu->cpu.s, cold;

    x86_reset(&vcpu->cpu, false);
    cold = *s;
    *s = b->in;
    memcpy(s->mtrr_fixed, cold.mtrr_fixed, sizeof(s->mtrr_fixed));
    s->pat = cold.pat;
    s->misc_enable = cold.misc_enable;
    s->dr[6] = cold.dr[6];
    s->dr[7] = cold.dr[7];
    s->rip = b->item[block_standing(b, 0)].address;
    s->cr0 = (s->cr0 & (X86_CR0_AM | X86_CR0_TS | X86_CR0_EM)) | X86_CR0_PE | X86_CR0_ET | X86_CR0_NE |
             X86_CR0_MP | X86_CR0_WP | X86_CR0_PG;
    s->cr4 = (s->cr4 & X86_CR4_SMAP) | X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE |
             X86_CR4_FSGSBASE;
    s->xcr0 = X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX;
    s->cr3 = b->legacy ? PAGE_PDPT32 : MACHINE_PML4;
    s->efer = b->legacy ? X86_EFER_NXE : X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
    set_segments(s, b);
    s->gdtr = (struct x86_table_reg){.base = MACHINE_GDT, .limit = 0x37};
    s->idtr = (struct x86_table_reg){.base = b->legacy ? MACHINE_IDT32 : MACHINE_IDT, .limit = 4095};
    s->star = (uint64_t)(SEL_USER32 - 16) << 48 | (uint64_t)SEL_CODE64 << 32;
    s->cstar = MACHINE_STUBS;
    s->lstar = s->lstar ? b->item[block_standing(b, (unsigned)s->lstar % b->count)].address : MACHINE_STUBS;
    s->activity = X86_ACT_RUN;
    vcpu->cpu.instructions = 0;
    vcpu->cpu.uncounted = 0;
    w->machine.pending[0] = 0;
    __atomic_store_n(&vcpu->cpu.request, 0, __ATOMIC_SEQ_CST);
    w->machine.vm.icount.random = b->random;
    w->machine.vm.icount.skipped = 0;
    w->machine.vm.engine->state_put(vcpu);
}

/* ---- the run ---- */

static enum vm_exit run_to(struct world *w, uint64_t limit)
{
    struct vcpu *vcpu = w->machine.vm.vcpu[0];

    vcpu->cpu.instruction_limit = limit;
    return machine_run(&w->machine, 0);
}

void world_run(struct world *w, struct block *b)
{
    struct vm *vm = &w->machine.vm;
    uint64_t stops[3] = {MIN(b->stop, b->interrupt), MAX(b->stop, b->interrupt), b->limit};
    enum vm_exit exit = VM_EXIT_LIMIT;

    w->unspecified = w->data_fetched = false;
    put_code(w, b);
    make_pages(w, b);
    make_gates(w, b);
    fill(w, b);
    set_state(w, b);
    engine_learn(vm, b);
    for (unsigned i = 0; i < 3 && exit == VM_EXIT_LIMIT; i++) {
        uint64_t stop = MIN(stops[i], b->limit);

        if (stop > vm->vcpu[0]->cpu.instructions)
            exit = run_to(w, stop);
        if (stops[i] == b->interrupt && stops[i] < b->limit)
            machine_interrupt(&w->machine, 0);
        if (exit == VM_EXIT_HALT && vcpu_runnable(vm->vcpu[0]))
            exit = VM_EXIT_LIMIT;
    }
    w->outcome.exit = exit;
    w->outcome.instructions = vm->vcpu[0]->cpu.instructions;
    vcpu_normal_state(vm->vcpu[0], &w->outcome.state);
}

/* ---- comparing ---- */

/*
 * Accessed and dirty bits. Code is fetched through a TLB of its own, and ahead: whether its pages' accessed
 * bits are set early is nobody's promise.
 */
static bool same_tables(const struct world *a, const struct world *b)
{
    for (uint64_t lin = CODE_BASE; lin < 0x100000; lin += 4096) {
        uint64_t at = MACHINE_PT + (lin >> 12) * 8;
        uint64_t differ = load_le64(a->machine.ram + at) ^ load_le64(b->machine.ram + at);

        if (lin < DATA_BASE || a->data_fetched || b->data_fetched)
            differ &= ~ACCESSED;
        if (differ)
            return false;
    }
    return true;
}

const char *worlds_differ(const struct world *a, const struct world *b)
{
    if (a->unspecified || b->unspecified)
        return NULL;
    if (a->outcome.instructions != b->outcome.instructions)
        return "instructions";
    if (a->outcome.exit != b->outcome.exit)
        return "exit";
    if (!state_equal(&x86_state_table, &a->outcome.state, &b->outcome.state))
        return "processor";
    for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
        if (memcmp(a->machine.ram + regions[i].base, b->machine.ram + regions[i].base, regions[i].size))
            return regions[i].name;
    }
    return same_tables(a, b) ? NULL : "page tables";
}
