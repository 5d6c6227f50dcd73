/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real mode, and virtual-8086 mode. */
#include "tests/guest/isolation/legacy.h"

#define SEGMENT 0x1000

/* ---- real mode: copied to CODE16; results from 0x8000, what to do at 0x9000 ---- */

extern const uint8_t real_start[], real_end[], real_divide[], real_invalid[], real_interrupt[], real_limit[],
    real_software[];
void code_into_real(void);
__asm__(".text; code_into_real: .code32\n"
        "mov $0x28, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov $0x10, %eax; mov %eax, %fs\n"
        "ljmp $0x20, $0\n"
        "back_from_real: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov %eax, %fs\n"
        "jmp legacy_return\n"
        ".pushsection .rodata; .code16; real_start:\n"
        "mov %cr0, %eax; and $0xfffffffe, %eax; mov %eax, %cr0; ljmp $0x1000, $1f - real_start\n"
        "1: mov %cs, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss; mov $0xf000, %sp; mov $0xfee00000, %ebp\n"
        "lidtl real_idt - real_start\n"
        "cmpw $1, 0x9000; je real_interrupts; ja real_limits\n"
        /* what a program in real mode may do */
        "mov $0xbeef, %bx; stc; int $0x60; mov %bx, 0x8000; mov %sp, 0x8002\n"   /* f00d, f000 */
        "mov $7, %ax; xor %bl, %bl; div %bl; mov %ax, 0x8004\n"                  /* 7 */
        "ud2; movw $0x1111, 0x8006\n"                                            /* 1111 */
        "mov %fs:0x30(%ebp), %eax; mov %eax, 0x8008\n"                           /* beyond 1 MiB */
        "mov $0xffff, %ax; mov %ax, %es; mov %es:0x10, %eax; mov %eax, 0x800c\n" /* at 1 MiB */
        "mov $0, %eax; cpuid; mov %ebx, 0x8010; in $0x61, %al; mov $0x1b, %ecx; rdmsr; mov %eax, 0x8014\n"
        "mov $0x1234, %ax; mov %ax, %gs; mov %gs, 0x8018; mov %cs, 0x801a\n" /* 1234, 1000 */
        "lcall $0x1001, $2f - real_start - 0x10; mov %ax, 0x801c; jmp 3f\n"  /* 1001 */
        "2: mov %cs, %ax; lret\n"
        "3: mov %ds, %ax; mov %ax, %es; mov $0xa000, %di; mov $0x5a5a, %ax; mov $16, %cx; rep stosw\n"
        "mov %di, 0x801e; mov %cr0, %eax; mov %eax, 0x8020; pushf; popw 0x8024\n" /* a020, PE 0 */
        "jmp real_back\n"
        /* interrupts of the local APIC: 100 sent to itself, 20 of its timer to a processor that halts */
        "real_interrupts: movl $0x1ff, %fs:0xf0(%ebp); movl $0xb, %fs:0x3e0(%ebp); mov $100, %si\n"
        "4: movl $0x44061, %fs:0x300(%ebp); sti; nop; cli; dec %si; jnz 4b\n"
        "mov 0x8030, %ax; mov %ax, 0x8000; mov $20, %si\n"
        "5: movl $0x61, %fs:0x320(%ebp); movl $50000, %fs:0x380(%ebp); sti; hlt; cli; dec %si; jnz 5b\n"
        "jmp real_back\n"
        "real_limits: mov $0x5555, %ax; mov 0xffff, %ax; mov %ax, 0x8000\n" /* 5555: #GP, and on */
        "real_back: mov %cr0, %eax; or $1, %al; mov %eax, %cr0; ljmpl $0x18, $back_from_real\n"
        "real_software: mov $0xf00d, %bx; push %bp; mov %sp, %bp; mov 6(%bp), %ax; mov %ax, %cs:0x8026; pop "
        "%bp; iret\n"
        "real_divide:; real_invalid: push %bp; mov %sp, %bp; addw $2, 2(%bp); pop %bp; iret\n"
        "real_limit: push %bp; mov %sp, %bp; addw $3, 2(%bp); pop %bp; iret\n"
        "real_interrupt: incw %cs:0x8030; movl $0, %fs:0xb0(%ebp); iret\n"
        "real_idt: .word 0x3ff; .long 0\n"
        "real_end: .code64; .popsection\n");

static uint8_t low_memory[1024];

static void vector_to(unsigned vector, const uint8_t *handler)
{
    MMIO32(vector * 4) = (uint32_t)(handler - real_start) | SEGMENT << 16;
}

static void run_real(unsigned what)
{
    legacy_prepare();
    memcpy(low_memory, (void *)0, sizeof(low_memory));
    memset((void *)CODE16, 0, 0x10000);
    memcpy((void *)CODE16, real_start, (size_t)(real_end - real_start));
    MMIO16(CODE16 + 0x9000) = (uint16_t)what;
    vector_to(0, real_divide);
    vector_to(6, real_invalid);
    vector_to(13, real_limit);
    vector_to(0x60, real_software);
    vector_to(0x61, real_interrupt);
    legacy_run(code_into_real);
    memcpy((void *)0, low_memory, sizeof(low_memory));
}

void real_mode(void)
{
    const uint64_t base = CODE16 + 0x8000;

    for (unsigned i = 0; i < 200; i++) {
        run_real(0);
        expect("INT", MMIO16(base), 0xf00d);
        expect("carry flag on INT's stack", MMIO16(base + 0x26) & 1, 1);
        expect("SP", MMIO16(base + 2), 0xf000);
        expect("behind #DE", MMIO16(base + 4), 7);
        expect("behind #UD", MMIO16(base + 6), 0x1111);
        expect("beyond 1 MiB", MMIO32(base + 8), MMIO32(LAPIC + 0x30));
        expect("at ffff:0010", MMIO32(base + 0xc), MMIO32(0x100000));
        expect("CPUID", MMIO32(base + 0x10), cpuid(0, 0).b);
        expect("RDMSR", MMIO32(base + 0x14), (uint32_t)rdmsr(0x1b));
        expect("GS and CS", MMIO32(base + 0x18), 0x10001234);
        expect("far call", MMIO16(base + 0x1c), 0x1001);
        expect("REP STOSW", MMIO16(base + 0x1e), 0xa020);
        expect("its last", MMIO32(CODE16 + 0xa01e), 0x00005a5a);
        expect("CR0.PE and PG", MMIO32(base + 0x20) & 0x80000001, 0);
    }
}

void real_mode_interrupts(void)
{
    for (unsigned i = 0; i < 20; i++) {
        run_real(1);
        expect("interrupts sent", MMIO16(CODE16 + 0x8000), 100);
        expect("interrupts of the timer, too", MMIO16(CODE16 + 0x8030), 120);
    }
}

void real_mode_limits(void)
{
    for (unsigned i = 0; i < 100; i++) {
        run_real(2);
        expect("a word at the segment's end", MMIO16(CODE16 + 0x8000), 0x5555);
    }
}

/* ---- virtual-8086 mode ---- */

uint32_t v86_flags;
void code_into_v86(void);
__asm__(".text; code_into_v86: .code32\n"
        "push $0x1000; push $0x1000; push $0x1000; push $0x1000; push $0x1000; push $0xf000\n"
        "pushl v86_flags; push $0x1000; push $0\n"
        "mov $0x11223344, %eax; mov $0x1b, %ecx; mov $0x61, %edx; mov $0x99, %ebx; mov $0x100, %esi; mov "
        "$0x200, %edi\n"
        "iretl; .code64\n");

#define VM   0x20002U
#define IOPL 0x3000U

/* One piece of code from 1000:0000 on, with HLT behind it: that is a #GP there. */
static void v86(const char *name, const char *code, unsigned length, uint32_t flags, int vector,
                uint32_t error, uint32_t ip)
{
    memset((void *)CODE16, 0xf4, 0x300);
    memcpy((void *)CODE16, code, length);
    v86_flags = flags;
    legacy_run(code_into_v86);
    expect(name, legacy_vector, (uint64_t)vector);
    expect(name, legacy_error, error);
    expect(name, legacy_eip, ip);
    expect(name, legacy_cs, SEGMENT);
    expect(name, legacy_eflags & VM, VM);
}
#define V86(name, code, flags, vector, error, ip) v86(name, code, sizeof(code) - 1, flags, vector, error, ip)

static void v86_privileges(void)
{
    V86("NOP", "\x90", VM, 13, 0, 1);
    V86("CLI", "\xfa", VM, 13, 0, 0);
    V86("CLI with IOPL 3", "\xfa", VM | IOPL, 13, 0, 1);
    V86("STI", "\xfb", VM, 13, 0, 0);
    V86("PUSHF", "\x9c", VM, 13, 0, 0);
    V86("PUSHF with IOPL 3", "\x9c", VM | IOPL, 13, 0, 1);
    V86("POPF", "\x9d", VM, 13, 0, 0);
    V86("IRET", "\xcf", VM, 13, 0, 0);
    V86("INT", "\xcd\x21", VM, 13, 0, 0);
    V86("INT with IOPL 3, but not its gate", "\xcd\x21", VM | IOPL, 13, 0x21 * 8 + 2, 0);
    V86("MOV from CR0", "\x0f\x20\xc0", VM | IOPL, 13, 0, 0);
    V86("MOV to CR3", "\x0f\x22\xd8", VM | IOPL, 13, 0, 0);
    V86("RDMSR", "\x0f\x32", VM | IOPL, 13, 0, 0);
    V86("LGDT", "\x0f\x01\x17", VM | IOPL, 13, 0, 0);
    V86("LLDT", "\x0f\x00\xd0", VM, 6, 0, 0);
    V86("LAR", "\x0f\x02\xc0", VM, 6, 0, 0);
    V86("UD2", "\x0f\x0b", VM, 6, 0, 0);
    V86("DIV", "\x31\xc9\xf7\xf1", VM, 0, 0, 2);
}

void virtual_8086(void)
{
    for (unsigned i = 0; i < 100; i++) {
        legacy_prepare();
        v86_privileges();
        legacy_idt[0x21] |= 3ULL << 45;
        V86("INT with IOPL 3", "\xcd\x21", VM | IOPL, 0x21, 0, 2);
        V86("IN that is allowed", "\xe4\x61", VM, 13, 0, 2);
        V86("INSB that is allowed", "\x6c", VM, 13, 0, 1);
        legacy_tss[0][26 + 3] = 2; /* port 61 */
        V86("IN that is not", "\xe4\x61", VM | IOPL, 13, 0, 0);
        V86("OUT of a word that is half allowed", "\xe7\x60", VM, 13, 0, 0);
        V86("IN that is allowed, beside it", "\xe4\x80", VM, 13, 0, 2);
        legacy_tss[0][26 + 3] = 0;
        V86("CPUID", "\x66\x31\xc0\x0f\xa2", VM, 13, 0, 5);
        expect("EBX", legacy_regs[3], cpuid(0, 0).b);
        V86("MOV DS, AX", "\xb8\x00\x12\x8e\xd8\xa1\x00\x00", VM, 13, 0, 8);
        V86("arithmetic", "\xb8\xff\xff\x05\x01\x00\x66\x83\xc3\x01", VM, 13, 0, 10);
        expect("EAX", legacy_regs[0], 0x11220000);
        expect("EBX", legacy_regs[3], 0x9a);
        V86("INT3", "\xcc", VM, 13, 3 * 8 + 2, 0);
    }
}
