/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The surroundings in which both of our sides run an instruction: see tests/diff/guest.h. */
#include "tests/diff/guest.h"

#include "base/bytes.h"
#include "x86/exec.h"
#include "x86/regs.h"

#define TSS_AT 0x800 /* in the GDT's page */

static uint8_t *page(uint8_t *memory, unsigned number)
{
    return memory + number * 4096UL;
}

/* The four tables on the way to lin, of which the last three begin at page `first`. */
static void make_path(uint8_t *memory, uint64_t gpa, uint64_t lin, unsigned first)
{
    const uint64_t table = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A;
    const unsigned path[4] = {GUEST_PML4, first, first + 1, first + 2};

    for (unsigned i = 0; i < 3; i++)
        store_le64(page(memory, path[i]) + (lin >> (39 - i * 9) & 511) * 8,
                   (gpa + path[i + 1] * 4096UL) | table);
}

static void map_page(uint8_t *memory, uint64_t gpa, uint64_t lin, unsigned number, uint64_t rights)
{
    unsigned table = lin >= DIFF_SYSTEM ? GUEST_PT_SYSTEM : GUEST_PT;

    store_le64(page(memory, table) + (lin >> 12 & 511) * 8,
               (gpa + number * 4096UL) | X86_PTE_P | X86_PTE_A | X86_PTE_D | rights);
}

static void make_tables(uint8_t *memory, uint64_t gpa)
{
    make_path(memory, gpa, DIFF_BASE, GUEST_PDPT);
    make_path(memory, gpa, DIFF_SYSTEM, GUEST_PDPT_SYSTEM);
    map_page(memory, gpa, DIFF_RW, GUEST_DATA, X86_PTE_W | X86_PTE_U | X86_PTE_NX);
    map_page(memory, gpa, DIFF_RW + 0x1000, GUEST_DATA + 1, X86_PTE_W | X86_PTE_U | X86_PTE_NX);
    map_page(memory, gpa, DIFF_RO, GUEST_DATA + 2, X86_PTE_U | X86_PTE_NX);
    for (unsigned i = 0; i < 3; i++)
        map_page(memory, gpa, DIFF_CODE + i * 4096, GUEST_CODE + i, X86_PTE_U);
    for (unsigned i = 0; i < 4; i++)
        map_page(memory, gpa, DIFF_SYSTEM + i * 4096, GUEST_GDT + i, X86_PTE_W);
}

/* Linux's arch/x86/include/asm/segment.h: what user mode can load or look at. */
static void make_gdt(uint8_t *memory)
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
        store_le64(page(memory, GUEST_GDT) + i * 8UL, descriptors[i]);
}

/* Each vector has a stub of its own that halts; only INT3 may come from user mode. */
static void make_idt(uint8_t *memory)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t to = GUEST_STUBS_AT + v * GUEST_STUB_SIZE, dpl = v == X86_BP ? 3 : 0;
        uint8_t *gate = page(memory, GUEST_IDT) + v * 16UL;
        store_le64(gate, (to & 0xffff) | 0x10 << 16 | (0x8eULL | dpl << 5) << 40 | (to >> 16 & 0xffff) << 48);
        store_le64(gate + 8, to >> 32);
        memset(page(memory, GUEST_STUBS) + v * GUEST_STUB_SIZE, 0xf4, GUEST_STUB_SIZE);
    }
}

void guest_make(uint8_t *memory, uint64_t gpa)
{
    uint8_t *tss = page(memory, GUEST_GDT) + TSS_AT;

    make_tables(memory, gpa);
    make_gdt(memory);
    make_idt(memory);
    store_le64(tss + 4, GUEST_STACK_TOP); /* RSP0 */
    store_le16(tss + 0x66, 0x68);         /* the I/O bitmap: beyond the limit */
}

void guest_control(struct x86_cpu *cpu, uint64_t gpa)
{
    struct x86_state *s = &cpu->s;

    x86_reset(cpu, false);
    s->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
    s->cr3 = gpa + GUEST_PML4 * 4096;
    s->cr4 = (X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE) &
             cpu->cpuid->cr4_allowed;
    s->efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    s->xcr0 = X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX;
    s->gdtr = (struct x86_table_reg){.base = DIFF_SYSTEM, .limit = 0x7f};
    s->idtr = (struct x86_table_reg){.base = DIFF_SYSTEM + 0x1000, .limit = 0xfff};
    s->seg[X86_LDTR] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
    s->seg[X86_TR] =
        (struct x86_segment){.base = DIFF_SYSTEM + TSS_AT, .limit = 0x67, .attr = 0x8b, .selector = 0x40};
}

void guest_load_state(struct x86_cpu *cpu, const struct diff_state *in)
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
    s->exception_pending = s->interrupt_pending = false;
    s->shadow = 0;
    x86_flags_set(cpu, in->rflags);
    x86_mode_changed(cpu);
}

void guest_store_state(struct x86_cpu *cpu, struct diff_state *out)
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
