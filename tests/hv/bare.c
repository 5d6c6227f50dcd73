/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/hv/bare.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "x86/regs.h"

#define HEAP_BASE MIB(128)
#define HEAP_END  MIB(240)
#define RAM_BASE  MIB(256)
#define TIMER     0x40U
#define LAPIC     0xfee00000ULL
#define TICK      100000U /* of the local APIC's timer */
#define KHZ       1000000U

struct metal_cpu bare_cpu;
volatile uint64_t bare_interrupts;
static uint64_t heap = HEAP_BASE;
static uint64_t heap_mark;
static uint64_t idt[512] __attribute__((aligned(16)));
static uint32_t tss[26] __attribute__((aligned(16)));
extern char trap_stubs[];
extern uint64_t gdt[8];

int test_main(void);
void kernel_main(void);

/* ---- output and the end ---- */

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void bare_print(const char *text)
{
    for (; *text; text++) {
        outb(0xe9, (uint8_t)*text);
        for (unsigned i = 0; i < 100000 && !(inb(0x3fd) & 0x20); i++)
            ;
        outb(0x3f8, (uint8_t)*text);
    }
}

void bare_printf(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    bare_print(text);
}

/* QEMU's isa-debug-exit, Bochs' and QEMU's shutdown port. */
void bare_end(bool pass)
{
    bare_print(pass ? "ALL PASS\n" : "FAILED\n");
    while (!(inb(0x3fd) & 0x40)) /* until all of it is out */
        ;
    outb(0xf4, pass ? 0x10 : 0x11);
    for (const char *p = "Shutdown"; *p; p++)
        outb(0x8900, (uint8_t)*p);
    for (;;)
        __asm__ volatile("cli; hlt");
}

enum bare_bed bare_bed(void)
{
    uint32_t eax = 0x40000000, ebx, ecx, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
    if (ebx == 0x54474354) /* "TCGT" */
        return BARE_QEMU;
    return inb(0xe9) == 0xe9 ? BARE_BOCHS : BARE_REAL;
}

/* ---- traps ---- */

struct trap_frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

void trap_c(struct trap_frame *frame);

void trap_c(struct trap_frame *frame)
{
    uint64_t cr2;

    if (frame->vector == TIMER) {
        bare_interrupts++;
        *(volatile uint32_t *)(uintptr_t)(LAPIC + 0xb0) = 0;
        return;
    }
    if (frame->vector == 1 && bare_bed() == BARE_BOCHS)
        return; /* of a guest's TF: Bochs keeps it over an exit of SVM */
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    bare_printf("trap %llu, error %llx, at %llx, cr2 %llx\n", (unsigned long long)frame->vector,
                (unsigned long long)frame->error, (unsigned long long)frame->rip, (unsigned long long)cr2);
    bare_end(false);
}

static void tables(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof(idt) - 1, (uintptr_t)idt};
    uint64_t base = (uintptr_t)tss;

    for (unsigned i = 0; i < 256; i++) {
        uint64_t stub = (uintptr_t)trap_stubs + i * 16;

        idt[i * 2] = (stub & 0xffff) | 8ULL << 16 | 0x8e00ULL << 32 | (stub & 0xffff0000) << 32;
        idt[i * 2 + 1] = stub >> 32;
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
    gdt[6] = 0x67 | (base & 0xffffff) << 16 | 0x89ULL << 40 | (base >> 24 & 0xff) << 56;
    gdt[7] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(0x30));
}

static void timer(void)
{
    volatile uint32_t *lapic = (volatile uint32_t *)(uintptr_t)LAPIC;

    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    lapic[0xf0 / 4] = 0x1ff;
    lapic[0x3e0 / 4] = 0xb;
    lapic[0x320 / 4] = 0x20000 | TIMER;
    lapic[0x380 / 4] = TICK;
}

/* ---- memory ---- */

void *bare_guest_ram(uint64_t size)
{
    return memset((void *)RAM_BASE, 0, size);
}

void bare_memory_reset(void)
{
    if (!heap_mark)
        heap_mark = heap;
    heap = heap_mark;
}

static void *bare_alloc(struct plat *plat, size_t size)
{
    uint64_t at = ALIGN_UP(heap, size >= 4096 ? 4096 : 64);

    if (at + size > HEAP_END)
        return NULL;
    heap = at + size;
    container_of(plat, struct bare_plat, plat)->allocations++;
    return memset((void *)at, 0, size);
}

static void bare_free(struct plat *plat, void *p)
{
    if (p)
        container_of(plat, struct bare_plat, plat)->allocations--;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    void *d = dst;

    __asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *d = dst;

    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *s = src;

    if (d <= s || d >= s + n)
        return memcpy(dst, src, n);
    while (n--)
        d[n] = s[n];
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i])
            return x[i] - y[i];
    }
    return 0;
}

/* ---- core/plat.h: one thread, so locks are nothing ---- */

static void bare_lock(struct plat *plat, struct plat_lock *lock)
{
}

static uint64_t bare_now(struct plat *plat)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint64_t bare_realtime(struct plat *plat)
{
    return 1700000000ULL * 1000000000;
}

static void bare_random(struct plat *plat, void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(bare_now(plat) * 0x9e3779b97f4a7c15ULL >> 56);
}

static void bare_timer_set(struct plat *plat, uint64_t deadline)
{
    container_of(plat, struct bare_plat, plat)->deadline = deadline;
}

static void bare_defer(struct plat *plat, struct plat_work *w)
{
    struct bare_plat *bare = container_of(plat, struct bare_plat, plat);

    if (w->queued)
        return;
    w->queued = true;
    w->next = bare->work;
    bare->work = w;
}

/* What an I/O thread would do. */
static void housekeeping(struct bare_plat *bare)
{
    vm_lock(bare->vm);
    while (bare->work) {
        struct plat_work *w = bare->work;

        bare->work = w->next;
        w->queued = false;
        w->fn(w->opaque);
    }
    if (bare_now(&bare->plat) >= bare->deadline)
        clock_run(bare->vm);
    vm_unlock(bare->vm);
}

static void bare_vcpu_wait(struct plat *plat, struct vcpu *vcpu, uint32_t bits)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    housekeeping(container_of(plat, struct bare_plat, plat));
}

static void bare_vcpu_wake(struct plat *plat, struct vcpu *vcpu)
{
}

static void bare_relax(struct plat *plat)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

static void bare_log(struct plat *plat, enum log_level level, const char *text)
{
    bare_printf("log: %s\n", text);
}

static const struct plat_ops ops = {
    .alloc = bare_alloc,
    .free = bare_free,
    .lock_init = bare_lock,
    .lock = bare_lock,
    .unlock = bare_lock,
    .now = bare_now,
    .realtime = bare_realtime,
    .random = bare_random,
    .timer_set = bare_timer_set,
    .defer = bare_defer,
    .vcpu_wait = bare_vcpu_wait,
    .vcpu_wake = bare_vcpu_wake,
    .relax = bare_relax,
    .log = bare_log,
};

void bare_plat_init(struct bare_plat *bare, struct vm *vm)
{
    *bare = (struct bare_plat){.plat = {.ops = &ops}, .vm = vm, .deadline = ~0ULL};
}

/* ---- core/metal.h ---- */

struct metal_cpu *metal_cpu(void)
{
    return &bare_cpu;
}

uint32_t metal_tsc_khz(void)
{
    return KHZ;
}

uint64_t metal_phys(const void *p)
{
    return (uintptr_t)p;
}

void *metal_virt(uint64_t phys)
{
    return (void *)(uintptr_t)phys;
}

uint64_t metal_ram(struct vm *vm, uint64_t offset, uint64_t *size)
{
    *size = MIB(2);
    return RAM_BASE + offset;
}

void *metal_code_alloc(size_t size, const void **exec_map)
{
    static uint8_t code[KIB(64)] __attribute__((aligned(4096)));

    *exec_map = code;
    return size <= sizeof(code) ? code : NULL;
}

void metal_code_free(void *write_map, size_t size)
{
}

/* Now and then, so that even a guest that keeps exiting lets the rest of the machine go on. */
bool metal_must_yield(void)
{
    static unsigned calls;

    return ++calls % 1024 == 0;
}

void metal_yield(struct vcpu *vcpu)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
    housekeeping(container_of(vcpu->vm->plat, struct bare_plat, plat));
}

void metal_yield_to_sibling(struct vcpu *vcpu)
{
    metal_yield(vcpu);
}

void metal_kick(struct vcpu *vcpu)
{
}

void kernel_main(void)
{
    outb(0x3fb, 3); /* the serial line: bytes of 8 bits */
    tables();
    timer();
    bare_end(test_main() == 0);
}
