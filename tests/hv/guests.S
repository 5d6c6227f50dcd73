/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest kernels, made before (tests/hv/build). */
    .section .rodata
    .balign 16
    .globl guest_selftest, guest_selftest_end, guest_hvtest, guest_hvtest_end, guest_real, guest_real_end
guest_selftest: .incbin "selftest.elf"
guest_selftest_end:
    .balign 16
guest_hvtest: .incbin "hvtest.elf"
guest_hvtest_end:
    .balign 16
guest_real: .incbin "real.bin"
guest_real_end:
    .section .note.GNU-stack, "", @progbits
