/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/monitor/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM MIB(1)

static const struct engine_ops engine = {.name = "fake"};

/* ---- VMs ---- */

static struct fixture *of(void *host)
{
    return host;
}

static bool started(struct control_target *target)
{
    return true;
}

static void powerdown(struct control_target *target)
{
}

static bool disk(struct control_target *target, unsigned i, struct control_disk *disk)
{
    return false;
}

static const struct control_target_ops target_ops = {started, powerdown, NULL, disk};

static struct control_target *op_vm(void *host, unsigned i)
{
    return i < FIXTURE_VMS ? &of(host)->target[i] : NULL;
}

static void op_acquire(void *host, struct control_target *target)
{
    unsigned i = (unsigned)(target - of(host)->target);

    of(host)->held++;
    target->vm = i < FIXTURE_VMS - 1 ? &of(host)->vm[i] : NULL;
    if (target->vm)
        vm_lock(target->vm);
}

static void op_release(void *host, struct control_target *target)
{
    of(host)->held--;
    if (target->vm)
        vm_unlock(target->vm);
    target->vm = NULL;
}

static int op_start(void *host, struct control_target *target, const char *append, struct error *err)
{
    snprintf(of(host)->append, sizeof(of(host)->append), "%s", append ? append : "(none)");
    if (of(host)->refuse)
        return error_set(err, EINVAL, "%s", of(host)->refuse);
    of(host)->started++;
    return 0;
}

static int op_stop(void *host, struct control_target *target, bool force, struct error *err)
{
    of(host)->stopped++;
    of(host)->forced += force;
    return 0;
}

static int op_dump(void *host, struct control_target *target, struct json_writer *out, struct error *err)
{
    if (target == &of(host)->target[FIXTURE_VMS - 1])
        return error_set(err, ENOENT, "%s has not crashed, and it is off", target->name);
    json_open(out, '{');
    json_add_text(out, "vm", target->name);
    json_key(out, "vcpus");
    json_open(out, '[');
    json_open(out, '{');
    json_key(out, "registers");
    json_open(out, '{');
    json_add_text(out, "rip", "0x1000");
    json_key(out, "general");
    json_open(out, '{');
    json_add_text(out, "rax", "0x0");
    json_add_text(out, "rbx", "0x1");
    json_close(out, '{');
    json_key(out, "code");
    json_open(out, '[');
    for (unsigned i = 0; i < 20; i++)
        json_put_format(out, "%02x", i);
    json_close(out, '[');
    json_close(out, '{');
    json_close(out, '{');
    json_close(out, '[');
    json_close(out, '{');
    return 0;
}

static void op_machine(void *host, bool reboot)
{
    of(host)->machine++;
    of(host)->rebooted += reboot;
}

static void op_vm_stats(void *host, struct control_target *target, struct monitor_vm_stats *stats)
{
    bool off = target == &of(host)->target[FIXTURE_VMS - 1];

    *stats = (struct monitor_vm_stats){
        .state = off ? "off" : "running",
        .why = off ? (struct error){EIO, "its \033[31mkernel panicked"} : (struct error){0},
        .vcpus = 2,
        .memory = MIB(256),
        .memory_used = KIB(1000),
        .up_ns = off ? 0 : 7384000000000ULL,
        .run_ns = 1230000000,
        .starts = 1,
    };
}

static bool op_vcpu_stats(void *host, struct control_target *target, unsigned i,
                          struct monitor_vcpu_stats *stats)
{
    *stats = (struct monitor_vcpu_stats){.run_ns = 1000000000ULL * i, .cpu = i};
    return i < 2;
}

static void op_host_stats(void *host, struct monitor_host_stats *stats)
{
    *stats = (struct monitor_host_stats){.processor = "a processor", .memory = GIB(2), .memory_free = GIB(1)};
}

static bool op_cpu_stats(void *host, unsigned i, struct monitor_cpu_stats *stats)
{
    *stats = (struct monitor_cpu_stats){.apic_id = 2 * i, .running = "idle"};
    return i < 2;
}

static size_t op_log(void *host, uint64_t *position, char *buf, size_t size)
{
    static const char text[] = "[    0.000000] first\n[    1.000000] second\n";
    size_t n = MIN(size, sizeof(text) - 1 - *position);

    memcpy(buf, text + *position, n);
    *position += n;
    return n;
}

static void op_wake(void *host)
{
    __atomic_fetch_add(&of(host)->wakes, 1, __ATOMIC_RELAXED);
}

static void op_screen(void *host, const char *text, size_t len)
{
    of(host)->screened++;
}

static const struct monitor_ops ops = {
    .vm = op_vm,
    .acquire = op_acquire,
    .release = op_release,
    .start = op_start,
    .stop = op_stop,
    .dump = op_dump,
    .machine = op_machine,
    .vm_stats = op_vm_stats,
    .vcpu_stats = op_vcpu_stats,
    .host_stats = op_host_stats,
    .cpu_stats = op_cpu_stats,
    .log = op_log,
    .wake = op_wake,
    .screen = op_screen,
};

/* ---- ports ---- */

static size_t wire_write(struct chardev *chardev, const uint8_t *buf, size_t len)
{
    struct wire *w = (struct wire *)chardev;
    size_t n = MIN(MIN(len, w->room), FIXTURE_OUT - 1 - w->len);

    memcpy(w->out + w->len, buf, n);
    w->len += n;
    w->out[w->len] = 0;
    if (w->room != ~(size_t)0)
        w->room -= n;
    return n;
}

static void wire_resume(struct chardev *chardev)
{
    ((struct wire *)chardev)->resumed++;
}

static const struct chardev_ops wire_ops = {.name = "wire", .write = wire_write, .resume = wire_resume};

/* ---- devices ---- */

static size_t device_receive(void *device, const uint8_t *buf, size_t len)
{
    struct device_end *d = device;
    size_t n = MIN(MIN(len, d->room), sizeof(d->in) - d->len);

    memcpy(d->in + d->len, buf, n);
    d->len += n;
    d->room -= n;
    return n;
}

static void device_writable(void *device)
{
    ((struct device_end *)device)->writable++;
}

static void plug(struct fixture *f, unsigned i)
{
    struct device_end *d = &f->device[i];

    d->chardev = monitor_console_open(f->monitor, i, &f->plat.plat);
    d->chardev->device = d;
    d->chardev->receive = device_receive;
    d->chardev->writable = device_writable;
    d->room = 4096;
}

/* ---- life ---- */

static void make_vms(struct fixture *f)
{
    static const char *const names[FIXTURE_VMS] = {"web", "db", "spare"};
    struct error err = {0};

    f->ram = calloc(FIXTURE_VMS, RAM);
    for (unsigned i = 0; i < FIXTURE_VMS; i++)
        f->target[i] = (struct control_target){names[i], NULL, &target_ops};
    for (unsigned i = 0; i < FIXTURE_VMS - 1; i++) {
        const struct vm_config config = {
            .name = names[i], .ram_size = RAM, .vcpus = 1, .ram = f->ram + i * RAM};

        if (vm_init(&f->vm[i], &f->plat.plat, &config, &err) < 0 ||
            vm_engine_init(&f->vm[i], &engine, &err) < 0)
            abort();
        f->vm[i].vcpu[0]->parked = true;
    }
}

struct fixture *fixture_create(unsigned fail_after)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    fake_plat_init(&f->plat);
    make_vms(f);
    f->now = 1000000000;
    f->terminal = (struct wire){.chardev = {.ops = &wire_ops, .connected = true}, .room = ~(size_t)0};
    f->management = (struct wire){.chardev = {.ops = &wire_ops}, .room = ~(size_t)0};
    f->plat.fail_after = fail_after;
    f->monitor = monitor_create(&(struct monitor_config){.ops = &ops,
                                                         .host = f,
                                                         .plat = &f->plat.plat,
                                                         .terminal = &f->terminal.chardev,
                                                         .management = &f->management.chardev,
                                                         .version = {1, 2, 3},
                                                         .package = "batuta-hv 1.2.3"},
                                &err);
    f->plat.fail_after = 0;
    if (!f->monitor) {
        fixture_destroy(f);
        return NULL;
    }
    for (unsigned i = 0; i < FIXTURE_VMS - 1; i++)
        plug(f, i);
    return f;
}

void fixture_destroy(struct fixture *f)
{
    for (unsigned i = 0; i < FIXTURE_VMS - 1; i++) {
        if (f->monitor)
            monitor_console_close(f->monitor, i);
    }
    monitor_destroy(f->monitor);
    for (unsigned i = 0; i < FIXTURE_VMS - 1; i++)
        vm_finish(&f->vm[i]);
    if (f->plat.allocations || f->held)
        abort();
    free(f->ram);
    free(f);
}

/* ---- what happens ---- */

/* As long as it wants to be called at once, within reason. */
static void step(struct fixture *f)
{
    unsigned wakes, rounds = 0;

    do {
        wakes = f->wakes;
        f->until = monitor_step(f->monitor, f->now);
        fake_plat_run_work(&f->plat);
        if (++rounds == 100000)
            abort();
    } while (f->wakes != wakes || f->until <= f->now);
}

void fixture_run(struct fixture *f, uint64_t ns)
{
    uint64_t end = f->now + ns;

    step(f);
    while (f->until < end) {
        f->now = f->until;
        step(f);
    }
    f->now = end;
    step(f);
}

bool fixture_write(struct fixture *f, unsigned vm, const void *bytes, size_t len)
{
    struct chardev *c = f->device[vm].chardev;

    return c->ops->write(c, bytes, len) == len;
}

void fixture_type(struct fixture *f, struct wire *wire, const void *keys, size_t len)
{
    const uint8_t *at = keys;

    for (unsigned tries = 0; len && tries < 10000; tries++) {
        size_t n = wire->chardev.receive(wire->chardev.device, at, MIN(len, 100U));

        at += n;
        len -= n;
        step(f);
    }
}

const char *fixture_output(struct fixture *f, struct wire *wire)
{
    static char text[FIXTURE_OUT];

    fixture_run(f, 0);
    memcpy(text, wire->out, wire->len);
    text[wire->len] = 0;
    wire->len = 0;
    return text;
}

void fixture_connect(struct fixture *f, bool connected)
{
    f->management.chardev.connected = connected;
    f->management.chardev.connection(f->management.chardev.device, connected);
    fixture_run(f, 0);
}
