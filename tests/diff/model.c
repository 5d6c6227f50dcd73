/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our side: a processor in 64-bit mode at CPL 3 with page tables for the few
 * pages that exist natively, and a GDT as Linux has it.
 *
 * Guest-physical memory: page tables and GDT, then the data pages. The code pages
 * are the native ones, so that reading code gives the same.
 */
#include "tests/diff/diff.h"

#include "base/bytes.h"
#include "x86/cpuid.h"
#include "x86/exec-vec.h"
#include "x86/mem.h"
#include "x86/thunk.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_PML4, PAGE_PDPT, PAGE_PD, PAGE_PT, PAGE_GDT, PAGE_DATA, PAGE_CODE = PAGE_DATA + 3, PAGE_COUNT = PAGE_CODE + 3 };

#define MAX_SLICES 100000U /* of a REP instruction */

struct model {
    struct x86_cpu cpu;
    struct x86_tlb tlb;
    struct x86_cpuid_model cpuid;
    struct x86_thunks thunks;
    uint8_t memory[PAGE_CODE][4096] __attribute__((aligned(4096)));
};

static struct x86_page env_page(struct x86_cpu *cpu, uint64_t gpa)
{
    struct model *model = container_of(cpu, struct model, cpu);
    uint64_t page = gpa >> 12;

    if (page < PAGE_CODE)
        return (struct x86_page){.host = model->memory[page], .write_fast = true};
    if (page < PAGE_COUNT)
        return (struct x86_page){.host = (uint8_t *)(uintptr_t)native_code() + (page - PAGE_CODE) * 4096, .rom = true};
    return (struct x86_page){.host = NULL};
}

static void env_stored(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
}

static uint64_t env_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    return ~0ULL;
}

static void env_write(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
}

static uint64_t env_port_read(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    return ~0ULL;
}

static void env_port_write(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size)
{
}

static uint64_t env_zero(struct x86_cpu *cpu)
{
    return 0;
}

static bool env_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    return false;
}

static bool env_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    return false;
}

static void env_set_zero(struct x86_cpu *cpu, uint64_t value)
{
}

static void env_nothing(struct x86_cpu *cpu)
{
}

static const struct x86_env environment = {
    .page = env_page,
    .stored = env_stored,
    .mmio_read = env_read,
    .mmio_write = env_write,
    .pio_read = env_port_read,
    .pio_write = env_port_write,
    .tsc = env_zero,
    .random = env_zero,
    .msr_read = env_msr_read,
    .msr_write = env_msr_write,
    .cr8_read = env_zero,
    .cr8_write = env_set_zero,
    .exclusive_begin = env_nothing,
    .exclusive_end = env_nothing,
};

static void map_page(struct model *model, uint64_t lin, unsigned page, uint64_t rights)
{
    store_le64(model->memory[PAGE_PT] + (lin >> 12 & 511) * 8, (uint64_t)page << 12 | X86_PTE_P | X86_PTE_A | X86_PTE_D | rights);
}

static void make_tables(struct model *model)
{
    const uint64_t table = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A;

    store_le64(model->memory[PAGE_PML4], PAGE_PDPT << 12 | table);
    store_le64(model->memory[PAGE_PDPT] + (DIFF_BASE >> 30 & 511) * 8, PAGE_PD << 12 | table);
    store_le64(model->memory[PAGE_PD] + (DIFF_BASE >> 21 & 511) * 8, PAGE_PT << 12 | table);
    map_page(model, DIFF_RW, PAGE_DATA, X86_PTE_W | X86_PTE_U | X86_PTE_NX);
    map_page(model, DIFF_RW + 0x1000, PAGE_DATA + 1, X86_PTE_W | X86_PTE_U | X86_PTE_NX);
    map_page(model, DIFF_RO, PAGE_DATA + 2, X86_PTE_U | X86_PTE_NX);
    for (unsigned i = 0; i < 3; i++)
        map_page(model, DIFF_CODE + i * 4096, PAGE_CODE + i, X86_PTE_U);
    map_page(model, DIFF_SYSTEM, PAGE_GDT, X86_PTE_W | X86_PTE_NX);
}

/* Linux's arch/x86/include/asm/segment.h: what user mode can load or look at. */
static void make_gdt(struct model *model)
{
    static const uint64_t descriptors[] = {
        0,
        0x00cf9b000000ffffULL, /* 08: kernel, 32 bits */
        0x00af9b000000ffffULL, /* 10: kernel */
        0x00cf93000000ffffULL, /* 18: kernel data */
        0x00cffb000000ffffULL, /* 20: user, 32 bits */
        0x00cff3000000ffffULL, /* 28: user data */
        0x00affb000000ffffULL, /* 30: user */
        0,
        0, /* 40: TSS, 50: LDT: as good as nothing to user mode; 60: TLS */
        0,
        0,
        0,
        0,
        0,
        0,
        0x0000f50000000000ULL, /* 78: processor number */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(descriptors); i++)
        store_le64(model->memory[PAGE_GDT] + i * 8UL, descriptors[i]);
}

static int map_thunks(struct model *model)
{
    int fd = memfd_create("diff-thunks", MFD_CLOEXEC);
    size_t size = X86_THUNKS_CODE_SIZE;

    if (fd < 0 || ftruncate(fd, (off_t)size))
        return -1;
    void *w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *x = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    if (w == MAP_FAILED || x == MAP_FAILED)
        return -1;
    x86_thunks_init(&model->thunks, w, x, size);
    model->cpu.thunks = &model->thunks;
    return 0;
}

struct model *model_create(void)
{
    struct model *model = aligned_alloc(4096, ALIGN_UP(sizeof(struct model), (size_t)4096));
    struct x86_cpuid_config config = {.level = X86_CPU_HOST, .vcpus = 1, .software_engine = true};
    struct error err = {0};

    if (!model)
        return NULL;
    memset(model, 0, sizeof(*model));
    struct x86_cpu *cpu = &model->cpu;
    if (x86_cpuid_build(&model->cpuid, &config, &err) || map_thunks(model)) {
        free(model);
        return NULL;
    }
    cpu->env = &environment;
    cpu->cpuid = &model->cpuid;
    cpu->tlb = &model->tlb;
    make_tables(model);
    make_gdt(model);
    x86_reset(cpu, false);
    cpu->s.cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
    cpu->s.cr3 = PAGE_PML4 << 12;
    cpu->s.cr4 = (X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE) &
                 model->cpuid.cr4_allowed;
    cpu->s.efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    cpu->s.xcr0 = 7;
    cpu->s.gdtr = (struct x86_table_reg){.base = DIFF_SYSTEM, .limit = 0x7f};
    cpu->s.idtr.limit = 0;
    cpu->s.seg[X86_LDTR] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
    /* Without an I/O bitmap: it would begin at the limit. */
    store_le16(model->memory[PAGE_GDT] + 0x800 + 0x66, 0x68);
    cpu->s.seg[X86_TR] = (struct x86_segment){.base = DIFF_SYSTEM + 0x800, .limit = 0x67, .attr = 0x8b, .selector = 0x40};
    return model;
}

void model_destroy(struct model *model)
{
    free(model);
}

uint8_t *model_data(struct model *model)
{
    return model->memory[PAGE_DATA];
}

bool model_has_feature(const struct model *model, unsigned feature)
{
    return feature == X86_FEAT_NONE || x86_feature(&model->cpuid, feature);
}

static void load_state(struct x86_cpu *cpu, const struct diff_state *in)
{
    struct x86_state *s = &cpu->s;
    static const struct x86_segment null = {.attr = X86_SEG_UNUSABLE};

    memcpy(s->gpr, in->gpr, sizeof(s->gpr));
    s->rip = in->rip;
    s->rflags = in->rflags;
    x86_xsave_unpack(s, in->xsave, 7);
    for (unsigned i = 0; i < DIFF_SELECTORS; i++)
        s->seg[i] = null;
    s->seg[X86_CS] = (struct x86_segment){.selector = 0x33, .limit = ~0U, .attr = 0xa0fb};
    s->seg[X86_SS] = (struct x86_segment){.selector = 0x2b, .limit = ~0U, .attr = 0xc0f3};
    s->seg[X86_FS].base = in->fs_base;
    s->seg[X86_GS].base = in->gs_base;
    s->cr2 = 0;
    s->activity = X86_ACT_RUN;
    s->shadow = 0;
    x86_flags_set(cpu, in->rflags);
    x86_mode_changed(cpu);
}

static void store_state(struct x86_cpu *cpu, struct diff_state *out)
{
    const struct x86_state *s = &cpu->s;

    memcpy(out->gpr, s->gpr, sizeof(s->gpr));
    out->rip = s->rip;
    out->rflags = x86_flags_get(cpu);
    x86_xsave_pack(s, out->xsave, 7);
    for (unsigned i = 0; i < DIFF_SELECTORS; i++)
        out->selector[i] = s->seg[i].selector;
    out->fs_base = s->seg[X86_FS].base;
    out->gs_base = s->seg[X86_GS].base;
}

static enum x86_result execute(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_result result = x86_check(cpu, insn);

    if (result != X86_NEXT)
        return result;
    for (unsigned i = 0; i < MAX_SLICES; i++) {
        result = x86_exec_table[insn->id](cpu, insn);
        if (result != X86_AGAIN)
            return result;
    }
    return X86_AGAIN;
}

bool model_run(struct model *model, const struct diff_case *test, const struct mutation *mutation,
               struct diff_state *out)
{
    struct x86_cpu *cpu = &model->cpu;

    load_state(cpu, &test->in);
    enum x86_result result = execute(cpu, &test->insn);
    if (result != X86_FAULT && result != X86_JUMP && result != X86_AGAIN)
        cpu->s.rip += test->insn.length;
    out->vector = result == X86_FAULT ? cpu->fault.vector : -1;
    out->error = result == X86_FAULT && cpu->fault.has_error ? cpu->fault.error : 0;
    out->cr2 = cpu->fault_cr2;
    bool mutated = mutation && mutation_apply(cpu, &test->insn, mutation, result == X86_FAULT);
    if (mutated && mutation->kind == MUTATE_FAULT)
        out->vector ^= 1;
    store_state(cpu, out);
    return mutated;
}
