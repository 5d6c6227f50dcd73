/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/panic.h"

#include "base/fmt.h"
#include "hv/boot/acpi.h"
#include "hv/boot/boot-info.h"
#include "hv/console.h"
#include "hv/cpu/apic.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/trap.h"
#include "hv/log.h"
#include "hv/mem/map.h"
#include "hv/thread.h"

#define CALLERS_MAX 24U
#define STOP_NS     500000000ULL /* an emulated processor may have to wait for one of the host's */

static struct {
    uint64_t rip, rbp;
} stopped[HV_MAX_CPUS]; /* where the NMI found the others */
static bool halts;
static unsigned reboot_seconds = 5;

static uint32_t panics; /* atomic: how many processors are in here */

bool panicking(void)
{
    return __atomic_load_n(&panics, __ATOMIC_SEQ_CST) != 0;
}

static void say(const char *fmt, ...) ATTR_PRINTF(1, 2);
static void say(const char *fmt, ...)
{
    char text[256];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_panic_write(text, MIN(n, sizeof(text) - 1));
}

/* False: somebody is here already; this processor's part is over, unless it is the same one. */
static bool enter(void)
{
    static uint32_t first = ~0U;
    uint32_t cpu = cpu_this()->metal.index;
    uint32_t nobody = ~0U;

    __asm__ volatile("cli");
    screen_enable(true);
    __atomic_fetch_add(&panics, 1, __ATOMIC_SEQ_CST);
    if (__atomic_compare_exchange_n(&first, &nobody, cpu, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return true;
    while (first != cpu)
        __asm__ volatile("hlt");
    return false;
}

static void say_callers(uint64_t rbp, const char *introduction)
{
    char name[96];

    say("%s", introduction);
    for (unsigned i = 0; i < CALLERS_MAX && rbp; i++) {
        uint64_t next, ret;

        if (rbp % 8 || !probe_read64(rbp, &next) || !probe_read64(rbp + 8, &ret) || ret < IMAGE_BASE)
            break;
        say("    %s\n", symbol_text(ret - 1, name, sizeof(name)));
        if (next <= rbp)
            break;
        rbp = next;
    }
}

static void say_registers(const struct trap_frame *f)
{
    const uint64_t values[] = {f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->rsp,    f->r8,
                               f->r9,  f->r10, f->r11, f->r12, f->r13, f->r14, f->r15, f->rflags, read_cr3()};
    static const char names[][4] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
                                    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "flg", "cr3"};

    for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
        say("  %3s %016llx%s", names[i], (unsigned long long)values[i], i % 3 == 2 ? "\n" : "");
}

static const char *where(void)
{
    const struct thread *t = thread_this();

    return t ? t->name : "boot";
}

static _Noreturn void finish(void)
{
    bool halt = boot_option_is("panic", "halt") || (halts && !boot_option_is("panic", "reboot"));

    if (halt) {
        say("  panic = halt: the machine stands still\n");
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    say("  the machine restarts in %u s (panic=halt on the command line stops it instead)\n", reboot_seconds);
    time_delay(reboot_seconds * 1000000000ULL);
    machine_reset();
}

static bool others_stopped(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i] != cpu_this() && !__atomic_load_n(&stopped[i].rip, __ATOMIC_ACQUIRE))
            return false;
    }
    return true;
}

static void begin(void)
{
    if (!enter()) {
        say("\n  and once more while saying this\n");
        machine_reset();
    }
    if (cpu_count > 1) {
        uint64_t end = time_now() + STOP_NS;

        apic_nmi_others();
        while (!others_stopped() && time_now() < end)
            cpu_pause();
    }
}

void panic(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    begin();
    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    say("\nbatuta-hv: panic on processor %u, thread %s: %s\n", cpu_this()->metal.index, where(), text);
    say_callers((uint64_t)(uintptr_t)__builtin_frame_address(0), "  called from\n");
    finish();
}

void panic_stuck(unsigned cpu, unsigned seconds)
{
    char name[96];

    begin();
    say("\nbatuta-hv: panic: processor %u did not come back for %u s (watchdog)\n", cpu, seconds);
    say("  it is in %s\n", symbol_text(stopped[cpu].rip, name, sizeof(name)));
    say_callers(stopped[cpu].rbp, "  called from\n");
    finish();
}

void panic_stop(uint64_t rip, uint64_t rbp)
{
    unsigned cpu = cpu_this()->metal.index;

    stopped[cpu].rbp = rbp;
    __atomic_store_n(&stopped[cpu].rip, rip, __ATOMIC_RELEASE);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void panic_set(bool halt, unsigned seconds)
{
    halts = halt;
    reboot_seconds = seconds;
}

void panic_trap(const struct trap_frame *frame, const char *what)
{
    char name[96];

    begin();
    say("\nbatuta-hv: panic on processor %u, thread %s: %s\n", cpu_this()->metal.index, where(), what);
    say("  in %s (0x%llx)\n", symbol_text(frame->rip, name, sizeof(name)), (unsigned long long)frame->rip);
    say_callers(frame->rbp, "  called from\n");
    say_registers(frame);
    finish();
}

/* ---- restart ---- */

void machine_reset(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) nothing = {0, 0};

    __asm__ volatile("cli");
    if (acpi.reset_space == 1) {
        outb((uint16_t)acpi.reset_address, acpi.reset_value);
        time_delay(10000000);
    } else if (acpi.reset_space == 0) {
        uint8_t *reg = map_device(acpi.reset_address, 1);

        if (reg)
            mmio_write8(reg, acpi.reset_value);
        time_delay(10000000);
    }
    outb(0xcf9, 0x02); /* the chipset's, then the keyboard controller's */
    outb(0xcf9, 0x06);
    time_delay(10000000);
    outb(0x64, 0xfe);
    time_delay(10000000);
    __asm__ volatile("lidt %0; ud2" : : "m"(nothing)); /* a triple fault */
    for (;;)
        __asm__ volatile("hlt");
}
