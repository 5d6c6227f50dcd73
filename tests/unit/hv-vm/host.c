/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/hv-vm/host.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/metal.h"
#include "hv/cpu/cpu.h"
#include "hv/drv/disk.h"
#include "hv/drv/ramdisk.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/mem/ram.h"
#include "hv/random.h"
#include "monitor/monitor.h"

#define NS_PER_S 1000000000ULL

struct host host;

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

/* ---- time ---- */

uint64_t time_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t time_real(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint32_t metal_tsc_khz(void)
{
    return HOST_TSC_KHZ;
}

/* ---- threads ---- */

struct sched hv_sched; /* with one processor, for which nobody waits */
struct sched_group hv_group;
static struct sched_queue processor, *const processors[] = {&processor};
static const struct sched_hooks nothing;

struct host_thread {
    struct thread thread;
    pthread_t pthread;
    pthread_mutex_t mutex; /* guards the token, and the VM's timer if this is its I/O thread */
    pthread_cond_t wake;
};

static struct host_thread io; /* the test's own */
static _Thread_local struct host_thread *this_thread = &io;

static struct host_thread *host_thread_of(struct thread *thread)
{
    return container_of(thread, struct host_thread, thread);
}

static void thread_prepare(struct host_thread *t)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->wake, &attr);
    pthread_condattr_destroy(&attr);
}

void thread_wake(struct thread *thread)
{
    struct host_thread *t = host_thread_of(thread);

    pthread_mutex_lock(&t->mutex);
    t->thread.token = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
}

void thread_wait_until(uint64_t deadline)
{
    struct host_thread *t = this_thread;
    struct timespec ts = {(time_t)(deadline / NS_PER_S), (long)(deadline % NS_PER_S)};

    pthread_mutex_lock(&t->mutex);
    if (!t->thread.token)
        pthread_cond_timedwait(&t->wake, &t->mutex, &ts);
    t->thread.token = false;
    pthread_mutex_unlock(&t->mutex);
}

static uint64_t end_of_run; /* when host_run() gives up; the I/O thread's */

/* The machine's only timer fires on the I/O thread, where it waits. */
static void fire_timer(struct host_timer *timer)
{
    bool due;

    pthread_mutex_lock(&io.mutex);
    due = timer->deadline <= time_now();
    if (due)
        timer->deadline = TIMER_NEVER;
    pthread_mutex_unlock(&io.mutex);
    if (due)
        timer->fn(timer->opaque);
}

/* Interrupts: the timer's, and the test's. The I/O thread's, no lock held. */
void cpu_irq_window(void)
{
    if (host.idle)
        host.idle();
    fire_timer(&host.guest.plat.timer);
}

void thread_wait(void)
{
    uint64_t deadline;

    if (this_thread != &io) {
        thread_wait_until(time_now() + NS_PER_S);
        return;
    }
    cpu_irq_window();
    pthread_mutex_lock(&io.mutex);
    deadline = MIN(host.guest.plat.timer.deadline, end_of_run);
    pthread_mutex_unlock(&io.mutex);
    thread_wait_until(deadline);
    cpu_irq_window();
    if (time_now() >= end_of_run) {
        vm_lock(&host.guest.vm);
        vm_request_shutdown(&host.guest.vm, VM_SHUTDOWN_HOST);
        vm_unlock(&host.guest.vm);
    }
}

void thread_yield(void)
{
}

bool metal_must_yield(void)
{
    return false;
}

void host_timer_init(struct host_timer *timer, void (*fn)(void *opaque), void *opaque)
{
    *timer = (struct host_timer){.deadline = TIMER_NEVER, .fn = fn, .opaque = opaque};
}

void host_timer_set(struct host_timer *timer, uint64_t deadline)
{
    pthread_mutex_lock(&io.mutex);
    timer->deadline = deadline;
    io.thread.token = true; /* it may wait, or be about to, for another time */
    pthread_cond_signal(&io.wake);
    pthread_mutex_unlock(&io.mutex);
}

/*
 * The VM's lock as a mutex: here, other than on the bare machine, who holds a spin lock may lose the
 * processor, and who waits spins on.
 */
static pthread_mutex_t *mutex_of(struct plat_lock *lock)
{
    _Static_assert(sizeof(pthread_mutex_t) <= sizeof(*lock), "a lock has room for a mutex");
    return (pthread_mutex_t *)lock;
}

static void op_lock_init(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_init(mutex_of(lock), NULL);
}

static void op_lock(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_lock(mutex_of(lock));
}

static void op_unlock(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_unlock(mutex_of(lock));
}

static void use_mutexes(struct plat *plat)
{
    static struct plat_ops ops;

    ops = *plat->ops;
    ops.lock_init = op_lock_init;
    ops.lock = op_lock;
    ops.unlock = op_unlock;
    plat->ops = &ops;
}

static void *vcpu_main(void *arg)
{
    struct vcpu *vcpu = arg;

    this_thread = host_thread_of(vcpu->plat_data);
    vcpu_loop(vcpu);
    return NULL;
}

/* ---- memory ---- */

void *heap_alloc(size_t size, struct memory_account *account)
{
    size_t align = size >= PAGE_SIZE ? PAGE_SIZE : 64, rounded = ALIGN_UP(size ? size : 1, align);
    void *p = aligned_alloc(align, rounded);

    return p ? memset(p, 0, rounded) : NULL;
}

void heap_free(void *p)
{
    free(p);
}

struct guest_ram {
    void *host;
    uint64_t size;
};

int guest_ram_create(struct guest_ram **ram, uint64_t size, struct memory_account *account, struct error *err)
{
    *ram = malloc(sizeof(**ram));
    (*ram)->size = size;
    (*ram)->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((*ram)->host == MAP_FAILED)
        die("no memory for a guest");
    return 0;
}

void guest_ram_destroy(struct guest_ram *ram)
{
    munmap(ram->host, ram->size);
    free(ram);
}

bool guest_ram_ready(struct guest_ram *ram, const void *at, uint64_t len, unsigned *pieces)
{
    return true;
}

void *guest_ram_host(struct guest_ram *ram)
{
    return ram->host;
}

void random_bytes(void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)rand();
}

/* ---- what is outside of the VM ---- */

void hv_log(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(host.log, sizeof(host.log), fmt, ap);
    va_end(ap);
}

static void vm_says(struct plat_metal *plat, enum log_level level, const char *text)
{
    hv_log(level, "%s", text);
}

static size_t console_write(struct chardev *console, const uint8_t *buf, size_t len)
{
    size_t n = MIN(len, sizeof(host.said) - 1 - host.said_len);

    memcpy(host.said + host.said_len, buf, n);
    host.said_len += n;
    host.said[host.said_len] = '\0';
    return len;
}

static const struct chardev_ops console_ops = {.name = "test", .write = console_write};
static struct chardev console = {.ops = &console_ops, .connected = true};

struct chardev *monitor_console_open(struct monitor *m, unsigned vm, struct plat *plat)
{
    return &console;
}

void monitor_console_close(struct monitor *m, unsigned vm)
{
}

int disk_open(unsigned number, uint64_t offset, uint64_t size, bool read_only, struct plat *plat,
              struct blk **out, struct error *err)
{
    return error_set(err, ENOENT, "this machine has no disks");
}

#define MODULES 4

static struct boot_module modules[MODULES];
static unsigned module_count;

void host_module(const char *name, const void *bytes, size_t size)
{
    base_assert(module_count < MODULES);
    modules[module_count++] =
        (struct boot_module){.phys = (uint64_t)(uintptr_t)bytes - DIRECT_BASE, .size = size, .text = name};
}

const struct boot_module *hv_module_find(const char *name)
{
    for (unsigned i = 0; i < module_count; i++) {
        if (!strcmp(modules[i].text, name))
            return &modules[i];
    }
    return NULL;
}

void guest_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg)
{
    struct guest *g = opaque;

    if (event == VM_EVENT_SHUTDOWN) {
        thread_wake(g->plat.io);
        return;
    }
    host.last_event = event;
    host.last_arg = arg;
    if (event == VM_EVENT_DEBUG_EXIT)
        vm_request_shutdown(vm, VM_SHUTDOWN_DEBUG_EXIT);
}

/* ---- the VM ---- */

static void complain(void *opaque, const struct hv_report *report)
{
    fprintf(stderr, "%s\n", report->text);
}

void host_init(const char *text, const struct engine_ops *engine)
{
    memset(&host, 0, sizeof(host));
    module_count = 0;
    io = (struct host_thread){0};
    thread_prepare(&io);
    sched_init(&hv_sched, processors, 1, &nothing);
    if (hv_config_read(&host.hv.config, "test", text, strlen(text), malloc, free, complain, NULL) < 0 ||
        host.hv.config.mistakes || host.hv.config.vm_count != 1)
        die("the description is wrong");
    host.hv.engine = engine;
    switch_init(&host.hv.net, time_now);
    host.guest.hv = &host.hv;
    host.guest.config = host.hv.config.vm[0];
    plat_metal_init(&host.guest.plat, guest_name(&host.guest), ~0ULL, &host.guest.group);
    use_mutexes(&host.guest.plat.plat);
    host.guest.plat.log = vm_says;
    host.guest.plat.io = &io.thread;
}

bool host_run(unsigned seconds)
{
    struct vm *vm = &host.guest.vm;
    struct host_thread *thread = calloc(vm->vcpu_count, sizeof(*thread));

    end_of_run = time_now() + seconds * NS_PER_S;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        thread_prepare(&thread[i]);
        vm->vcpu[i]->plat_data = &thread[i].thread;
        if (pthread_create(&thread[i].pthread, NULL, vcpu_main, vm->vcpu[i]))
            die("no thread");
    }
    vm_lock(vm);
    vm_resume(vm);
    vm_unlock(vm);
    plat_metal_run(&host.guest.plat, vm);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        pthread_join(thread[i].pthread, NULL);
    free(thread);
    return vm->shutdown != VM_SHUTDOWN_HOST;
}

void host_finish(void)
{
    struct guest *g = &host.guest;

    plat_metal_stop(&g->plat);
    if (g->vm.plat)
        vm_finish(&g->vm);
    guest_devices_gone(g);
    for (unsigned i = 0; i < HV_MAX_DISKS; i++) {
        if (!g->ramdisk[i])
            continue;
        ramdisk_keep(g->ramdisk[i], false);
        g->ramdisk[i]->ops->close(g->ramdisk[i]);
    }
    boot_close(g->boot);
    if (g->ram)
        guest_ram_destroy(g->ram);
    hv_config_finish(&host.hv.config);
}
