/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions have their results, and nothing else, also where the hypervisor has a part in them. */
#include "tests/guest/isolation/isolation.h"

#define ARITHMETIC 0x8d5ULL
#define FREE_PAGE  (FREE_RAM + 0x100000)

/* ---- flags and registers ---- */

/* With these flags, one instruction; the flags behind it. */
#define FLAGS_OF(flags, text)                                                                                \
    ({                                                                                                       \
        uint64_t of = (flags);                                                                               \
        __asm__ volatile("push %0; popfq\n\t" text "\n\tpushfq; pop %0"                                      \
                         : "+&r"(of)                                                                         \
                         : "S"(HPET + 0xf0), "D"(FREE_PAGE)                                                  \
                         : "rax", "rbx", "rcx", "rdx", "memory", "cc");                                      \
        f &(ARITHMETIC | 0x400);                                                                             \
    })
#define KEEPS_FLAGS(text) expect(text, FLAGS_OF(f, text), f &(ARITHMETIC | 0x400))

void flags_across_exits(void)
{
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t f = (random64() & (ARITHMETIC | 0x400)) | 2;

        KEEPS_FLAGS("cpuid");
        KEEPS_FLAGS("in $0x61, %%al");
        KEEPS_FLAGS("out %%al, $0x80");
        KEEPS_FLAGS("mov $0x1b, %%ecx; rdmsr; wrmsr");
        KEEPS_FLAGS("mov (%%rsi), %%eax");
        KEEPS_FLAGS("mov %%eax, -0x10(%%rsi)");
        KEEPS_FLAGS("mov %%cr8, %%rax; mov %%rax, %%cr8");
        KEEPS_FLAGS("rdtsc");
        KEEPS_FLAGS("wbinvd");
        KEEPS_FLAGS("invlpg (%%rdi)");
        KEEPS_FLAGS("mov %%cr3, %%rax; mov %%rax, %%cr3");
    }
    __asm__ volatile("cld");
}

uint64_t exits_before[16], exits_after[16];
void all_registers_cpuid(void);
void all_registers_in(void);
void all_registers_mmio(void);

/* All but RSP hold something; only what the instruction writes may change. */
#define ALL_REGISTERS(name, text)                                                                            \
    __asm__(".text; all_registers_" #name ":\n"                                                              \
            "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"                             \
            "mov exits_before, %rax; mov exits_before+8, %rcx; mov exits_before+16, %rdx\n"                  \
            "mov exits_before+24, %rbx; mov exits_before+40, %rbp; mov exits_before+48, %rsi\n"              \
            "mov exits_before+56, %rdi; mov exits_before+64, %r8; mov exits_before+72, %r9\n"                \
            "mov exits_before+80, %r10; mov exits_before+88, %r11; mov exits_before+96, %r12\n"              \
            "mov exits_before+104, %r13; mov exits_before+112, %r14; mov exits_before+120, %r15\n" text "\n" \
            "mov %rax, exits_after; mov %rcx, exits_after+8; mov %rdx, exits_after+16\n"                     \
            "mov %rbx, exits_after+24; mov %rbp, exits_after+40; mov %rsi, exits_after+48\n"                 \
            "mov %rdi, exits_after+56; mov %r8, exits_after+64; mov %r9, exits_after+72\n"                   \
            "mov %r10, exits_after+80; mov %r11, exits_after+88; mov %r12, exits_after+96\n"                 \
            "mov %r13, exits_after+104; mov %r14, exits_after+112; mov %r15, exits_after+120\n"              \
            "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n")

ALL_REGISTERS(cpuid, "cpuid");
ALL_REGISTERS(in, "in %dx, %al");
ALL_REGISTERS(mmio, "mov 0x30(%r13), %r14d");

static void same_but(const char *name, unsigned written)
{
    for (unsigned i = 0; i < 16; i++) {
        if (i != 4 && !(written >> i & 1))
            expect_of(name, i, exits_after[i], exits_before[i]);
    }
}

void registers_across_exits(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        for (unsigned r = 0; r < 16; r++)
            exits_before[r] = random64();
        all_registers_cpuid();
        same_but("register behind CPUID", 0xf);
        for (unsigned r = 0; r < 4; r++)
            CHECK(!(exits_after[r] >> 32));
        exits_before[2] = (exits_before[2] & ~0xffffULL) | 0x61;
        all_registers_in();
        same_but("register behind IN", 1);
        CHECK((exits_after[0] ^ exits_before[0]) < 0x100);
        exits_before[13] = LAPIC;
        all_registers_mmio();
        same_but("register behind a read of a device", 1 << 14);
        expect("R14", exits_after[14], MMIO32(LAPIC + 0x30));
    }
}

/* ---- string I/O ---- */

static void select_signature(void)
{
    outw(0x510, 0); /* fw_cfg: "QEMU", then zeros */
}

static void in_string(uint64_t *to, uint64_t *count, bool down)
{
    if (down)
        __asm__ volatile("std; rep insb; cld" : "+D"(*to), "+c"(*count) : "d"(0x511) : "memory");
    else
        __asm__ volatile("rep insb" : "+D"(*to), "+c"(*count) : "d"(0x511) : "memory");
}

void string_io(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t at = FREE_PAGE + random_below(8192), to = at, count = 4;

        MMIO64(at) = ~0ULL;
        select_signature();
        in_string(&to, &count, false);
        expect("INS", MMIO64(at), 0xffffffff554d4551);
        CHECK(to == at + 4 && count == 0);
        MMIO64(at) = ~0ULL;
        select_signature();
        to = at + 3;
        count = 4;
        in_string(&to, &count, true);
        expect("INS downwards", MMIO64(at), 0xffffffff51454d55);
        CHECK(to == at - 1 && count == 0);
        select_signature();
        to = at;
        in_string(&to, &count, false);
        CHECK(to == at && inb(0x511) == 'Q'); /* none */
        MMIO32(at) = 0x04030201;
        to = at;
        count = 4;
        __asm__ volatile("mov $0x80, %%edx; rep outsb" : "+S"(to), "+c"(count)::"rdx", "memory");
        CHECK(to == at + 4 && count == 0);
        to = at;
        count = 2;
        __asm__ volatile("mov $0x80, %%edx; rep outsw" : "+S"(to), "+c"(count)::"rdx", "memory");
        CHECK(to == at + 4 && count == 0);
    }
}

static uint64_t fault_to, fault_count;

static bool note_progress(struct trap_frame *frame)
{
    if (frame->vector != 14)
        return false;
    fault_to = read_cr2();
    fault_count++;
    map_page(WINDOW + 4096, FREE_PAGE + 4096, 3);
    return true;
}

/* The second page comes with the fault: each byte of the device's is read once, and stored once. */
void string_io_faults(void)
{
    for (unsigned i = 0; i < 500; i++) {
        unsigned before = i % 4;
        uint64_t to = WINDOW + 4096 - before, count = 4;

        map_page(WINDOW, FREE_PAGE, 3);
        map_page(WINDOW + 4096, 0, 0);
        trap_hook = note_progress;
        fault_count = 0;
        select_signature();
        in_string(&to, &count, false);
        trap_hook = NULL;
        CHECK(to == WINDOW + 4096 - before + 4 && count == 0);
        expect("faults", fault_count, 1);
        expect("CR2", fault_to, WINDOW + 4096);
        expect("INS", MMIO32(WINDOW + 4096 - before), 0x554d4551);
    }
}

/* ---- arithmetic on device registers: the HPET's comparator holds what it is given ---- */

void mmio_arithmetic(void)
{
    const uint64_t reg = HPET + 0x108;

    MMIO64(HPET + 0x10) = 0;
    MMIO64(HPET + 0x100) = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t a = (uint32_t)random64(), b = (uint32_t)random64(), r = b;
        uint64_t f = 0, g = 0;

        MMIO32(reg) = a;
        __asm__ volatile("addl %2, (%1); pushfq; pop %0" : "=&r"(f) : "r"(reg), "r"(r) : "memory", "cc");
        expect("ADD to a register", MMIO32(reg), (uint32_t)(a + b));
        __asm__ volatile("addl %2, %k1; pushfq; pop %0" : "=&r"(g), "+r"(a) : "r"(r) : "cc");
        expect("its flags", f & ARITHMETIC, g & ARITHMETIC);
        MMIO32(reg) = 5;
        r = 7;
        __asm__ volatile("lock xaddl %0, (%1)" : "+r"(r) : "r"(reg) : "memory", "cc");
        CHECK(r == 5 && MMIO32(reg) == 12);
        r = 99;
        __asm__ volatile("mov $12, %%eax; lock cmpxchgl %0, (%1); setz %b0"
                         : "+q"(r)
                         : "r"(reg)
                         : "rax", "memory", "cc");
        CHECK((r & 0xff) == 1 && MMIO32(reg) == 99);
        __asm__ volatile("btsl $2, (%1); setc %b0" : "+q"(r) : "r"(reg) : "memory", "cc");
        CHECK((r & 0xff) == 0 && MMIO32(reg) == 103);
        __asm__ volatile("movzbl (%1), %0" : "=r"(r) : "r"(reg) : "memory");
        CHECK(r == 103);
        __asm__ volatile("movsbq (%1), %q0" : "=r"(f) : "r"(reg + 3) : "memory");
        CHECK(f == 0);
        __asm__ volatile("push (%1); pop %0" : "=r"(f) : "r"(reg) : "memory");
        CHECK((uint32_t)f == 103);
    }
}

/* ---- ring 3 and back ---- */

static uint8_t privileged[8];

static void user_privileged(void)
{
    ((void (*)(void))(uintptr_t)privileged)();
}

/* All of them #GP, and nothing else happens. */
void privileged_in_ring3(void)
{
    static const uint8_t code[][4] = {{1, 0xf4},             /* HLT */
                                      {1, 0xfa},             /* CLI */
                                      {1, 0xfb},             /* STI */
                                      {1, 0xec},             /* IN AL, DX */
                                      {1, 0xee},             /* OUT DX, AL */
                                      {1, 0x6c},             /* INSB */
                                      {1, 0x6e},             /* OUTSB */
                                      {2, 0x0f, 0x06},       /* CLTS */
                                      {2, 0x0f, 0x08},       /* INVD */
                                      {2, 0x0f, 0x09},       /* WBINVD */
                                      {2, 0x0f, 0x30},       /* WRMSR */
                                      {2, 0x0f, 0x32},       /* RDMSR */
                                      {3, 0x0f, 0x20, 0xc0}, /* MOV EAX, CR0 */
                                      {3, 0x0f, 0x22, 0xd8}, /* MOV CR3, EAX */
                                      {3, 0x0f, 0x21, 0xc0}, /* MOV EAX, DR0 */
                                      {3, 0x0f, 0x01, 0xf0}, /* LMSW AX */
                                      {3, 0x0f, 0x01, 0x38}, /* INVLPG [RAX] */
                                      {3, 0x0f, 0x01, 0x10}, /* LGDT [RAX] */
                                      {3, 0x0f, 0x01, 0x18}, /* LIDT [RAX] */
                                      {3, 0x0f, 0x00, 0xd0}, /* LLDT AX */
                                      {3, 0x0f, 0x00, 0xd8}, /* LTR AX */
                                      {3, 0x0f, 0x01, 0xf8}, /* SWAPGS */
                                      {2, 0x0f, 0x07}};      /* SYSRET */

    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
            for (unsigned n = 0; n < code[i][0]; n++)
                privileged[n] = code[i][n + 1];
            privileged[code[i][0]] = 0xc3;
            expect_of("privileged", code[i][1] << 8 | code[i][2], (uint64_t)try_user(user_privileged), 13);
            expect_of("its error code", i, last_error, 0);
        }
    }
}

static volatile uint64_t entered_rcx, entered_r11, entered_flags;

/* The kernel's end of SYSCALL: back with SYSRET, no stack needed. */
__asm__(".text; syscall_entry:\n"
        "mov %rcx, entered_rcx; mov %r11, entered_r11\n"
        "mov %rsp, %r9; mov $syscall_stack + 256, %rsp; pushfq; pop entered_flags; mov %r9, %rsp\n"
        "sysretq\n"
        ".pushsection .bss; syscall_stack: .skip 256; .popsection\n");
extern const char syscall_entry[];

static uint64_t returned_flags, returned_at;

static void user_syscall(void)
{
    __asm__ volatile(
        "lea 1f(%%rip), %%rbx; pushfq; orq $0x8d5, (%%rsp); popfq; syscall; 1: pushfq; pop %0; mov %%rbx, %1"
        : "=m"(returned_flags), "=m"(returned_at)
        :
        : "rax", "rbx", "rcx", "r9", "r11", "memory", "cc");
}

void syscall_and_sysret(void)
{
    wrmsr(0xc0000081, 0x0018000800000000ULL); /* kernel: 08, user: 18 + 16 = 28 with 20 for data */
    wrmsr(0xc0000082, (uintptr_t)syscall_entry);
    wrmsr(0xc0000084, 0x8d5 | 0x200);
    for (unsigned i = 0; i < 2000; i++) {
        expect("ring 3", (uint64_t)try_user(user_syscall), ~0ULL);
        expect("RCX", entered_rcx, returned_at);
        expect("R11", entered_r11 & 0xad5, 0xad5);
        expect("flags inside", entered_flags & 0xad5, 0);
        expect("flags behind", returned_flags & 0xad5, 0xad5);
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ULL);
    expect("SYSCALL while off", (uint64_t)try_user(user_syscall), 6);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
}

static void user_sysenter(void)
{
    __asm__ volatile("sysenter" ::: "rcx", "rdx", "memory");
}

static volatile uint64_t sysenter_rsp;
__asm__(".text; sysenter_entry: mov %rsp, sysenter_rsp; ud2\n");
extern const char sysenter_entry[];

/* In long mode AMD's do not have it; Intel's go where the MSRs say. */
void sysenter(void)
{
    static uint64_t stack[64];

    wrmsr(0x174, 8);
    wrmsr(0x175, (uintptr_t)&stack[64]);
    wrmsr(0x176, (uintptr_t)sysenter_entry);
    for (unsigned i = 0; i < 500; i++) {
        expect("SYSENTER", (uint64_t)try_user(user_sysenter), 6);
        if (!is_amd()) {
            expect("RIP", last_rip, (uintptr_t)sysenter_entry + 8);
            expect("RSP", sysenter_rsp, (uintptr_t)&stack[64]);
        }
    }
    wrmsr(0x174, 0);
    if (!is_amd())
        expect("SYSENTER while off", (uint64_t)try_user(user_sysenter), 13);
}
