/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/kernel/smp.h"

#define MAX_CPUS 64

/*
 * Copied to TRAMPOLINE. The dword at TRAMPOLINE + 0xff0 tells where to go: 0 long
 * mode and ap_main, else 0x10000 in real mode (1), 32-bit (2) or 16-bit (3) protected
 * mode, virtual-8086 mode (4).
 */
__asm__(".pushsection .rodata\n"
        "ap_start: .code16\n"
        "cli\n"
        "xor %ax, %ax\n"
        "mov %ax, %ds\n"
        "mov %ax, %ss\n"
        "mov $0x7000, %sp\n"
        "mov 0x8ff0, %eax\n"
        "cmp $1, %ax\n"
        "jne 1f\n"
        "ljmp $0x1000, $0\n"
        "1: lgdtl 0x8000 + ap_gdt_pointer - ap_start\n"
        "lidtl 0x8000 + ap_idt_pointer - ap_start\n"
        "mov $0x11, %ebx\n"
        "mov %ebx, %cr0\n"
        "ljmpl $0x18, $0x8000 + ap_32 - ap_start\n"
        "ap_32: .code32\n"
        "mov $0x10, %bx\n"
        "mov %bx, %ds\n"
        "mov %bx, %es\n"
        "mov %bx, %ss\n"
        "mov $0x7000, %esp\n"
        "cmp $0, %eax\n"
        "je ap_long\n"
        "mov $0x30, %bx\n"
        "ltr %bx\n"
        "cmp $3, %eax\n"
        "je 3f\n"
        "ja 4f\n"
        "ljmp $0x18, $0x10000\n"
        "3: ljmp $0x28, $0\n"
        "4: pushl $0; pushl $0; pushl $0; pushl $0x1000\n"                          /* gs fs ds es */
        "pushl $0; pushl $0x6000; pushl $0x20002; pushl $0x1000; pushl $0; iretl\n" /* ss sp flags cs ip */
        "ap_long: mov $0x620, %eax\n"
        "mov %eax, %cr4\n"
        "mov $pml4, %eax\n"
        "mov %eax, %cr3\n"
        "mov $0xc0000080, %ecx\n"
        "rdmsr\n"
        "or $0x901, %eax\n"
        "wrmsr\n"
        "mov $0x80010033, %eax\n"
        "mov %eax, %cr0\n"
        "ljmp $8, $ap_64\n"
        ".balign 8\n"
        "ap_gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00cf9a000000ffff\n"
        ".quad 0x00cff2000000ffff, 0x00009a010000ffff, 0x0000890090000067, 0x0000890091000067\n"
        "ap_gdt_pointer: .word 63; .long 0x8000 + ap_gdt - ap_start\n"
        "ap_idt_pointer: .word 0x7ff; .long 0xa000\n"
        "ap_end: .code64\n"
        ".popsection\n"
        "ap_64: mov $1, %eax\n"
        "lock xaddl %eax, ap_count\n"
        "shl $13, %rax\n"
        "lea ap_stacks + 8192(%rax), %rsp\n"
        "shr $13, %rax\n"
        "mov %eax, %edi\n"
        "call ap_main\n");

extern const uint8_t ap_start[], ap_end[];
void ap_main(unsigned index);
volatile uint32_t ap_count;
uint8_t ap_stacks[MAX_CPUS][8192] __attribute__((aligned(4096)));
static void (*volatile ap_work)(unsigned index);

void ap_main(unsigned index)
{
    load_idt();
    ap_work(index);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void pause_a_little(unsigned n)
{
    while (n--)
        __asm__ volatile("pause");
}

void send_ipi(uint32_t destination, uint32_t command)
{
    MMIO32(0xfee00310) = destination << 24;
    MMIO32(0xfee00300) = command;
}

void place_trampoline(uint32_t mode)
{
    memcpy((void *)TRAMPOLINE, ap_start, (size_t)(ap_end - ap_start));
    MMIO32(TRAMPOLINE + 0xff0) = mode;
}

unsigned processor_count(void)
{
    outw(0x510, 5); /* fw_cfg: the number of processors */
    return inb(0x511);
}

unsigned start_all(void (*work)(unsigned index))
{
    unsigned others = processor_count() - 1;

    start_others(others, work);
    return others;
}

void start_others(unsigned others, void (*work)(unsigned index))
{
    MMIO32(0xfee000f0) = 0x1ff;
    place_trampoline(0);
    ap_work = work;
    send_ipi(0, 0xc4500);
    send_ipi(0, 0xc4608);
    for (unsigned i = 0; i < 100000 && ap_count < others; i++)
        pause_a_little(1000);
    CHECK(ap_count >= others);
}
