/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debugging inside of the guest: a trap behind each instruction, whether the processor
 * ran it or the hypervisor did; breakpoints and watchpoints, each once and at the right place.
 */
#include "tests/guest/isolation/isolation.h"

#define DR6_CLEAR  0xffff0ff0ULL
#define DR6_STEP   0x4000ULL
#define DR6_ACCESS 0x2000ULL
#define RF         0x10000ULL

static volatile uint64_t hits, hit_at[64], hit_dr6[64];
static volatile bool go_on_past; /* a breakpoint: RF is set on return */

static bool note_hit(struct trap_frame *frame)
{
    if (frame->vector != 1)
        return false;
    if (hits < 64) {
        hit_at[hits] = frame->rip;
        hit_dr6[hits] = read_dr6();
    }
    hits++;
    write_dr6(DR6_CLEAR);
    if (go_on_past)
        frame->rflags |= RF;
    return true;
}

static void begin(void)
{
    trap_hook = note_hit;
    write_dr6(DR6_CLEAR);
    hits = 0;
}

/* ---- single steps ---- */

/* Each STEP adds the address behind it to a list. */
#define STEP(text) text "\n\t77: .pushsection .rodata.steps, \"a\"; .quad 77b; .popsection\n\t"

__asm__(".pushsection .rodata.steps, \"a\"; steps: .popsection\n"
        ".text\n"
        "step_through:\n"
        "push %rbx; push %r12\n"
        "mov $0xfed000f0, %r12d\n"
        "pushfq; orq $0x100, (%rsp); popfq\n" STEP("nop") STEP("xor %eax, %eax") STEP("cpuid") STEP(
            "mov $0x1b, %ecx") STEP("rdmsr") STEP("wrmsr") STEP("in $0x61, %al") STEP("out %al, $0x80")
            STEP("mov (%r12), %eax") STEP("mov %eax, -0xf0(%r12)") STEP("rdtsc") STEP("mov %cr0, %rax") STEP(
                "mov %rax, %cr0") STEP("mov %cr3, %rax") STEP("mov %rax, %cr3") STEP("mov %cr4, %rax")
                STEP("mov %rax, %cr4") STEP("mov %cr8, %rax") STEP("mov %rax, %cr8") STEP("mov %dr0, %rax")
                    STEP("mov %rax, %dr0") STEP("invlpg (%rsp)") STEP("wbinvd") STEP("pushfq")
                        STEP("add $8, %rsp") STEP("clts") STEP("sidt -16(%rsp)") STEP("sgdt -16(%rsp)")
                            STEP("fninit") STEP("pushfq") STEP("andq $~0x100, (%rsp)")
                                STEP("popfq") "pop %r12; pop %rbx\n"
                                              "ret\n"
                                              ".pushsection .rodata.steps, \"a\"; steps_end: .popsection\n");

extern const uint64_t steps[], steps_end[];
void step_through(void);

void single_step(void)
{
    uint64_t count = (uint64_t)(steps_end - steps);

    for (unsigned round = 0; round < 100; round++) {
        begin();
        step_through();
        for (unsigned i = 0; i < count && i < hits; i++) {
            expect_of("step", i, hit_at[i], steps[i]);
            expect_of("DR6 at step", i, hit_dr6[i], DR6_CLEAR | DR6_STEP);
        }
        expect("steps", hits, count);
    }
}

static void step_over_sti(void)
{
    __asm__ volatile(
        "pushfq; orq $0x100, (%%rsp); popfq; sti; cli; pause; pushfq; andq $~0x100, (%%rsp); popfq" ::
            : "memory", "cc");
}

/* STI keeps interrupts away behind it, not traps. */
void single_step_over_sti(void)
{
    for (unsigned round = 0; round < 100; round++) {
        begin();
        step_over_sti();
        expect("steps", hits, 6);
    }
}

static void user_steps(void)
{
    __asm__ volatile(
        "pushfq; orq $0x100, (%%rsp); popfq; nop; xor %%eax, %%eax; cpuid; rdtsc; mov $2, %%ecx; 1: loop 1b;"
        "pushfq; andq $~0x100, (%%rsp); popfq" ::
            : "rax", "rbx", "rcx", "rdx", "memory", "cc");
}

void single_step_in_ring3(void)
{
    for (unsigned round = 0; round < 200; round++) {
        begin();
        expect("ring 3", (uint64_t)try_user(user_steps), ~0ULL);
        expect("steps", hits, 10);
    }
}

/* ---- breakpoints ---- */

#define BREAK_AT(name, text)                                                                                 \
    __asm__(".text; .global at_" #name "; run_" #name ": push %rbx\n\tmov $0xfed000f0, %esi\n\t"             \
            "mov $0x1b, %ecx\n\tat_" #name ": " text "\n\tpop %rbx; ret");                                   \
    void run_##name(void);                                                                                   \
    extern const char at_##name[]

BREAK_AT(nop, "nop");
BREAK_AT(cpuid, "cpuid");
BREAK_AT(in, "in $0x61, %al");
BREAK_AT(mmio, "mov (%rsi), %eax");
BREAK_AT(rdmsr, "rdmsr");
BREAK_AT(wbinvd, "wbinvd");

static void break_once(const char *name, void (*run)(void), const char *at)
{
    begin();
    write_dr1((uintptr_t)at);
    write_dr7(0x400 | 4);
    go_on_past = true;
    run();
    run();
    go_on_past = false;
    write_dr7(0x400);
    expect(name, hits, 2);
    for (unsigned i = 0; i < 2; i++) {
        expect(name, hit_at[i], (uintptr_t)at);
        expect(name, hit_dr6[i], DR6_CLEAR | 2);
    }
}

static void int3(void)
{
    __asm__ volatile("int3");
}

void breakpoints(void)
{
    for (unsigned round = 0; round < 100; round++) {
        break_once("breakpoint at NOP", run_nop, at_nop);
        break_once("breakpoint at CPUID", run_cpuid, at_cpuid);
        break_once("breakpoint at IN", run_in, at_in);
        break_once("breakpoint at a read of a device", run_mmio, at_mmio);
        break_once("breakpoint at RDMSR", run_rdmsr, at_rdmsr);
        break_once("breakpoint at WBINVD", run_wbinvd, at_wbinvd);
        expect("INT3", (uint64_t)try_run(int3), 3);
    }
}

/* A trap like that of single-stepping, but nothing in DR6 tells of it. */
void int1_traps(void)
{
    for (unsigned round = 0; round < 100; round++) {
        begin();
        __asm__ volatile(".byte 0xf1");
        expect("INT1", hits, 1);
        expect("DR6 behind INT1", hit_dr6[0], DR6_CLEAR);
    }
}

/* ---- watchpoints ---- */

static uint64_t watched[8] __attribute__((aligned(64)));

static void watch(unsigned length_bits, bool reads)
{
    begin();
    write_dr2((uintptr_t)&watched[2]);
    write_dr7(0x400 | 0x10 | (reads ? 3U : 1U) << 24 | length_bits << 26);
}

static void watch_end(const char *name, uint64_t number)
{
    write_dr7(0x400);
    expect(name, hits, number);
    for (unsigned i = 0; i < number && i < 64; i++)
        expect(name, hit_dr6[i] & 0xf, 4);
}

#define MEMORY(text, ...) __asm__ volatile(text ::__VA_ARGS__ : "memory", "cc", "rax", "rcx", "rdi", "rsi")

static void watch_strings(void)
{
    watch(2, false); /* 8 bytes */
    MEMORY("mov %0, %%rdi; mov $8, %%ecx; xor %%eax, %%eax; rep stosq", "r"(watched));
    watch_end("REP STOS", 1);
    watch(2, true);
    MEMORY("mov %0, %%rsi; mov $8, %%ecx; 1: lodsq; loop 1b", "r"(watched));
    watch_end("LODS", 1);
    watch(0, false);
    MEMORY("mov %0, %%rdi; mov %0, %%rsi; mov $64, %%ecx; rep movsb", "r"(watched));
    watch_end("REP MOVS", 1);
}

void watchpoints(void)
{
    for (unsigned round = 0; round < 100; round++) {
        watch(2, false);
        MMIO64(&watched[2]) = 1;
        MMIO8((uintptr_t)&watched[2] + 7) = 1;
        MMIO8((uintptr_t)&watched[2] - 1) = 1;
        MMIO8((uintptr_t)&watched[2] + 8) = 1;
        (void)MMIO64(&watched[2]);
        MMIO64((uintptr_t)&watched[2] - 4) = 1;
        watch_end("stores to 8 bytes", 3);
        watch(0, true);
        (void)MMIO8(&watched[2]);
        (void)MMIO8((uintptr_t)&watched[2] + 1);
        (void)MMIO32((uintptr_t)&watched[2] - 3);
        MMIO16(&watched[2]) = 5;
        watch_end("any access to a byte", 3);
        watch(3, false); /* 4 bytes */
        MEMORY("lock incl 4(%0); lock incl (%0); xchg %%al, 3(%0)", "r"(&watched[2]));
        watch_end("locked", 2);
        watch(2, false);
        MEMORY("mov %%rsp, %%rcx; lea 24(%0), %%rsp; push %%rax; push %%rax; mov %%rcx, %%rsp", "r"(watched));
        watch_end("PUSH", 1);
        watch_strings();
    }
}

static void read_dr(void)
{
    (void)read_dr0();
}

/* GD guards the debug registers, and is gone in the handler. */
void general_detect(void)
{
    for (unsigned round = 0; round < 200; round++) {
        trap_hook = NULL;
        write_dr6(DR6_CLEAR);
        write_dr7(0x2400);
        expect("MOV from DR0", (uint64_t)try_run(read_dr), 1);
        expect("DR6", read_dr6(), DR6_CLEAR | DR6_ACCESS);
        expect("DR7", read_dr7(), 0x400);
    }
    write_dr6(DR6_CLEAR);
}
