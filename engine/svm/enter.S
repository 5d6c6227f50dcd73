/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * void svm_enter(uint64_t gpr[16], uint64_t guest, uint64_t host, unsigned flags): into the
 * guest and back. gpr: in x86's order (not rAX and rSP, which the block has); guest, host:
 * their blocks, physical. VMRUN itself switches what it switches; VMLOAD and VMSAVE the
 * rest. Interrupts are on for VMRUN only: the guest's own IF does not count for the
 * machine's (SVM_V_MASKING).
 */
#include "engine/hw/enter.inc"

    .text
    .globl svm_enter
    .type svm_enter, @function
svm_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push %rcx
    push %rdx
    push %rdi
    test $HW_ENTER_VERW, %cl
    jz 1f
    clear_buffers
1:  mov %rsi, %rax
    mov 0x08(%rdi), %rcx
    mov 0x10(%rdi), %rdx
    mov 0x18(%rdi), %rbx
    mov 0x28(%rdi), %rbp
    mov 0x30(%rdi), %rsi
    mov 0x40(%rdi), %r8
    mov 0x48(%rdi), %r9
    mov 0x50(%rdi), %r10
    mov 0x58(%rdi), %r11
    mov 0x60(%rdi), %r12
    mov 0x68(%rdi), %r13
    mov 0x70(%rdi), %r14
    mov 0x78(%rdi), %r15
    mov 0x38(%rdi), %rdi
    clgi
    sti
    vmload %rax
    vmrun %rax
    vmsave %rax
    push %rdi
    mov 0x08(%rsp), %rdi
    mov 0x10(%rsp), %rax
    vmload %rax
    cli
    stgi
    mov %rcx, 0x08(%rdi)
    mov %rdx, 0x10(%rdi)
    mov %rbx, 0x18(%rdi)
    mov %rbp, 0x28(%rdi)
    mov %rsi, 0x30(%rdi)
    mov %r8, 0x40(%rdi)
    mov %r9, 0x48(%rdi)
    mov %r10, 0x50(%rdi)
    mov %r11, 0x58(%rdi)
    mov %r12, 0x60(%rdi)
    mov %r13, 0x68(%rdi)
    mov %r14, 0x70(%rdi)
    mov %r15, 0x78(%rdi)
    pop 0x38(%rdi)
    add $0x10, %rsp
    pop %rcx
    test $HW_ENTER_RSB, %cl
    jz 2f
    fill_rsb
2:  clear_registers
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size svm_enter, . - svm_enter
    .section .note.GNU-stack, "", @progbits
