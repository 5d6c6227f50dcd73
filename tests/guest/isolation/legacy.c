/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit and 16-bit protected mode. */
#include "tests/guest/isolation/legacy.h"

uint64_t legacy_gdt[32] __attribute__((aligned(16))), legacy_idt[256] __attribute__((aligned(16)));
uint32_t legacy_tss[2][2200] __attribute__((aligned(4096)));
uint8_t legacy_area[8192] __attribute__((aligned(4096)));
uint32_t legacy_at, legacy_values[4];

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t type, uint32_t flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)type << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

void legacy_prepare(void)
{
    static const struct {
        uint8_t selector, type, flags;
        uint32_t limit;
    } flat[] = {{SEL_DATA, 0x93, 0xc, 0xfffff},      {SEL_CODE, 0x9b, 0xc, 0xfffff},
                {SEL_DOWN, 0x97, 0x4, 0xfff},        {SEL_READ_ONLY, 0x91, 0xc, 0xfffff},
                {SEL_ABSENT, 0x13, 0xc, 0xfffff},    {SEL_USER_CODE, 0xfb, 0xc, 0xfffff},
                {SEL_USER_DATA, 0xf3, 0xc, 0xfffff}, {SEL_SMALL_CODE, 0x9b, 0x4, 0xfff}};

    legacy_gdt[1] = gdt[1];
    for (unsigned i = 0; i < sizeof(flat) / sizeof(flat[0]); i++)
        legacy_gdt[flat[i].selector / 8] = descriptor(0, flat[i].limit, flat[i].type, flat[i].flags);
    legacy_gdt[SEL_CODE16 / 8] = descriptor(CODE16, 0xffff, 0x9b, 0);
    legacy_gdt[SEL_DATA16 / 8] = descriptor(CODE16, 0xffff, 0x93, 0);
    legacy_gdt[SEL_STACK16 / 8] = descriptor(CODE16, 0xffff, 0x93, 0);
    legacy_gdt[SEL_SMALL / 8] = descriptor((uint32_t)(uintptr_t)legacy_area, 0xfff, 0x93, 4);
    legacy_gdt[SEL_TSS / 8] = descriptor((uint32_t)(uintptr_t)legacy_tss[0], 8799, 0x89, 0);
    legacy_gdt[SEL_OTHER_TSS / 8] = descriptor((uint32_t)(uintptr_t)legacy_tss[1], 8799, 0x89, 0);
    legacy_gdt[SEL_TASK_GATE / 8] = (uint64_t)SEL_OTHER_TSS << 16 | 0x85ULL << 40;
    legacy_gdt[SEL_LDT / 8] = descriptor((uint32_t)(uintptr_t)legacy_area, 0xff, 0x82, 0);
    for (unsigned v = 0; v < 256; v++) {
        uint64_t at = (uintptr_t)legacy_stubs + 16 * v;

        legacy_idt[v] = (at & 0xffff) | (uint64_t)SEL_CODE << 16 | 0x8e00ULL << 32 | (at & 0xffff0000) << 32;
    }
    memset(legacy_tss, 0, sizeof(legacy_tss));
    legacy_tss[0][1] = legacy_tss[1][1] = (uint32_t)(uintptr_t)legacy_stack_top - 1024;
    legacy_tss[0][2] = legacy_tss[1][2] = SEL_DATA;
    legacy_tss[0][25] = legacy_tss[1][25] = 104 << 16; /* where the I/O permissions are */
    legacy_recover = (uint32_t)(uintptr_t)legacy_return;
    legacy_at = (uint32_t)(uintptr_t)legacy_result;
    legacy_vector = ~0U;
}

void legacy_expect(const char *name, const int32_t (*wanted)[2], unsigned count)
{
    expect(name, legacy_at - (uint32_t)(uintptr_t)legacy_result, count * 8);
    for (unsigned i = 0; i < count; i++) {
        expect_of(name, i, legacy_result[2 * i], (uint32_t)wanted[i][0]);
        expect_of(name, i, legacy_result[2 * i + 1], (uint32_t)wanted[i][1]);
    }
}
#define LEGACY_EXPECT(name, wanted) legacy_expect(name, wanted, sizeof(wanted) / sizeof(wanted[0]))

/* ---- segments ---- */

void code_segments(void);
__asm__(".text; code_segments: .code32\n" /* */
        LEGACY_TRY("mov $0x50, %eax; mov %eax, %ds; mov legacy_area, %eax; mov %eax, legacy_area")
            LEGACY_TRY("mov $0x58, %eax; mov %eax, %ds") LEGACY_TRY("mov $0x58, %eax; mov %eax, %ss")
                LEGACY_TRY("mov $0x50, %eax; mov %eax, %ss") LEGACY_TRY("mov $0xfff8, %eax; mov %eax, %ds")
                    LEGACY_TRY("xor %eax, %eax; mov %eax, %ds")
                        LEGACY_TRY("xor %eax, %eax; mov %eax, %es; mov %es:legacy_area, %eax")
                            LEGACY_TRY("xor %eax, %eax; mov %eax, %ss") LEGACY_TRY("ljmp $0x40, $0")
                                LEGACY_TRY("ljmp $0, $0") LEGACY_TRY("ljmp $0x58, $0")
                                    LEGACY_TRY("lcall $0x6b, $0")
                                        LEGACY_TRY("push $0x63; push $0; lret") /* outwards, to ring 3: what
                                                                                   it finds for SS is 0 */
        LEGACY_TRY("mov $0x6b, %eax; mov %eax, %ss") LEGACY_TRY("mov $0x11, %eax; mov %eax, %ds") LEGACY_TRY(
            "mov %eax, %cs:legacy_area") LEGACY_TRY("mov $0x18, %eax; lldt %ax")
            LEGACY_TRY("mov $0x30, %eax; ltr %ax") LEGACY_TRY(
                "mov $0x88, %eax; lldt %ax; mov $0x7, %eax; mov %eax, %ds") "jmp legacy_return; .code64\n");

void legacy_segments(void)
{
    static const int32_t wanted[][2] = {{13, 0},    {11, 0x58}, {12, 0x58}, {13, 0x50}, {13, 0xfff8},
                                        {-1, 0},    {13, 0},    {13, 0},    {13, 0x40}, {13, 0},
                                        {13, 0x58}, {13, 0x68}, {13, 0},    {13, 0x68}, {13, 0x10},
                                        {13, 0},    {13, 0x18}, {13, 0x30}, {13, 4}};

    for (unsigned i = 0; i < 100; i++) {
        legacy_prepare();
        legacy_run(code_segments);
        LEGACY_EXPECT("segments", wanted);
    }
}

void code_limits(void);
__asm__(".text; code_limits: .code32\n" /* */
        LEGACY_TRY("mov $0x40, %eax; mov %eax, %ds; mov 0xffc, %eax")
            LEGACY_TRY("mov $0x40, %eax; mov %eax, %ds; mov 0xffd, %eax")
                LEGACY_TRY("mov $0x40, %eax; mov %eax, %ds; movb $1, 0x1000")
                    LEGACY_TRY("mov $0x40, %eax; mov %eax, %ds; lock incl 0xffe") LEGACY_TRY(
                        "mov $0x40, %eax; mov %eax, %es; mov $0xff0, %edi; mov $5, %ecx; rep stosl")
                        LEGACY_TRY("mov $0x48, %eax; mov %eax, %es; mov %es:0x1000, %eax")
                            LEGACY_TRY("mov $0x48, %eax; mov %eax, %es; mov %es:0xfff, %al") LEGACY_TRY(
                                "mov $0x40, %eax; mov %eax, %ss; mov $0xffe, %esp; pop %eax")
                                LEGACY_TRY("mov $0x40, %eax; mov %eax, %ss; mov $0x1000, %esp; push %eax")
                                    LEGACY_TRY("mov $0x40, %eax; mov %eax, %ss; mov $0x800, %esp; mov "
                                               "$0xffe, %ebp; mov (%ebp), %eax")
                                        LEGACY_TRY("mov $0x40, %eax; mov %eax, %ss; mov $0x800, %esp; "
                                                   "mov $0xffd, %ebp; mov %eax, (%ebp)")
                                            LEGACY_TRY(
                                                "ljmp $0x78, $legacy_stubs") "jmp legacy_return; .code64\n");

void legacy_limits(void)
{
    static const int32_t wanted[][2] = {{-1, 0}, {13, 0}, {13, 0}, {13, 0}, {13, 0}, {-1, 0},
                                        {13, 0}, {12, 0}, {-1, 0}, {12, 0}, {12, 0}, {13, 0}};

    for (unsigned i = 0; i < 100; i++) {
        legacy_prepare();
        legacy_run(code_limits);
        LEGACY_EXPECT("limits", wanted);
    }
}

/* ---- 16-bit code ---- */

/* Copied to CODE16; what it finds out it leaves at 0x8000 in its segment. */
extern const uint8_t code16_start[], code16_end[];
void code_into_16(void);
__asm__(
    ".text; code_into_16: .code32\n"
    "mov %esp, legacy_result\n"
    "mov $0x28, %eax; mov %eax, %ds; mov %eax, %es; mov $0x70, %eax; mov %eax, %ss; mov $0xabcd0000, %esp\n"
    "ljmp $0x20, $0\n"
    "back_from_16: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov legacy_result, %esp; "
    "ret\n"
    ".pushsection .rodata; code16_start: .code16\n"
    "mov $0x1234, %ax; push %ax; mov %esp, 0x8000\n"                     /* SP wrapped: abcdfffe */
    "pop %bx; mov %bx, 0x8004; mov %esp, 0x8008\n"                       /* 1234, abcd0000 */
    "mov $0xffff, %si; movb $0x77, (%si); movb $0x88, 0\n"               /* over the segment's end with SI */
    "mov $0x9000, %di; mov $2, %cx; cld; rep movsb\n"                    /* SI: ffff, 0 */
    "mov 0x9000, %ax; mov %ax, 0x800c; mov %si, 0x800e\n"                /* 8877, 1 */
    "mov $0xffffffff, %eax; add $1, %ax; mov %eax, 0x8010\n"             /* ffff0000 */
    "mov $0x12345678, %ecx; mov $3, %cx; 1: loop 1b; mov %ecx, 0x8014\n" /* 12340000 */
    "mov $0, %eax; cpuid; mov %ebx, 0x8018\n"
    "in $0x61, %al; mov $0x1b, %ecx; rdmsr; mov %eax, 0x801c\n"
    "call 2f; 2: pop %ax; sub $2b - code16_start, %ax; mov %ax, 0x8020\n"                 /* 0 */
    "enter $8, $0; mov %bp, 0x8022; leave; mov %sp, 0x8024\n"                             /* fffe 0000 */
    "lea -1(%bx,%si), %dx; movw $0xfff0, %ax; mov $0x20, %bx; mul %bx; mov %dx, 0x8026\n" /* 1f */
    "ljmpl $0x18, $back_from_16\n"
    "code16_end: .code64; .popsection\n");

void legacy_code16(void)
{
    const uint64_t base = CODE16 + 0x8000;

    for (unsigned i = 0; i < 300; i++) {
        legacy_prepare();
        memset((void *)CODE16, 0, 0x10000);
        memcpy((void *)CODE16, code16_start, (size_t)(code16_end - code16_start));
        legacy_run(code_into_16);
        expect("ESP", MMIO32(base), 0xabcdfffe);
        expect("what was pushed", MMIO16(base + 4), 0x1234);
        expect("ESP", MMIO32(base + 8), 0xabcd0000);
        expect("string over the end", MMIO16(base + 0xc), 0x8877);
        expect("SI", MMIO16(base + 0xe), 1);
        expect("EAX", MMIO32(base + 0x10), 0xffff0000);
        expect("ECX", MMIO32(base + 0x14), 0x12340000);
        expect("CPUID", MMIO32(base + 0x18), cpuid(0, 0).b);
        expect("RDMSR", MMIO32(base + 0x1c), (uint32_t)rdmsr(0x1b));
        expect("CALL", MMIO16(base + 0x20), 0);
        expect("ENTER", MMIO16(base + 0x22), 0xfffe);
        expect("LEAVE", MMIO16(base + 0x24), 0);
        expect("MUL", MMIO16(base + 0x26), 0x1f);
    }
}

/* ---- paging of 32 bits ---- */

#define TABLES FREE_RAM

void code_paging(void);
__asm__(".text; code_paging: .code32\n"
        "mov $0x4000000, %eax; mov %eax, %cr3; mov %cr4, %eax; or $0x10, %eax; mov %eax, %cr4\n"
        "mov %cr0, %eax; or $0x80010000, %eax; mov %eax, %cr0\n" /* PG, WP */
        LEGACY_TRY("mov 0x40000000, %eax; mov %eax, legacy_values") LEGACY_TRY("movl $5, 0x40000000")
            LEGACY_TRY("movl $5, 0x40001000") LEGACY_TRY("mov 0x40002000, %eax")
                LEGACY_TRY("mov 0x40400000, %eax")
                    LEGACY_TRY("mov 0x40800000, %eax; mov %eax, legacy_values + 4")
                        LEGACY_TRY("mov 0x50000000, %eax") LEGACY_TRY(
                            "invlpg 0x40000000; mov %cr3, %eax; mov %eax, %cr3; in $0x61, %al; mov "
                            "0xfee00030, %eax; mov %eax, legacy_values + 8") "jmp legacy_return; .code64\n");

void legacy_paging(void)
{
    static const int32_t wanted[][2] = {{-1, 0}, {-1, 0}, {14, 3}, {14, 0},
                                        {14, 9}, {-1, 0}, {14, 0}, {-1, 0}};
    volatile uint32_t *dir = (volatile uint32_t *)TABLES, *table = dir + 1024;

    for (unsigned round = 0; round < 200; round++) {
        legacy_prepare();
        for (unsigned i = 0; i < 1024; i++)
            dir[i] = i < 64 || i > 1000 ? i << 22 | 0x87 : 0;
        for (unsigned i = 0; i < 1024; i++)
            table[i] = 0;
        dir[256] = (uint32_t)(TABLES + 4096) | 7;
        dir[257] = 0x200087;   /* bit 21 is reserved */
        dir[258] = 0x70000087; /* not RAM */
        table[0] = (uint32_t)(TABLES + 0x2000) | 3;
        table[1] = (uint32_t)(TABLES + 0x3000) | 1;
        MMIO32(TABLES + 0x2000) = 0x600d0000 + round;
        legacy_run(code_paging);
        LEGACY_EXPECT("32-bit paging", wanted);
        expect("by a table", legacy_values[0], 0x600d0000 + round);
        expect("beyond RAM", legacy_values[1], 0xffffffff);
        expect("local APIC", legacy_values[2], MMIO32(LAPIC + 0x30));
        expect("stored", MMIO32(TABLES + 0x2000), 5);
        expect("accessed and dirty", table[0] & 0x60, 0x60);
        expect("only accessed", table[1] & 0x40, 0);
    }
}

/* Two sets of four page-directory pointers, and a third with a reserved bit: refused at once, or when used.
 */
void code_pae(void);
__asm__(
    ".text; code_pae: .code32\n"
    "mov $0x4000000, %eax; mov %eax, %cr3; mov %cr4, %eax; or $0x20, %eax; mov %eax, %cr4\n"
    "mov %cr0, %eax; or $0x80010000, %eax; mov %eax, %cr0\n" LEGACY_TRY(
        "mov 0x40000000, %eax; mov %eax, legacy_values")
        LEGACY_TRY("mov $0x4000020, %eax; mov %eax, %cr3; mov 0x40000000, %eax; mov %eax, legacy_values + 4")
            LEGACY_TRY("mov 0x40200000, %eax") LEGACY_TRY("mov $0x40400000, %eax; jmp *%eax") LEGACY_TRY(
                "mov $0x4000000, %eax; mov %eax, %cr3; mov 0x40000000, %eax; mov %eax, legacy_values + 8")
                LEGACY_TRY("mov $0x4000040, %eax; mov %eax, %cr3; mov 0x40000000, %eax")
                    LEGACY_TRY("mov $0x4000000, %eax; mov %eax, %cr3; mov 0xfed80000, %eax; mov %eax, "
                               "legacy_values + 12") "jmp legacy_return; .code64\n");

void legacy_pae(void)
{
    volatile uint64_t *pointers = (volatile uint64_t *)TABLES, *other = pointers + 512;

    for (unsigned round = 0; round < 200; round++) {
        int32_t wanted[][2] = {{-1, 0}, {-1, 0}, {14, 0}, {14, 0x11}, {-1, 0}, {13, 0}, {-1, 0}};

        legacy_prepare();
        for (unsigned i = 0; i < 512; i++)
            pointers[i] = other[i] = 0;
        for (unsigned i = 0; i < 12; i++)
            pointers[i] = ((uintptr_t)pd + (i & 3) * 4096) | 1;
        pointers[5] = (uintptr_t)other | 1;
        pointers[9] = (uintptr_t)other | 0x101;
        other[0] = (FREE_RAM + 0x200000) | 0x87;
        other[2] = (FREE_RAM + 0x400000) | NO_EXECUTE | 0x87;
        MMIO32(FREE_RAM + 0x200000) = round;
        legacy_run(code_pae);
        if (legacy_result[10] == 14) { /* AMD's with nested paging read them when they are used */
            wanted[5][0] = 14;
            wanted[5][1] = 9;
        }
        LEGACY_EXPECT("PAE", wanted);
        expect("beyond RAM", legacy_values[0], 0xffffffff);
        expect("by another table", legacy_values[1], round);
        expect("beyond RAM again", legacy_values[2], 0xffffffff);
        expect("no device", legacy_values[3], 0xffffffff);
    }
}

/* ---- #AC in the delivery of #AC (CVE-2015-5307) ---- */

/* The handler is ring 3's own, on its own stack, which is as misaligned as the access. */
void code_ac_forever(void);
extern const char ac_handler[];
__asm__(".text; code_ac_forever: .code32\n"
        "mov %cr0, %eax; or $0x40000, %eax; mov %eax, %cr0\n"
        "mov $0x6b, %eax; mov %eax, %ds; mov %eax, %es\n"
        "push $0x6b; push $legacy_area + 4093; push $0x40002; push $0x63; push $1f; iretl\n"
        "1: mov legacy_area + 1, %eax; jmp 1b\n"
        "ac_handler: mov $legacy_area + 4093, %esp; jmp 1b\n"
        ".code64\n");

void legacy_ac_forever(void)
{
    uint64_t at = (uintptr_t)ac_handler;

    legacy_prepare();
    legacy_idt[17] =
        (at & 0xffff) | (uint64_t)(SEL_USER_CODE | 3) << 16 | 0xee00ULL << 32 | (at & 0xffff0000) << 32;
    print("misaligned\n");
    legacy_run(code_ac_forever);
}
