/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "selftest=drv": the drivers against the machine's own devices. A disk whose serial
 * number is "scratch" is written to and read back; the gateway of QEMU's user network is
 * asked for its address and pinged through the switch; what comes on a serial port named
 * "batuta.test" is sent back, until a line "end". tests/system/test_hv_drv.py looks on.
 */

#include "base/bytes.h"
#include "hv/cpu/timer.h"
#include "hv/drv/disk.h"
#include "hv/drv/host-virtio.h"
#include "hv/drv/net-thread.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/selftest.h"
#include "hv/thread.h"
#include "switch/switch.h"

#define SECONDS  1000000000ULL
#define PATIENCE (20 * SECONDS)
#define AREA     MIB(8) /* of the scratch disk */
#define REQUESTS 24U
#define LARGEST  KIB(640)

/* A platform whose deferred work is done by the test, which holds no lock. */
struct bench {
    struct plat plat;
    struct spinlock lock;
    struct plat_work *work; /* guarded by lock */
    struct thread *thread;
};

static void *op_alloc(struct plat *plat, size_t size)
{
    return heap_alloc(size, &memory_own);
}

static void op_free(struct plat *plat, void *p)
{
    heap_free(p);
}

static uint64_t op_now(struct plat *plat)
{
    return time_now();
}

static void op_defer(struct plat *plat, struct plat_work *work)
{
    struct bench *b = container_of(plat, struct bench, plat);

    spin_lock(&b->lock);
    if (!work->queued) {
        work->queued = true;
        work->next = b->work;
        b->work = work;
    }
    spin_unlock(&b->lock);
    thread_wake(b->thread);
}

static const struct plat_ops bench_ops = {
    .alloc = op_alloc, .free = op_free, .now = op_now, .defer = op_defer};
static struct bench bench = {.plat = {&bench_ops}};

/* Does what was deferred, and waits for more. False: it has been too long. */
static bool bench_turn(uint64_t deadline)
{
    struct plat_work *work;

    spin_lock(&bench.lock);
    work = bench.work;
    if (work) {
        bench.work = work->next;
        work->queued = false;
    }
    spin_unlock(&bench.lock);
    if (work)
        work->fn(work->opaque);
    else
        thread_wait_until(time_now() + SECONDS / 100);
    return time_now() < deadline;
}

/* ---- disk ---- */

struct transfer {
    struct blk_req req;
    struct blk_vec vec;
    bool busy;
};

static struct {
    struct blk *blk;
    struct transfer transfer[REQUESTS];
    uint64_t random;
    unsigned under_way, errors;
} disk_test;

static void transfer_done(struct blk_req *req, int result)
{
    ((struct transfer *)req->opaque)->busy = false;
    disk_test.under_way--;
    disk_test.errors += result != 0;
}

static bool transfers_wait(unsigned most)
{
    uint64_t deadline = time_now() + PATIENCE;

    blk_kick(disk_test.blk);
    while (disk_test.under_way > most) {
        if (!bench_turn(deadline))
            return false;
    }
    return true;
}

/* Starts a request of a transfer that is free; buf NULL: of an operation without data. */
static bool transfer_start(enum blk_op op, uint64_t offset, void *buf, uint64_t len)
{
    struct transfer *t = disk_test.transfer;

    if (!transfers_wait(REQUESTS - 1))
        return false;
    while (t->busy)
        t++;
    t->busy = true;
    t->vec = (struct blk_vec){buf, len};
    t->req = (struct blk_req){.op = op,
                              .offset = offset,
                              .len = len,
                              .vec = &t->vec,
                              .vec_count = buf != NULL,
                              .done = transfer_done,
                              .opaque = t};
    disk_test.under_way++;
    disk_test.blk->ops->submit(disk_test.blk, &t->req);
    return true;
}

/* Each eight bytes say where they are, as the system test checks again in the image. */
static void pattern(uint8_t *area)
{
    for (uint64_t i = 0; i < AREA; i += 8)
        store_le64(area + i, i * 0x9e3779b97f4a7c15ULL + 1);
}

static bool transfer_area(enum blk_op op, uint8_t *area)
{
    uint64_t len;

    for (uint64_t at = 0; at < AREA; at += len) {
        disk_test.random = disk_test.random * 6364136223846793005ULL + 1442695040888963407ULL;
        len = MIN(((disk_test.random >> 40) % (LARGEST / 512) + 1) * 512, AREA - at);
        if (!transfer_start(op, at, area + at, len))
            return false;
    }
    return transfers_wait(0) && !disk_test.errors;
}

static bool disk_run(uint8_t *area)
{
    struct blk *blk = disk_test.blk;

    pattern(area);
    if (!transfer_area(BLK_WRITE, area) || !transfer_start(BLK_FLUSH, 0, NULL, 0) || !transfers_wait(0))
        return false;
    memset(area, 0, AREA);
    if (!transfer_area(BLK_READ, area))
        return false;
    for (uint64_t i = 0; i < AREA; i += 8) {
        if (load_le64(area + i) != i * 0x9e3779b97f4a7c15ULL + 1)
            return false;
    }
    if (blk->can_write_zeroes &&
        (!transfer_start(BLK_WRITE_ZEROES, AREA, NULL, MIB(1)) || !transfers_wait(0)))
        return false;
    if (blk->can_discard && (!transfer_start(BLK_DISCARD, AREA, NULL, MIB(1)) || !transfers_wait(0)))
        return false;
    blk->ops->close(blk);
    return !disk_test.errors;
}

static bool disk_check(void)
{
    static const char scratch[] = "scratch";
    struct error err = {0};
    unsigned number = 0;
    uint8_t *area;

    while (disk_get(number) && memcmp(disk_get(number)->serial, scratch, sizeof(scratch)))
        number++;
    if (!disk_get(number))
        return false;
    area = heap_alloc(AREA, &memory_own);
    if (!area || disk_open(number, 0, 0, false, &bench.plat, &disk_test.blk, &err) < 0) {
        hv_log(LOG_ERROR, "selftest drv: %s", area ? err.text : "no memory");
        return false;
    }
    if (!disk_run(area)) {
        hv_log(LOG_ERROR, "selftest drv: disk: %u requests failed, %u are under way", disk_test.errors,
               disk_test.under_way);
        return false;
    }
    heap_free(area);
    return true;
}

/* ---- network ---- */

#define OWN     0x0a00020fU /* 10.0.2.15 */
#define GATEWAY 0x0a000202U /* 10.0.2.2 */

static const uint8_t own_mac[6] = {0x52, 0x54, 0, 0xba, 0x70, 0x7a};
static uint8_t gateway_mac[6];
static bool arp_answered, ping_answered;

static bool nic_receive(void *nic, const void *frame, size_t len)
{
    const uint8_t *p = (const uint8_t *)frame + NET_HEADER_SIZE;

    len -= NET_HEADER_SIZE;
    if (len >= 42 && load_be16(p + 12) == ETHER_ARP && load_be16(p + 20) == 2 &&
        load_be32(p + 28) == GATEWAY) {
        memcpy(gateway_mac, p + 22, 6);
        arp_answered = true;
    }
    if (len >= 42 && load_be16(p + 12) == ETHER_IPV4 && p[23] == 1 && load_be32(p + 26) == GATEWAY &&
        p[34] == 0 && load_be16(p + 38) == 0xba7a)
        ping_answered = true;
    return true;
}

static size_t arp_make(uint8_t *p)
{
    memset(p, 0xff, 6);
    memcpy(p + 6, own_mac, 6);
    store_be16(p + 12, ETHER_ARP);
    store_be64(p + 14, 0x0001080006040001);
    memcpy(p + 22, own_mac, 6);
    store_be32(p + 28, OWN);
    memset(p + 32, 0, 6);
    store_be32(p + 38, GATEWAY);
    return 42;
}

/* An echo request, its IP checksum left to be made from words; ICMP's is finished by the switch. */
static size_t ping_make(uint8_t *p)
{
    uint32_t sum = 0;

    memset(p, 0, 98);
    memcpy(p, gateway_mac, 6);
    memcpy(p + 6, own_mac, 6);
    store_be16(p + 12, ETHER_IPV4);
    store_be16(p + 14, 0x4500);
    store_be16(p + 16, 84);
    store_be16(p + 22, 0x4001);
    store_be32(p + 26, OWN);
    store_be32(p + 30, GATEWAY);
    for (unsigned i = 14; i < 34; i += 2)
        sum += load_be16(p + i);
    store_be16(p + 24, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
    p[34] = 8;
    store_be16(p + 38, 0xba7a);
    return 98;
}

static bool ask(struct net *net, size_t (*make)(uint8_t *p), bool *answered)
{
    uint64_t deadline = time_now() + PATIENCE, next = 0;
    uint8_t frame[NET_HEADER_SIZE + 98] = {FRAME_F_NEEDS_CSUM};
    struct net_vec vec = {frame, 0};

    if (make == ping_make) {
        store_le16(frame + 6, 34);
        store_le16(frame + 8, 2);
    } else {
        frame[0] = 0;
    }
    vec.len = NET_HEADER_SIZE + make(frame + NET_HEADER_SIZE);
    while (!*answered) {
        if (time_now() >= next) {
            net->ops->send(net, &vec, 1);
            next = time_now() + SECONDS;
        }
        if (!bench_turn(deadline))
            return false;
    }
    return true;
}

static bool net_check(struct sched_group *group)
{
    struct switch_config up = {.name = "nic0"}, own = {.name = "selftest"};
    static struct net_switch sw;
    struct switch_stats stats;
    struct error err = {0};
    struct net *net = NULL;
    bool ok;

    memcpy(own.guard.address, own_mac, 6);
    own.guard.mac = own.guard.ip = true;
    own.guard.ipv4_count = 1;
    own.guard.ipv4[0] = OWN;
    switch_init(&sw, time_now);
    if (switch_port_open(&sw, &bench.plat, &own, &net, &err) < 0 ||
        net_thread_start(0, &sw, &up, group, &err) < 0) {
        hv_log(LOG_ERROR, "selftest drv: %s", err.text);
        return false;
    }
    net->receive = nic_receive;
    net->nic = &bench;
    net->ops->set_header(net, true, 0);
    ok = ask(net, arp_make, &arp_answered) && ask(net, ping_make, &ping_answered);
    host_net_stats(0, &stats);
    hv_log(LOG_INFO, "selftest drv: NIC: %u frames in, %u out", (unsigned)stats.in_frames,
           (unsigned)stats.out_frames);
    return ok;
}

/* ---- serial port ---- */

static struct {
    uint8_t bytes[4096];
    size_t head, tail; /* atomic head; written in interrupts, read by the test */
    bool ended;        /* atomic */
} echo;

static size_t echo_receive(void *device, const uint8_t *buf, size_t len)
{
    size_t room = sizeof(echo.bytes) - (echo.head - __atomic_load_n(&echo.tail, __ATOMIC_ACQUIRE));
    size_t n = MIN(len, room);

    for (size_t i = 0; i < n; i++)
        echo.bytes[(echo.head + i) % sizeof(echo.bytes)] = buf[i];
    __atomic_store_n(&echo.head, echo.head + n, __ATOMIC_RELEASE);
    thread_wake(bench.thread);
    return n;
}

/* Sends what has come. True: the line "end" came. */
static bool echo_turn(struct chardev *serial)
{
    static const char end[] = "end\n";
    static unsigned matched;

    size_t at, n;

    while ((n = __atomic_load_n(&echo.head, __ATOMIC_ACQUIRE) - echo.tail)) {
        at = echo.tail % sizeof(echo.bytes);
        n = serial->ops->write(serial, echo.bytes + at, MIN(n, sizeof(echo.bytes) - at));
        if (!n)
            return false;
        for (size_t i = at; i < at + n; i++)
            matched = echo.bytes[i] == (uint8_t)end[matched] ? matched + 1 : echo.bytes[i] == 'e';
        __atomic_store_n(&echo.tail, echo.tail + n, __ATOMIC_RELEASE);
        if (matched == 4)
            return true;
    }
    serial->ops->resume(serial);
    return false;
}

static bool serial_check(void)
{
    uint64_t deadline = time_now() + 3 * PATIENCE;
    struct chardev *serial;

    while (!(serial = host_console_port("batuta.test"))) {
        if (!bench_turn(deadline))
            return false;
    }
    serial->receive = echo_receive;
    hv_log(LOG_INFO, "selftest drv: echoing on batuta.test");
    while (!echo_turn(serial)) {
        if (!bench_turn(deadline))
            return false;
    }
    return true;
}

/* ---- all ---- */

bool selftest_drivers(struct sched_group *group)
{
    bool disk, net, serial;

    bench.thread = thread_this();
    disk = disk_check();
    hv_log(LOG_INFO, "selftest drv: disk %s", disk ? "ok" : "FAILED");
    net = net_check(group);
    hv_log(LOG_INFO, "selftest drv: net %s", net ? "ok" : "FAILED");
    serial = serial_check();
    hv_log(LOG_INFO, "selftest drv: serial %s", serial ? "ok" : "FAILED");
    return disk && net && serial;
}
