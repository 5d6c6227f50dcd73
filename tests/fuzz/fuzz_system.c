/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system half of the processor under a hostile kernel: random descriptor
 * tables, page tables, task segments and control registers, and mostly system
 * instructions, in every mode. The input seeds the choices; what must hold is
 * that nothing outside of the guest's memory is touched and that the derived
 * state stays what it is derived from.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/x86-sys/sys-cpu.h"
#include "x86/thunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 48

static uint8_t ram[FLAT_RAM] __attribute__((aligned(4096)));
static struct flat_cpu fuzz_cpu;

struct rng {
    uint64_t state;
};

static uint64_t next(struct rng *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state;
}

/* Prefix, opcode; ModRM and what follows are random. */
static const uint8_t opcodes[][3] = {
    {0x0f, 0x00},
    {0x0f, 0x01},
    {0x0f, 0x02},
    {0x0f, 0x03},
    {0x0f, 0x05},
    {0x0f, 0x06},
    {0x0f, 0x07},
    {0x0f, 0x09},
    {0x0f, 0x0b},
    {0x0f, 0x20},
    {0x0f, 0x21},
    {0x0f, 0x22},
    {0x0f, 0x23},
    {0x0f, 0x30},
    {0x0f, 0x31},
    {0x0f, 0x32},
    {0x0f, 0x33},
    {0x0f, 0x34},
    {0x0f, 0x35},
    {0x0f, 0xa0},
    {0x0f, 0xa1},
    {0x0f, 0xa2},
    {0x0f, 0xb2},
    {0x0f, 0xb4},
    {0x0f, 0xc7},
    {0x8c},
    {0x8e},
    {0x9a},
    {0xea},
    {0xff},
    {0xca},
    {0xcb},
    {0xcc},
    {0xcd},
    {0xce},
    {0xcf},
    {0x48, 0xcf},
    {0x48, 0xcb},
    {0xf1},
    {0xf4},
    {0xfa},
    {0xfb},
    {0xe4},
    {0xe7},
    {0xec},
    {0xef},
    {0xf3, 0x6c},
    {0x6e},
    {0x66, 0x6d},
    {0x06},
    {0x07},
    {0x17},
    {0x63},
    {0xc4},
    {0xc5},
    {0x9c},
    {0x9d},
    {0xf3, 0x0f, 0xae},
    {0x66, 0x0f, 0x38},
    {0x89},
    {0x8b},
    {0x0f, 0x08},
    {0x0f, 0xaa},
    {0x62},
    {0xc8},
    {0xf3, 0xa4},
    {0x48, 0x0f, 0x07},
};

/* Values that mean something to somebody. */
static uint64_t value(struct rng *r)
{
    static const uint64_t some[] = {0,
                                    1,
                                    3,
                                    SYS_GDT,
                                    SYS_IDT,
                                    SYS_TSS,
                                    SYS_USTACK,
                                    SYS_KSTACK - 40,
                                    FLAT_TABLES,
                                    FLAT_MMIO,
                                    0x1000,
                                    0xffff,
                                    UINT32_MAX,
                                    BIT64(47),
                                    ~0ULL,
                                    0xffffffff80000000ULL,
                                    X86_MSR_EFER,
                                    X86_MSR_STAR,
                                    X86_MSR_SYSENTER_CS,
                                    X86_MSR_PAT,
                                    0x80000033,
                                    0x80050033,
                                    0xc0000100,
                                    X86_FL_VM | 0x3202};
    uint64_t v = next(r);

    switch (v >> 61) {
    case 0:
        return v;
    case 1:
        return v & 0xff; /* a selector, often */
    case 2:
        return v & (FLAT_RAM - 1);
    case 3:
        return BIT64(v & 63);
    default:
        return some[v % ARRAY_SIZE(some)];
    }
}

static void corrupt(struct rng *r, uint64_t base, uint64_t length, unsigned count)
{
    while (count--) {
        uint64_t at = base + next(r) % length;

        ram[at % FLAT_RAM] = (uint8_t)(next(r) >> 24);
    }
}

/* What runs vector instructions, made once. */
static struct x86_thunks *vector_thunks(void)
{
    static struct x86_thunks thunks;
    int fd;
    void *maps[2];

    if (thunks.size)
        return &thunks;
    fd = memfd_create("thunks", MFD_CLOEXEC);
    base_assert(fd >= 0 && ftruncate(fd, X86_THUNKS_CODE_SIZE) == 0);
    maps[0] = mmap(NULL, X86_THUNKS_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    maps[1] = mmap(NULL, X86_THUNKS_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    base_assert(maps[0] != MAP_FAILED && maps[1] != MAP_FAILED);
    close(fd);
    x86_thunks_init(&thunks, maps[0], maps[1], X86_THUNKS_CODE_SIZE);
    return &thunks;
}

/* Gates and tasks to jump at; SYS_TSS2 holds a task that works, before it is corrupted. */
static void system_descriptors(struct flat_cpu *f, struct rng *r, bool lm)
{
    uint64_t gate = 0x9000 | (next(r) & 0x1f) << 32 | (uint64_t)(lm ? SEL_KCODE64 : SEL_KCODE32) << 16;

    sys_gdt(f, SEL_TEST, gate | SYS_TYPE(next(r) & 1 ? 0xc : 0x4, 3));
    sys_gdt_system(f, SEL_TEST2, next(r) & 7 ? 9 : 1, 3, SYS_TSS2, 0x67, lm);
    sys_gdt_system(f, SEL_LDT, 2, 0, SYS_LDT, 0xff, lm);
    sys_put(f, SYS_TSS2 + 0x20, 4, 0x9000);
    sys_put(f, SYS_TSS2 + 0x24, 4, value(r));
    sys_put(f, SYS_TSS2 + 0x38, 4, SYS_KSTACK - 0x100);
    sys_put(f, SYS_TSS2 + 0x4c, 2, SEL_KCODE32);
    sys_put(f, SYS_TSS2 + 0x50, 2, SEL_KDATA);
    if (!lm) {
        sys_put(f, SYS_IDT + X86_UD * 8, 8, (uint64_t)SEL_TEST2 << 16 | SYS_TYPE(0x5, 0));
        sys_gdt(f, 0x80, (uint64_t)SEL_TEST2 << 16 | SYS_TYPE(0x5, 3));
    }
    corrupt(r, SYS_TSS2, 0x68, (unsigned)(next(r) % 4));
}

static void start(struct flat_cpu *f, struct rng *r)
{
    struct x86_cpuid_config config = {.level = X86_CPU_HOST, .vcpus = 2, .software_engine = true};
    unsigned kind = (unsigned)(next(r) % 5);

    memset(ram, 0, sizeof(ram));
    for (unsigned i = 0; i < 64; i++)
        store_le64(ram + 0xa0000 + i * 8, (next(r) & 0xffff) | (next(r) % 0x88) << 32); /* far pointers */
    for (unsigned level = 0; level < 3; level++)
        store_le64(ram + FLAT_TABLES + level * 0x1000, (FLAT_TABLES + (level + 1) * 0x1000) | FLAT_RW);
    for (uint64_t page = 0; page < FLAT_RAM; page += 4096)
        store_le64(ram + FLAT_TABLES + 0x3000 + page / 512, page | FLAT_RW);
    flat_init(f, ram);
    base_assert(x86_cpuid_build(&f->model, &config, NULL) == 0);
    f->cpu.thunks = vector_thunks();
    if (kind == 4)
        sys_start_real(f);
    else
        sys_start(f, kind & 1, kind & 2 ? 3 : 0);
    system_descriptors(f, r, f->cpu.s.efer & X86_EFER_LMA);
    f->cpu.s.cr4 &= f->model.cr4_allowed;
    corrupt(r, SYS_GDT, 0x200, (unsigned)(next(r) % 16));
    corrupt(r, SYS_IDT, 0x1000, (unsigned)(next(r) % 64));
    corrupt(r, SYS_TSS, 0x80, (unsigned)(next(r) % 16));
    corrupt(r, FLAT_TABLES, 0x4000, (unsigned)(next(r) % 8));
    for (unsigned i = 0; i < 64; i++)
        sys_put(f, SYS_USTACK - 64 + i * 4, 4, value(r));
    if (next(r) & 1)
        f->cpu.s.dr[7] = next(r) & 0xffff27ff;
    f->cpu.s.dr[next(r) & 3] = value(r);
    x86_state_changed(&f->cpu);
}

static void place_code(struct flat_cpu *f, struct rng *r)
{
    uint64_t lin = f->cpu.s.rip + (f->cpu.mode == X86_MODE_64 ? 0 : f->cpu.s.seg[X86_CS].base), gpa;
    const uint8_t *op = opcodes[next(r) % ARRAY_SIZE(opcodes)];
    uint8_t code[16];

    for (unsigned i = 0; i < sizeof(code); i++)
        code[i] = (uint8_t)(next(r) >> 16);
    if (next(r) % 8)
        memcpy(code, op, op[0] == 0x0f || op[1] ? 2 : 1);
    if (code[0] == 0x9a || code[0] == 0xea) /* a selector that exists */
        store_le16(code + 5, (uint16_t)(next(r) % 0x88));
    for (unsigned i = 0; i < sizeof(code); i++) {
        if (x86_walk_quiet(&f->cpu, lin + i, &gpa) && gpa < FLAT_RAM)
            ram[gpa] = code[i];
    }
}

static void disturb(struct flat_cpu *f, struct rng *r)
{
    f->cpu.s.gpr[next(r) % 16] = value(r);
    switch (next(r) % 64) {
    case 0:
        if (x86_can_interrupt(&f->cpu))
            x86_deliver_interrupt(&f->cpu, (uint8_t)next(r));
        break;
    case 1:
        if (!f->cpu.s.nmi_masked)
            x86_deliver_nmi(&f->cpu);
        break;
    case 2:
        x86_reset(&f->cpu, true);
        x86_start_sipi(&f->cpu, (uint8_t)next(r));
        break;
    case 3:
        f->cpu.s.interrupt_pending = true;
        f->cpu.s.interrupt_vector = (uint8_t)next(r);
        f->cpu.s.interrupt_soft = next(r) & 1;
        x86_deliver_pending(&f->cpu);
        break;
    case 4:
        corrupt(r, FLAT_TABLES, 0x4000, 4);
        break;
    case 5:
        x86_tlb_flush_page(&f->cpu, value(r));
        break;
    default:
        break;
    }
}

/* Every translation points into the RAM, and the derived state is what it is derived from. */
static void check(struct flat_cpu *f)
{
    uint8_t cpl = f->cpu.cpl, mmu = f->cpu.mmu_index;
    uint32_t mode = f->cpu.mode;
    bool flat = f->cpu.flat;

    for (unsigned t = 0; t < X86_TLB_TABLES; t++) {
        for (unsigned n = 0; n < X86_TLB_SIZE; n++) {
            const struct x86_tlb_entry *e = &f->tlb.entry[t][n];
            uint64_t offset = e->tag_read + e->addend - (uint64_t)(uintptr_t)ram;

            if ((e->tag_read >> 12 & (X86_TLB_SIZE - 1)) == n)
                base_assert(offset == e->gpa && offset < FLAT_RAM && offset % 4096 == 0);
            if ((e->tag_write >> 12 & (X86_TLB_SIZE - 1)) == n)
                base_assert(e->tag_write == e->tag_read);
        }
    }
    x86_mode_changed(&f->cpu);
    base_assert(f->cpu.cpl == cpl && f->cpu.mmu_index == mmu && f->cpu.mode == mode && f->cpu.flat == flat);
    base_assert(!(f->cpu.s.efer & ~f->model.efer_allowed) && !(f->cpu.s.cr4 & ~f->model.cr4_allowed));
    base_assert(!(f->cpu.s.efer & X86_EFER_LMA) || (f->cpu.s.cr0 & X86_CR0_PG && f->cpu.s.cr4 & X86_CR4_PAE));
    base_assert(f->cpu.s.activity <= X86_ACT_SHUTDOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flat_cpu *f = &fuzz_cpu;
    struct rng r = {0x9e3779b97f4a7c15ULL};

    for (size_t i = 0; i < size; i++) {
        r.state = (r.state ^ data[i]) * 0x100000001b3ULL;
        next(&r);
    }
    r.state |= 1;
    start(f, &r);
    for (unsigned i = 0; i < STEPS && f->cpu.s.activity != X86_ACT_SHUTDOWN; i++) {
        disturb(f, &r);
        if (f->cpu.s.activity == X86_ACT_SHUTDOWN)
            break;
        f->cpu.s.activity = X86_ACT_RUN;
        place_code(f, &r);
        x86_step(&f->cpu);
        if (i % 8 == 0)
            check(f);
    }
    check(f);
    return 0;
}
