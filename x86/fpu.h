/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87 and the saved forms of x87, SSE and AVX state.
 *
 * struct x86_x87.st is in stack order, as FXSAVE has it: st[i] is ST(i), physical
 * register (TOP + i) & 7. While MMX code runs TOP is 0, so MMn is st[n]. The tag
 * byte ftw goes by physical register.
 */
#ifndef X86_FPU_H
#define X86_FPU_H

#include "x86/cpu.h"

#define X86_FSW_IE           BIT(0)
#define X86_FSW_DE           BIT(1)
#define X86_FSW_ZE           BIT(2)
#define X86_FSW_OE           BIT(3)
#define X86_FSW_UE           BIT(4)
#define X86_FSW_PE           BIT(5)
#define X86_FSW_EXCEPTIONS   0x3fU
#define X86_FSW_ES           BIT(7)  /* an unmasked exception is pending */
#define X86_FSW_B            BIT(15) /* the same */
#define X86_FSW_TOP_SHIFT    11

#define X86_MXCSR_IE         BIT(0)
#define X86_MXCSR_DE         BIT(1)
#define X86_MXCSR_ZE         BIT(2)
#define X86_MXCSR_OE         BIT(3)
#define X86_MXCSR_UE         BIT(4)
#define X86_MXCSR_PE         BIT(5)
#define X86_MXCSR_FLAGS      0x003fU
#define X86_MXCSR_MASKS      0x1f80U
#define X86_MXCSR_MASK_SHIFT 7
#define X86_MXCSR_UM         BIT(11)
#define X86_MXCSR_FZ         BIT(15)
#define X86_MXCSR_INIT       0x1f80U
#define X86_MXCSR_ALLOWED    0xffffU /* MXCSR_MASK of FXSAVE; AMD's bit 17 (MM) is not offered */

#define X86_FCW_INIT         0x037fU

static inline unsigned x86_x87_top(const struct x86_x87 *x87)
{
    return x87->fsw >> X86_FSW_TOP_SHIFT & 7;
}

/* Makes `top` the top of the stack; the physical registers keep their contents. */
void x86_x87_set_top(struct x86_x87 *x87, unsigned top);

/* ES and B from the exception flags and their masks. */
void x86_x87_update_summary(struct x86_x87 *x87);

/* FNINIT. */
void x86_x87_init(struct x86_x87 *x87);

/* x87, SSE and AVX as after power-on, for XRSTOR of parts in mask that are not in the image, and for reset.
 */
void x86_fpu_init(struct x86_state *s, uint64_t mask);

/* The standard (not compacted) XSAVE image up to AVX: SDM 1 13.4. */
#define X86_XSAVE_SIZE   832U
#define X86_XSAVE_HEADER 512U
#define X86_XSAVE_AVX    576U

/* Fills buf[X86_XSAVE_SIZE] with the components in mask (XCR0's bits) and says in XSTATE_BV that it has them.
 */
void x86_xsave_pack(const struct x86_state *s, uint8_t *buf, uint64_t mask);

/*
 * Takes the components in mask from a standard image: those absent from its
 * XSTATE_BV become initial. Bits of MXCSR that do not exist are dropped.
 */
void x86_xsave_unpack(struct x86_state *s, const uint8_t *buf, uint64_t mask);

#endif
