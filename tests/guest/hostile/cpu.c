/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attacks by instructions. */
#include "tests/guest/hostile/hostile.h"

static uint32_t arg_a;
static uint64_t arg_b;

void triple_fault(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } none = {0, 0};

    __asm__ volatile("lidt %0; int3" ::"m"(none));
}

void triple_fault_cr3(void)
{
    __asm__ volatile("mov %0, %%cr3; mov (0), %%rax" ::"r"(0xfffff000ULL) : "rax", "memory");
}

static void one_rdmsr(void)
{
    (void)rdmsr(arg_a);
}

static void one_wrmsr(void)
{
    wrmsr(arg_a, arg_b);
}

static const struct {
    uint32_t first, last;
} msr_ranges[] = {{0, 0x1fff},
                  {0x40000000, 0x400001ff},
                  {0x4b564cf0, 0x4b564d20},
                  {0xc0000000, 0xc0000200},
                  {0xc0010000, 0xc0011100}};

void msr_read_sweep(void)
{
    for (unsigned r = 0; r < sizeof(msr_ranges) / sizeof(msr_ranges[0]); r++) {
        for (arg_a = msr_ranges[r].first; arg_a <= msr_ranges[r].last; arg_a++) {
            int v = try_run(one_rdmsr);
            CHECK(v == -1 || v == 13);
        }
    }
}

/* Not those that decide whether this program itself goes on. */
static bool spared(uint32_t msr)
{
    return msr == 0xc0000080 || msr == 0x1b || (msr >= 0x800 && msr <= 0x8ff) || msr == 0xc0000101 ||
           msr == 0x6e0;
}

void msr_write_sweep(void)
{
    static const uint64_t values[] = {0, ~0ULL, 0x8000000000000000ULL, 0x0101010101010101ULL, 0x1000};

    for (unsigned r = 0; r < sizeof(msr_ranges) / sizeof(msr_ranges[0]); r++) {
        for (arg_a = msr_ranges[r].first; arg_a <= msr_ranges[r].last; arg_a++) {
            for (unsigned i = 0; i < 6 && !spared(arg_a); i++) {
                int v;
                arg_b = i < 5 ? values[i] : random64();
                v = try_run(one_wrmsr);
                CHECK(v == -1 || v == 13);
            }
        }
    }
}

static void one_cr0(void)
{
    __asm__ volatile("mov %0, %%cr0" ::"r"(arg_b));
}
static void one_cr4(void)
{
    __asm__ volatile("mov %0, %%cr4" ::"r"(arg_b));
}
static void one_cr8(void)
{
    __asm__ volatile("mov %0, %%cr8" ::"r"(arg_b));
}
static void one_efer(void)
{
    wrmsr(0xc0000080, arg_b);
}
static void one_xcr0(void)
{
    __asm__ volatile("xsetbv" ::"c"(arg_a), "a"((uint32_t)arg_b), "d"((uint32_t)(arg_b >> 32)));
}

void control_register_sweep(void)
{
    uint64_t cr0, cr4, efer = rdmsr(0xc0000080);

    __asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
    for (unsigned bit = 0; bit < 64; bit++) {
        arg_b = cr0 ^ 1ULL << bit;
        if (bit != 0 && bit != 31)
            try_run(one_cr0);
        arg_b = cr0;
        try_run(one_cr0);
        arg_b = cr4 ^ 1ULL << bit;
        if (bit != 20 && bit != 21) /* our pages are user pages: SMEP and SMAP would end us */
            try_run(one_cr4);
        arg_b = cr4;
        try_run(one_cr4);
        arg_b = efer ^ 1ULL << bit;
        if (bit != 11)
            try_run(one_efer);
        arg_b = efer;
        try_run(one_efer);
        arg_b = 1ULL << bit;
        try_run(one_cr8);
        arg_b = 0;
        try_run(one_cr8);
        arg_a = 0;
        arg_b = 1ULL << bit | (bit & 1);
        try_run(one_xcr0);
        arg_a = bit + 1;
        try_run(one_xcr0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        arg_b = random64() | 0x80000001;
        try_run(one_cr0);
        arg_b = cr0;
        try_run(one_cr0);
        arg_b = (random64() | 0x20) & ~0x300000ULL;
        try_run(one_cr4);
        arg_b = cr4;
        try_run(one_cr4);
    }
}

static void one_dr(void)
{
    switch (arg_a) {
    case 0:
        __asm__ volatile("mov %0, %%dr0; mov %%dr0, %0" : "+r"(arg_b));
        break;
    case 1:
        __asm__ volatile("mov %0, %%dr3; mov %%dr3, %0" : "+r"(arg_b));
        break;
    case 2:
        __asm__ volatile("mov %0, %%dr4" ::"r"(arg_b));
        break;
    case 3:
        __asm__ volatile("mov %0, %%dr6" ::"r"(arg_b));
        break;
    default:
        __asm__ volatile("mov %0, %%dr7; nop; mov %1, %%dr7" ::"r"(arg_b), "r"(0x400ULL));
        break;
    }
}

static void clear_dr7(void)
{
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ULL));
}

void debug_register_sweep(void)
{
    for (unsigned i = 0; i < 3000; i++) {
        arg_a = random_below(5);
        arg_b = random_below(2) ? random64() : (uint32_t)random64();
        try_run(one_dr);
        try_run(clear_dr7);
        try_run(clear_dr7);
    }
}

/* ---- random opcodes ---- */

static uint8_t soup[4096 * 2] __attribute__((aligned(4096)));
static uint64_t soup_stack[1024] __attribute__((aligned(4096)));

static void fill_soup(void)
{
    for (unsigned i = 0; i < sizeof(soup); i += 8)
        *(uint64_t *)(void *)&soup[i] = random64();
}

/*
 * Opcodes that would end the test by design are made harmless: HLT with interrupts
 * off waits for ever, the debug-exit port and LIDT/LGDT end the program.
 */
static void defuse_soup(void)
{
    for (unsigned i = 0; i < sizeof(soup) - 2; i++) {
        uint8_t b = soup[i];
        if (b == 0xf4 || (b >= 0xe4 && b <= 0xe7) || (b >= 0xec && b <= 0xef) || (b >= 0x6c && b <= 0x6f) ||
            b == 0xfb || b == 0x9d || b == 0xcf || b == 0xcb || b == 0xca)
            soup[i] = 0x90;
        if (b == 0x0f &&
            (soup[i + 1] <= 0x09 || soup[i + 1] == 0x20 || (soup[i + 1] >= 0x20 && soup[i + 1] <= 0x23) ||
             soup[i + 1] == 0x30 || (soup[i + 1] >= 0x34 && soup[i + 1] <= 0x35)))
            soup[i] = 0x90;
    }
}

static void jump_into_soup(void)
{
    __asm__ volatile("mov %%rsp, %%r15\n"
                     "mov %0, %%rsp\n"
                     "xor %%ebp, %%ebp\n"
                     "jmp *%1\n" ::"r"(&soup_stack[512]),
                     "r"(&soup[random_below(64)])
                     : "memory");
}

/* Loops are the only way for random code to stay for ever: short branches back and forth become NOPs. */
static void straighten_soup(void)
{
    for (unsigned k = 0; k < sizeof(soup); k++) {
        if ((soup[k] & 0xf0) == 0x70 || (soup[k] >= 0xe0 && soup[k] <= 0xe3) || soup[k] == 0xe9 ||
            soup[k] == 0xeb)
            soup[k] = 0x90;
    }
    soup[sizeof(soup) - 2] = 0x0f;
    soup[sizeof(soup) - 1] = 0x0b;
}

static uint64_t saved_pml4[2];

/* Random stores through low registers can reach our own memory: the soup may kill this program, not more. */
void random_opcodes_ring0(void)
{
    saved_pml4[0] = pml4[0];
    for (unsigned i = 0; i < 3000; i++) {
        fill_soup();
        defuse_soup();
        straighten_soup();
        try_run(jump_into_soup);
        pml4[0] = saved_pml4[0];
    }
}

static void enter_user(void)
{
    __asm__ volatile("push %0; push %1; push %2; push %3; push %4; iretq" ::"r"(0x23ULL),
                     "r"((uint64_t)&soup_stack[512]), "r"(0x2ULL), "r"(0x2bULL),
                     "r"((uint64_t)&soup[random_below(64)])
                     : "memory");
}

static uint8_t tss[104] __attribute__((aligned(16)));
static uint64_t trap_stack[2048] __attribute__((aligned(16)));

static void load_tss(void)
{
    uint64_t base = (uintptr_t)tss;

    *(uint64_t *)(void *)&tss[4] = (uintptr_t)&trap_stack[2040];
    *(uint16_t *)(void *)&tss[102] = 104;
    gdt[6] = 103 | (base & 0xffffff) << 16 | 0x89ULL << 40 | (base >> 24 & 0xff) << 56;
    gdt[7] = base >> 32;
    __asm__ volatile("ltr %w0" ::"r"(0x30));
}

void random_opcodes_ring3(void)
{
    load_tss();
    for (unsigned i = 0; i < 3000; i++) {
        fill_soup();
        straighten_soup();
        try_run(enter_user);
    }
}

void cpuid_sweep(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t a = (uint32_t)random64(), c = (uint32_t)random64(), b, d;
        if (i & 1)
            a &= 0xc00000ff;
        if (i & 2)
            c &= 0xff;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    }
}

void halt_forever(void)
{
    print("halting\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

void spin_forever(void)
{
    print("spinning\n");
    __asm__ volatile("cli; 1: jmp 1b");
}

/* 60 functions, each of which calls the next one, and again where `twice` has its bit. */
static void call_tree(uint64_t twice)
{
    __asm__ volatile("call 9f; jmp 8f\n"
                     ".set level, 0\n"
                     "9:\n"
                     ".rept 60\n"
                     "call 1f; bt $level, %0; jnc 2f; call 1f; 2: ret\n"
                     ".set level, level + 1\n"
                     "1:\n"
                     ".endr\n"
                     "ret; 8:" ::"r"(twice)
                     : "memory", "cc");
}

/* All of it is translated and tied together at first; then it runs for ages without a branch that leads back.
 */
void calls_forward(void)
{
    print("calling\n");
    for (unsigned i = 0; i < 240; i++)
        call_tree(1ULL << i % 60);
    __asm__ volatile("cli");
    call_tree(~0ULL);
}

static uint8_t area[4096] __attribute__((aligned(64)));

static void one_fxrstor(void)
{
    __asm__ volatile("fxrstor (%0); fxsave (%1)" ::"r"(area + (arg_a & 63)), "r"(area + 2048) : "memory");
}

static void use_fpu(void)
{
    __asm__ volatile("fninit; fld1; fld1; faddp; fstp %%st(0); xorps %%xmm0, %%xmm0; divps %%xmm0, %%xmm0" ::
                         : "memory");
}

static void fill_area(void)
{
    for (unsigned i = 0; i < sizeof(area); i += 8)
        *(uint64_t *)(void *)&area[i] = random64();
}

void fxrstor_garbage(void)
{
    for (unsigned i = 0; i < 3000; i++) {
        fill_area();
        if (i & 1)
            *(uint32_t *)(void *)&area[24] &= 0xffff;
        arg_a = random_below(8) ? 0 : random_below(64);
        try_run(one_fxrstor);
        try_run(use_fpu);
    }
}

static void one_xrstor(void)
{
    __asm__ volatile("xrstor (%0)" ::"r"(area + (arg_a & 64)), "a"((uint32_t)arg_b),
                     "d"((uint32_t)(arg_b >> 32))
                     : "memory");
    __asm__ volatile("xsave (%0)" ::"r"(area), "a"((uint32_t)arg_b), "d"((uint32_t)(arg_b >> 32)) : "memory");
}

void xsave_garbage(void)
{
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    arg_b = cr4 | 1U << 18;
    if (try_run(one_cr4) != -1)
        return;
    arg_a = 0;
    arg_b = 7;
    try_run(one_xcr0);
    for (unsigned i = 0; i < 3000; i++) {
        fill_area();
        if (i & 1) { /* a header that may pass */
            *(uint64_t *)(void *)&area[512] = random_below(8);
            for (unsigned k = 520; k < 576; k += 8)
                *(uint64_t *)(void *)&area[k] = i & 2 ? 0 : random_below(2);
        }
        arg_a = random_below(4) == 0 ? 64 : 0;
        arg_b = random_below(2) ? 7 : random64();
        try_run(one_xrstor);
        try_run(use_fpu);
    }
}

static uint64_t far_pointer[2];

static void load_garbage(void)
{
    uint16_t selector = (uint16_t)arg_b;

    switch (arg_a) {
    case 0:
        __asm__ volatile("mov %w0, %%ds" ::"r"(selector));
        break;
    case 1:
        __asm__ volatile("mov %w0, %%fs" ::"r"(selector));
        break;
    case 2:
        __asm__ volatile("lldt %w0" ::"r"(selector));
        break;
    case 3:
        __asm__ volatile("ltr %w0" ::"r"(selector));
        break;
    case 4:
        __asm__ volatile("lar %w0, %%eax; lsl %w0, %%eax; verr %w0; verw %w0" ::"r"(selector) : "eax", "cc");
        break;
    case 5:
        __asm__ volatile("mov %w0, %%ss" ::"r"(selector));
        break;
    default:
        far_pointer[0] = random64();
        far_pointer[1] = selector;
        __asm__ volatile("lcall *(%0)" ::"r"(far_pointer) : "memory");
        break;
    }
}

static uint64_t spare_gdt[64] __attribute__((aligned(8)));

static void use_gdt(const uint64_t *table, uint16_t limit)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } p = {limit, (uintptr_t)table};

    __asm__ volatile("lgdt %0" ::"m"(p));
}

void descriptor_garbage(void)
{
    for (unsigned i = 0; i < 5000; i++) {
        for (unsigned k = 0; k < 3; k++)
            spare_gdt[k] = gdt[k];
        for (unsigned k = 3; k < 64; k++)
            spare_gdt[k] = random64();
        use_gdt(spare_gdt, (uint16_t)(23 + random_below(500)));
        arg_a = random_below(7);
        arg_b = 24 + random_below(600);
        try_run(load_garbage);
    }
    use_gdt(gdt, 63);
}

static void jump_to_tss(void)
{
    far_pointer[0] = 0;
    far_pointer[1] = 0;
    *(uint16_t *)(void *)((char *)far_pointer + 4) = 0x30;
    __asm__ volatile("ljmpl *(%0)" ::"r"(far_pointer) : "memory");
}

void task_switch_garbage(void)
{
    load_tss();
    for (unsigned i = 0; i < 1000; i++) {
        gdt[6] = random64();
        gdt[7] = random64();
        try_run(jump_to_tss);
    }
}

static void divide_by_zero(void)
{
    __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" ::: "eax", "ecx", "edx");
}

void exception_storm(void)
{
    for (unsigned i = 0; i < 200000; i++)
        CHECK(try_run(divide_by_zero) == 0);
}

/* An IDT in which everything but the double fault is missing. */
void double_fault_loop(void)
{
    static uint64_t bad_idt[512] __attribute__((aligned(16)));
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } old, p = {sizeof(bad_idt) - 1, (uintptr_t)bad_idt};

    __asm__ volatile("sidt %0" : "=m"(old));
    bad_idt[16] = ((uint64_t *)old.base)[16];
    bad_idt[17] = ((uint64_t *)old.base)[17];
    __asm__ volatile("lidt %0" ::"m"(p));
    for (unsigned i = 0; i < 20000; i++)
        CHECK(try_run(divide_by_zero) == 8);
    __asm__ volatile("lidt %0" ::"m"(old));
}

static void run_prefixes(void)
{
    __asm__ volatile("call *%0" ::"r"(soup) : "memory");
}

void prefix_flood(void)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36,
                                       0x3e, 0x26, 0x64, 0x65, 0x48, 0x40};

    for (unsigned n = 1; n < 40; n++) {
        for (unsigned i = 0; i < 500; i++) {
            for (unsigned k = 0; k < n; k++)
                soup[k] = prefixes[random_below(sizeof(prefixes))];
            soup[n] = 0x90;
            soup[n + 1] = 0xc3;
            try_run(run_prefixes);
        }
    }
}
