/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs that send to each other at the same time, each with a lock and an I/O thread of its
 * own, while ports come and go. For ThreadSanitizer, and for deadlocks.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "switch/switch.h"
#include "tests/unit/virtio/check.h"

#define VMS     3U
#define ROUNDS  3000U
#define COMINGS 60U

/* A platform whose deferred work is done by a thread. */
struct machine {
    struct plat plat;
    pthread_mutex_t lock; /* the VM's */
    pthread_mutex_t queue_lock;
    struct plat_work *work; /* guarded by queue_lock */
    bool stop;              /* atomic */
    struct net *net;
    pthread_t io, vcpu;
    unsigned index;
    uint32_t next[VMS]; /* of each sender: what comes next */
    uint64_t got;
};

static struct net_switch sw;
static struct machine machines[VMS + 1];

static uint64_t host_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void *op_alloc(struct plat *plat, size_t size)
{
    return memset(aligned_alloc(4096, ALIGN_UP(size, 4096)), 0, size);
}

static void op_free(struct plat *plat, void *p)
{
    free(p);
}

static void op_defer(struct plat *plat, struct plat_work *work)
{
    struct machine *m = container_of(plat, struct machine, plat);

    pthread_mutex_lock(&m->queue_lock);
    m->work = work; /* there is one port, so one work */
    pthread_mutex_unlock(&m->queue_lock);
}

static const struct plat_ops ops = {.alloc = op_alloc, .free = op_free, .defer = op_defer};

static void *io_thread(void *arg)
{
    struct machine *m = arg;

    for (;;) {
        bool stop = __atomic_load_n(&m->stop, __ATOMIC_ACQUIRE);
        struct plat_work *work;

        pthread_mutex_lock(&m->lock);
        pthread_mutex_lock(&m->queue_lock);
        work = m->work;
        m->work = NULL;
        pthread_mutex_unlock(&m->queue_lock);
        if (work)
            work->fn(work->opaque);
        pthread_mutex_unlock(&m->lock);
        if (!work && stop)
            return NULL;
        if (!work)
            sched_yield();
    }
}

static void check_data(const uint8_t *p, size_t len, uint32_t n)
{
    for (size_t i = 20; i < len; i++) {
        if (p[i] != (uint8_t)(n + i))
            abort();
    }
}

/* In the order of sending, if not all of them; and whole. */
static bool receive(void *nic, const void *frame, size_t len)
{
    struct machine *m = nic;
    const uint8_t *p = frame;
    uint32_t from = p[11], n = load_le32(p + 14);

    if (from >= VMS || len < 20)
        abort();
    if (p[18])
        return true; /* the one that comes and goes */
    if (n < m->next[from])
        abort();
    check_data(p, len, n);
    m->next[from] = n + 1;
    m->got++;
    return true;
}

static void send_one(struct machine *m, uint32_t n, bool passing)
{
    size_t len = 20 + n * 7 % 1400;
    uint8_t frame[1500] = {2, 0, 0, 0, 0, (uint8_t)((m->index + 1 + n % 2) % VMS),
                           2, 0, 0, 0, 0, (uint8_t)m->index};
    struct net_vec vec = {frame, len};

    if (n % 64 == 0)
        memset(frame, 0xff, 6);
    store_be16(frame + 12, 0x88b5);
    store_le32(frame + 14, n);
    frame[18] = passing;
    for (size_t i = 20; i < len; i++)
        frame[i] = (uint8_t)(n + i);
    pthread_mutex_lock(&m->lock);
    m->net->ops->send(m->net, &vec, 1);
    pthread_mutex_unlock(&m->lock);
}

static void *vcpu_thread(void *arg)
{
    for (uint32_t n = 0; n < ROUNDS; n++) {
        send_one(arg, n, false);
        if (n % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static void machine_open(struct machine *m, unsigned index)
{
    struct switch_config c = {.name = "vm", .queue = KIB(256), .flood_rate = 1000000};

    pthread_mutex_lock(&m->lock);
    m->index = index;
    assert_int_equal(switch_port_open(&sw, &m->plat, &c, &m->net, NULL), 0);
    m->net->receive = receive;
    m->net->nic = m;
    pthread_mutex_unlock(&m->lock);
}

static void machine_close(struct machine *m)
{
    m->net->ops->close(m->net);
    m->net = NULL;
}

static void machines_init(void)
{
    switch_init(&sw, host_now);
    for (unsigned i = 0; i <= VMS; i++) {
        machines[i].plat.ops = &ops;
        pthread_mutex_init(&machines[i].lock, NULL);
        pthread_mutex_init(&machines[i].queue_lock, NULL);
    }
}

static void all_at_once(void **state)
{
    struct machine *passing = &machines[VMS];

    machines_init();
    for (unsigned i = 0; i < VMS; i++) {
        machine_open(&machines[i], i);
        pthread_create(&machines[i].io, NULL, io_thread, &machines[i]);
    }
    for (unsigned i = 0; i < VMS; i++)
        pthread_create(&machines[i].vcpu, NULL, vcpu_thread, &machines[i]);
    for (unsigned i = 0; i < COMINGS; i++) {
        struct switch_stats stats;

        machine_open(passing, 0);
        send_one(passing, 64, true);
        switch_port_stats(switch_port_of(machines[0].net), &stats);
        machine_close(passing);
    }
    for (unsigned i = 0; i < VMS; i++)
        pthread_join(machines[i].vcpu, NULL);
    for (unsigned i = 0; i < VMS; i++) {
        __atomic_store_n(&machines[i].stop, true, __ATOMIC_RELEASE);
        pthread_join(machines[i].io, NULL);
        assert_true(machines[i].got > 0);
    }
    for (unsigned i = 0; i < VMS; i++)
        machine_close(&machines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_at_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
