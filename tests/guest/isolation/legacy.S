/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way from long mode to 32-bit protected mode without paging, and back (legacy.h). */
    .text
    .code64
    .globl legacy_run, legacy_return
legacy_run:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    pushfq
    cli
    mov %rsp, legacy_rsp
    mov %edi, legacy_entry
    sidt legacy_idt64
    mov %cr0, %rax
    mov %rax, legacy_cr0
    mov %cr3, %rax
    mov %rax, legacy_cr3
    mov %cr4, %rax
    mov %rax, legacy_cr4
    lgdt legacy_gdt_pointer
    mov $legacy_stack_top, %rsp
    push $0x18
    push $1f
    lretq
    .code32
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    mov $0xc0000080, %ecx
    rdmsr
    and $~0x100, %eax
    wrmsr
    mov $0x600, %eax
    mov %eax, %cr4
    lidt legacy_idt_pointer
    mov $0x30, %eax
    andb $~2, legacy_gdt + 0x30 + 5 /* not busy */
    ltr %ax
    call *legacy_entry
legacy_return:
    cli
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $legacy_stack_top, %esp
    mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    mov legacy_cr4, %eax
    mov %eax, %cr4
    mov legacy_cr3, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov legacy_cr0, %eax
    mov %eax, %cr0
    ljmp $8, $2f
    .code64
2:  lgdt gdt_pointer
    lidt legacy_idt64
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov legacy_rsp, %rsp
    popfq
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    /* A trap: all is noted, and flat protected mode goes on at legacy_recover. */
    .code32
    .globl legacy_stubs
    .align 16
legacy_stubs:
    .set vector, 0
    .rept 256
    .align 16
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17)
    .else
    push $0
    .endif
    push $vector
    jmp legacy_trap
    .set vector, vector + 1
    .endr
    /* At the entry of a task that a task gate leads to: the vector is in EAX, an error code may be on the stack */
legacy_trap:
    push %eax
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    pop %eax
    mov %eax, legacy_regs
    mov %ecx, legacy_regs + 4
    mov %edx, legacy_regs + 8
    mov %ebx, legacy_regs + 12
    mov %ebp, legacy_regs + 20
    mov %esi, legacy_regs + 24
    mov %edi, legacy_regs + 28
    popl legacy_vector
    popl legacy_error
    popl legacy_eip
    popl legacy_cs
    popl legacy_eflags
    mov %esp, legacy_regs + 16
    mov $0x10, %eax
    mov %eax, %ss
    mov $legacy_stack_top - 64, %esp
    jmp *legacy_recover

    .data
    .align 8
    .globl legacy_gdt_pointer
    .short 0, 0, 0
legacy_gdt_pointer:
    .short 255
    .quad legacy_gdt
    .short 0, 0, 0
legacy_idt_pointer:
    .short 2047
    .long legacy_idt
    .globl legacy_vector, legacy_error, legacy_eip, legacy_cs, legacy_eflags, legacy_regs, legacy_recover, legacy_result
    .globl legacy_stack_top
legacy_vector: .long 0
legacy_error: .long 0
legacy_eip: .long 0
legacy_cs: .long 0
legacy_eflags: .long 0
legacy_regs: .skip 32
legacy_recover: .long legacy_return
legacy_result: .skip 256
legacy_entry: .long 0
    .align 8
legacy_rsp: .quad 0
legacy_cr0: .quad 0
legacy_cr3: .quad 0
legacy_cr4: .quad 0
legacy_idt64: .skip 16

    .bss
    .align 16
legacy_stack: .skip 8192
legacy_stack_top:
    .section .note.GNU-stack, "", @progbits
