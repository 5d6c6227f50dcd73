/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A processor's descriptor tables (SDM 3A 3.5, 7.7) and the features that it is to have on. */
#include "base/bytes.h"
#include "hv/boot/boot-info.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/irq.h"
#include "hv/cpu/timer.h"
#include "hv/cpu/trap.h"
#include "hv/mem/heap.h"

#define IST_STACK KIB(8)

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7];
    uint64_t reserved2;
    uint16_t reserved3, iomap;
} __attribute__((packed));

struct cpu_tables {
    uint64_t gdt[6];
    struct tss tss;
    uint8_t stack[3][IST_STACK] __attribute__((aligned(16)));
};

struct cpu *cpus[HV_MAX_CPUS];
unsigned cpu_count;

static struct cpu first_cpu;
static struct cpu_tables first_tables;

static void fill(struct cpu *cpu, struct cpu_tables *t, unsigned index)
{
    uint64_t tss = (uint64_t)(uintptr_t)&t->tss;

    cpu->self = cpu;
    cpu->metal.index = index;
    cpu->tables = t;
    cpu->timer_armed = cpu->yield_tsc = cpu->slice_end = TIMER_NEVER;
    list_init(&cpu->timers);
    memcpy(t->gdt, (uint64_t[]){0, 0x00af9b000000ffffULL, 0x00cf93000000ffffULL}, 24);
    t->gdt[3] = (sizeof(t->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ULL << 40 | (tss >> 24 & 0xff) << 56;
    t->gdt[4] = tss >> 32;
    for (unsigned i = 0; i < 3; i++)
        t->tss.ist[i] = (uint64_t)(uintptr_t)t->stack[i] + IST_STACK;
    t->tss.iomap = sizeof(t->tss);
}

void cpu_tables_use(struct cpu *cpu)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr = {sizeof(cpu->tables->gdt) - 1, (uint64_t)(uintptr_t)cpu->tables->gdt};

    cpu->tables->gdt[3] &= ~(2ULL << 40); /* not busy */
    __asm__ volatile("lgdt %0\n"
                     "push %1\n"
                     "lea 1f(%%rip), %%rax\n"
                     "push %%rax\n"
                     "lretq\n"
                     "1: mov %2, %%ds; mov %2, %%es; mov %2, %%ss; mov %3, %%fs; mov %3, %%gs\n"
                     "lldt %w3\n"
                     "ltr %w4\n"
                     :
                     : "m"(gdtr), "i"(SEL_CODE), "r"(SEL_DATA), "r"(0), "r"(SEL_TSS)
                     : "rax", "memory");
    wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
    trap_use();
}

void cpu_init_first(void)
{
    fill(&first_cpu, &first_tables, 0);
    trap_init();
    cpu_tables_use(&first_cpu);
    cpus[0] = &first_cpu;
    cpu_count = 1;
}

struct cpu *cpu_create(unsigned index)
{
    struct cpu *cpu = heap_alloc(sizeof(*cpu), &memory_own);
    struct cpu_tables *tables = heap_alloc(sizeof(*tables), &memory_own);

    if (!cpu || !tables || irq_init_cpu(cpu) < 0) {
        heap_free(cpu);
        heap_free(tables);
        return NULL;
    }
    fill(cpu, tables, index);
    return cpu;
}

void cpu_features_on(void)
{
    struct cpuid one = cpuid(1, 0), seven = {0}, extended = {0};
    uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_DE | CR4_MCE;

    if (cpuid(0, 0).eax >= 7)
        seven = cpuid(7, 0);
    if (cpuid(0x80000000, 0).eax >= 0x80000001)
        extended = cpuid(0x80000001, 0);
    if (extended.edx & BIT(20))
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    if (one.ecx & BIT(26))
        cr4 |= CR4_OSXSAVE;
    if (seven.ebx & BIT(7))
        cr4 |= CR4_SMEP;
    if (seven.ebx & BIT(20))
        cr4 |= CR4_SMAP;
    if (seven.ecx & BIT(2))
        cr4 |= CR4_UMIP;
    write_cr4(cr4);
    write_cr0((read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_EM | CR0_TS | CR0_NW | CR0_CD));
    if (one.edx & BIT(16)) /* entry 4: write-combining; the rest as at reset */
        wrmsr(MSR_PAT, 0x0007040100070406ULL);
}
