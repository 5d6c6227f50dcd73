/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test kernel's first steps: multiboot 1 entry in 32-bit protected mode, identity
 * map of the low 4 GiB with 2 MiB pages (user-accessible), long mode, an IDT whose
 * 256 stubs all end in trap_c().
 */
    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
    .code32
    .globl _start
_start:
    cli
    mov %ecx, boot_registers
    mov %edx, boot_registers + 4
    mov %esi, boot_registers + 8
    mov %edi, boot_registers + 12
    mov %ebp, boot_registers + 16
    mov %esp, boot_registers + 20
    mov $stack_top, %esp
    mov %eax, boot_magic
    mov %ebx, boot_info
    /* PML4[0] → PDPT; PDPT[0..3] → 4 page directories of 2 MiB pages */
    mov $pml4, %edi
    movl $pdpt + 7, (%edi)
    mov $pdpt, %edi
    mov $pd + 7, %eax
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $4096, %eax
    add $8, %edi
    loop 1b
    mov $pd, %edi
    mov $0x87, %eax
    mov $2048, %ecx
2:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 2b
    mov $pml4, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x901, %eax /* NXE, LME, SCE */
    wrmsr
    mov %cr0, %eax
    and $~0xc, %eax
    or $0x80010022, %eax /* PG, WP, NE, MP */
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode
    .code64
long_mode:
    mov %r8d, boot_registers + 24
    mov %r9d, boot_registers + 28
    mov %r10d, boot_registers + 32
    mov %r11d, boot_registers + 36
    mov %r12d, boot_registers + 40
    mov %r13d, boot_registers + 44
    mov %r14d, boot_registers + 48
    mov %r15d, boot_registers + 52
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $stack_top, %rsp
    call kernel_main
3:  hlt
    jmp 3b

    /* trap stubs: vector on the stack, an error code faked where there is none */
    .globl trap_stubs
    .align 16
trap_stubs:
    .set vector, 0
    .rept 256
    .align 16
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
    .else
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr
trap_common:
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    lea 72(%rsp), %rdi
    cld
    call trap_c
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

    /* int try_save(struct try_point *): 0 the first time, 1 after try_jump() */
    .globl try_save
try_save:
    mov (%rsp), %rax
    mov %rax, 0(%rdi)
    mov %rsp, 8(%rdi)
    mov %rbx, 16(%rdi)
    mov %rbp, 24(%rdi)
    mov %r12, 32(%rdi)
    mov %r13, 40(%rdi)
    mov %r14, 48(%rdi)
    mov %r15, 56(%rdi)
    xor %eax, %eax
    ret
    .globl try_jump
try_jump:
    mov 16(%rdi), %rbx
    mov 24(%rdi), %rbp
    mov 32(%rdi), %r12
    mov 40(%rdi), %r13
    mov 48(%rdi), %r14
    mov 56(%rdi), %r15
    mov 8(%rdi), %rsp
    mov 0(%rdi), %rax
    add $8, %rsp
    mov %rax, %rcx
    mov $1, %eax
    jmp *%rcx

    .data
    .align 16
    .globl gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00af9a000000ffff /* 08: kernel code */
    .quad 0x00cf92000000ffff /* 10: kernel data */
    .quad 0x00cf9a000000ffff /* 18: 32-bit kernel code */
    .quad 0x00aff2000000ffff /* 20: user data, for SYSRET's order */
    .quad 0x00affa000000ffff /* 28: user code */
    .quad 0, 0               /* 30: TSS */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
    .globl boot_magic, boot_info
boot_magic: .long 0
boot_info: .long 0
    .globl boot_registers /* as they were: ecx edx esi edi ebp esp r8 … r15 */
boot_registers: .skip 14 * 4

    .bss
    .align 4096
    .globl pml4, pdpt, pd
pml4: .skip 4096
pdpt: .skip 4096
pd: .skip 4 * 4096
stack: .skip 65536
stack_top:
    .section .note.GNU-stack, "", @progbits
