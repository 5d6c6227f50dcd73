/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same as a 64 KiB firmware image, for a VMM that starts at the reset vector. */
    .code16
    .globl _start
_start:
    .org 0xfff0
    mov $0x10, %al
    out %al, $0xf4
1:  hlt
    jmp 1b
    .org 0x10000
