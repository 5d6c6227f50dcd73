/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processor states that boot protocols begin in: flat 32-bit protected mode
 * without paging, or long mode with the first 4 GiB mapped one to one; and what
 * firmware would have set up before on every processor (MTRRs).
 */
#include "base/bytes.h"
#include "boot/boot-internal.h"

#define SEL_CODE    0x10
#define SEL_DATA    0x18
#define SEL_TSS     0x20
#define GDT_ENTRIES 6

#define ATTR_CODE   (0xbU | X86_SEG_S | X86_SEG_P | X86_SEG_G) /* execute, read, accessed */
#define ATTR_DATA   (0x3U | X86_SEG_S | X86_SEG_P | X86_SEG_G | X86_SEG_DB)
#define ATTR_TSS    (0xbU | X86_SEG_P) /* busy 32/64-bit TSS */
#define TSS_LIMIT   0x67U

static uint32_t code_attr(const struct boot_load *load)
{
    return ATTR_CODE | (load->entry.long_mode ? X86_SEG_L : X86_SEG_DB);
}

/* A descriptor (SDM 3A 3.4.5) of base 0. */
static uint64_t descriptor(uint32_t attr, uint32_t limit)
{
    uint64_t raw = attr & X86_SEG_G ? limit >> 12 : limit;

    return (raw & 0xffff) | (uint64_t)(attr & 0xff) << 40 | (raw >> 16 & 0xf) << 48 |
           (uint64_t)(attr >> 12 & 0xf) << 52;
}

#define TABLE_SIZE 0x1000ULL
#define MAPPED_GIB 4U

/* PML4, one PDPT, and 2 MiB pages for 4 GiB (SDM 3A 4.5). */
static int build_page_tables(struct boot_load *load)
{
    uint64_t base, at;
    uint64_t entry[512] = {0};
    int r = boot_place(load, (2 + MAPPED_GIB) * TABLE_SIZE, TABLE_SIZE, 0x1000, MEM_LOW_MAX, false,
                       "page tables", &base);

    if (r < 0)
        return r;
    at = base;
    entry[0] = (base + TABLE_SIZE) | X86_PTE_P | X86_PTE_W;
    boot_put(load, at, entry, TABLE_SIZE);
    at += TABLE_SIZE;
    for (unsigned i = 0; i < MAPPED_GIB; i++)
        entry[i] = (base + (2 + i) * TABLE_SIZE) | X86_PTE_P | X86_PTE_W;
    boot_put(load, at, entry, TABLE_SIZE);
    for (unsigned i = 0; i < MAPPED_GIB; i++) {
        at += TABLE_SIZE;
        for (unsigned j = 0; j < 512; j++)
            entry[j] = GIB(i) + MIB(2) * j + (X86_PTE_P | X86_PTE_W | X86_PTE_PS);
        boot_put(load, at, entry, TABLE_SIZE);
    }
    load->entry.cr3 = base;
    return 0;
}

int boot_cpu_prepare(struct boot_load *load)
{
    uint64_t gdt[GDT_ENTRIES] = {0};
    int r;

    gdt[SEL_CODE / 8] = descriptor(code_attr(load), 0xffffffff);
    gdt[SEL_DATA / 8] = descriptor(ATTR_DATA, 0xffffffff);
    gdt[SEL_TSS / 8] = descriptor(ATTR_TSS, TSS_LIMIT);
    r = boot_place(load, sizeof(gdt), 16, 0x1000, MEM_LOW_MAX, false, "a descriptor table", &load->entry.gdt);
    if (r < 0)
        return r;
    boot_put(load, load->entry.gdt, gdt, sizeof(gdt));
    return load->entry.long_mode ? build_page_tables(load) : 0;
}

/*
 * Memory is write-back, but for the PCI hole and video memory: as firmware leaves
 * it on every processor (SDM 3A 12.11), where Linux compares them.
 */
static void set_mtrrs(struct x86_state *s, unsigned phys_bits)
{
    const uint64_t uc = 0, wb = 6, wp = 5, all = 0x0101010101010101ULL;
    uint64_t mask = phys_bits >= 36 && phys_bits <= 52 ? BIT64(phys_bits) - 1 : BIT64(36) - 1;

    s->mtrr_fixed[0] = wb * all; /* 0..0x7ffff */
    s->mtrr_fixed[1] = wb * all; /* 0x80000..0x9ffff */
    s->mtrr_fixed[2] = uc * all; /* 0xa0000..0xbffff */
    for (unsigned i = 3; i < ARRAY_SIZE(s->mtrr_fixed); i++)
        s->mtrr_fixed[i] = wp * all;
    s->mtrr_var[0] = MEM_PCI32_BASE | uc;
    s->mtrr_var[1] = (mask & ~(MEM_HIGH_BASE - MEM_PCI32_BASE - 1)) | BIT(11); /* valid */
    s->mtrr_def_type = BIT(11) | BIT(10) | wb;                                 /* on, fixed ones too */
}

void boot_cpu_apply(const struct boot_load *load)
{
    const struct boot_entry *e = &load->entry;
    struct x86_state *s = &load->vm->vcpu[0]->cpu.s;
    const struct x86_segment data = {.limit = 0xffffffff, .attr = ATTR_DATA, .selector = SEL_DATA};

    for (unsigned i = 0; i < load->vm->vcpu_count; i++)
        set_mtrrs(&load->vm->vcpu[i]->cpu.s, load->vm->cpuid.phys_bits);

    memset(s->gpr, 0, sizeof(s->gpr));
    s->gpr[X86_RAX] = e->rax;
    s->gpr[X86_RBX] = e->rbx;
    s->gpr[X86_RSI] = e->rsi;
    s->gpr[X86_RDI] = e->rdi;
    s->gpr[X86_RSP] = e->rsp;
    s->rip = e->rip;
    s->rflags = X86_FL_FIXED;
    s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
    s->cr3 = s->cr4 = s->efer = 0;
    if (e->long_mode) {
        s->cr0 |= X86_CR0_PG;
        s->cr3 = e->cr3;
        s->cr4 = X86_CR4_PAE;
        s->efer = X86_EFER_LME | X86_EFER_LMA;
    }
    for (unsigned i = X86_ES; i <= X86_GS; i++)
        s->seg[i] = data;
    s->seg[X86_CS] = (struct x86_segment){.limit = 0xffffffff, .attr = code_attr(load), .selector = SEL_CODE};
    s->seg[X86_TR] = (struct x86_segment){.limit = TSS_LIMIT, .attr = ATTR_TSS, .selector = SEL_TSS};
    s->seg[X86_LDTR] = (struct x86_segment){.attr = 0x2 | X86_SEG_UNUSABLE};
    s->gdtr = (struct x86_table_reg){.base = e->gdt, .limit = GDT_ENTRIES * 8 - 1};
    s->idtr = (struct x86_table_reg){0};
    s->activity = X86_ACT_RUN;
    load->vm->vcpu[0]->state_dirty = true;
}
