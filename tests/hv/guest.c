/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What leaves guest code under hardware virtualization, seen from inside: each must
 * look as on a processor of one's own. Any engine may run them.
 */
#include "tests/guest/kernel/kernel.h"
#include "tests/guest/kernel/laws.h"

#define SCRATCH 0x3ff /* of COM1's UART */
#define LAPIC   0xfee00000UL
#define SELF    0x40000U /* ICR: to itself */

static uint64_t idt_copy[512] __attribute__((aligned(16)));
static volatile unsigned seen;

static void set_handler(unsigned vector, void (*handler)(void))
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer;
    uint64_t address = (uintptr_t)handler;

    __asm__ volatile("sidt %0" : "=m"(pointer));
    if (pointer.base != (uintptr_t)idt_copy) {
        memcpy(idt_copy, (void *)(uintptr_t)pointer.base, sizeof(idt_copy));
        pointer.base = (uintptr_t)idt_copy;
        __asm__ volatile("lidt %0" : : "m"(pointer));
    }
    idt_copy[vector * 2] = (address & 0xffff) | 8ULL << 16 | 0x8e00ULL << 32 | (address & 0xffff0000) << 32;
    idt_copy[vector * 2 + 1] = address >> 32;
}

static void cpuid_regs(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static bool has(uint32_t leaf, unsigned reg, unsigned bit)
{
    uint32_t r[4];

    cpuid_regs(leaf, r);
    return r[reg] >> bit & 1;
}

static void lapic_on(void)
{
    MMIO32(LAPIC + 0xf0) = 0x1ff;
}

static void cpuid(void)
{
    uint32_t first[4], r[4];

    cpuid_regs(0, first);
    for (unsigned i = 0; i < 1000; i++) {
        cpuid_regs(0, r);
        CHECK(r[0] == first[0] && r[1] == first[1] && r[2] == first[2] && r[3] == first[3]);
    }
    CHECK(has(1, 2, 31));  /* a hypervisor is there */
    CHECK(!has(1, 2, 5));  /* no VT-x to give */
    CHECK(!has(1, 2, 27)); /* OSXSAVE follows CR4 */
}

static void ports(void)
{
    uint32_t v = 0x11223344;

    outb(SCRATCH, 0x5a);
    CHECK(inb(SCRATCH) == 0x5a);
    __asm__ volatile(
        "mov $0xffffffffffffffff, %%rax; inb %%dx, %%al; cmp $0xffffffffffffff5a, %%rax; sete %b0"
        : "=&c"(v)
        : "d"(SCRATCH)
        : "rax");
    CHECK((uint8_t)v == 1);
    __asm__ volatile("mov $-1, %%rax; inl %%dx, %%eax; shr $32, %%rax; setz %b0"
                     : "=&c"(v)
                     : "d"(0x5670)
                     : "rax");
    CHECK((uint8_t)v == 1);
    CHECK(inw(0x5670) == 0xffff);
    __asm__ volatile("outb %%al, $0x80" : : "a"(1));
}

static void strings(void)
{
    static const char text[] = "string output\n";
    const char *from = text;
    static uint8_t in[64];
    uint8_t *to = in;
    uint64_t count = sizeof(text) - 1;

    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x3f8) : "memory");
    CHECK(!count && from == text + sizeof(text) - 1);
    outb(SCRATCH, 0xa7);
    count = sizeof(in);
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
    CHECK(!count && to == in + sizeof(in));
    for (unsigned i = 0; i < sizeof(in); i++)
        CHECK(in[i] == 0xa7);
    to = in + 10;
    count = 3;
    outb(SCRATCH, 0x11);
    __asm__ volatile("std; rep insb; cld" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
    CHECK(to == in + 7 && in[7] == 0xa7 && in[8] == 0x11 && in[10] == 0x11 && in[11] == 0xa7);
}

static void mmio(void)
{
    volatile uint32_t *tpr = (volatile uint32_t *)(LAPIC + 0x80);
    uint64_t value = 0x5555555555555555;
    uint32_t word;

    lapic_on();
    *tpr = 0x20;
    CHECK(*tpr == 0x20);
    *tpr += 0x10; /* a read-modify-write on a device register */
    CHECK(*tpr == 0x30);
    __asm__ volatile("orl $0x40, (%0)" : : "r"(tpr) : "memory");
    CHECK(*tpr == 0x70);
    __asm__ volatile("pushq (%1); popq %0" : "=r"(value) : "r"(tpr) : "memory");
    CHECK((uint32_t)value == 0x70);
    word = 0x10;
    __asm__ volatile("xchgl %0, (%1)" : "+r"(word) : "r"(tpr) : "memory");
    CHECK(word == 0x70 && *tpr == 0x10);
    __asm__ volatile("mov $-1, %%rbx; movzbl (%1), %%ebx; mov %%rbx, %0" : "=r"(value) : "r"(tpr) : "rbx");
    CHECK(value == 0x10);
    __asm__ volatile("movl $0x50, (%0)" : : "r"(tpr) : "memory");
    CHECK(*tpr == 0x50);
    *tpr = 0;
    CHECK(MMIO32(0xd0000000) == 0xffffffff); /* nobody is there */
    MMIO32(0xd0000000) = 1;
}

static void registers(void)
{
    uint64_t in[14], out[14];

    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 14; i++)
            in[i] = random64();
        __asm__ volatile(
            "push %%rbp; push %1; push %%rbx\n"
            "mov %0, %%rax\n"
            "mov 0(%%rax), %%rbx; mov 8(%%rax), %%rcx; mov 24(%%rax), %%rsi; mov 32(%%rax), %%rdi\n"
            "mov 40(%%rax), %%rbp; mov 48(%%rax), %%r8; mov 56(%%rax), %%r9; mov 64(%%rax), %%r10\n"
            "mov 72(%%rax), %%r11; mov 80(%%rax), %%r12; mov 88(%%rax), %%r13; mov 96(%%rax), %%r14\n"
            "mov 104(%%rax), %%r15; mov $0x80, %%edx\n"
            "outb %%al, %%dx\n"
            "mov 8(%%rsp), %%rax\n"
            "mov %%rbx, 0(%%rax); mov %%rcx, 8(%%rax); mov %%rsi, 24(%%rax); mov %%rdi, 32(%%rax)\n"
            "mov %%rbp, 40(%%rax); mov %%r8, 48(%%rax); mov %%r9, 56(%%rax); mov %%r10, 64(%%rax)\n"
            "mov %%r11, 72(%%rax); mov %%r12, 80(%%rax); mov %%r13, 88(%%rax); mov %%r14, 96(%%rax)\n"
            "mov %%r15, 104(%%rax)\n"
            "pop %%rbx; pop %%rax; pop %%rbp"
            :
            : "d"(in), "c"(out)
            : "rax", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
        for (unsigned i = 0; i < 14; i++)
            CHECK(i == 2 || in[i] == out[i]);
    }
}

/* ---- control registers ---- */

#define READ_CR(n)                                                                                           \
    ({                                                                                                       \
        uint64_t v_;                                                                                         \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v_));                                                   \
        v_;                                                                                                  \
    })
#define WRITE_CR(n, v) __asm__ volatile("mov %0, %%cr" #n : : "r"((uint64_t)(v)) : "memory")

static uint64_t cr_value;

static void write_cr0(void)
{
    WRITE_CR(0, cr_value);
}

static void write_cr4(void)
{
    WRITE_CR(4, cr_value);
}

static void write_cr8(void)
{
    WRITE_CR(8, cr_value);
}

static void control(void)
{
    uint64_t cr0 = READ_CR(0), cr4 = READ_CR(4);
    static const uint8_t flips[] = {1, 3, 16, 18}; /* MP TS WP AM */

    for (unsigned i = 0; i < sizeof(flips); i++) {
        WRITE_CR(0, cr0 ^ 1UL << flips[i]);
        CHECK(READ_CR(0) == (cr0 ^ 1UL << flips[i]));
        WRITE_CR(0, cr0);
    }
    WRITE_CR(0, cr0 | 1UL << 30);
    CHECK(READ_CR(0) == (cr0 | 1UL << 30)); /* caches "off" */
    WRITE_CR(0, cr0 & ~(1UL << 5));
    CHECK(READ_CR(0) == (cr0 & ~(1UL << 5))); /* NE */
    WRITE_CR(0, cr0);
    WRITE_CR(0, cr0 | 8);
    __asm__ volatile("clts");
    CHECK(READ_CR(0) == cr0);
    __asm__ volatile("lmsw %w0" : : "r"((uint32_t)cr0 | 8));
    CHECK(READ_CR(0) == (cr0 | 8));
    WRITE_CR(0, cr0);
    cr_value = cr0 & ~(1UL << 31); /* no paging in long mode */
    CHECK(try_run(write_cr0) == 13 && READ_CR(0) == cr0);
    cr_value = cr0 | 1UL << 29; /* NW without CD */
    CHECK(try_run(write_cr0) == 13);
    WRITE_CR(4, cr4 ^ 0x80);
    CHECK(READ_CR(4) == (cr4 ^ 0x80));
    WRITE_CR(4, cr4);
    cr_value = cr4 | 1UL << 13; /* VMXE */
    CHECK(try_run(write_cr4) == 13 && READ_CR(4) == cr4);
    cr_value = cr4 & ~0x20UL; /* PAE */
    CHECK(try_run(write_cr4) == 13);
    lapic_on();
    WRITE_CR(8, 5);
    CHECK(READ_CR(8) == 5 && MMIO32(LAPIC + 0x80) == 0x50);
    MMIO32(LAPIC + 0x80) = 0x30;
    CHECK(READ_CR(8) == 3);
    cr_value = 16;
    CHECK(try_run(write_cr8) == 13 && READ_CR(8) == 3);
    WRITE_CR(8, 0);
    WRITE_CR(2, 0x123456789abcUL);
    __asm__ volatile("outb %%al, $0x80" : : "a"(0));
    CHECK(READ_CR(2) == 0x123456789abcUL);
}

/* ---- debugging ---- */

#define READ_DR(n)                                                                                           \
    ({                                                                                                       \
        uint64_t v_;                                                                                         \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v_));                                                   \
        v_;                                                                                                  \
    })
#define WRITE_DR(n, v) __asm__ volatile("mov %0, %%dr" #n : : "r"((uint64_t)(v)))

static volatile uint64_t watched;

static void store_watched(void)
{
    watched = 1;
    __asm__ volatile("nop");
}

static void breakpoint_here(void)
{
    __asm__ volatile("nop");
}

static void int1(void)
{
    __asm__ volatile(".byte 0xf1");
}

static void read_dr0(void)
{
    (void)READ_DR(0);
}

static void debug(void)
{
    WRITE_DR(0, 0x1234567812345678);
    WRITE_DR(3, 77);
    CHECK(READ_DR(0) == 0x1234567812345678 && READ_DR(3) == 77);
    WRITE_DR(7, 0x400 | 1 << 13); /* GD */
    CHECK(try_run(read_dr0) == 1);
    CHECK((READ_DR(6) & 0xe00f) == 1 << 13 && !(READ_DR(7) & 1 << 13));
    WRITE_DR(6, 0xffff0ff0);
}

static void breakpoints(void)
{
    WRITE_DR(0, (uintptr_t)&watched);
    WRITE_DR(6, 0xffff0ff0);
    WRITE_DR(7, 0x400 | 2 | 0xdUL << 16); /* 8 bytes would be 2; writes of 4 */
    CHECK(try_run(store_watched) == 1);
    CHECK((READ_DR(6) & 0xe00f) == 1);
    WRITE_DR(7, 0x400);
    CHECK(try_run(store_watched) == -1);
    WRITE_DR(6, 0xffff0ff0);
    WRITE_DR(1, (uintptr_t)breakpoint_here);
    WRITE_DR(7, 0x400 | 8);
    CHECK(try_run(breakpoint_here) == 1 && last_rip == (uintptr_t)breakpoint_here);
    CHECK((READ_DR(6) & 0xe00f) == 2);
    WRITE_DR(7, 0x400);
    WRITE_DR(6, 0xffff0ff0);
    CHECK(try_run(int1) == 1 && !(READ_DR(6) & 0xe00f));
}

void count_entry(void);
void nmi_entry(void);
__asm__(".text\ncount_entry: incl seen_count(%rip)\niretq\n");
__asm__(".data\nseen_count: .long 0\n.text\n");
extern volatile uint32_t seen_count;

/* Single steps go through what exits as through what does not. */
static void steps(void)
{
    set_handler(1, count_entry);
    seen_count = 0;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n" /* the trap comes after the next one */
                     "nop\n"
                     "cpuid\n"
                     "outb %%al, $0x80\n"
                     "mov $0x10, %%ecx; rdmsr\n"
                     "mov %%cr0, %%rax; mov %%cr8, %%rax\n"
                     "pushfq; andl $~0x100, (%%rsp); popfq"
                     :
                     : "a"(0)
                     : "rbx", "rcx", "rdx", "memory", "cc");
    CHECK(seen_count == 10);
}

/* ---- instructions that are not there ---- */

#define BAD(name, code)                                                                                      \
    static void name(void)                                                                                   \
    {                                                                                                        \
        __asm__ volatile(code : : "a"(0), "c"(0) : "memory");                                                \
    }
BAD(bad_vmcall, ".byte 0x0f, 0x01, 0xc1")
BAD(bad_vmlaunch, ".byte 0x0f, 0x01, 0xc2")
BAD(bad_vmresume, ".byte 0x0f, 0x01, 0xc3")
BAD(bad_vmxoff, ".byte 0x0f, 0x01, 0xc4")
BAD(bad_vmread, ".byte 0x0f, 0x78, 0xc8")
BAD(bad_vmwrite, ".byte 0x0f, 0x79, 0xc8")
BAD(bad_vmxon, "push $0; .byte 0xf3, 0x0f, 0xc7, 0x34, 0x24; pop %%rax")
BAD(bad_vmrun, ".byte 0x0f, 0x01, 0xd8")
BAD(bad_vmmcall, ".byte 0x0f, 0x01, 0xd9")
BAD(bad_stgi, ".byte 0x0f, 0x01, 0xdc")
BAD(bad_rsm, ".byte 0x0f, 0xaa")
BAD(bad_monitor, ".byte 0x0f, 0x01, 0xc8")
BAD(bad_mwait, ".byte 0x0f, 0x01, 0xc9")

static void vmx(void)
{
    static void (*const bad[])(void) = {bad_vmcall,  bad_vmlaunch, bad_vmresume, bad_vmxoff,  bad_vmread,
                                        bad_vmwrite, bad_vmxon,    bad_vmrun,    bad_vmmcall, bad_stgi,
                                        bad_rsm,     bad_monitor,  bad_mwait};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(try_run(bad[i]) == 6);
    __asm__ volatile("wbinvd; invd" : : : "memory");
}

/* ---- events ---- */

__asm__(".text\n"
        "nmi_entry: incl seen_count(%rip)\n"
        "cmpl $2, seen_count(%rip)\n"
        "jae 1f\n"
        "push %rax\n"
        "mov $0xfee00300, %eax\n"
        "movl $0x4400, (%rax)\n" /* another one, which waits for the IRET */
        "mov $100000, %eax\n"
        "2: dec %eax\n"
        "jnz 2b\n"
        "mov seen_count(%rip), %eax\n"
        "mov %eax, seen_inside(%rip)\n"
        "pop %rax\n"
        "1: iretq\n"
        ".data\nseen_inside: .long 0\n.text\n");
extern volatile uint32_t seen_inside;

static void nmi(void)
{
    lapic_on();
    set_handler(2, nmi_entry);
    seen_count = 0;
    MMIO32(LAPIC + 0x310) = 0;
    MMIO32(LAPIC + 0x300) = 0x4400; /* by its number: the shorthand is for interrupts only */
    for (unsigned i = 0; i < 1000000 && seen_count < 2; i++)
        __asm__ volatile("pause");
    CHECK(seen_count == 2 && seen_inside == 1);
}

static void self_ipi(uint8_t vector)
{
    MMIO32(LAPIC + 0x300) = SELF | vector;
}

static void shadow(void)
{
    lapic_on();
    trap_count[0x50] = 0;
    self_ipi(0x50);
    for (unsigned i = 0; i < 100; i++)
        __asm__ volatile("sti; cli"); /* nothing gets in between */
    CHECK(trap_count[0x50] == 0);
    __asm__ volatile("sti; nop; cli");
    CHECK(trap_count[0x50] == 1);
    self_ipi(0x50);
    __asm__ volatile("xor %%eax, %%eax; sti; cpuid; cli" : : : "rax", "rbx", "rcx", "rdx");
    CHECK(trap_count[0x50] == 2);
    self_ipi(0x50);
    __asm__ volatile("mov %%ss, %%eax; sti; mov %%eax, %%ss; cli" : : : "rax");
    CHECK(trap_count[0x50] == 2 || trap_count[0x50] == 3); /* two shadows in a row need not both hold */
    __asm__ volatile("sti; nop; cli");
    CHECK(trap_count[0x50] == 3);
    self_ipi(0x50);
    __asm__ volatile("sti; hlt; cli"); /* does not sleep over it */
    CHECK(trap_count[0x50] == 4);
}

static void interrupts(void)
{
    lapic_on();
    __asm__ volatile("sti");
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t before = trap_count[0x51];

        self_ipi(0x51);
        for (unsigned n = 0; n < 1000 && trap_count[0x51] == before; n++)
            __asm__ volatile("pause");
        CHECK(trap_count[0x51] == before + 1);
    }
    WRITE_CR(8, 6); /* class 5 is not let in */
    self_ipi(0x51);
    __asm__ volatile("nop; nop; nop");
    CHECK(trap_count[0x51] == 2000);
    WRITE_CR(8, 4);
    __asm__ volatile("nop; nop; nop");
    CHECK(trap_count[0x51] == 2001);
    __asm__ volatile("cli");
    WRITE_CR(8, 0);
    __asm__ volatile("int $0x52");
    CHECK(trap_count[0x52] == 1);
}

/* ---- vectors ---- */

static void xsetbv_bad(void)
{
    __asm__ volatile("xsetbv" : : "a"(6), "d"(0), "c"(0));
}

static void fpu(void)
{
    uint64_t a[2] = {random64(), random64()}, b[2] = {0, 0};
    uint32_t mxcsr = 0x1fa0, now;

    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
    __asm__ volatile("movups %0, %%xmm7; fldpi" : : "m"(a));
    for (unsigned i = 0; i < 1000; i++)
        outb(0x80, 0);
    for (unsigned i = 0; i < 20; i++) { /* away from the processor for a while */
        MMIO32(LAPIC + 0xf0) = 0x1ff;
        MMIO32(LAPIC + 0x3e0) = 0xb;
        MMIO32(LAPIC + 0x320) = 0x40;
        MMIO32(LAPIC + 0x380) = 200000;
        __asm__ volatile("sti; hlt; cli");
    }
    __asm__ volatile("movups %%xmm7, %0; stmxcsr %1; fstp %%st(0)" : "=m"(b), "=m"(now));
    CHECK(a[0] == b[0] && a[1] == b[1] && now == mxcsr);
    /* an access of a device by vector instruction */
    __asm__ volatile("movd %1, %%xmm1; movd %%xmm1, %0"
                     : "=r"(now)
                     : "m"(*(volatile uint32_t *)(LAPIC + 0x30)));
    CHECK(now == MMIO32(LAPIC + 0x30));
    if (!has(1, 2, 26))
        return;
    WRITE_CR(4, READ_CR(4) | 1 << 18);
    CHECK(has(1, 2, 27));
    __asm__ volatile("xsetbv" : : "a"(3), "d"(0), "c"(0));
    CHECK(try_run(xsetbv_bad) == 13);
}

/* ---- MSRs ---- */

static uint32_t msr_number;
static uint64_t msr_value;

static void write_msr(void)
{
    wrmsr(msr_number, msr_value);
}

static int try_write(uint32_t msr, uint64_t value)
{
    msr_number = msr;
    msr_value = value;
    return try_run(write_msr);
}

static void msrs(void)
{
    static const uint32_t addresses[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                         0xc0000102, 0x175,      0x176};
    uint64_t efer = rdmsr(0xc0000080), before;

    for (unsigned i = 0; i < sizeof(addresses) / 4; i++) {
        wrmsr(addresses[i], 0xffff800012345000 + i);
        CHECK(rdmsr(addresses[i]) == 0xffff800012345000 + i);
    }
    wrmsr(0xc0000102, 0xffff800000001111);
    wrmsr(0xc0000101, 0xffff800000002222);
    __asm__ volatile("swapgs");
    outb(0x80, 0);
    CHECK(rdmsr(0xc0000101) == 0xffff800000001111 && rdmsr(0xc0000102) == 0xffff800000002222);
    wrmsr(0xc0000081, 0x0018001000000000);
    CHECK(rdmsr(0xc0000081) == 0x0018001000000000);
    CHECK(try_write(0xc0000084, 0x47700) == -1 && rdmsr(0xc0000084) == 0x47700);
    wrmsr(0x174, 8);
    CHECK(rdmsr(0x174) == 8);
    CHECK(try_write(0xc0000080, efer | 1 << 12) == 13 && rdmsr(0xc0000080) == efer); /* SVME */
    CHECK(try_write(0xc0000080, efer & ~0x100UL) == 13);                             /* LME under paging */
    CHECK(try_write(0x277, 0x0007040600070402) == 13);
    wrmsr(0x277, 0x0007010600070406);
    CHECK(rdmsr(0x277) == 0x0007010600070406);
    wrmsr(0x10, 0x100000000000);
    before = rdmsr(0x10);
    CHECK(before >= 0x100000000000 && before < 0x180000000000 && rdmsr(0x10) > before);
    before = rdmsr(0x10);
    CHECK(__builtin_ia32_rdtsc() > before && __builtin_ia32_rdtsc() < before + (1ULL << 36));
    CHECK(try_write(0x480, 0) == 13 && try_write(0xc0010114, 0) == 13 && try_write(0x3a, 5) == 13);
    if (has(0x80000001, 3, 27)) {
        uint32_t aux;

        wrmsr(0xc0000103, 0x4711);
        outb(0x80, 0);
        (void)__builtin_ia32_rdtscp(&aux);
        CHECK(aux == 0x4711 && rdmsr(0xc0000103) == 0x4711);
    }
}

/* Addresses that are none. */
static void canonical(void)
{
    static const uint32_t addresses[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                         0xc0000102, 0x175,      0x176};

    for (unsigned i = 0; i < sizeof(addresses) / 4; i++) {
        wrmsr(addresses[i], 0xffff800012345000 + i);
        CHECK(try_write(addresses[i], 1ULL << 60) == 13);
        CHECK(rdmsr(addresses[i]) == 0xffff800012345000 + i);
    }
}

/* ---- memory ---- */

static void paging(void)
{
    static uint64_t table[512] __attribute__((aligned(4096)));
    volatile uint64_t *alias = (volatile uint64_t *)0x140000000UL;
    uint64_t old = pdpt[5];

    for (uint64_t at = 0x800000; at < 0x2000000; at += 4096) /* all of it, page by page */
        *(volatile uint64_t *)at = at;
    for (uint64_t at = 0x800000; at < 0x2000000; at += 4096)
        CHECK(*(volatile uint64_t *)at == at);
    pdpt[5] = (uintptr_t)table | 3;
    for (uint64_t page = 4; page < 16; page++) {
        table[0] = page << 21 | 0x83;
        __asm__ volatile("invlpg (%0)" : : "r"(alias) : "memory");
        CHECK(*alias == (page << 21));
    }
    for (uint64_t page = 4; page < 16; page++) {
        table[0] = page << 21 | 0x83;
        flush_tlb();
        CHECK(*alias == (page << 21));
        CHECK((table[0] & 0x20) != 0); /* accessed */
    }
    pdpt[5] = old;
    flush_tlb();
}

/* ---- what exits cost ---- */

#define COST(text, code)                                                                                     \
    do {                                                                                                     \
        uint64_t from_ = __builtin_ia32_rdtsc();                                                             \
        for (unsigned i_ = 0; i_ < 1000; i_++) {                                                             \
            code;                                                                                            \
        }                                                                                                    \
        print(text);                                                                                         \
        print_hex((__builtin_ia32_rdtsc() - from_) / 1000);                                                  \
        print("\n");                                                                                         \
    } while (0)

static void one_interrupt(void)
{
    uint64_t before = trap_count[0x53];

    self_ipi(0x53);
    while (trap_count[0x53] == before)
        __asm__ volatile("pause");
}

static void exits(void)
{
    uint64_t page = 0x900000;
    uint32_t r[4];

    lapic_on();
    COST("cpuid ", cpuid_regs(0, r));
    COST("port  ", outb(SCRATCH, 0));
    COST("mmio  ", (void)MMIO32(LAPIC + 0x30));
    COST("msr   ", (void)rdmsr(0xfe));
    COST("cr8   ", (void)READ_CR(8));
    COST("page  ", *(volatile uint8_t *)(page += 4096) = 1);
    __asm__ volatile("sti");
    COST("irq   ", one_interrupt());
    __asm__ volatile("cli");
}

const struct test tests[] = {
    V(1, cpuid),   V(1, ports),      V(1, strings),     V(1, mmio),  V(1, registers),
    V(1, control), V(1, debug),      V(1, breakpoints), V(1, steps), V(1, vmx),
    V(1, nmi),     V(1, shadow),     V(1, fpu),         V(1, msrs),  V(1, canonical),
    V(1, paging),  V(1, interrupts), V(3, exits),       {0},
};
