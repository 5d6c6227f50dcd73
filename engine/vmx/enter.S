/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * int vmx_enter(uint64_t gpr[16], bool launched, unsigned flags): into the guest and back.
 * The exit finds the host's stack as it was left: callee-saved registers, flags, and gpr on top.
 */
#include "engine/hw/enter.inc"

#define VMCS_HOST_RSP 0x6c14
#define VMCS_HOST_RIP 0x6c16

/* gpr[] in the order of encodings; 4 is RSP, which the VMCS has */
#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define RBP 40
#define RSI 48
#define RDI 56

    .text
    .globl vmx_enter
    .type vmx_enter, @function
vmx_enter:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdx
    push %rdi
    mov $VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
    lea vmx_exit_entry(%rip), %rcx
    mov $VMCS_HOST_RIP, %eax
    vmwrite %rcx, %rax
    test $HW_ENTER_VERW, %dl
    jz 4f
    clear_buffers
4:  test %sil, %sil
    mov RAX(%rdi), %rax
    mov RCX(%rdi), %rcx
    mov RDX(%rdi), %rdx
    mov RBX(%rdi), %rbx
    mov RBP(%rdi), %rbp
    mov RSI(%rdi), %rsi
    mov 64(%rdi), %r8
    mov 72(%rdi), %r9
    mov 80(%rdi), %r10
    mov 88(%rdi), %r11
    mov 96(%rdi), %r12
    mov 104(%rdi), %r13
    mov 112(%rdi), %r14
    mov 120(%rdi), %r15
    mov RDI(%rdi), %rdi
    jnz 1f
    vmlaunch
    jmp 2f
1:  vmresume
2:  /* refused: the registers are still those of gpr[] */
    pop %rdi
    pop %rcx
    mov $1, %eax
    jmp 3f

    .globl vmx_exit_entry
    .type vmx_exit_entry, @function
vmx_exit_entry:
    push %rdi
    mov 8(%rsp), %rdi
    mov %rax, RAX(%rdi)
    mov %rcx, RCX(%rdi)
    mov %rdx, RDX(%rdi)
    mov %rbx, RBX(%rdi)
    mov %rbp, RBP(%rdi)
    mov %rsi, RSI(%rdi)
    mov %r8, 64(%rdi)
    mov %r9, 72(%rdi)
    mov %r10, 80(%rdi)
    mov %r11, 88(%rdi)
    mov %r12, 96(%rdi)
    mov %r13, 104(%rdi)
    mov %r14, 112(%rdi)
    mov %r15, 120(%rdi)
    pop RDI(%rdi)
    pop %rdi
    pop %rcx
    xor %eax, %eax
    test $HW_ENTER_RSB, %cl
    jz 3f
    fill_rsb
3:  clear_registers
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size vmx_enter, . - vmx_enter
    .section .note.GNU-stack, "", @progbits
