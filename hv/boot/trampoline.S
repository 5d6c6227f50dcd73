/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the other processors begin: in real mode, at the page below 1 MiB to which this is
 * copied (SDM 3A 8.4). Straight to long mode; then each takes the next number, its stack and
 * goes to C. All may be here at once.
 */
#define OFFSET(sym) ((sym) - trampoline_start)

    .section .rodata.trampoline, "a", @progbits
    .balign 16
    .globl trampoline_start, trampoline_data, trampoline_end
    .code16
trampoline_start:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    mov OFFSET(trampoline_data), %eax
    mov %eax, %cr3
    mov $0x20, %eax /* PAE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    mov OFFSET(trampoline_data) + 4, %eax
    xor %edx, %edx
    wrmsr
    lgdtl OFFSET(trampoline_data) + 8
    mov $0x80010011, %eax /* PG, WP, ET, PE */
    mov %eax, %cr0
    ljmpl *OFFSET(trampoline_data) + 16

    .code64
    .globl trampoline_64
trampoline_64:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $1, %eax
    lock xadd %eax, trampoline_data + 24(%rip)
    cmp trampoline_data + 28(%rip), %eax
    jae 1f
    mov trampoline_data + 32(%rip), %rcx
    mov (%rcx, %rax, 8), %rsp
    mov trampoline_data + 40(%rip), %rcx
    mov %eax, %edi
    xor %ebp, %ebp
    call *%rcx
1:  cli
    hlt
    jmp 1b

    .balign 8
trampoline_data: /* struct trampoline of hv/cpu/smp.c */
    .skip 48
trampoline_end:
    .section .note.GNU-stack, "", @progbits
