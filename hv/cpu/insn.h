/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processor's instructions that C has no words for. */
#ifndef HV_CPU_INSN_H
#define HV_CPU_INSN_H

#include "base/base.h"

#define MSR_APIC_BASE    0x1bU
#define MSR_TSC_DEADLINE 0x6e0U
#define MSR_X2APIC       0x800U
#define MSR_PAT          0x277U
#define MSR_EFER         0xc0000080U
#define MSR_GS_BASE      0xc0000101U

#define EFER_LME         BIT64(8)
#define EFER_NXE         BIT64(11)

#define CR0_MP           BIT64(1)
#define CR0_EM           BIT64(2)
#define CR0_TS           BIT64(3)
#define CR0_NE           BIT64(5)
#define CR0_WP           BIT64(16)
#define CR0_NW           BIT64(29)
#define CR0_CD           BIT64(30)
#define CR4_DE           BIT64(3)
#define CR4_MCE          BIT64(6)
#define CR4_OSFXSR       BIT64(9)
#define CR4_OSXMMEXCPT   BIT64(10)
#define CR4_UMIP         BIT64(11)
#define CR4_OSXSAVE      BIT64(18)
#define CR4_SMEP         BIT64(20)
#define CR4_SMAP         BIT64(21)

/* A symbol of the linker's, as a number: two of them may be compared. */
#define SYMBOL(name) ((uint64_t)(uintptr_t)(name))

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid c;

    __asm__ volatile("cpuid" : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx) : "a"(leaf), "c"(sub));
    return c;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) : "memory");
}

/* Not before earlier instructions. */
static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

#define INSN_CONTROL(name)                                                                                   \
    static inline uint64_t read_##name(void)                                                                 \
    {                                                                                                        \
        uint64_t v;                                                                                          \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v));                                                   \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void write_##name(uint64_t v)                                                              \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");                                          \
    }
INSN_CONTROL(cr0)
INSN_CONTROL(cr2)
INSN_CONTROL(cr3)
INSN_CONTROL(cr4)
#undef INSN_CONTROL

#define INSN_PORT(letter, type)                                                                              \
    static inline type in##letter(uint16_t port)                                                             \
    {                                                                                                        \
        type v;                                                                                              \
        __asm__ volatile("in %1, %0" : "=a"(v) : "Nd"(port));                                                \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void out##letter(uint16_t port, type v)                                                    \
    {                                                                                                        \
        __asm__ volatile("out %0, %1" : : "a"(v), "Nd"(port));                                               \
    }
INSN_PORT(b, uint8_t)
INSN_PORT(w, uint16_t)
INSN_PORT(l, uint32_t)
#undef INSN_PORT

#define INSN_MMIO(bits)                                                                                      \
    static inline uint##bits##_t mmio_read##bits(const volatile void *p)                                     \
    {                                                                                                        \
        return *(const volatile uint##bits##_t *)p;                                                          \
    }                                                                                                        \
    static inline void mmio_write##bits(volatile void *p, uint##bits##_t v)                                  \
    {                                                                                                        \
        *(volatile uint##bits##_t *)p = v;                                                                   \
    }
INSN_MMIO(8)
INSN_MMIO(32)
#undef INSN_MMIO

static inline void cpu_pause(void)
{
    __builtin_ia32_pause();
}

#endif
