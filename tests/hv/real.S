/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What processors still start as: real mode with its interrupts, protected mode without
 * paging, hardware tasks by jump, call, task gate and IRET, virtual-8086 mode, and the
 * way back with segments as large as protected mode made them. A flat image, loaded
 * and entered at 0:7c00. Writes 0x10 to port 0xf4 if all is well, else the step's number.
 */
#define STEP   0x500 /* where we are, for the verdict */
#define COUNT  0x504
#define NO_VM86 0x508 /* a byte of the loader's: without that part */
#define STACK  0x7000
#define TSS_A  0x6000
#define TSS_B  0x6100
#define STACK2 0x5f00 /* of task B */
#define STACK0 0x5e00 /* of ring 0 for virtual-8086 mode */
#define IDT    0x5000

    .text
    .code16
    .globl _start
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK, %sp
    movl $1, STEP
    xor %eax, %eax
    cpuid
    test %ebx, %ebx
    jz fail16

    movl $2, STEP /* INT n and exceptions by the vector table */
    movl $0, COUNT
    movw $count16, 0x60 * 4
    movw %ax, 0x60 * 4 + 2
    movw $0, 0x60 * 4 + 2
    movw $undefined16, 6 * 4
    movw $0, 6 * 4 + 2
    int $0x60
    ud2
    cmpl $2, COUNT
    jne fail16

    movl $3, STEP /* string output, and an exit in the middle of a 16-bit stack */
    mov $text, %si
    mov $text_end - text, %cx
    mov $0x3f8, %dx
    cld
    rep outsb
    test %cx, %cx
    jnz fail16
    push $0x1234
    out %al, $0x80
    pop %ax
    cmp $0x1234, %ax
    jne fail16
    mov %cr0, %eax
    test $1, %al
    jnz fail16

    movl $4, STEP
    lgdtl gdt_pointer
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $8, $protected

fail16:
    mov STEP, %al
    mov $0xf4, %dx
    out %al, %dx
1:  hlt
    jmp 1b

count16:
    incl COUNT
    iret
undefined16:
    incl COUNT
    push %bp
    mov %sp, %bp
    addw $2, 2(%bp)
    pop %bp
    iret

    .code32
protected:
    mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %ax, %fs
    mov %ax, %gs
    mov $STACK, %esp
    lidtl idt_pointer
    mov $0x18, %ax
    ltr %ax
    mov %cr0, %eax
    and $1, %eax
    cmp $1, %eax
    jne fail32

    movl $5, STEP /* to a task and back by jumps */
    mov $TSS_B, %edi
    call make_tss
    movl $task_jumped, TSS_B + 0x20
    movl $0, COUNT
    mov $0x4711, %ebx
    ljmp $0x20, $0
    cmpl $1, COUNT
    jne fail32
    cmp $0x4711, %ebx
    jne fail32

    movl $6, STEP /* by a call, back by IRET */
    movl $task_called, TSS_B + 0x20
    movl $STACK2, TSS_B + 0x38
    movl $2, TSS_B + 0x24
    lcall $0x20, $0
    cmpl $2, COUNT
    jne fail32
    pushf
    pop %eax
    test $0x4000, %eax /* NT belongs to the other task */
    jnz fail32

    movl $7, STEP /* by a task gate, as an interrupt and as an exception with an error code */
    movl $0, IDT + 0x61 * 8
    movl $0x00200000, IDT + 0x61 * 8
    movl $0x8500, IDT + 0x61 * 8 + 4
    movl $task_called, TSS_B + 0x20
    movl $STACK2, TSS_B + 0x38
    movl $2, TSS_B + 0x24
    int $0x61
    cmpl $3, COUNT
    jne fail32
    movl $8, STEP
    movl $0x00200000, IDT + 13 * 8
    movl $0x8500, IDT + 13 * 8 + 4
    movl $task_fault, TSS_B + 0x20
    movl $STACK2, TSS_B + 0x38
    movl $2, TSS_B + 0x24
    mov $0xfff8, %ax
    mov %ax, %fs /* beyond the table; the handler gives AX another value in our image */
    cmpl $4, COUNT
    jne fail32

    cmpb $0, NO_VM86
    jne after_vm86
    movl $9, STEP /* virtual-8086 mode, left by #GP: HLT is not for it */
    movl $STACK0, TSS_A + 4
    movl $0x10, TSS_A + 8
    mov $from_vm86, %eax
    mov %ax, IDT + 13 * 8
    movl $0x8e00, IDT + 13 * 8 + 4
    movw $8, IDT + 13 * 8 + 2
    pushl $0
    pushl $0
    pushl $0
    pushl $0
    pushl $0
    pushl $0x6f00
    pushl $0x20002
    pushl $0
    pushl $vm86
    iretl

    .code16
vm86:
    movl $10, STEP
    xor %eax, %eax
    cpuid
    test %ebx, %ebx
    jz 1f
    mov $0x1234, %ax
    mov %ax, %fs
    hlt
1:  jmp 1b

    .code32
from_vm86:
    mov 12(%esp), %eax /* error, EIP, CS, EFLAGS */
    test $0x20000, %eax
    jz fail32
    cmpw $0x1234, 32(%esp) /* FS: behind ESP, SS, ES, DS */
    jne fail32
    mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov $STACK, %esp

after_vm86:
    movl $11, STEP /* back to real mode, with a large DS */
    movl $0x600df00d, 0x110000
    ljmp $0x28, $1f
    .code16
1:  mov %cr0, %eax
    and $0xfe, %al
    mov %eax, %cr0
    ljmp $0, $2f
2:  xor %ax, %ax
    mov %ax, %ss
    mov $STACK, %sp
    lidt real_idt
    mov $0x110000, %ebx
    movl %ds:(%ebx), %eax
    cmp $0x600df00d, %eax
    jne fail16_far
    mov $0, %ax
    mov %ax, %ds
    movl $12, STEP
    movl $0, COUNT
    int $0x60
    cmpl $1, COUNT
    jne fail16_far
    mov $0x10, %al
    mov $0xf4, %dx
    out %al, %dx
3:  hlt
    jmp 3b
fail16_far:
    jmp fail16

    .code32
fail32:
    mov STEP, %al
    mov $0xf4, %dx
    out %al, %dx
1:  hlt
    jmp 1b

/* edi: a task that starts with nothing, in flat segments */
make_tss:
    mov %edi, %edx
    xor %eax, %eax
    mov $26, %ecx
    rep stosl
    movl $2, 0x24(%edx)
    movl $STACK2, 0x38(%edx)
    movl $0x10, 0x48(%edx)
    movl $8, 0x4c(%edx)
    movl $0x10, 0x50(%edx)
    movl $0x10, 0x54(%edx)
    movl $0x680000, 0x64(%edx)
    ret

task_jumped:
    incl COUNT
    out %al, $0x80
    ljmp $0x18, $0
task_called:
    incl COUNT
    out %al, $0x80
    iret
task_fault:
    pop %eax /* the error code */
    cmp $0xfff8, %eax
    jne 1f
    incl COUNT
1:  movl $0x10, TSS_A + 0x28 /* EAX of the task that faulted */
    iret

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff /* 08 code */
    .quad 0x00cf92000000ffff /* 10 data */
    .quad 0x0000890060000067 /* 18 task A, at TSS_A */
    .quad 0x0000890061000067 /* 20 task B, at TSS_B */
    .quad 0x00009a000000ffff /* 28 16-bit code */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
idt_pointer:
    .word 0x7ff
    .long IDT
real_idt:
    .word 0x3ff
    .long 0
text: .ascii "real mode\n"
text_end:
    .section .note.GNU-stack, "", @progbits
