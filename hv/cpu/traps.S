/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One stub a vector, 16 bytes apart: they make the frames of all vectors alike (struct trap_frame). */
    .text
    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    /* Those that push an error code themselves: SDM 3A 6.15, APM 2 8.2. */
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    /*
     * A debug exception is not the hypervisor's own: one that a guest's TF left behind for the
     * instruction after it (seen under AMD-V), where GS may still be the guest's. Forgotten.
     */
    .globl trap_debug
trap_debug:
    push %rax
    xor %eax, %eax
    mov %rax, %dr6
    pop %rax
    iretq

trap_common:
    push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %rbp
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    call trap_handle
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rbp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rbx
    pop %rax
    add $16, %rsp
    iretq

    /* The fault comes at the target, with the return address on the stack: trap.c looks that up. */
    .globl probe_call
probe_call:
    push %rbp
    mov %rsp, %rbp
    call *%rdi
1:  mov $1, %eax
    pop %rbp
    ret
2:  xor %eax, %eax
    pop %rbp
    ret
    .pushsection .fixup, "a"
    .quad 1b, 2b
    .popsection

    /*
     * thread_switch(prev, next, offset of rsp, offset of on_cpu, this cpu): the old thread is let go
     * before the new one is waited for, and no stack is used meanwhile, so two
     * processors that want each other's threads do not wait for each other.
     */
    .globl thread_switch
thread_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi, %rdx)
    movl $-1, (%rdi, %rcx)
1:  cmpl $-1, (%rsi, %rcx)
    jne 2f
    mov %r8d, (%rsi, %rcx)
    mov (%rsi, %rdx), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
2:  pause
    jmp 1b

    .globl thread_entry
thread_entry:
    mov %r12, %rdi
    xor %ebp, %ebp
    call *%rbx
    ud2

    .section .note.GNU-stack, "", @progbits
