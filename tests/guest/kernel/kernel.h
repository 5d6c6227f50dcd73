/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test kernels share: port and memory access, traps that can be caught,
 * a random sequence, output, and the end. One ELF holds many tests; the command
 * line names the one to run.
 */
#ifndef TESTS_GUEST_KERNEL_H
#define TESTS_GUEST_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEBUG_EXIT 0xf4
#define EXIT_PASS  0x10 /* batuta ends with 0x21 */
#define EXIT_FAIL  0x11 /* 0x23 */

struct test {
    const char *name;
    void (*run)(void);
    unsigned law; /* tests/guest/kernel/laws.h; 0: not said */
};

/* Each kernel's own, closed by a NULL name. */
extern const struct test tests[];

/* What a trap left on the stack; changes to it are taken back. */
struct trap_frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct try_point {
    uint64_t regs[8];
};
int try_save(struct try_point *point) __attribute__((returns_twice));
void try_jump(struct try_point *point) __attribute__((noreturn));

/* Runs fn; the vector if it trapped, else -1. Interrupts (NMI and vectors from 32 on) are counted, not
 * caught. */
int try_run(void (*fn)(void));
extern volatile uint64_t trap_count[256];
extern volatile uint64_t last_error;
extern volatile uint64_t last_rip;
/* Sees every trap first. True: it has been dealt with, an interrupt's end told to the local APIC included. */
extern bool (*trap_hook)(struct trap_frame *frame);
/* On a further processor, too. */
void load_idt(void);
/* Is it one of the words of the command line, the last of which is the test's name? */
bool told(const char *word);

void print(const char *text);
void print_hex(uint64_t value);
void finish(bool pass) __attribute__((noreturn));
#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            print("check failed: " #cond "\n");                                                              \
            finish(false);                                                                                   \
        }                                                                                                    \
    } while (0)

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
uint64_t random64(void);
static inline uint32_t random_below(uint32_t n)
{
    return (uint32_t)(random64() % n);
}

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint16_t inw(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return lo | (uint64_t)hi << 32;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}
#define MMIO8(a)  (*(volatile uint8_t *)(uintptr_t)(a))
#define MMIO16(a) (*(volatile uint16_t *)(uintptr_t)(a))
#define MMIO32(a) (*(volatile uint32_t *)(uintptr_t)(a))
#define MMIO64(a) (*(volatile uint64_t *)(uintptr_t)(a))

static inline uint32_t pci_read(unsigned devfn, unsigned reg)
{
    outl(0xcf8, 0x80000000U | devfn << 8 | (reg & 0xfc));
    return inl(0xcfc);
}
static inline void pci_write(unsigned devfn, unsigned reg, uint32_t v)
{
    outl(0xcf8, 0x80000000U | devfn << 8 | (reg & 0xfc));
    outl(0xcfc, v);
}

extern uint64_t pml4[512], pdpt[512], pd[2048];
extern uint64_t gdt[8];
static inline void flush_tlb(void)
{
    uint64_t cr3;
    __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3)::"memory");
}

#endif
