/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/plat-linux.h"

#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/limit.h"

/* So many warnings at once, and then one in so long. */
#define WARNING_BURST 20
#define WARNING_NS    1000000000ULL

static struct plat_linux *linux_of(struct plat *plat)
{
    return container_of(plat, struct plat_linux, plat);
}

/* Large blocks come from fresh pages, which calloc() knows to be zero already; the original pointer lies
 * before ours. */
static void *op_alloc(struct plat *plat, size_t size)
{
    size_t align = size >= LARGE_PAGE ? LARGE_PAGE : size >= 4096 ? 4096 : 64;
    uint64_t total;
    char *raw, *p;

    if (!add_fits(size, align + sizeof(void *), &total))
        return NULL;
    raw = calloc(1, total);
    if (!raw)
        return NULL;
    p = (char *)ALIGN_UP((uintptr_t)raw + sizeof(void *), (uintptr_t)align);
    memcpy(p - sizeof(void *), &raw, sizeof(raw));
    if (size >= LARGE_PAGE)
        madvise(p, ALIGN_DOWN(size, LARGE_PAGE), MADV_HUGEPAGE);
    return p;
}

static void op_free(struct plat *plat, void *p)
{
    void *raw;

    if (!p)
        return;
    memcpy(&raw, (char *)p - sizeof(void *), sizeof(raw));
    free(raw);
}

static pthread_mutex_t *mutex_of(struct plat_lock *lock)
{
    _Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct plat_lock), "a mutex fits");
    return (pthread_mutex_t *)(void *)lock->opaque;
}

static void op_lock_init(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(mutex_of(lock), &attr);
    pthread_mutexattr_destroy(&attr);
}

static void op_lock(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_lock(mutex_of(lock));
}

static void op_unlock(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_unlock(mutex_of(lock));
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static uint64_t op_now(struct plat *plat)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t op_realtime(struct plat *plat)
{
    return clock_ns(CLOCK_REALTIME);
}

static void op_random(struct plat *plat, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        ssize_t n = getrandom(p, len, 0);

        if (n < 0) {
            base_assert(errno == EINTR); /* nothing else can happen to a valid buffer */
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

static void op_timer_set(struct plat *plat, uint64_t deadline)
{
    loop_clock_set(linux_of(plat)->loop, deadline);
}

static void op_defer(struct plat *plat, struct plat_work *work)
{
    loop_defer(linux_of(plat)->loop, work);
}

struct event {
    struct loop_fd watch;
    struct plat_event *event;
};

static void event_signalled(void *opaque, unsigned events)
{
    const struct event *e = opaque;
    uint64_t count;

    if (read(e->watch.fd, &count, sizeof(count)) == sizeof(count))
        e->event->fn(e->event->opaque);
}

static int op_event_open(struct plat *plat, struct plat_event *event)
{
    struct event *e = calloc(1, sizeof(*e));
    int r;

    if (!e)
        return -ENOMEM;
    e->event = event;
    e->watch = (struct loop_fd){.events = LOOP_READ, .fn = event_signalled, .opaque = e};
    e->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = e->watch.fd < 0 ? -errno : loop_watch(linux_of(plat)->loop, &e->watch);
    if (r < 0) {
        if (e->watch.fd >= 0)
            close(e->watch.fd);
        free(e);
        return r;
    }
    event->fd = e->watch.fd;
    event->data = e;
    return 0;
}

static void op_event_close(struct plat *plat, struct plat_event *event)
{
    struct event *e = event->data;

    loop_unwatch(linux_of(plat)->loop, &e->watch);
    close(e->watch.fd);
    free(e);
    event->data = NULL;
}

/*
 * A vCPU's wait channel is one futex word:
 *
 *   IDLE ── wait: about to sleep ──► WAITING ── wake ──► WOKEN ── wait returns ──► IDLE
 *     └───────────── wake ───────────────────────────────► WOKEN
 *
 * A wake before or while the sleeper makes up its mind leaves WOKEN, and the sleep
 * does not begin: none is lost. Only a wake from WAITING costs a system call.
 */
enum { TOKEN_IDLE, TOKEN_WAITING, TOKEN_WOKEN };

static long futex(uint32_t *word, int op, uint32_t value)
{
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void op_vcpu_wait(struct plat *plat, struct vcpu *vcpu, uint32_t bits)
{
    struct vcpu_thread *t = vcpu->plat_data;
    uint32_t idle = TOKEN_IDLE;

    if (__atomic_compare_exchange_n(&t->token, &idle, TOKEN_WAITING, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        if (!(__atomic_load_n(&vcpu->cpu.request, __ATOMIC_SEQ_CST) & bits))
            futex(&t->token, FUTEX_WAIT, TOKEN_WAITING);
    }
    __atomic_store_n(&t->token, TOKEN_IDLE, __ATOMIC_SEQ_CST);
}

static void op_vcpu_wake(struct plat *plat, struct vcpu *vcpu)
{
    struct vcpu_thread *t = vcpu->plat_data;

    if (t && __atomic_exchange_n(&t->token, TOKEN_WOKEN, __ATOMIC_SEQ_CST) == TOKEN_WAITING)
        futex(&t->token, FUTEX_WAKE, 1);
}

static void op_relax(struct plat *plat)
{
    usleep(100);
}

bool log_has_room(FILE *file, int ms)
{
    struct pollfd p = {.fd = fileno(file), .events = POLLOUT};

    return poll(&p, 1, ms) > 0;
}

/* A guest can provoke warnings for ever, and must not fill a disk with them. Any thread. */
static bool warning_is_due(struct plat_linux *p)
{
    return limit_allows(&p->warning_due, clock_ns(CLOCK_MONOTONIC), WARNING_BURST, WARNING_NS);
}

static void op_log(struct plat *plat, enum log_level level, const char *text)
{
    static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
    struct plat_linux *p = linux_of(plat);
    FILE *file = p->log ? p->log : stderr;
    unsigned lost;

    if (level > p->log_level)
        return;
    if ((level == LOG_WARN && !warning_is_due(p)) || !log_has_room(file, 0)) {
        __atomic_fetch_add(&p->messages_lost, 1, __ATOMIC_RELAXED);
        return;
    }
    lost = __atomic_exchange_n(&p->messages_lost, 0, __ATOMIC_RELAXED);
    if (lost)
        fprintf(file, "batuta: %u messages before this one were dropped\n", lost);
    fprintf(file, "batuta: %s%s\n", names[level], text);
    fflush(file);
}

const struct plat_ops plat_linux_ops = {
    .alloc = op_alloc,
    .free = op_free,
    .lock_init = op_lock_init,
    .lock = op_lock,
    .unlock = op_unlock,
    .now = op_now,
    .realtime = op_realtime,
    .random = op_random,
    .timer_set = op_timer_set,
    .defer = op_defer,
    .event_open = op_event_open,
    .event_close = op_event_close,
    .vcpu_wait = op_vcpu_wait,
    .vcpu_wake = op_vcpu_wake,
    .relax = op_relax,
    .log = op_log,
};

static void lock_vm(void *opaque)
{
    vm_lock(opaque);
}

static void unlock_vm(void *opaque)
{
    vm_unlock(opaque);
}

static void run_clock(void *opaque)
{
    clock_run(opaque);
}

void plat_linux_init(struct plat_linux *plat, struct loop *loop, struct vm *vm)
{
    *plat = (struct plat_linux){.plat.ops = &plat_linux_ops, .loop = loop, .vm = vm, .log_level = LOG_INFO};
    loop_set_lock(loop, (struct loop_lock){.lock = lock_vm, .unlock = unlock_vm, .opaque = vm});
    loop_clock_init(loop, run_clock, vm);
}
