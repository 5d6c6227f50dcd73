/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions and interrupts: in what order, how often, and what happens when their delivery fails. */
#include "tests/guest/isolation/isolation.h"

struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

static uint64_t *idt_now(struct table_pointer *old)
{
    __asm__ volatile("sidt %0" : "=m"(*old));
    return (uint64_t *)old->base;
}

static void use_idt(uint64_t base, uint16_t limit)
{
    struct table_pointer p = {limit, base};

    __asm__ volatile("lidt %0" ::"m"(p));
}

static uint8_t spare_stack[3][4096] __attribute__((aligned(4096)));

/* Interrupt stack 1..3: its first byte beyond. */
static uint64_t use_stack(unsigned n)
{
    uint64_t top = (uintptr_t)spare_stack[n - 1] + 4096;

    load_user_tss();
    *(uint64_t *)(void *)&user_tss[36 + 8 * (n - 1)] = top;
    return top;
}

static void gate_stack(uint64_t *idt, unsigned vector, unsigned n)
{
    idt[2 * vector] = (idt[2 * vector] & ~(7ULL << 32)) | (uint64_t)n << 32;
}

/* ---- a watchpoint on the place where the frame of its own #DB goes (CVE-2015-8104) ---- */

static bool take_db(struct trap_frame *frame)
{
    return frame->vector == 1;
}

void db_forever(void)
{
    struct table_pointer p;
    uint64_t top = use_stack(1);

    gate_stack(idt_now(&p), 1, 1);
    trap_hook = take_db;
    write_dr0(top - 8);
    write_dr7(0x400 | 1 | 9 << 16);
    print("watching\n");
    for (;;)
        MMIO64(top - 8) = 0;
}

/* ---- NMI ---- */

static volatile uint64_t nmis, nested_nmis;
static volatile bool in_nmi, send_inside;

static void send_nmi(void)
{
    send_ipi(0, 0x4400);
}

static bool take_nmi(struct trap_frame *frame)
{
    if (frame->vector != 2)
        return false;
    nmis++;
    nested_nmis += in_nmi;
    in_nmi = true;
    if (send_inside) {
        send_inside = false;
        send_nmi();
        wait_us(100);
    }
    in_nmi = false;
    return true;
}

void nmi_storm(void)
{
    trap_hook = take_nmi;
    lapic_on();
    for (uint64_t i = 1; i <= 2000; i++) {
        send_nmi();
        for (unsigned n = 0; n < 1000000 && nmis < i; n++)
            __asm__ volatile("pause");
        expect("NMIs", nmis, i);
    }
    nmis = 0;
    for (unsigned i = 0; i < 10000; i++)
        send_nmi();
    wait_us(1000);
    CHECK(nmis >= 1 && nmis <= 10000 && !nested_nmis);
}

/* A second one waits for the first one's IRET. */
void nmi_is_blocked(void)
{
    trap_hook = take_nmi;
    lapic_on();
    for (uint64_t i = 1; i <= 500; i++) {
        send_inside = true;
        send_nmi();
        for (unsigned n = 0; n < 1000000 && nmis < 2 * i; n++)
            __asm__ volatile("pause");
        expect("NMIs", nmis, 2 * i);
        expect("NMIs inside of another", nested_nmis, 0);
    }
}

/* ---- delivery that fails ---- */

static void do_int30(void)
{
    __asm__ volatile("int $0x30");
}
static void do_int90(void)
{
    __asm__ volatile("int $0x90");
}
static void do_ud2(void)
{
    __asm__ volatile("ud2");
}
static void do_int3(void)
{
    __asm__ volatile("int3");
}
static void do_divide(void)
{
    __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" ::: "eax", "ecx", "edx", "cc");
}
static void do_page_fault(void)
{
    (void)MMIO8(1ULL << 46);
}

static void expect_fault(const char *name, void (*fn)(void), unsigned vector, uint64_t error)
{
    expect(name, (uint64_t)try_run(fn), vector);
    expect(name, last_error, error);
}

/* A copy of the IDT across two pages, of which the second, with the vectors from 128 on, can be taken away.
 */
#define IDT_AT (WINDOW + 0x800)

static uint64_t *movable_idt(void)
{
    struct table_pointer p;
    uint64_t *old = idt_now(&p), *idt = (uint64_t *)IDT_AT;

    map_page(WINDOW, FREE_RAM, 3);
    map_page(WINDOW + 4096, FREE_RAM + 4096, 3);
    for (unsigned i = 0; i < 512; i++)
        idt[i] = old[i];
    use_idt(IDT_AT, 4095);
    return idt;
}

void faults_in_delivery(void)
{
    const uint64_t present = 1ULL << 47;
    struct table_pointer old;
    uint64_t *idt;

    idt_now(&old);
    idt = movable_idt();
    for (unsigned round = 0; round < 200; round++) {
        idt[2 * 0x30] &= ~present;
        expect_fault("INT to a gate that is not present", do_int30, 11, 0x30 * 8 + 2);
        idt[2 * 0x30] |= present;
        idt[2 * 6] &= ~present;
        expect_fault("#UD to a gate that is not present", do_ud2, 11, 6 * 8 + 3);
        idt[2 * 6] |= present;
        idt[2 * 3] &= ~present;
        expect_fault("#BP to a gate that is not present", do_int3, 11, 3 * 8 + 2);
        idt[2 * 3] |= present;
        idt[0] &= ~present;
        expect_fault("#DE to a gate that is not present", do_divide, 8, 0);
        idt[0] |= present;
        idt[2 * 14] &= ~present;
        expect_fault("#PF to a gate that is not present", do_page_fault, 8, 0);
        idt[2 * 14] |= present;
        idt[2 * 0x30] ^= 0x18ULL << 16; /* selector 8 becomes 10: data */
        expect_fault("INT to a data segment", do_int30, 13, 0x10);
        idt[2 * 0x30] ^= 0x18ULL << 16;
        idt[2 * 0x30] ^= 0x8ULL << 16;
        expect_fault("INT to no segment", do_int30, 13, 0);
        idt[2 * 0x30] ^= 0x8ULL << 16;
        use_idt(IDT_AT, 0x90 * 16 - 1);
        expect_fault("INT beyond the IDT", do_int90, 13, 0x90 * 8 + 2);
        use_idt(IDT_AT, 4095);
        *page_entry(WINDOW + 4096) = 0;
        invlpg(WINDOW + 4096);
        expect_fault("INT by a gate on no page", do_int90, 14, 0);
        expect("CR2", read_cr2(), IDT_AT + 0x90 * 16);
        map_page(WINDOW + 4096, FREE_RAM + 4096, 3);
    }
    use_idt(old.base, old.limit);
}

static void user_int30(void)
{
    do_int30();
}

/* From ring 3: the stack is the TSS's. */
void delivery_on_bad_stacks(void)
{
    const uint64_t dpl3 = 3ULL << 45, bad = WINDOW + 0x10000;
    struct table_pointer p;
    uint64_t *idt = idt_now(&p), good;

    use_stack(1);
    use_stack(2);
    gate_stack(idt, 8, 1);
    idt[2 * 0x30] |= dpl3;
    good = *(uint64_t *)(void *)&user_tss[4];
    map_page(WINDOW, FREE_RAM, 7);
    for (unsigned round = 0; round < 100; round++) {
        gate_stack(idt, 14, 2);
        *(uint64_t *)(void *)&user_tss[4] = bad;
        expect("INT on a stack on no page", (uint64_t)try_user(user_int30), 14);
        expect("its error code", last_error, 2);
        expect("CR2", read_cr2(), bad - 8);
        gate_stack(idt, 14, 0);
        expect("the same, and the #PF, too", (uint64_t)try_user(user_int30), 8);
        expect("its error code", last_error, 0);
        *(uint64_t *)(void *)&user_tss[4] = 0x8000000000000000;
        expect("INT on a stack at no address", (uint64_t)try_user(user_int30), 8);
        expect("its error code", last_error, 0);
    }
    *(uint64_t *)(void *)&user_tss[4] = good;
    gate_stack(idt, 8, 0);
}

static volatile uint64_t frame_at, frame_rsp;

static bool note_frame(struct trap_frame *frame)
{
    if (frame->vector != 3)
        return false;
    frame_at = (uintptr_t)frame;
    frame_rsp = frame->rsp;
    return true;
}

void interrupt_stack_table(void)
{
    struct table_pointer p;
    uint64_t *idt = idt_now(&p);

    trap_hook = note_frame;
    for (unsigned n = 1; n <= 3; n++) {
        uint64_t top = use_stack(n), rsp;

        gate_stack(idt, 3, n);
        for (unsigned odd = 0; odd < 16; odd++) {
            __asm__ volatile(
                "mov %%rsp, %%rbx; and $-16, %%rsp; sub $256, %%rsp; sub %1, %%rsp; mov %%rsp, %0;"
                "int3; mov %%rbx, %%rsp"
                : "=&r"(rsp)
                : "r"((uint64_t)odd)
                : "rbx", "memory", "cc");
            expect("RSP in the frame", frame_rsp, rsp);
            expect("the frame", frame_at,
                   top - 56); /* what trap_frame holds: five of the processor's, two of ours */
        }
        gate_stack(idt, 3, 0);
    }
}

/* ---- shadows: the instruction behind STI and MOV SS ---- */

static volatile uint64_t taken_at, taken;

static bool note_rip(struct trap_frame *frame)
{
    if (frame->vector != 0x41)
        return false;
    taken_at = frame->rip;
    taken++;
    lapic_eoi();
    return true;
}

/* The interrupt waits; it comes behind the instruction that follows STI. */
#define SHADOW(name, text)                                                                                   \
    do {                                                                                                     \
        uint64_t behind;                                                                                     \
        self_ipi(0x41);                                                                                      \
        taken = 0;                                                                                           \
        __asm__ volatile("lea 2f(%%rip), %0\n\tsti\n\t" text "\n2: nop; nop; cli"                            \
                         : "=&r"(behind)                                                                     \
                         : "S"(HPET + 0xf0), "D"(FREE_RAM)                                                   \
                         : "rax", "rbx", "rcx", "rdx", "memory", "cc");                                      \
        expect(name ": interrupts", taken, 1);                                                               \
        expect(name, taken_at, behind);                                                                      \
    } while (0)

void shadow_of_sti(void)
{
    trap_hook = note_rip;
    lapic_on();
    for (unsigned i = 0; i < 100; i++) {
        SHADOW("nop", "nop");
        SHADOW("cpuid", "cpuid");
        SHADOW("in", "in $0x61, %%al");
        SHADOW("out", "out %%al, $0x80");
        SHADOW("mmio", "mov (%%rsi), %%eax");
        SHADOW("store", "mov %%rax, (%%rdi)");
        SHADOW("rdtsc", "rdtsc");
        SHADOW("hlt", "hlt");
        SHADOW("mov cr8", "mov %%cr8, %%rax");
        SHADOW("wbinvd", "wbinvd");
        SHADOW("sti twice", "sti");
    }
}

static volatile uint64_t db_at[8], db_count;

static bool note_db(struct trap_frame *frame)
{
    if (frame->vector != 1)
        return false;
    if (db_count < 8)
        db_at[db_count] = frame->rip;
    db_count++;
    return true;
}

#define MOV_SS(name, text)                                                                                   \
    do {                                                                                                     \
        uint64_t behind;                                                                                     \
        db_count = 0;                                                                                        \
        __asm__ volatile(                                                                                    \
            "lea 2f(%%rip), %%r8\n\tmov %%ss, %%r9d\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"           \
            "mov %%r9d, %%ss\n\t" text "\n2: pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"                   \
            "mov %%r8, %0"                                                                                   \
            : "=&r"(behind)                                                                                  \
            : "S"(HPET + 0xf0)                                                                               \
            : "rax", "rbx", "rcx", "rdx", "r8", "r9", "memory", "cc");                                       \
        expect(name ": traps", db_count, 4);                                                                 \
        expect(name, db_at[0], behind);                                                                      \
    } while (0)

/* No trap of single-stepping behind MOV SS itself, but one behind the next instruction. */
void shadow_of_mov_ss(void)
{
    trap_hook = note_db;
    for (unsigned i = 0; i < 100; i++) {
        MOV_SS("nop", "nop");
        MOV_SS("cpuid", "cpuid");
        MOV_SS("in", "in $0x61, %%al");
        MOV_SS("mmio", "mov (%%rsi), %%eax");
    }
}

/* ---- interrupts ---- */

static volatile unsigned order[256], ordered;

static bool note_order(struct trap_frame *frame)
{
    if (frame->vector < 32)
        return false;
    if (ordered < 256)
        order[ordered] = (unsigned)frame->vector;
    ordered++;
    lapic_eoi();
    return true;
}

void interrupts_by_priority(void)
{
    trap_hook = note_order;
    lapic_on();
    for (unsigned round = 0; round < 100; round++) {
        ordered = 0;
        for (unsigned v = 0x31; v <= 0xe1; v += 0x10)
            self_ipi(v);
        for (unsigned v = 0x31; v <= 0xe1; v += 0x10)
            CHECK(MMIO32(LAPIC_IRR + 16 * (v / 32)) >> v % 32 & 1);
        write_cr8(8); /* up to 8f waits */
        __asm__ volatile("sti; nop; nop; nop; cli");
        expect("interrupts above the task's priority", ordered, 6);
        write_cr8(0);
        __asm__ volatile("sti; nop; nop; nop; cli");
        expect("interrupts", ordered, 12);
        for (unsigned i = 0; i < 12; i++)
            expect_of("interrupt", i, order[i], 0xe1 - 16 * i);
    }
}

void interrupts_exactly_once(void)
{
    static uint32_t sent[256];

    trap_hook = NULL;
    lapic_on();
    for (unsigned i = 0; i < 3000; i++) {
        unsigned v = 0x30 + random_below(0xc0);

        __asm__ volatile("sti");
        self_ipi(v);
        for (unsigned n = 0; n < 1000000 && trap_count[v] == sent[v]; n++)
            __asm__ volatile("pause");
        __asm__ volatile("cli");
        sent[v]++;
        expect_of("interrupt", v, trap_count[v], sent[v]);
        self_ipi(v); /* while it may not be taken: these two are one */
        self_ipi(v);
        __asm__ volatile("sti; nop; nop; cli");
        sent[v]++;
        expect_of("interrupt sent twice", v, trap_count[v], sent[v]);
    }
    for (unsigned v = 0x30; v < 0xf0; v++)
        expect_of("interrupt", v, trap_count[v], sent[v]);
}

static void one_deadline(uint64_t ticks, uint64_t number)
{
    uint64_t due = rdtsc() + ticks;

    wrmsr(0x6e0, due);
    __asm__ volatile("sti");
    for (unsigned n = 0; n < 100000000 && trap_count[0x51] < number; n++)
        __asm__ volatile("pause");
    CHECK(rdtsc() >= due && rdmsr(0x6e0) == 0);
    __asm__ volatile("cli");
    expect("deadlines", trap_count[0x51], number);
}

void timer_exactly_once(void)
{
    uint64_t before, number, us;

    lapic_on();
    for (uint64_t i = 1; i <= 300; i++) {
        before = microseconds();
        lapic_timer(0x50, 100000);
        __asm__ volatile("sti");
        for (unsigned n = 0; n < 100000000 && trap_count[0x50] < i; n++)
            __asm__ volatile("pause");
        __asm__ volatile("cli");
        CHECK(microseconds() - before >= 99);
        expect("one-shot timers", trap_count[0x50], i);
    }
    wait_us(2000);
    __asm__ volatile("sti; nop; cli");
    expect("one-shot timers", trap_count[0x50], 300);
    if (has_bit(1, 0, 'c', 24)) {
        MMIO32(LAPIC_LVTT) = 0x40051;
        for (uint64_t i = 1; i <= 300; i++)
            one_deadline(tsc_khz() / 10, i);
    }
    MMIO32(LAPIC_LVTT) = 0x20052;
    before = microseconds();
    MMIO32(LAPIC_TICR) = 1000000;
    __asm__ volatile("sti");
    wait_us(200000);
    __asm__ volatile("cli");
    number = trap_count[0x52];
    us = microseconds() - before;
    MMIO32(LAPIC_TICR) = 0;
    CHECK(number >= 20 && number <= us / 1000 + 1);
}

static void ioapic_write(unsigned reg, uint32_t v)
{
    MMIO32(IOAPIC) = reg;
    MMIO32(IOAPIC + 0x10) = v;
}

static void route(unsigned pin, unsigned vector)
{
    ioapic_write(0x11 + 2 * pin, 0);
    ioapic_write(0x10 + 2 * pin, vector);
}

/* Each interrupt that was asked for, once. */
static void await(unsigned vector, uint64_t number)
{
    __asm__ volatile("sti");
    for (unsigned n = 0; n < 100000000 && trap_count[vector] < number; n++)
        __asm__ volatile("pause");
    wait_us(200);
    __asm__ volatile("cli");
    expect_of("interrupts by the IO-APIC", vector, trap_count[vector], number);
}

void hpet_and_pit_interrupts(void)
{
    uint64_t period = MMIO64(HPET) >> 32, timer = HPET + 0x140, allowed = MMIO64(timer) >> 32;
    unsigned pin = 0;

    lapic_on();
    hpet_start();
    while (pin < 24 && !(allowed >> pin & 1 && pin > 2))
        pin++;
    CHECK(pin < 24 && period > 1000000);
    route(pin, 0x61);
    MMIO64(timer) = (MMIO64(timer) & ~0x3e0aULL) | 4 | (uint64_t)pin << 9; /* edge, one-shot, 64 bits */
    for (uint64_t i = 1; i <= 100; i++) {
        MMIO64(HPET + 0x10) = 0; /* or it might be late: a comparator that is behind matches nothing */
        MMIO64(timer + 8) = hpet_counter() + 100000000000 / period; /* 100 us */
        hpet_start();
        await(0x61, i);
    }
    MMIO64(timer) &= ~4ULL;
    route(2, 0x62);
    for (uint64_t i = 1; i <= 100; i++) {
        outb(0x43, 0x30); /* counter 0, mode 0 */
        outb(0x40, 120);
        outb(0x40, 0);
        await(0x62, i);
    }
    ioapic_write(0x10 + 2 * 2, 0x10000);
}
