/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/balloon.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "dev/virtio/pci.h"

#define QUEUE_SIZE   128U
#define QUEUE_COUNT  5U
#define CHAIN_BUDGET 8U
#define PFN_BUDGET   1024U /* a turn's; may be passed by one buffer */
#define MAX_PFNS     4096U /* in one buffer; Linux sends 256 */
#define READ_PFNS    256U  /* at a time */
#define STAT_LEN     10U   /* tag, value */
#define MAX_STATS    64U

enum config_field { CONFIG_NUM_PAGES = 0, CONFIG_ACTUAL = 4, CONFIG_SIZE = 8 };

struct virtio_balloon {
    struct virtio_pci pci;
    uint32_t num_pages, actual;
    uint64_t stat[VIRTIO_BALLOON_S_COUNT];
    bool stats_wanted;
    struct virtq_chain chain; /* the one at work */
};

static struct virtio_balloon *balloon_of(struct virtio *v)
{
    return container_of(v, struct virtio_balloon, pci.virtio);
}

/* ---- giving pages back ---- */

/* The whole pages within [gpa, gpa + len), which lies in RAM. */
static void pages_discard(struct vm *vm, uint64_t gpa, uint64_t len)
{
    uint64_t first = ALIGN_UP(gpa, (uint64_t)MEM_PAGE), end = ALIGN_DOWN(gpa + len, (uint64_t)MEM_PAGE);
    uint8_t *host;

    if (!vm->mem.discard || first >= end)
        return;
    host = mem_span(vm, first, end - first, true);
    if (!host)
        return;
    vm->mem.discard(vm->mem.discard_opaque, host, end - first);
    mem_written(vm, first, end - first); /* zeroes now, as far as the guest can tell */
}

/* Pages that follow on one another, up or down, gathered for one call. */
struct run {
    uint64_t pfn, count;
};

static void run_flush(struct vm *vm, struct run *run)
{
    uint64_t gpa = run->pfn * MEM_PAGE, len = run->count * MEM_PAGE;

    if (run->count)
        pages_discard(vm, gpa, len);
    run->count = 0;
}

static void run_add(struct vm *vm, struct run *run, uint32_t pfn)
{
    /* One page at a time is checked here: a run may end where RAM does. */
    if (!mem_span(vm, (uint64_t)pfn * MEM_PAGE, MEM_PAGE, true))
        return;
    if (run->count && pfn == run->pfn + run->count) {
        run->count++;
    } else if (run->count && (uint64_t)pfn + 1 == run->pfn) {
        run->pfn = pfn;
        run->count++;
    } else {
        run_flush(vm, run);
        *run = (struct run){pfn, 1};
    }
}

/* Returns what it has cost. */
static unsigned chain_inflate(struct virtio_balloon *b)
{
    struct virtq_cursor c = virtq_cursor_out(&b->chain, 0);
    struct vm *vm = b->pci.virtio.vm;
    unsigned pfns = 0;
    struct run run = {0};
    uint8_t raw[4 * READ_PFNS];
    size_t n;

    if (b->chain.out_len / 4 > MAX_PFNS) {
        virtio_break(&b->pci.virtio, "a list of pages that is too long");
        return 1;
    }
    if (!vm->mem.discard) /* pages are kept whoever has them */
        return 1;
    do {
        n = virtq_cursor_read(&c, raw, sizeof(raw)) / 4;
        for (size_t i = 0; i < n; i++)
            run_add(vm, &run, load_le32(raw + 4 * i));
        pfns += (unsigned)n;
    } while (n == READ_PFNS);
    run_flush(vm, &run);
    return MAX(pfns, 1U);
}

static void chain_report(struct virtio_balloon *b)
{
    struct virtq_cursor c = virtq_cursor_in(&b->chain, 0);
    struct virtq_vec piece;

    if (b->chain.in_len > b->pci.virtio.vm->mem.ram_size) {
        virtio_break(&b->pci.virtio, "a report of more free memory than there is");
        return;
    }
    while (virtq_cursor_next(&c, UINT64_MAX, &piece))
        pages_discard(b->pci.virtio.vm, piece.gpa, piece.len);
}

/* ---- statistics ---- */

static void stats_parse(struct virtio_balloon *b)
{
    uint8_t raw[STAT_LEN];

    for (unsigned i = 0; i < MAX_STATS; i++) {
        if (virtq_chain_read(&b->chain, (uint64_t)i * STAT_LEN, raw, STAT_LEN) < STAT_LEN)
            return;
        if (load_le16(raw) < VIRTIO_BALLOON_S_COUNT)
            b->stat[load_le16(raw)] = load_le64(raw + 2);
    }
}

/*
 * The driver leaves one buffer with us; giving it back asks for fresh numbers. It
 * stays available in the ring meanwhile, so nothing is in flight for long.
 */
static void stats_process(struct virtio_balloon *b, struct virtq *q)
{
    struct virtq_mark mark = virtq_mark(q);

    if (virtq_pop(q, &b->chain) > 0) {
        stats_parse(b);
        if (b->stats_wanted) {
            b->stats_wanted = false;
            virtq_push(q, &b->chain, 0);
        } else {
            virtq_rollback(q, mark);
        }
    }
    virtq_publish(q);
    virtq_notify_on(q);
}

/* ---- queues ---- */

enum role { ROLE_INFLATE, ROLE_DEFLATE, ROLE_STATS, ROLE_REPORT };

/*
 * The specification numbers all five queues; Linux leaves out those it did not
 * negotiate, and we offer no free page hints. Both count the same up to the
 * statistics, and whatever comes after those is for reporting.
 */
static enum role role_of(const struct virtio *v, unsigned queue)
{
    if (queue < 2)
        return queue == VIRTIO_BALLOON_INFLATE ? ROLE_INFLATE : ROLE_DEFLATE;
    return queue == 2 && virtio_has(v, VIRTIO_BALLOON_F_STATS_VQ) ? ROLE_STATS : ROLE_REPORT;
}

/* Returns what it has cost, in pages of a list. */
static unsigned chain_handle(struct virtio_balloon *b, enum role role)
{
    if (role == ROLE_INFLATE)
        return chain_inflate(b);
    if (role == ROLE_REPORT && virtio_has(&b->pci.virtio, VIRTIO_BALLOON_F_REPORTING))
        chain_report(b);
    /* A page that leaves the balloon comes back by being touched. */
    return 1;
}

static bool balloon_process(struct virtio *v, unsigned queue)
{
    struct virtio_balloon *b = balloon_of(v);
    struct virtq *q = &v->queue[queue];
    enum role role = role_of(v, queue);
    unsigned budget = CHAIN_BUDGET, pfns = PFN_BUDGET;

    if (role == ROLE_STATS) {
        stats_process(b, q);
        return false;
    }
    do {
        virtq_notify_off(q);
        while (budget && pfns && virtq_pop(q, &b->chain) > 0) {
            unsigned cost = chain_handle(b, role);

            pfns -= MIN(pfns, cost);
            virtq_push(q, &b->chain, 0);
            budget--;
        }
    } while (virtq_notify_on(q) && budget && pfns);
    virtq_publish(q);
    return !budget || !pfns;
}

static void balloon_config_read(struct virtio *v)
{
    store_le32(v->config + CONFIG_NUM_PAGES, balloon_of(v)->num_pages);
    store_le32(v->config + CONFIG_ACTUAL, balloon_of(v)->actual);
}

static void balloon_config_write(struct virtio *v, unsigned offset, unsigned size, uint32_t value)
{
    if (offset == CONFIG_ACTUAL && size == 4)
        balloon_of(v)->actual = value;
}

/* ---- for management ---- */

void virtio_balloon_set_target(struct device *dev, uint64_t bytes)
{
    struct virtio_balloon *b = device_object(dev);

    b->num_pages = (uint32_t)(MIN(bytes, dev->vm->mem.ram_size) / MEM_PAGE);
    virtio_config_changed(&b->pci.virtio);
}

uint64_t virtio_balloon_actual(const struct device *dev)
{
    return (uint64_t)container_of(dev, const struct virtio_balloon, pci.dev)->actual * MEM_PAGE;
}

uint64_t virtio_balloon_stat(struct device *dev, enum virtio_balloon_stat which)
{
    struct virtio_balloon *b = device_object(dev);

    b->stats_wanted = true;
    if (virtio_has(&b->pci.virtio, VIRTIO_BALLOON_F_STATS_VQ))
        virtio_queue_notified(&b->pci.virtio, 2);
    return b->stat[which];
}

/* ---- life ---- */

static void balloon_virtio_reset(struct virtio *v)
{
    struct virtio_balloon *b = balloon_of(v);

    b->actual = 0;
    b->stats_wanted = false;
    memset(b->stat, 0xff, sizeof(b->stat));
}

static const struct virtio_ops balloon_virtio_ops = {
    .name = "virtio-balloon",
    .id = 5,
    .class_code = 0xff0000,
    .process = balloon_process,
    .reach = MAX_PFNS * 4,
    .reset = balloon_virtio_reset,
    .config_read = balloon_config_read,
    .config_write = balloon_config_write,
};

static int balloon_post_load(void *object, unsigned version)
{
    return virtio_pci_loaded(&((struct virtio_balloon *)object)->pci);
}

static const struct state_field balloon_fields[] = {
    STATE_STRUCT(struct virtio_balloon, pci, struct virtio_pci, virtio_pci_fields),
    STATE_INT(struct virtio_balloon, num_pages),
    STATE_INT(struct virtio_balloon, actual),
    STATE_INTS(struct virtio_balloon, stat, uint64_t),
    STATE_BOOL(struct virtio_balloon, stats_wanted),
    STATE_END,
};

static const struct state_table balloon_state = {
    .name = "virtio-balloon",
    .version = 1,
    .fields = balloon_fields,
    .post_load = balloon_post_load,
};

static void balloon_reset(struct device *dev)
{
    virtio_pci_reset(&((struct virtio_balloon *)device_object(dev))->pci);
}

static void balloon_destroy(struct device *dev)
{
    struct virtio_balloon *b = device_object(dev);

    virtio_pci_remove(&b->pci);
    vm_free(dev->vm, b);
}

static const struct device_ops balloon_device_ops = {
    .name = "virtio-balloon",
    .state = &balloon_state,
    .state_offset = offsetof(struct virtio_balloon, pci.dev),
    .reset = balloon_reset,
    .destroy = balloon_destroy,
};

int virtio_balloon_create(struct vm *vm, struct pci_bus *bus, const char *id, struct device **out,
                          struct error *err)
{
    struct virtio_balloon *b = vm_alloc(vm, sizeof(*b));
    struct virtio *v;
    int r;

    if (!b)
        return error_set(err, ENOMEM, "%s: no memory", id);
    v = &b->pci.virtio;
    virtio_init(v, vm, &balloon_virtio_ops,
                BIT64(VIRTIO_BALLOON_F_STATS_VQ) | BIT64(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
                    BIT64(VIRTIO_BALLOON_F_REPORTING),
                QUEUE_COUNT, QUEUE_SIZE);
    v->config_size = CONFIG_SIZE;
    memset(b->stat, 0xff, sizeof(b->stat));
    r = virtio_pci_add(&b->pci, bus, &balloon_device_ops, id);
    if (r < 0) {
        vm_free(vm, b);
        return error_set(err, -r, "%s: no place for it on the PCI bus, or its name is taken", id);
    }
    if (out)
        *out = &b->pci.dev;
    return 0;
}
