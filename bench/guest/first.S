/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A kernel whose first instructions end the machine: how long does a VMM take to get there? */
    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0, -0x1badb002
    .text
    .globl _start
    .code32
_start:
    mov $0x10, %al
    out %al, $0xf4
1:  hlt
    jmp 1b
