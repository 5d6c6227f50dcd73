/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 and vectors: exceptions, their masks, and that nobody else's values show. */
#include "tests/guest/isolation/isolation.h"

static void x87_divide(void)
{
    __asm__ volatile("fld1; fldz; fdivrp %st, %st(1); fwait");
}

static void x87_later(void)
{
    __asm__ volatile("fwait");
}

static uint16_t status_word(void)
{
    uint16_t sw;

    __asm__ volatile("fnstsw %0" : "=a"(sw));
    return sw;
}

void x87_exceptions(void)
{
    static const uint16_t all_masked = 0x37f, divide_unmasked = 0x37b;

    for (unsigned i = 0; i < 500; i++) {
        __asm__ volatile("fninit; fldcw %0" ::"m"(all_masked));
        expect("masked division by zero", (uint64_t)try_run(x87_divide), ~0ULL);
        expect("its flag", status_word() & 0x84, 4);
        __asm__ volatile("fninit; fldcw %0" ::"m"(divide_unmasked));
        expect("division by zero", (uint64_t)try_run(x87_divide), 16);
        expect("its flag and summary", status_word() & 0x8084, 0x8084);
        expect("still pending", (uint64_t)try_run(x87_later), 16);
        __asm__ volatile("fnclex");
        expect("no longer pending", (uint64_t)try_run(x87_later), ~0ULL);
    }
    __asm__ volatile("fninit");
}

static void sse_divide(void)
{
    static const float one = 1, zero;

    __asm__ volatile("movss %0, %%xmm3; divss %1, %%xmm3" ::"m"(one), "m"(zero));
}

static void load_mxcsr(uint32_t v)
{
    __asm__ volatile("ldmxcsr %0" ::"m"(v));
}

static uint32_t bad_mxcsr = 0x10000;

static void load_bad_mxcsr(void)
{
    __asm__ volatile("ldmxcsr %0" ::"m"(bad_mxcsr));
}

void sse_exceptions(void)
{
    uint32_t now;

    for (unsigned i = 0; i < 500; i++) {
        load_mxcsr(0x1f80);
        expect("masked division by zero", (uint64_t)try_run(sse_divide), ~0ULL);
        __asm__ volatile("stmxcsr %0" : "=m"(now));
        expect("MXCSR", now, 0x1f84);
        load_mxcsr(0x1d80);
        expect("division by zero", (uint64_t)try_run(sse_divide), 19);
        __asm__ volatile("stmxcsr %0" : "=m"(now));
        expect("MXCSR", now, 0x1d84);
        write_cr4(read_cr4() & ~0x400ULL); /* OSXMMEXCPT */
        load_mxcsr(0x1d80);
        expect("division by zero without #XM", (uint64_t)try_run(sse_divide), 6);
        write_cr4(read_cr4() | 0x400);
        expect("reserved bits", (uint64_t)try_run(load_bad_mxcsr), 13);
    }
    load_mxcsr(0x1f80);
}

static void touch_x87(void)
{
    __asm__ volatile("fnop");
}
static void touch_sse(void)
{
    __asm__ volatile("movaps %xmm1, %xmm1");
}
static void touch_mmx(void)
{
    __asm__ volatile("paddb %mm1, %mm1");
}
static void touch_emms(void)
{
    __asm__ volatile("emms");
}

/* TS and EM say when an instruction may not be; registers keep their values meanwhile. */
void lazy_fpu(void)
{
    uint64_t cr0 = read_cr0(), a = 0x1122334455667788, b;

    for (unsigned i = 0; i < 1000; i++) {
        __asm__ volatile("movq %0, %%xmm1; fninit; fld1" ::"r"(a));
        write_cr0(cr0 | 8);
        expect("x87 with TS", (uint64_t)try_run(touch_x87), 7);
        expect("SSE with TS", (uint64_t)try_run(touch_sse), 7);
        __asm__ volatile("clts");
        expect("x87 after CLTS", (uint64_t)try_run(touch_x87), ~0ULL);
        write_cr0(cr0 | 4);
        expect("x87 with EM", (uint64_t)try_run(touch_x87), 7);
        expect("SSE with EM", (uint64_t)try_run(touch_sse), 6);
        write_cr0(cr0);
        __asm__ volatile("movq %%xmm1, %0" : "=r"(b));
        expect("XMM1", b, a);
        write_cr4(read_cr4() & ~0x200ULL); /* OSFXSR */
        expect("SSE without OSFXSR", (uint64_t)try_run(touch_sse), 6);
        write_cr4(read_cr4() | 0x200);
        a = a * 5 + 1;
    }
}

void lazy_mmx(void)
{
    uint64_t cr0 = read_cr0();

    for (unsigned i = 0; i < 1000; i++) {
        write_cr0(cr0 | 8);
        expect("MMX with TS", (uint64_t)try_run(touch_mmx), 7);
        expect("EMMS with TS", (uint64_t)try_run(touch_emms), 7);
        write_cr0(cr0 | 4);
        expect("MMX with EM", (uint64_t)try_run(touch_mmx), 6);
        expect("EMMS with EM", (uint64_t)try_run(touch_emms), 6);
        write_cr0(cr0);
        expect("EMMS", (uint64_t)try_run(touch_emms), ~0ULL);
    }
}

/* Loads and stores of vectors from and to a device: the HPET's comparators hold 16 bytes with a hole. */
void vectors_in_mmio(void)
{
    uint64_t lo, hi;

    MMIO64(HPET + 0x10) = 0;
    MMIO64(HPET + 0x100) = 0;
    for (uint64_t i = 0; i < 500; i++) {
        MMIO32(HPET + 0x108) = (uint32_t)i;
        __asm__ volatile(
            "movq (%2), %%xmm2; movq %%xmm2, %0; movdqu -8(%2), %%xmm3; psrldq $8, %%xmm3; movq %%xmm3, %1"
            : "=r"(lo), "=r"(hi)
            : "r"(HPET + 0x108)
            : "memory");
        expect("MOVQ from a register", (uint32_t)lo, i);
        expect("MOVDQU from a register", (uint32_t)hi, i);
        __asm__ volatile("movd %0, %%xmm4; movd %%xmm4, (%1)" ::"r"((uint32_t)i + 7), "r"(HPET + 0x108)
                         : "memory");
        expect("MOVD to a register", MMIO32(HPET + 0x108), i + 7);
    }
}

static void unaligned(void)
{
    static uint64_t data[2];

    __asm__ volatile(
        "pushfq; orq $0x40000, (%%rsp); popfq; mov 1(%0), %%eax; pushfq; andq $~0x40000, (%%rsp); popfq" ::
            "r"(data)
        : "rax", "memory", "cc");
}

static void aligned_only(void)
{
    static uint64_t data[4] __attribute__((aligned(16)));

    __asm__ volatile("movaps 8(%0), %%xmm0" ::"r"(data));
}

/* Ring 3 with CR0.AM and AC; MOVAPS at all times. */
void alignment_checks(void)
{
    uint64_t cr0 = read_cr0();

    for (unsigned i = 0; i < 500; i++) {
        expect("without AM", (uint64_t)try_user(unaligned), ~0ULL);
        write_cr0(cr0 | 1 << 18);
        expect("in ring 0", (uint64_t)try_run(unaligned), ~0ULL);
        expect("in ring 3", (uint64_t)try_user(unaligned), 17);
        expect("its error code", last_error, 0);
        __asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
        write_cr0(cr0);
        expect("MOVAPS", (uint64_t)try_run(aligned_only), 13);
    }
}
