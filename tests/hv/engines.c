/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware engines on the bare machine: each test of the guest kernels that are
 * linked in (tests/guest/kernel/selftest.c, tests/hv/guest.c) runs in a VM of its own,
 * a PC with the real device models.
 */
#include "base/bytes.h"
#include "base/fmt.h"
#include "core/chardev.h"
#include "core/device.h"
#include "dev/board.h"
#include "dev/irq/lapic.h"
#include "engine/svm/svm.h"
#include "engine/vmx/vmx.h"
#include "tests/hv/bare.h"

#define EXIT_PORT    0xf4
#define PASSED       0x21 /* of port value 0x10 */
#define INFO         0x9000U
#define COMMAND_SIZE 32
#define MODULE_RAM   MIB(128)
#define COMMAND      0x9100U
#define REAL_ENTRY   0x7c00U
#define REAL_NO_VM86 0x508U
#define SECONDS      1000000000ULL

int test_main(void);
extern uint32_t boot_info;

extern const uint8_t guest_selftest[], guest_selftest_end[], guest_hvtest[], guest_hvtest_end[], guest_real[],
    guest_real_end[];

struct test_vm {
    struct vm vm;
    struct bare_plat plat;
    struct board board;
    struct chardev console;
    const uint8_t *elf;
    const char *command; /* COMMAND_SIZE bytes may be read */
    uint64_t ram, seconds;
    bool no_vm86;
    uint64_t result;
    struct timer limit;
    char line[256];
    size_t length;
};

/* ---- loading: a 32-bit multiboot ELF ---- */

static uint32_t load_elf(struct test_vm *t)
{
    const uint8_t *elf = t->elf;
    const uint8_t *header = elf + load_le32(elf + 28);

    for (unsigned n = load_le16(elf + 44); n--; header += load_le16(elf + 42)) {
        if (load_le32(header) == 1)
            (void)mem_write(&t->vm, load_le32(header + 12), elf + load_le32(header + 4),
                            load_le32(header + 16));
    }
    return load_le32(elf + 24);
}

static struct x86_segment flat(uint16_t selector, uint32_t attr)
{
    return (struct x86_segment){.selector = selector, .limit = ~0U, .attr = attr};
}

static void on_reset(void *opaque, struct vm *vm)
{
    struct test_vm *t = opaque;
    struct x86_state *s = &vm->vcpu[0]->cpu.s;
    uint32_t info[5] = {5, 640, (uint32_t)(t->ram >> 10) - 1024, 0, COMMAND}; /* memory in KiB, text */

    if (t->elf == guest_real) {
        (void)mem_write(vm, REAL_ENTRY, guest_real, (uint64_t)(guest_real_end - guest_real));
        (void)mem_write(vm, REAL_NO_VM86, &t->no_vm86, 1);
        s->seg[X86_CS].selector = 0;
        s->seg[X86_CS].base = 0;
        s->rip = REAL_ENTRY;
        return;
    }
    s->rip = load_elf(t);
    (void)mem_write(vm, INFO, info, sizeof(info));
    (void)mem_write(vm, COMMAND, t->command, COMMAND_SIZE);
    s->gpr[X86_RAX] = 0x2badb002;
    s->gpr[X86_RBX] = INFO;
    s->cr0 = X86_CR0_PE | X86_CR0_ET;
    for (unsigned i = X86_ES; i <= X86_GS; i++)
        s->seg[i] = flat(16, 0xc093);
    s->seg[X86_CS] = flat(8, 0xc09b);
}

/* ---- the console and the end ---- */

static size_t console_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct test_vm *t = container_of(c, struct test_vm, console);

    for (size_t i = 0; i < len; i++) {
        if (buf[i] != '\n' && t->length < sizeof(t->line) - 1) {
            t->line[t->length++] = (char)buf[i];
            continue;
        }
        t->line[t->length] = 0;
        t->length = 0;
        bare_printf("    %s\n", t->line);
    }
    return len;
}

static const struct chardev_ops console_ops = {.name = "test", .write = console_write};

static void on_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg)
{
    struct test_vm *t = opaque;

    if (event == VM_EVENT_DEBUG_EXIT)
        t->result = arg;
}

static void too_long(void *opaque)
{
    struct test_vm *t = opaque;

    bare_printf("    takes too long: at 0x%llx\n", (unsigned long long)t->vm.vcpu[0]->cpu.s.rip);
    vm_request_shutdown(&t->vm, VM_SHUTDOWN_HOST);
}

static void print_counter(void *opaque, const char *group, const char *name, uint64_t value)
{
    if (value)
        bare_printf(" %s %llu", name, (unsigned long long)value);
}

/* What an emulated processor does not do, so that no engine's guest can see it done. */
static const struct {
    const char *test;
    const struct engine_ops *engine;
    enum bare_bed bed;
    const char *why;
} missing[] = {
    {"breakpoints", &svm_engine, BARE_QEMU, "VMRUN takes DR7 over, but sets no breakpoint"},
    {"breakpoints", &svm_engine, BARE_BOCHS, "an intercepted #DB does not tell DR6"},
    {"vm86", &svm_engine, BARE_BOCHS, "an exit from virtual-8086 mode makes Bochs panic"},
    {"canonical", &svm_engine, BARE_QEMU, "WRMSR takes any address"},
};

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool is_missing(const struct engine_ops *engine, const char *test)
{
    for (unsigned i = 0; i < ARRAY_SIZE(missing); i++) {
        if (missing[i].bed != bare_bed() || missing[i].engine != engine || !equal(missing[i].test, test))
            continue;
        bare_printf("SKIP %s: %s here\n", test, missing[i].why);
        return true;
    }
    return false;
}

/* ---- a VM ---- */

static int create(struct test_vm *t, const struct engine_ops *engine, struct error *err)
{
    struct vm_config config = {.name = "test", .ram_size = t->ram, .vcpus = 1, .ram = bare_guest_ram(t->ram)};
    struct x86_cpuid_config cpuid = {.level = X86_CPU_HOST, .vcpus = 1, .tsc_khz = metal_tsc_khz()};
    struct board_config board = {.serial = {true}, .serial_dev = {&t->console}, .debug_exit_port = EXIT_PORT};
    int r = vm_init(&t->vm, &t->plat.plat, &config, err);

    t->console = (struct chardev){.ops = &console_ops, .connected = true};
    if (r == 0)
        r = x86_cpuid_build(&t->vm.cpuid, &cpuid, err);
    if (r == 0)
        r = vm_engine_init(&t->vm, engine, err);
    return r < 0 ? r : board_create(&t->vm, &board, &t->board, err);
}

static bool run(const struct engine_ops *engine, const uint8_t *elf, const char *command, uint64_t ram)
{
    static struct test_vm t;
    struct error err = {0};
    bool pass;

    memset(&t, 0, sizeof(t));
    bare_memory_reset();
    t.elf = elf;
    t.command = command;
    t.ram = ram;
    t.seconds = bare_bed() == BARE_BOCHS ? 2 : 20; /* its second is one of 1000 million instructions */
    t.no_vm86 = elf == guest_real && is_missing(engine, "vm86");
    bare_plat_init(&t.plat, &t.vm);
    if (create(&t, engine, &err) < 0) {
        bare_printf("FAIL %s: %s\n", command, err.text);
        return false;
    }
    t.vm.on_reset = on_reset;
    t.vm.on_reset_opaque = &t;
    t.vm.on_event = on_event;
    t.vm.on_event_opaque = &t;
    t.vm.no_reboot = true;
    timer_init(&t.limit, &t.vm, "limit", too_long, &t);
    vm_lock(&t.vm);
    vm_reset(&t.vm);
    timer_arm(&t.limit, t.seconds * SECONDS);
    vm_resume(&t.vm);
    vm_unlock(&t.vm);
    vcpu_loop(t.vm.vcpu[0]);
    pass = t.result == PASSED;
    if (!pass)
        bare_printf("    result 0x%llx\n", (unsigned long long)t.result);
    bare_printf("%s %s:", pass ? "PASS" : "FAIL", command);
    engine->counters(t.vm.vcpu[0], true, print_counter, NULL);
    timer_disarm(&t.limit);
    vm_finish(&t.vm);
    if (t.plat.allocations) {
        bare_printf(" %u leaks", t.plat.allocations);
        pass = false;
    }
    bare_print("\n");
    return pass;
}

static const struct engine_ops *turn_on(struct error *err)
{
    static struct bare_plat own; /* what a processor takes is its own for good */

    bare_plat_init(&own, NULL);
    if (vmx_present())
        return vmx_cpu_on(&bare_cpu, &own.plat, err) < 0 ? NULL : &vmx_engine;
    return svm_cpu_on(&bare_cpu, &own.plat, err) < 0 ? NULL : &svm_engine;
}

/* A kernel that came as a module, whose text names the tests to run. */
static unsigned run_module(const struct engine_ops *engine, const uint8_t *elf, const char *text)
{
    static char name[COMMAND_SIZE];
    unsigned failed = 0;

    while (*text) {
        bool is_path = false; /* QEMU begins with the file's name */
        size_t n = 0;

        memset(name, 0, sizeof(name));
        for (; *text && *text != ' '; text++) {
            is_path |= *text == '/';
            if (n < sizeof(name) - 1)
                name[n++] = *text;
        }
        while (*text == ' ')
            text++;
        if (n && !is_path)
            failed += !run(engine, elf, name, MODULE_RAM);
    }
    return failed;
}

int test_main(void)
{
    static const char *const selftests[] = {"traps", "cmpxchg16b", "timer",
                                            "halt",  "arithmetic", "write_msrs"};
    static const char *const tests[] = {"cpuid",     "ports",  "strings",     "mmio",  "registers",
                                        "control",   "debug",  "breakpoints", "steps", "vmx",
                                        "nmi",       "shadow", "interrupts",  "fpu",   "msrs",
                                        "canonical", "exits",  "paging"};
    struct error err = {0};
    const struct engine_ops *engine = turn_on(&err);
    const uint32_t *info = (const uint32_t *)(uintptr_t)boot_info; /* modules: its flag, count, address */
    unsigned failed = 0;

    if (!engine) {
        bare_printf("no engine: %s\n", err.text);
        return 1;
    }
    bare_printf("engine %s\n", engine->name);
    if (info[0] & 8 && info[5]) {
        const uint32_t *module = (const uint32_t *)(uintptr_t)info[6]; /* start, end, text */
        const uint8_t *data = (const uint8_t *)(uintptr_t)module[0];

        if (load_le32(data) == 0x464c457f)
            return (int)run_module(engine, data, (const char *)(uintptr_t)module[2]);
    }
    if (info[0] & 8 && info[5])
        return !bare_linux(engine, (const void *)(uintptr_t)info[6], info[5]);
    for (unsigned i = 0; i < ARRAY_SIZE(selftests); i++)
        failed += !run(engine, guest_selftest, selftests[i], BARE_GUEST_RAM);
    failed += !run(engine, guest_real, "real", BARE_GUEST_RAM);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
        failed += !is_missing(engine, tests[i]) && !run(engine, guest_hvtest, tests[i], BARE_GUEST_RAM);
    bare_printf("%u failed; %llu interrupts of the machine\n", failed, (unsigned long long)bare_interrupts);
    return (int)failed;
}
