/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slices of one disk on several processors: two VMs with a lock and an I/O thread each, and a
 * device that finishes pieces in any order on a third, with few places. Each VM reads back what
 * it wrote, cancels now and then, and closes. For ThreadSanitizer, and for lost wake-ups.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hv/drv/disk.h"
#include "hv/drv/io.h"
#include "tests/unit/virtio/check.h"

#define VMS    2U
#define SLICE  MIB(2)
#define DEPTH  6U
#define ROUNDS 60U
#define BATCH  8U

/* ---- the machine ---- */

static struct {
    struct disk disk;
    uint8_t bytes[VMS * SLICE];
    struct disk_io *io[DEPTH]; /* guarded by disk.lock */
    unsigned under_way;
    uint32_t random;
    bool stop; /* atomic */
} device;

uint64_t dma_address(const void *p)
{
    return (uintptr_t)p;
}

uint64_t io_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void io_work_for(struct plat *plat)
{
}

void io_relax(void)
{
    sched_yield();
}

void io_log(enum log_level level, const char *fmt, ...)
{
    abort(); /* nothing is given up here */
}

static int device_start(struct disk *disk, struct disk_io *io)
{
    if (device.under_way == DEPTH)
        return -EAGAIN;
    device.io[device.under_way++] = io;
    return 0;
}

static void device_kick(struct disk *disk)
{
}

static void carry_out(const struct disk_io *io)
{
    uint8_t *p = device.bytes + io->offset;

    for (unsigned i = 0; i < io->segments; i++) {
        void *memory = (void *)(uintptr_t)io->segment[i].phys;

        if (io->op == BLK_READ)
            memcpy(memory, p, io->segment[i].len);
        else
            memcpy(p, memory, io->segment[i].len);
        p += io->segment[i].len;
    }
}

/* Finishes any of them, and some polls nothing. */
static int device_poll(struct disk *disk)
{
    device.random = device.random * 1664525 + 1013904223;
    if (device.under_way && device.random >> 30) {
        unsigned i = (device.random >> 8) % device.under_way;
        struct disk_io *io = device.io[i];

        device.io[i] = device.io[--device.under_way];
        carry_out(io);
        disk_io_done(disk, io, 0);
        disk_room(disk);
    }
    return 0;
}

static void device_stop(struct disk *disk)
{
    abort();
}

static const struct disk_ops device_ops = {
    .name = "fake", .start = device_start, .kick = device_kick, .poll = device_poll, .stop = device_stop};

static void *device_thread(void *arg)
{
    while (!__atomic_load_n(&device.stop, __ATOMIC_ACQUIRE)) {
        disk_interrupt(&device.disk);
        sched_yield();
    }
    return NULL;
}

/* ---- a VM ---- */

struct machine {
    struct plat plat;
    pthread_mutex_t lock; /* the VM's */
    pthread_mutex_t queue_lock;
    struct plat_work *work; /* guarded by queue_lock; there is one disk, so one work */
    bool stop;              /* guarded by queue_lock */
    struct blk *blk;
    pthread_t io, vcpu;
    unsigned index;
    unsigned under_way, cancelled; /* guarded by lock */
    uint8_t *data;
};

static struct machine machines[VMS];

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
    if (!m->stop)
        m->work = work;
    pthread_mutex_unlock(&m->queue_lock);
}

static const struct plat_ops ops = {.alloc = op_alloc, .free = op_free, .defer = op_defer};

static void *io_thread(void *arg)
{
    struct machine *m = arg;
    bool stop;

    do {
        struct plat_work *work;

        pthread_mutex_lock(&m->lock);
        pthread_mutex_lock(&m->queue_lock);
        work = m->work;
        m->work = NULL;
        stop = m->stop;
        pthread_mutex_unlock(&m->queue_lock);
        if (work)
            work->fn(work->opaque);
        pthread_mutex_unlock(&m->lock);
        sched_yield();
    } while (!stop);
    return NULL;
}

static void request_done(struct blk_req *req, int result)
{
    struct machine *m = req->opaque;

    if (result && result != -ECANCELED)
        abort();
    m->cancelled += result != 0;
    m->under_way--;
}

/* The whole slice in a few requests; the way to wait for them varies. */
static void transfer(struct machine *m, enum blk_op op, bool cancel)
{
    static const size_t part = SLICE / BATCH;
    struct blk_req req[BATCH];
    struct blk_vec vec[BATCH];
    bool more = true;

    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < BATCH; i++) {
        vec[i] = (struct blk_vec){m->data + i * part, part};
        req[i] = (struct blk_req){.op = op,
                                  .offset = i * part,
                                  .len = part,
                                  .vec = &vec[i],
                                  .vec_count = 1,
                                  .done = request_done,
                                  .opaque = m};
        m->under_way++;
        m->blk->ops->submit(m->blk, &req[i]);
    }
    blk_kick(m->blk);
    if (cancel) {
        m->blk->ops->cancel(m->blk);
        m->blk->ops->drain(m->blk);
    }
    pthread_mutex_unlock(&m->lock);
    while (more) {
        pthread_mutex_lock(&m->lock);
        more = m->under_way;
        pthread_mutex_unlock(&m->lock);
        sched_yield();
    }
}

static void *vcpu_thread(void *arg)
{
    struct machine *m = arg;

    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(m->data, (int)(round * 3 + m->index), SLICE);
        transfer(m, BLK_WRITE, false);
        if (round % 8 == 7)
            transfer(m, BLK_READ, true);
        memset(m->data, 0xee, SLICE);
        transfer(m, BLK_READ, false);
        for (size_t i = 0; i < SLICE; i += 61) {
            if (m->data[i] != (uint8_t)(round * 3 + m->index))
                abort();
        }
    }
    return NULL;
}

static void machine_close(struct machine *m)
{
    pthread_mutex_lock(&m->queue_lock);
    m->stop = true;
    m->work = NULL;
    pthread_mutex_unlock(&m->queue_lock);
    pthread_join(m->io, NULL);
    m->blk->ops->close(m->blk);
    free(m->data);
}

static void all_at_once(void **state)
{
    pthread_t interrupts;

    device.disk = (struct disk){
        .ops = &device_ops, .where = "fake", .size = VMS * SLICE, .block_size = 512, .max_segments = 40};
    assert_int_equal(disk_add(&device.disk), 0);
    pthread_create(&interrupts, NULL, device_thread, NULL);
    for (unsigned i = 0; i < VMS; i++) {
        struct machine *m = &machines[i];

        m->plat.ops = &ops;
        m->index = i;
        m->data = aligned_alloc(4096, SLICE);
        pthread_mutex_init(&m->lock, NULL);
        pthread_mutex_init(&m->queue_lock, NULL);
        assert_int_equal(disk_open(0, i * SLICE, SLICE, false, &m->plat, &m->blk, NULL), 0);
        pthread_create(&m->io, NULL, io_thread, m);
        pthread_create(&m->vcpu, NULL, vcpu_thread, m);
    }
    for (unsigned i = 0; i < VMS; i++)
        pthread_join(machines[i].vcpu, NULL);
    for (unsigned i = 0; i < VMS; i++)
        machine_close(&machines[i]);
    assert_true(machines[0].cancelled + machines[1].cancelled > 0);
    __atomic_store_n(&device.stop, true, __ATOMIC_RELEASE);
    pthread_join(interrupts, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_at_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
