/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/diff/random-values.h"

#include "base/bytes.h"
#include "x86/fpu.h"

uint64_t random_value(uint64_t *r)
{
    static const uint64_t corners[] = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xffffffffffffffff,
        0xffffffff80000000,
        0xffffffffffffff80,
        0x5555555555555555,
    };
    uint64_t v = x86_random_next(r);

    switch (below(r, 8)) {
    case 0:
        return v & 0x3f;
    case 1:
        return corners[v % ARRAY_SIZE(corners)];
    case 2:
        return v & 0xffffffff;
    case 3:
        return ~0ULL << (v & 63);
    case 4:
        return (1ULL << (v & 63)) - 1 + (v >> 62);
    default:
        return v;
    }
}

void random_bytes(uint64_t *r, void *p, size_t n)
{
    uint8_t *b = p;

    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = x86_random_next(r);
        memcpy(b + i, &v, MIN(n - i, (size_t)8));
    }
}

static uint32_t random_float(uint64_t *r)
{
    static const uint32_t corners[] = {
        0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
        0xffc00000, 0x7f800001, 0xff812345, 1,          0x80000001, 0x007fffff, 0x00800000,
        0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x3f000000, 0x40400000,
        0x38800000, 0x33000000, 0x477fe000, 0x477ff000,
    };
    uint64_t v = x86_random_next(r);

    switch (v >> 61) {
    case 0:
    case 1:
        return corners[(v & 0xffff) % ARRAY_SIZE(corners)];
    case 2: /* near 1 */
        return (uint32_t)((v & 0x807fffff) | (0x3f800000 + ((v >> 32 & 31) << 23) - (16U << 23)));
    case 3:
        return (uint32_t)(v & 0x807fffff);
    case 4: /* few significant bits */
        return (uint32_t)(v & 0xfff00000);
    default:
        return (uint32_t)v;
    }
}

static uint64_t random_double(uint64_t *r)
{
    static const uint64_t corners[] = {
        0,
        0x8000000000000000,
        0x3ff0000000000000,
        0xbff0000000000000,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0x7ff0000000000001,
        0xfff0000000012345,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x7fefffffffffffff,
        0xffefffffffffffff,
        0x41dfffffffc00000,
        0x41e0000000000000,
        0x43e0000000000000,
        0xc3e0000000000000,
        0x3fe0000000000000,
        0x36a0000000000000,
        0x47efffffe0000000,
        0x380fffffffffffff,
    };
    uint64_t v = x86_random_next(r);

    switch (v >> 61) {
    case 0:
    case 1:
        return corners[(v & 0xffff) % ARRAY_SIZE(corners)];
    case 2:
        return (v & 0x800fffffffffffff) |
               (0x3ff0000000000000 + ((x86_random_next(r) & 63) << 52) - (32ULL << 52));
    case 3:
        return v & 0x800fffffffffffff;
    case 4:
        return (v & 0x80fff00000000000) | ((v & 0x700) << 52);
    default:
        return v;
    }
}

void random_vector(uint64_t *r, uint8_t *p)
{
    switch (below(r, 4)) {
    case 0:
        for (unsigned i = 0; i < 32; i += 4)
            store_le32(p + i, random_float(r));
        break;
    case 1:
        for (unsigned i = 0; i < 32; i += 8)
            store_le64(p + i, random_double(r));
        break;
    case 2:
        for (unsigned i = 0; i < 32; i += 8)
            store_le64(p + i, random_value(r));
        break;
    default:
        random_bytes(r, p, 32);
        break;
    }
}

uint32_t random_mxcsr(uint64_t *r)
{
    uint32_t v = (uint32_t)x86_random_next(r);
    uint32_t mxcsr = v & X86_MXCSR_FLAGS & v >> 8;

    mxcsr |= v >> 3 & 0x6000;
    mxcsr |= (v >> 20 & 3) == 0 ? X86_MXCSR_FZ : 0;
    mxcsr |= (v >> 22 & 3) == 0 ? 0x40 : 0; /* DAZ */
    return mxcsr | (v >> 24 & 3 ? X86_MXCSR_MASKS : x86_random_next(r) & X86_MXCSR_MASKS);
}

void random_x87(uint64_t *r, uint8_t *p)
{
    static const struct {
        uint64_t significand;
        uint16_t exponent;
    } corners[] = {
        {0, 0},
        {0x8000000000000000, 0x3fff},
        {0x8000000000000000, 0x7fff}, /* infinity */
        {0xc000000000000000, 0x7fff}, /* indefinite with the sign */
        {0x8000000000000001, 0x7fff}, /* signalling */
        {1, 0},
        {0x8000000000000000, 0}, /* pseudo-denormal */
        {0x8000000000000000, 1},
        {0x4000000000000000, 0x4000}, /* unnormal */
        {0, 0x7fff},                  /* pseudo-infinity */
        {0xffffffffffffffff, 0x7ffe},
        {0xc90fdaa22168c235, 0x4000}, /* pi */
        {0xffffffffffffffff, 0x403d},
        {0x8000000000000000, 0x403e},
        {0xde0b6b3a763ffff0, 0x403a}, /* near the limits of BCD */
    };
    uint64_t v = x86_random_next(r), sign = v & 0x8000;
    uint64_t significand = x86_random_next(r) | BIT64(63);
    unsigned exponent;

    switch (below(r, 6)) {
    case 0:
    case 1:
        significand = corners[(v >> 20) % ARRAY_SIZE(corners)].significand;
        exponent = corners[(v >> 20) % ARRAY_SIZE(corners)].exponent;
        break;
    case 2: /* small integers */
        significand = x86_random_next(r) << 48 | BIT64(63);
        exponent = 0x3fff + (v >> 32 & 15);
        break;
    case 3:
        exponent = v & 0x7fff;
        break;
    default:
        exponent = 0x3fff + (v >> 32 & 127) - 64;
        break;
    }
    store_le64(p, significand);
    store_le16(p + 8, (uint16_t)(exponent | sign));
}

void random_x87_state(uint64_t *r, uint8_t *image, bool registers)
{
    uint32_t v = (uint32_t)x86_random_next(r);
    struct x86_x87 x87 = {.fcw = (uint16_t)(0x40 | (v & 0xf00))};

    x87.fcw |= (v >> 12 & 3) ? 0x3f : x86_random_next(r) & 0x3f;
    x87.fsw = (uint16_t)(x86_random_next(r) & 0x7f7f);
    if (v >> 14 & 3)
        x87.fsw &= 0x7f40;
    if (v >> 16 & 7)
        x87.fsw &= x87.fcw | 0xffc0; /* nothing pending */
    x86_x87_update_summary(&x87);
    store_le16(image, x87.fcw);
    store_le16(image + 2, x87.fsw);
    image[4] = v >> 20 & 1 ? 0xff : (uint8_t)x86_random_next(r);
    image[5] = 0;
    store_le16(image + 6, (uint16_t)(v & 0x7ff));
    store_le64(image + 8, x86_random_next(r) >> 18);
    store_le64(image + 16, x86_random_next(r) >> 18);
    if (!registers)
        return;
    for (unsigned i = 0; i < 8; i++) {
        memset(image + 32 + i * 16UL, 0, 16);
        random_x87(r, image + 32 + i * 16UL);
    }
}

void random_saved_state(uint64_t *r, uint8_t *image, bool xsave)
{
    unsigned size = xsave ? X86_XSAVE_SIZE : 512;

    random_bytes(r, image, size);
    random_x87_state(r, image, true);
    store_le32(image + 24, one_in(r, 8) ? load_le32(image + 24) & ~BIT(17) : random_mxcsr(r));
    if (!xsave)
        return;
    memset(image + X86_XSAVE_HEADER, 0, 64);
    image[X86_XSAVE_HEADER] = (uint8_t)below(r, 8);
    switch (below(r, 8)) {
    case 0: /* compacted */
        image[X86_XSAVE_HEADER + 8] = (uint8_t)below(r, 8);
        image[X86_XSAVE_HEADER + 15] = 0x80;
        break;
    case 1: { /* some bit that should be 0; not that of a component that the host may have and the model has
                 not */
        unsigned at = below(r, 64), bit = below(r, 8);
        if ((at & 7) < 2)
            bit = 3 + (bit & 1);
        image[X86_XSAVE_HEADER + at] ^= (uint8_t)BIT(bit);
        break;
    }
    default:
        break;
    }
}
