/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small guests that show a machine to be in order; also run on /dev/kvm. */
#include "tests/guest/kernel/kernel.h"

static void do_nothing(void)
{
}

static void bad_opcode(void)
{
    __asm__ volatile("ud2");
}

static void bad_address(void)
{
    (void)MMIO8(1ULL << 40);
}

static void traps(void)
{
    CHECK(try_run(do_nothing) == -1);
    CHECK(try_run(bad_opcode) == 6);
    CHECK(try_run(bad_address) == 14);
    CHECK(last_error == 0);
}

/* What some KVMs cannot emulate in ring 0: a locked CMPXCHG16B. */
static void cmpxchg16b(void)
{
    static uint64_t pair[2] __attribute__((aligned(16))) = {1, 2};
    uint8_t equal;
    uint64_t a = 1, d = 2;

    __asm__ volatile("lock cmpxchg16b %1; sete %0"
                     : "=q"(equal), "+m"(pair), "+a"(a), "+d"(d)
                     : "b"(3ULL), "c"(4ULL));
    CHECK(equal && pair[0] == 3 && pair[1] == 4);
    a = 9;
    d = 9;
    __asm__ volatile("lock cmpxchg16b %1; sete %0"
                     : "=q"(equal), "+m"(pair), "+a"(a), "+d"(d)
                     : "b"(5ULL), "c"(6ULL));
    CHECK(!equal && a == 3 && d == 4);
}

static void timer(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    MMIO32(0xfee000f0) = 0x1ff;
    MMIO32(0xfee003e0) = 0xb;
    MMIO32(0xfee00320) = 0x40;
    MMIO32(0xfee00380) = 100000;
    __asm__ volatile("sti");
    for (unsigned long i = 0; i < 2000000000 && !trap_count[0x40]; i++)
        __asm__ volatile("pause");
    __asm__ volatile("cli");
    CHECK(trap_count[0x40] == 1);
}

static void halt_wakes(void)
{
    MMIO32(0xfee000f0) = 0x1ff;
    MMIO32(0xfee003e0) = 0xb;
    MMIO32(0xfee00320) = 0x20040; /* periodic */
    MMIO32(0xfee00380) = 1000000;
    for (unsigned i = 0; i < 10; i++)
        __asm__ volatile("sti; hlt; cli");
    CHECK(trap_count[0x40] >= 10);
}

static void arithmetic(void)
{
    volatile uint64_t a = 0x123456789abcdef0, b = 977;
    uint64_t sum = 0;

    for (unsigned i = 0; i < 1000000; i++)
        sum = sum * 6364136223846793005ULL + (a / b) + i;
    CHECK(sum == 0xfb5ac58c8b9019a0ULL);
    CHECK(a % b == 0x123456789abcdef0ULL % 977);
}

static uint32_t msr_number;

static void read_msr(void)
{
    (void)rdmsr(msr_number);
}

/* Which MSRs exist, in the ranges where processors and hypervisors have them. */
static void list_msrs(void)
{
    static const struct {
        uint32_t first, count;
    } ranges[] = {
        {0, 0x800}, {0x40000000, 0x100}, {0x4b564d00, 0x10}, {0xc0000000, 0x200}, {0xc0010000, 0x200}};

    for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        for (uint32_t n = 0; n < ranges[i].count; n++) {
            int vector;

            msr_number = ranges[i].first + n;
            vector = try_run(read_msr);
            CHECK(vector == -1 || vector == 13);
            if (vector == 13)
                continue;
            print("msr ");
            print_hex(msr_number);
            print("\n");
        }
    }
}

static void clear_mtrr_default(void)
{
    wrmsr(0x2ff, 0);
}

static void write_bad_type(void)
{
    wrmsr(0x2ff, 2);
}

static void write_read_only(void)
{
    wrmsr(0xfe, 0);
}

static void write_unknown(void)
{
    wrmsr(0xc0010117, 0x1000);
}

/* What hypervisors differ in is our model's under every engine. */
static void write_msrs(void)
{
    CHECK(rdmsr(0xfe) == 0x508);
    CHECK(try_run(write_read_only) == 13 && last_error == 0);
    CHECK(try_run(clear_mtrr_default) == -1 && rdmsr(0x2ff) == 0);
    CHECK(try_run(write_bad_type) == 13 && rdmsr(0x2ff) == 0);
    wrmsr(0x2ff, 0x806);
    CHECK(rdmsr(0x2ff) == 0x806);
    CHECK(try_run(write_unknown) == 13);
}

void doorbell(void);
void moving(void);

const struct test tests[] = {
    {"traps", traps, 0},           {"cmpxchg16b", cmpxchg16b, 0},
    {"timer", timer, 0},           {"halt", halt_wakes, 0},
    {"arithmetic", arithmetic, 0}, {"list_msrs", list_msrs, 0},
    {"write_msrs", write_msrs, 0}, {"moving", moving, 0},
    {"doorbell", doorbell, 0},     {0},
};
