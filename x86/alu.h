/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The integer ALU, lent by the host: one inline function per operation and
 * size. Each takes and returns guest values and keeps the guest's arithmetic
 * flags in *cc, in the form of x86_cpu.cc: what LAHF and SETO leave in AX.
 * Whatever the manuals leave undefined is thereby the host's own answer;
 * operations that have undefined flags therefore run with all guest flags loaded.
 *
 * cc in and out: bit 8 CF, 9 one or zero, 10 PF, 12 AF, 14 ZF, 15 SF, bit 0 OF;
 * bits 1..7 and above 15 are zero (ADDB relies on it).
 */
#ifndef X86_ALU_H
#define X86_ALU_H

#include "base/base.h"

#define ALU_CC_OF BIT(0)
#define ALU_CC_CF BIT(8)
#define ALU_CC_PF BIT(10)
#define ALU_CC_AF BIT(12)
#define ALU_CC_ZF BIT(14)
#define ALU_CC_SF BIT(15)

/* RFLAGS' arithmetic bits to cc, and back. */
static inline uint32_t alu_cc_from_flags(uint64_t rflags)
{
    return ((uint32_t)rflags & 0xd5U) << 8 | ((uint32_t)(rflags >> 11) & 1U);
}

static inline uint32_t alu_cc_to_flags(uint32_t cc)
{
    return (cc >> 8 & 0xd5U) | (cc & 1U) << 11;
}

/* Conditions as the low four bits of Jcc, SETcc and CMOVcc opcodes have them. */
static inline bool x86_condition(uint32_t cc, unsigned cond)
{
    uint32_t less = cc >> 15 ^ cc; /* bit 0: SF != OF */
    uint32_t yes;

    switch (cond >> 1 & 7) {
    case 0: /* O */
        yes = cc;
        break;
    case 1: /* B */
        yes = cc >> 8;
        break;
    case 2: /* E */
        yes = cc >> 14;
        break;
    case 3: /* BE */
        yes = cc >> 8 | cc >> 14;
        break;
    case 4: /* S */
        yes = cc >> 15;
        break;
    case 5: /* P */
        yes = cc >> 10;
        break;
    case 6: /* L */
        yes = less;
        break;
    default: /* LE */
        yes = less | cc >> 14;
        break;
    }
    return ((yes ^ cond) & 1U) != 0;
}

#define ALU_LOAD_CARRY "bt $8, %k[cc]\n\t"
#define ALU_LOAD_FLAGS "addb $0x7f, %%al\n\tsahf\n\t" /* OF by 1 + 127, the others from AH */
#define ALU_SAVE_FLAGS "\n\tlahf\n\tseto %%al"

/* a OP b, flags written whole: `uint32_t alu_add32(uint32_t a, uint32_t b, uint32_t *cc)` … */
#define ALU_BINARY(name, bits, sfx)                                                                          \
    static inline uint##bits##_t alu_##name##bits(uint##bits##_t a, uint##bits##_t b, uint32_t *cc)          \
    {                                                                                                        \
        uint16_t ax;                                                                                         \
        __asm__(#name #sfx " %[b], %[a]" ALU_SAVE_FLAGS : [cc] "=&a"(ax), [a] "+r"(a) : [b] "r"(b));         \
        *cc = ax;                                                                                            \
        return a;                                                                                            \
    }

/* As above with the carry going in. */
#define ALU_CARRIED(name, bits, sfx)                                                                         \
    static inline uint##bits##_t alu_##name##bits(uint##bits##_t a, uint##bits##_t b, uint32_t *cc)          \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        __asm__(ALU_LOAD_CARRY #name #sfx " %[b], %[a]" ALU_SAVE_FLAGS                                       \
                : [cc] "+&a"(ax), [a] "+r"(a)                                                                \
                : [b] "r"(b));                                                                               \
        *cc = ax;                                                                                            \
        return a;                                                                                            \
    }

/* Only flags: `void alu_cmp32(uint32_t a, uint32_t b, uint32_t *cc)`. */
#define ALU_COMPARE(name, bits, sfx)                                                                         \
    static inline void alu_##name##bits(uint##bits##_t a, uint##bits##_t b, uint32_t *cc)                    \
    {                                                                                                        \
        uint16_t ax;                                                                                         \
        __asm__(#name #sfx " %[b], %[a]" ALU_SAVE_FLAGS : [cc] "=&a"(ax) : [a] "r"(a), [b] "r"(b));          \
        *cc = ax;                                                                                            \
    }

/* `uint32_t alu_inc32(uint32_t a, uint32_t *cc)`; INC and DEC keep the carry. */
#define ALU_UNARY(name, bits, sfx)                                                                           \
    static inline uint##bits##_t alu_##name##bits(uint##bits##_t a, uint32_t *cc)                            \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        __asm__(ALU_LOAD_CARRY #name #sfx " %[a]" ALU_SAVE_FLAGS : [cc] "+&a"(ax), [a] "+r"(a));             \
        *cc = ax;                                                                                            \
        return a;                                                                                            \
    }

/* `uint32_t alu_shl32(uint32_t a, uint8_t count, uint32_t *cc)`; the host masks the count. */
#define ALU_SHIFT(name, bits, sfx)                                                                           \
    static inline uint##bits##_t alu_##name##bits(uint##bits##_t a, uint8_t count, uint32_t *cc)             \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        __asm__(ALU_LOAD_FLAGS #name #sfx " %%cl, %[a]" ALU_SAVE_FLAGS                                       \
                : [cc] "+&a"(ax), [a] "+r"(a)                                                                \
                : [count] "c"(count));                                                                       \
        *cc = ax;                                                                                            \
        return a;                                                                                            \
    }

/* `uint32_t alu_shld32(uint32_t a, uint32_t fill, uint8_t count, uint32_t *cc)` */
#define ALU_SHIFT_DOUBLE(name, bits, sfx)                                                                    \
    static inline uint##bits##_t alu_##name##bits(uint##bits##_t a, uint##bits##_t fill, uint8_t count,      \
                                                  uint32_t *cc)                                              \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        __asm__(ALU_LOAD_FLAGS #name #sfx " %%cl, %[fill], %[a]" ALU_SAVE_FLAGS                              \
                : [cc] "+&a"(ax), [a] "+r"(a)                                                                \
                : [fill] "r"(fill), [count] "c"(count));                                                     \
        *cc = ax;                                                                                            \
        return a;                                                                                            \
    }

/* Two operands, some flags undefined: the truncating `uint32_t alu_imul32(a, b, cc)`, alu_bts32(a, index,
 * cc). */
#define ALU_LOADED(name, bits, sfx)                                                                          \
    static inline uint##bits##_t alu_##name##bits(uint##bits##_t a, uint##bits##_t b, uint32_t *cc)          \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        __asm__(ALU_LOAD_FLAGS #name #sfx " %[b], %[a]" ALU_SAVE_FLAGS                                       \
                : [cc] "+&a"(ax), [a] "+r"(a)                                                                \
                : [b] "r"(b));                                                                               \
        *cc = ax;                                                                                            \
        return a;                                                                                            \
    }

/*
 * rDX:rAX forms: `uint32_t alu_mul32(uint32_t low, uint32_t *high, uint32_t b, uint32_t *cc)` returns the low
 * half (quotient) and sets *high to the high half (remainder). alu_imul_wide: IMUL's one-operand form.
 * DIV and IDIV: the caller makes sure that the quotient fits; see alu_div_fits(), alu_idiv_fits().
 */
#define ALU_WIDE(fn, name, bits, sfx, acc)                                                                   \
    static inline uint##bits##_t alu_##fn##bits(uint##bits##_t low, uint##bits##_t *high, uint##bits##_t b,  \
                                                uint32_t *cc)                                                \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        uint##bits##_t dx = *high;                                                                           \
        __asm__ volatile(ALU_LOAD_FLAGS "mov %[low], %%" #acc "\n\t" #name #sfx " %[b]\n\tmov %%" #acc       \
                                        ", %[low]" ALU_SAVE_FLAGS                                            \
                         : [cc] "+&a"(ax), [high] "+&d"(dx), [low] "+&r"(low)                                \
                         : [b] "r"(b));                                                                      \
        *cc = ax;                                                                                            \
        *high = dx;                                                                                          \
        return low;                                                                                          \
    }

/* Bytes: AX = high:low. */
#define ALU_WIDE8(fn, name)                                                                                  \
    static inline uint8_t alu_##fn##8(uint8_t low, uint8_t * high, uint8_t b, uint32_t * cc)                 \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        uint8_t dl = *high;                                                                                  \
        __asm__ volatile(ALU_LOAD_FLAGS "movb %[low], %%al\n\tmovb %%dl, %%ah\n\t" #name                     \
                                        "b %[b]\n\tmovb %%ah, %%dl\n\t"                                      \
                                        "movb %%al, %[low]" ALU_SAVE_FLAGS                                   \
                         : [cc] "+&a"(ax), [high] "+&d"(dl), [low] "+&r"(low)                                \
                         : [b] "r"(b));                                                                      \
        *cc = ax;                                                                                            \
        *high = dl;                                                                                          \
        return low;                                                                                          \
    }

/*
 * `uint64_t alu_bsf32(uint64_t dest, uint32_t a, uint32_t *cc)`: returns the whole 64-bit register, as a zero
 * source leaves (parts of) it alone.
 */
#define ALU_SCAN(name, bits, sfx, mod)                                                                       \
    static inline uint64_t alu_##name##bits(uint64_t dest, uint##bits##_t a, uint32_t *cc)                   \
    {                                                                                                        \
        uint16_t ax = (uint16_t)*cc;                                                                         \
        __asm__(ALU_LOAD_FLAGS #name #sfx " %[a], %" #mod "[dest]" ALU_SAVE_FLAGS                            \
                : [cc] "+&a"(ax), [dest] "+r"(dest)                                                          \
                : [a] "r"(a));                                                                               \
        *cc = ax;                                                                                            \
        return dest;                                                                                         \
    }

#define ALU_SIZES_WORD(kind, name) kind(name, 16, w) kind(name, 32, l) kind(name, 64, q)
#define ALU_SIZES(kind, name)      kind(name, 8, b) ALU_SIZES_WORD(kind, name)

/* clang-format off */
ALU_SIZES(ALU_BINARY, add)
ALU_SIZES(ALU_BINARY, sub)
ALU_SIZES(ALU_BINARY, and)
ALU_SIZES(ALU_BINARY, or)
ALU_SIZES(ALU_BINARY, xor)
ALU_SIZES(ALU_CARRIED, adc)
ALU_SIZES(ALU_CARRIED, sbb)
ALU_SIZES(ALU_COMPARE, cmp)
ALU_SIZES(ALU_COMPARE, test)
ALU_SIZES(ALU_UNARY, inc)
ALU_SIZES(ALU_UNARY, dec)
ALU_SIZES(ALU_UNARY, neg)
ALU_SIZES(ALU_SHIFT, shl)
ALU_SIZES(ALU_SHIFT, shr)
ALU_SIZES(ALU_SHIFT, sar)
ALU_SIZES(ALU_SHIFT, rol)
ALU_SIZES(ALU_SHIFT, ror)
ALU_SIZES(ALU_SHIFT, rcl)
ALU_SIZES(ALU_SHIFT, rcr)
ALU_SIZES_WORD(ALU_SHIFT_DOUBLE, shld)
ALU_SIZES_WORD(ALU_SHIFT_DOUBLE, shrd)
ALU_SIZES_WORD(ALU_LOADED, imul)
ALU_SIZES_WORD(ALU_LOADED, bt)
ALU_SIZES_WORD(ALU_LOADED, bts)
ALU_SIZES_WORD(ALU_LOADED, btr)
ALU_SIZES_WORD(ALU_LOADED, btc)
ALU_WIDE8(mul, mul)
ALU_WIDE(mul, mul, 16, w, ax)
ALU_WIDE(mul, mul, 32, l, eax)
ALU_WIDE(mul, mul, 64, q, rax)
ALU_WIDE8(imul_wide, imul)
ALU_WIDE(imul_wide, imul, 16, w, ax)
ALU_WIDE(imul_wide, imul, 32, l, eax)
ALU_WIDE(imul_wide, imul, 64, q, rax)
ALU_WIDE8(div, div)
ALU_WIDE(div, div, 16, w, ax)
ALU_WIDE(div, div, 32, l, eax)
ALU_WIDE(div, div, 64, q, rax)
ALU_WIDE8(idiv, idiv)
ALU_WIDE(idiv, idiv, 16, w, ax)
ALU_WIDE(idiv, idiv, 32, l, eax)
ALU_WIDE(idiv, idiv, 64, q, rax)
ALU_SCAN(bsf, 16, w, w)
ALU_SCAN(bsf, 32, l, k)
ALU_SCAN(bsf, 64, q, q)
ALU_SCAN(bsr, 16, w, w)
ALU_SCAN(bsr, 32, l, k)
ALU_SCAN(bsr, 64, q, q)
/* clang-format on */

/* Does DIV of high:anything by the divisor, of any one size, not overflow? False also for a divisor of zero.
 */
static inline bool alu_div_fits(uint64_t high, uint64_t divisor)
{
    return high < divisor;
}

/* The same for IDIV; operands sign-extended from `bits` but for low, which is zero-extended. */
static inline bool alu_idiv_fits(int64_t high, uint64_t low, int64_t divisor, unsigned bits)
{
    uint64_t top = 1ULL << (bits - 1);
    uint64_t mask = top | (top - 1);
    uint64_t d = divisor < 0 ? -(uint64_t)divisor : (uint64_t)divisor;
    uint64_t h = (uint64_t)high & mask, l = low & mask, quotient;
    bool negative = (high < 0) != (divisor < 0);

    if (high < 0) { /* |high:low| */
        l = -l & mask;
        h = (~h + (l == 0)) & mask;
    }
    if (h >= d)
        return false;
    if (bits == 64) {
        uint64_t remainder = h;
        __asm__ volatile("divq %[d]" : "=a"(quotient), "+d"(remainder) : "0"(l), [d] "r"(d) : "cc");
    } else {
        quotient = (h << bits | l) / d;
    }
    return negative ? quotient <= top : quotient < top;
}

#endif
