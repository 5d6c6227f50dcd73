/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linux on a hardware engine, from multiboot modules: kernel (its string: the command line), initramfs. */
#include "base/bytes.h"
#include "boot/boot.h"
#include "dev/board.h"
#include "tests/hv/bare.h"

#define LINUX_RAM MIB(192)
#define SECONDS   1000000000ULL

struct module {
    uint32_t start, end, string, reserved;
};

struct linux_vm {
    struct vm vm;
    struct bare_plat plat;
    struct board board;
    struct chardev console;
    struct boot *boot;
    struct timer limit;
    unsigned prompt; /* characters of the shell's prompt seen */
    bool asked, up;
};

/* What is typed at the shell's prompt: a job with forks and a pipe, then the end. */
static const char typed[] = "cat /proc/interrupts; seq 1 20000 | sha256sum; poweroff -f\n";

static size_t console_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct linux_vm *l = container_of(c, struct linux_vm, console);
    static const char prompt[] = "/ # ";

    for (size_t i = 0; i < len; i++) {
        char text[2] = {(char)buf[i], 0};

        bare_print(text);
        l->prompt = buf[i] == prompt[l->prompt] ? l->prompt + 1 : buf[i] == prompt[0];
        if (l->prompt < sizeof(prompt) - 1)
            continue;
        l->prompt = 0;
        l->up = true;
    }
    return len;
}

static const struct chardev_ops console_ops = {.name = "test", .write = console_write};

static void on_reset(void *opaque, struct vm *vm)
{
    struct linux_vm *l = opaque;
    struct error err = {0};
    uint64_t rsdp;

    if (board_direct_boot(&l->board, &rsdp, &err) < 0)
        bare_printf("no tables: %s\n", err.text);
    boot_set_rsdp(l->boot, rsdp);
    if (boot_load(l->boot, vm, &err) < 0)
        bare_printf("does not boot: %s\n", err.text);
}

/* Types, once the shell waits, as fast as the UART takes it. */
static void tick(void *opaque)
{
    struct linux_vm *l = opaque;
    static size_t at;

    if (l->up && l->console.receive && at < sizeof(typed) - 1)
        at += l->console.receive(l->console.device, (const uint8_t *)typed + at, sizeof(typed) - 1 - at);
    timer_arm(&l->limit, clock_now(&l->vm) + SECONDS / 100);
}

static void print_counter(void *opaque, const char *group, const char *name, uint64_t value)
{
    if (value)
        bare_printf(" %s %llu", name, (unsigned long long)value);
}

static int create(struct linux_vm *l, const struct engine_ops *engine, const struct module *modules,
                  unsigned count, struct error *err)
{
    struct vm_config config = {
        .name = "linux", .ram_size = LINUX_RAM, .vcpus = 1, .ram = bare_guest_ram(LINUX_RAM)};
    struct x86_cpuid_config cpuid = {.level = X86_CPU_HOST, .vcpus = 1, .tsc_khz = metal_tsc_khz()};
    struct board_config board = {.serial = {true}, .serial_dev = {&l->console}};
    struct boot_source kernel =
        boot_source_memory("kernel", (void *)(uintptr_t)modules[0].start, modules[0].end - modules[0].start);
    int r = vm_init(&l->vm, &l->plat.plat, &config, err);

    l->console = (struct chardev){.ops = &console_ops, .connected = true};
    if (r == 0)
        r = x86_cpuid_build(&l->vm.cpuid, &cpuid, err);
    if (r == 0)
        r = vm_engine_init(&l->vm, engine, err);
    if (r == 0)
        r = board_create(&l->vm, &board, &l->board, err);
    if (r == 0)
        r = boot_open(&l->boot, &l->plat.plat, BOOT_AUTO, &kernel, (const char *)(uintptr_t)modules[0].string,
                      err);
    if (r == 0)
        r = boot_reserve(l->boot, BOARD_TABLES_BASE, BOARD_TABLES_SIZE, BOOT_MEM_RESERVED);
    for (unsigned i = 1; r == 0 && i < count; i++) {
        struct boot_source initrd = boot_source_memory("initrd", (void *)(uintptr_t)modules[i].start,
                                                       modules[i].end - modules[i].start);

        r = boot_add_module(l->boot, &initrd, NULL, err);
    }
    return r;
}

bool bare_linux(const struct engine_ops *engine, const void *modules, unsigned count)
{
    static struct linux_vm l;
    struct error err = {0};

    bare_plat_init(&l.plat, &l.vm);
    if (create(&l, engine, modules, count, &err) < 0) {
        bare_printf("no VM: %s\n", err.text);
        return false;
    }
    l.vm.on_reset = on_reset;
    l.vm.on_reset_opaque = &l;
    l.vm.no_reboot = true;
    timer_init(&l.limit, &l.vm, "typing", tick, &l);
    vm_lock(&l.vm);
    vm_reset(&l.vm);
    vm_resume(&l.vm);
    tick(&l);
    vm_unlock(&l.vm);
    vcpu_loop(l.vm.vcpu[0]);
    bare_printf("\nLinux has ended (%u), %s:", (unsigned)l.vm.shutdown, l.up ? "was up" : "was not up");
    engine->counters(l.vm.vcpu[0], true, print_counter, NULL);
    bare_print("\n");
    return l.up && l.vm.shutdown == VM_SHUTDOWN_GUEST;
}
