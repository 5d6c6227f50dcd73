/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that only one kind of virtio device understands. */
#include "tests/guest/hostile/hostile.h"
#include "tests/guest/hostile/virtio-targets.h"

static struct vdev dev;

static void begin(enum virtio_id id, uint64_t features)
{
    vdev_find(&dev, id);
    vdev_start(&dev, features & dev.offered);
}

static void end(enum virtio_id id)
{
    must_work(target_of(id), &dev);
}

static void start_again(void)
{
    vdev_start(&dev, 0);
}

static void submit(unsigned queue, uint16_t head)
{
    vq_offer(&dev.q[queue], head);
    vq_notify(&dev.q[queue], queue);
}

/* ---- disk ---- */

#define BLK_OK          0
#define BLK_ERROR       1
#define BLK_UNSUPPORTED 2
#define BLK_SILENT      0xff

void blk_sectors(void)
{
    static const uint64_t sectors[] = {BLK_SECTORS, BLK_SECTORS - 1, 1ULL << 32, 1ULL << 54,
                                       1ULL << 55,  1ULL << 63,      ~0ULL,      ~0ULL - 7};

    begin(ID_BLK, 0);
    for (unsigned i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
        CHECK(blk_request(&dev, BLK_IN, sectors[i], BLK_DATA, 1024) == BLK_ERROR);
        CHECK(blk_request(&dev, BLK_OUT, sectors[i], BLK_DATA, 1024) == BLK_ERROR);
    }
    CHECK(blk_request(&dev, BLK_IN, BLK_SECTORS - 1, BLK_DATA, 512) == BLK_OK);
    CHECK(blk_request(&dev, BLK_IN, 0, DATA + 0x100000, BLK_SECTORS * 512 + 512) == BLK_ERROR);
    end(ID_BLK);
}

void blk_lengths(void)
{
    static const uint32_t lengths[] = {1, 3, 511, 513, 1000};

    begin(ID_BLK, 0);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        CHECK(blk_request(&dev, BLK_IN, 0, BLK_DATA, lengths[i]) == BLK_ERROR);
        CHECK(blk_request(&dev, BLK_OUT, 0, BLK_DATA, lengths[i]) == BLK_ERROR);
    }
    end(ID_BLK);
}

void blk_unknown_types(void)
{
    begin(ID_BLK, 0);
    for (uint32_t type = 2; type < 300; type++) {
        uint8_t status;

        if (type == BLK_FLUSH || type == BLK_GET_ID)
            continue;
        status = blk_request(&dev, type, 0, BLK_DATA, 512);
        CHECK(status == BLK_UNSUPPORTED);
    }
    CHECK(blk_request(&dev, 0xffffffff, 0, BLK_DATA, 512) == BLK_UNSUPPORTED);
    end(ID_BLK);
}

void blk_no_status_byte(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_BLK, 0);
    blk_header(BLK_OUT, 0);
    vq_desc(q, 0, BLK_HEADER, 16, D_NEXT, 1);
    vq_desc(q, 1, BLK_DATA, 512, 0, 0);
    submit(0, 0);
    CHECK(vdev_breaks(&dev));
    end(ID_BLK);
}

void blk_no_header(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_BLK, 0);
    for (uint32_t len = 0; len < 16; len++) {
        vdev_start(&dev, 0);
        vq_desc(q, 0, BLK_HEADER, len, D_NEXT, 1);
        vq_desc(q, 1, BLK_STATUS, 1, D_WRITE, 0);
        submit(0, len ? 0 : 1);
        CHECK(vdev_breaks(&dev));
    }
    end(ID_BLK);
}

/* Legal, if nobody does it: one byte at a time. */
void blk_header_in_pieces(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_BLK, 0);
    blk_header(BLK_IN, 1);
    MMIO8(BLK_STATUS) = 0xfe;
    for (unsigned i = 0; i < 16; i++)
        vq_desc(q, i, BLK_HEADER + i, 1, D_NEXT, i + 1);
    for (unsigned i = 0; i < 32; i++)
        vq_desc(q, 16 + i, BLK_DATA + i * 17, 16, D_WRITE | D_NEXT, i + 17);
    vq_desc(q, 48, BLK_STATUS, 1, D_WRITE, 0);
    submit(0, 0);
    CHECK(vq_wait(&dev, 0, NULL) && MMIO8(BLK_STATUS) == BLK_OK);
    end(ID_BLK);
}

void blk_direction_swapped(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_BLK, 0);
    for (uint32_t type = 0; type < 14; type++) {
        start_again();
        blk_header(type, 0);
        vq_desc(q, 0, BLK_HEADER, 16, D_NEXT, 1);
        vq_desc(q, 1, BLK_DATA, 512, type & 1 ? D_WRITE | D_NEXT : D_NEXT, 2);
        vq_desc(q, 2, BLK_STATUS, 1, D_WRITE, 0);
        submit(0, 0);
        linger();
    }
    end(ID_BLK);
}

void blk_discard_garbage(void)
{
    begin(ID_BLK, ~0ULL);
    for (unsigned i = 0; i < 600; i++) {
        for (unsigned k = 0; k < 64; k += 16) {
            MMIO64(BLK_DATA + k) = random_below(2) ? random_below(4096) : random64();
            MMIO32(BLK_DATA + k + 8) = random_below(2) ? random_below(4096) : (uint32_t)random64();
            MMIO32(BLK_DATA + k + 12) = random_below(4) ? 0 : (uint32_t)random64();
        }
        if (blk_request(&dev, i & 1 ? BLK_DISCARD : BLK_ZEROES, random64(), BLK_DATA,
                        1 + random_below(200)) == BLK_SILENT)
            vdev_start(&dev, dev.offered);
    }
    CHECK(blk_request(&dev, BLK_DISCARD, 0, BLK_DATA, 4096 * 1000) != BLK_OK);
    end(ID_BLK);
}

void blk_id_short(void)
{
    begin(ID_BLK, 0);
    for (uint32_t len = 0; len < 64; len++) {
        MMIO64(BLK_DATA + len) = 0x5555555555555555;
        CHECK(blk_request(&dev, BLK_GET_ID, 0, BLK_DATA, len) == BLK_OK);
        CHECK(MMIO8(BLK_DATA + len) == 0x55);
    }
    end(ID_BLK);
}

/* After the status reads 0, nothing of what was under way may reach memory. */
void blk_reset_stops_dma(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_BLK, 0);
    for (unsigned round = 0; round < 100; round++) {
        start_again();
        blk_header(BLK_IN, 0);
        vq_desc(q, 0, BLK_HEADER, 16, D_NEXT, 1);
        vq_desc(q, 1, BLK_DATA, 65536, D_WRITE | D_NEXT, 2);
        vq_desc(q, 2, BLK_STATUS, 1, D_WRITE, 0);
        for (unsigned i = 0; i < 60; i++)
            vq_offer(q, 0);
        vq_notify(q, 0);
        for (unsigned k = random_below(3000); k; k--)
            __asm__ volatile("pause");
        vdev_reset(&dev);
        memset((void *)BLK_DATA, 0xa5, 65536);
        memset((void *)RINGS, 0xa5, 4096 * RING_PAGES);
        MMIO8(BLK_STATUS) = 0xa5;
        for (unsigned k = 0; k < 5000; k++)
            __asm__ volatile("pause");
        for (unsigned k = 0; k < 65536; k += 8)
            CHECK(MMIO64(BLK_DATA + k) == 0xa5a5a5a5a5a5a5a5);
        for (unsigned k = 0; k < 4096 * RING_PAGES; k += 8)
            CHECK(MMIO64(RINGS + k) == 0xa5a5a5a5a5a5a5a5);
        CHECK(MMIO8(BLK_STATUS) == 0xa5);
    }
    end(ID_BLK);
}

/* The disk's data land in the rings that describe them. */
void blk_into_own_rings(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_BLK, 0);
    memset((void *)BLK_DATA, 0xff, 65536);
    CHECK(blk_request(&dev, BLK_OUT, 8, BLK_DATA, 65536) == BLK_OK);
    for (unsigned i = 0; i < 60; i++) {
        start_again();
        blk_header(BLK_IN, 8);
        vq_desc(q, 0, BLK_HEADER, 16, D_NEXT, 1);
        vq_desc(q, 1, RINGS + 4096 * (i % 3), 4096, D_WRITE | D_NEXT, 2);
        vq_desc(q, 2, i & 1 ? RINGS + 8194 : BLK_STATUS, 1, D_WRITE, 0);
        vq_offer(q, 0);
        vq_offer(q, 0);
        vq_notify(q, 0);
        linger();
    }
    end(ID_BLK);
}

/* ---- DMA over code ---- */

#define CODE (DATA + 0x200000)

static uint32_t call(uint64_t at)
{
    uint32_t r;

    __asm__ volatile("call *%1" : "=a"(r) : "r"(at) : "rcx", "rdx", "memory", "cc");
    return r;
}

static void write_function(uint64_t at, uint32_t result)
{
    MMIO8(at) = 0xb8; /* mov $result, %eax */
    MMIO32(at + 1) = result;
    MMIO8(at + 5) = 0xc3; /* ret */
}

void dma_over_code(void)
{
    begin(ID_BLK, 0);
    for (uint32_t i = 1; i < 300; i++) {
        uint64_t at = CODE + random_below(500);

        write_function(BLK_DATA + at - CODE, i);
        CHECK(blk_request(&dev, BLK_OUT, 0, BLK_DATA, 512) == BLK_OK);
        write_function(at, ~i);
        CHECK(call(at) == ~i);
        CHECK(blk_request(&dev, BLK_IN, 0, CODE, 512) == BLK_OK);
        CHECK(call(at) == i);
    }
    end(ID_BLK);
}

/* A loop without a way out, but for the disk's writing over it. */
void dma_over_running_code(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_BLK, 0);
    for (uint32_t i = 1; i < 50; i++) {
        write_function(BLK_DATA, i);
        CHECK(blk_request(&dev, BLK_OUT, 0, BLK_DATA, 512) == BLK_OK);
        MMIO16(CODE) = 0xfeeb; /* 1: jmp 1b */
        MMIO32(CODE + 2) = 0;
        blk_header(BLK_IN, 0);
        vq_desc(q, 1, CODE, 512, D_WRITE | D_NEXT, 2);
        submit(0, 0);
        CHECK(call(CODE) == i);
        CHECK(vq_wait(&dev, 0, NULL));
    }
    end(ID_BLK);
}

/* ---- balloon ---- */

static void inflate(uint32_t count)
{
    struct vqueue *q = &dev.q[0];

    vq_desc(q, 0, DATA, count * 4, 0, 0);
    submit(0, 0);
}

void balloon_beyond_ram(void)
{
    static const uint32_t pages[] = {RAM_END >> 12, (RAM_END >> 12) + 1, 0xfee00,    0xe0000, 0xfffff,
                                     0x100000,      0x7fffffff,          0xffffffff, 0xa0,    0x70000,
                                     0xfffffff0};

    begin(ID_BALLOON, 0);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        MMIO32(DATA + i * 4) = pages[i];
    inflate(sizeof(pages) / sizeof(pages[0]));
    linger();
    start_again();
    for (unsigned i = 0; i < 4096; i++) /* a run over the end of memory */
        MMIO32(DATA + i * 4) = (RAM_END >> 12) - 16 + i;
    inflate(4096);
    linger();
    end(ID_BALLOON);
}

void balloon_odd_lists(void)
{
    static const uint32_t lengths[] = {1, 2, 3, 5, 7, 4095, 65537, DATA_SIZE - 1, DATA_SIZE};
    struct vqueue *q = &dev.q[0];

    begin(ID_BALLOON, 0);
    memset((void *)DATA, 0xff, DATA_SIZE);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        start_again();
        vq_desc(q, 0, DATA, lengths[i], 0, 0);
        submit(0, 0);
        linger();
    }
    end(ID_BALLOON);
}

/* A page of code is given away, comes back as whatever it is then, and gets new code. */
void balloon_takes_code(void)
{
    begin(ID_BALLOON, 0);
    MMIO8(CODE + 4096) = 0xc3; /* where zeroes run to */
    for (uint32_t i = 1; i < 100; i++) {
        write_function(CODE, i);
        CHECK(call(CODE) == i);
        MMIO32(DATA) = CODE >> 12;
        inflate(1);
        CHECK(vq_wait(&dev, 0, NULL));
        if (MMIO32(CODE) == 0)
            CHECK(call(CODE) != i); /* add %al, (%rax), 2048 times */
        write_function(CODE, ~i);
        CHECK(call(CODE) == ~i);
    }
    end(ID_BALLOON);
}

void balloon_takes_rings(void)
{
    begin(ID_BALLOON, 0);
    for (unsigned i = 0; i < 20; i++) {
        start_again();
        for (unsigned k = 0; k < 16; k++)
            MMIO32(DATA + k * 4) = (uint32_t)(RINGS >> 12) + k;
        MMIO32(DATA + 64) = DATA >> 12; /* and the list itself */
        inflate(17);
        linger();
        inflate(17);
    }
    end(ID_BALLOON);
}

extern char kernel_end[];

/* All of this program, its stack and page tables: nothing can be asked of it afterwards. */
void balloon_takes_everything(void)
{
    uint32_t n = 0;

    print("this one may end in a triple fault\n");
    begin(ID_BALLOON, 0);
    for (uint64_t at = 0; at < (uintptr_t)kernel_end; at += 4096)
        MMIO32(DATA + n++ * 4) = (uint32_t)(at >> 12);
    inflate(n);
    for (unsigned i = 0; i < 100; i++)
        linger();
}

void balloon_reports_garbage(void)
{
    static const uint64_t places[] = {DATA + 1, DATA + 4095, RINGS, RAM_END - 4096, CODE};

    begin(ID_BALLOON, ~0ULL);
    for (unsigned i = 0; i < 200; i++) {
        vdev_start(&dev, dev.offered);
        for (unsigned queue = 2; queue < dev.queues; queue++) {
            struct vqueue *q = &dev.q[queue];

            if (!q->size)
                continue;
            vq_desc(q, 0, places[random_below(5)], 1 + random_below(4095), random_below(2) * D_WRITE, 0);
            submit(queue, 0);
            submit(queue, 0);
        }
        if (i % 20 == 0)
            linger();
    }
    end(ID_BALLOON);
}

/* ---- console ---- */

#define CONSOLE_MULTIPORT (1ULL << 1)

void console_control_garbage(void)
{
    begin(ID_CONSOLE, CONSOLE_MULTIPORT);
    CHECK(dev.queues >= 4);
    for (unsigned i = 0; i < 3000; i++) {
        struct vqueue *rx = &dev.q[2], *tx = &dev.q[3];

        if (vdev_status(&dev) & ST_NEEDS_RESET)
            vdev_start(&dev, CONSOLE_MULTIPORT & dev.offered);
        MMIO32(DATA) = random_below(2) ? random_below(64) : (uint32_t)random64();
        MMIO16(DATA + 4) = (uint16_t)(random_below(4) ? random_below(10) : random64());
        MMIO16(DATA + 6) = (uint16_t)(random_below(2) ? 1 : random64());
        vq_desc(tx, 0, DATA, 1 + random_below(random_below(8) ? 8 : 4096), 0, 0);
        vq_desc(rx, 0, DATA + 8192, 1 + random_below(12), D_WRITE, 0);
        submit(2, 0);
        submit(3, 0);
        (void)vq_wait(&dev, 3, NULL);
    }
    end(ID_CONSOLE);
}

void console_input_readable(void)
{
    begin(ID_CONSOLE, CONSOLE_MULTIPORT);
    for (unsigned i = 0; i < 100; i++) {
        vdev_start(&dev, CONSOLE_MULTIPORT & dev.offered);
        for (unsigned queue = 0; queue < dev.queues; queue += 2) {
            vq_desc(&dev.q[queue], 0, DATA, 64, 0, 0); /* nothing to write to */
            submit(queue, 0);
        }
        MMIO32(DATA) = 0;
        MMIO32(DATA + 4) = 0x10000; /* DEVICE_READY 1 */
        vq_desc(&dev.q[3], 0, DATA, 8, 0, 0);
        submit(3, 0);
        (void)vq_wait(&dev, 3, NULL);
    }
    end(ID_CONSOLE);
}

void console_flood(void)
{
    struct vqueue *q = &dev.q[1];

    begin(ID_CONSOLE, 0);
    memset((void *)DATA, '.', 65536);
    for (unsigned i = 0; i < q->size; i++)
        vq_desc(q, i, DATA, 65536, i + 1U < q->size ? D_NEXT : 0, i + 1);
    for (unsigned i = 0; i < 4; i++)
        submit(1, (uint16_t)(q->size - 2));
    vdev_reset(&dev); /* in the middle of it */
    end(ID_CONSOLE);
}

/* ---- network ---- */

void net_short_frames(void)
{
    struct vqueue *tx = &dev.q[1];

    begin(ID_NET, 0);
    (void)net_arp(DATA);
    for (uint32_t len = 1; len < NET_HEADER + 20; len++) {
        if (vdev_status(&dev) & ST_NEEDS_RESET)
            start_again();
        vq_desc(tx, 0, DATA, len, 0, 0);
        submit(1, 0);
        (void)vq_wait(&dev, 1, NULL);
    }
    end(ID_NET);
}

void net_long_frames(void)
{
    static const uint32_t lengths[] = {1515, 9000, 65535, 65536, 65536 + NET_HEADER, 1 << 20, DATA_SIZE};
    struct vqueue *tx = &dev.q[1];

    begin(ID_NET, 0);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        start_again();
        (void)net_arp(DATA);
        vq_desc(tx, 0, DATA, lengths[i], 0, 0);
        submit(1, 0);
        (void)vq_wait(&dev, 1, NULL);
    }
    end(ID_NET);
}

void net_header_garbage(void)
{
    struct vqueue *tx = &dev.q[1];

    begin(ID_NET, ~0ULL & ~F_EVENT_IDX);
    for (unsigned i = 0; i < 3000; i++) {
        uint32_t len = net_arp(DATA);

        if (vdev_status(&dev) & ST_NEEDS_RESET)
            vdev_start(&dev, dev.offered & ~F_EVENT_IDX);
        MMIO64(DATA) = random64();
        MMIO32(DATA + 8) = (uint32_t)random64();
        if (i & 1)
            MMIO64(DATA + NET_HEADER + random_below(50)) = random64();
        vq_desc(tx, 0, DATA, len - random_below(16), 0, 0);
        submit(1, 0);
        (void)vq_wait(&dev, 1, NULL);
    }
    end(ID_NET);
}

/* An answer is on its way, and there is no place, or hardly one, to put it. */
void net_small_buffers(void)
{
    struct vqueue *rx = &dev.q[0], *tx = &dev.q[1];

    begin(ID_NET, 0);
    for (unsigned i = 0; i < 300; i++) {
        vdev_start(&dev, i & 1 ? dev.offered & ~F_EVENT_IDX : 0);
        for (unsigned k = 0; k < rx->size; k++) {
            vq_desc(rx, k, DATA + 8192, 1 + random_below(20), k % 8 == 7 ? 0 : D_WRITE, 0);
            vq_offer(rx, (uint16_t)k);
        }
        vq_notify(rx, 0);
        vq_desc(tx, 0, DATA, net_arp(DATA), 0, 0);
        submit(1, 0);
        (void)vq_wait(&dev, 1, NULL);
        for (unsigned k = random_below(3000); k; k--)
            __asm__ volatile("pause");
    }
    end(ID_NET);
}

/* Nothing to receive into at all, while answers pile up. */
void net_no_buffers(void)
{
    struct vqueue *tx = &dev.q[1];

    begin(ID_NET, 0);
    for (unsigned i = 0; i < 3000; i++) {
        vq_desc(tx, 0, DATA, net_arp(DATA), 0, 0);
        submit(1, 0);
        (void)vq_wait(&dev, 1, NULL);
    }
    end(ID_NET);
}

/* ---- entropy ---- */

void rng_huge(void)
{
    struct vqueue *q = &dev.q[0];

    begin(ID_RNG, 0);
    for (unsigned i = 0; i < q->size; i++) {
        vq_desc(q, i, DATA, (uint32_t)(RAM_END - DATA), D_WRITE, 0);
        vq_offer(q, (uint16_t)i);
    }
    vq_notify(q, 0);
    CHECK(vq_wait(&dev, 0, NULL));
    end(ID_RNG);
}
