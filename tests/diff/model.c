/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our side by the reference semantics: decode, check, execute, nothing else.
 * Guest-physical memory begins at 0; the code pages are the native ones.
 */
#include "tests/diff/guest.h"

#include "base/bytes.h"
#include "x86/cpuid.h"
#include "x86/exec-vec.h"
#include "x86/mem.h"
#include "x86/thunk.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_SLICES 100000U /* of a REP instruction */

struct reference {
    struct model base;
    struct x86_cpu cpu;
    struct x86_tlb tlb;
    struct x86_cpuid_model cpuid;
    struct x86_thunks thunks;
    uint8_t memory[GUEST_CODE][4096] __attribute__((aligned(4096)));
};

static struct x86_page env_page(struct x86_cpu *cpu, uint64_t gpa)
{
    struct reference *model = container_of(cpu, struct reference, cpu);
    uint64_t page = gpa >> 12;

    if (page < GUEST_CODE)
        return (struct x86_page){.host = model->memory[page], .write_fast = true};
    if (page < GUEST_PAGES)
        return (struct x86_page){.host = (uint8_t *)(uintptr_t)native_code() + (page - GUEST_CODE) * 4096,
                                 .rom = true};
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

static int map_thunks(struct reference *model)
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

static struct model *reference_create(void)
{
    struct reference *model = aligned_alloc(4096, ALIGN_UP(sizeof(struct reference), (size_t)4096));
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
    model->base = (struct model){.ops = &reference_model, .cpuid = &model->cpuid};
    guest_make(model->memory[0], 0);
    guest_control(cpu, 0);
    return &model->base;
}

static struct reference *reference_of(struct model *model)
{
    return container_of(model, struct reference, base);
}

static void reference_destroy(struct model *model)
{
    free(reference_of(model));
}

static uint8_t *reference_data(struct model *model)
{
    return reference_of(model)->memory[GUEST_DATA];
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

static bool reference_run(struct model *model, const struct diff_case *test, const struct mutation *mutation,
                          struct diff_state *out)
{
    struct x86_cpu *cpu = &reference_of(model)->cpu;

    guest_load_state(cpu, &test->in);
    enum x86_result result = execute(cpu, &test->insn);
    if (result != X86_FAULT && result != X86_JUMP && result != X86_AGAIN)
        cpu->s.rip += test->insn.length;
    out->vector = result == X86_FAULT ? cpu->fault.vector : -1;
    out->error = result == X86_FAULT && cpu->fault.has_error ? cpu->fault.error : 0;
    out->cr2 = cpu->fault_cr2;
    bool mutated = mutation && mutation_apply(cpu, &test->insn, mutation, result == X86_FAULT);
    if (mutated && mutation->kind == MUTATE_FAULT)
        out->vector ^= 1;
    guest_store_state(cpu, out);
    return mutated;
}

const struct model_ops reference_model = {
    .create = reference_create,
    .destroy = reference_destroy,
    .data = reference_data,
    .run = reference_run,
};
