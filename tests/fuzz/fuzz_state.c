/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile saved state: a whole machine (board, virtio, two interpreted vCPUs) is
 * saved, the input is written over places of the stream, and what loads is run:
 * vCPUs in whatever mode and with whatever code that makes, devices with their
 * timers. It must be refused or stay inside.
 *
 * Input: a byte of mode; changes of eight bytes (two of field, one of place in it,
 * one how, four of value) up to one whose `how` is less than 4; guest code.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "core/state.h"
#include "dev/board.h"
#include "dev/virtio/balloon.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"
#include "engine/interp/interp.h"
#include "tests/unit/virtio/backends.h"
#include "x86/exec-sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM    MIB(4)
#define CODE   0x10000U
#define STREAM MIB(2)
#define ROUNDS 3

struct machine {
    struct fake_plat plat;
    struct vm vm;
    struct board board;
    struct backends backends;
    uint8_t *ram;
};

struct memory_io {
    struct state_io io;
    uint8_t *buf;
    size_t at, len;
};

static int put(struct state_io *io, void *buf, size_t len)
{
    struct memory_io *m = container_of(io, struct memory_io, io);

    base_assert(m->at + len <= STREAM);
    memcpy(m->buf + m->at, buf, len);
    m->len = m->at += len;
    return 0;
}

static int get(struct state_io *io, void *buf, size_t len)
{
    struct memory_io *m = container_of(io, struct memory_io, io);

    if (m->len - m->at < len)
        return -EPIPE;
    memcpy(buf, m->buf + m->at, len);
    m->at += len;
    return 0;
}

static void must(int r)
{
    if (r < 0)
        abort();
}

static void discard(void *opaque, uint8_t *host, uint64_t len)
{
    memset(host, 0, len);
}

static void make(struct machine *m)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
    struct vm_config config = {.name = "fuzz", .ram_size = RAM, .vcpus = 2};
    struct x86_cpuid_config cpuid = {.level = X86_CPU_V2, .vcpus = 2, .software_engine = true};
    struct board_config board = {.serial = {true}, .debug_exit_port = 0xf4};
    struct virtio_console_port_config port = {.chardev = &m->backends.tty[1].chardev, .console = true};
    struct device *dev;

    fake_plat_init(&m->plat);
    fake_disk_init(&m->backends.disk);
    fake_net_init(&m->backends.net, false);
    fake_tty_init(&m->backends.tty[0]);
    fake_tty_init(&m->backends.tty[1]);
    config.ram = m->ram = aligned_alloc(4096, RAM);
    memset(m->ram, 0, RAM);
    must(vm_init(&m->vm, &m->plat.plat, &config, NULL));
    must(x86_cpuid_build(&m->vm.cpuid, &cpuid, NULL));
    must(vm_engine_init(&m->vm, &interp_engine, NULL));
    m->vm.mem.discard = discard;
    board.serial_dev[0] = &m->backends.tty[0].chardev;
    must(board_create(&m->vm, &board, &m->board, NULL));
    must(virtio_blk_create(&m->vm, m->board.pci, "disk0", &m->backends.disk.blk, 1, &dev, NULL));
    must(virtio_net_create(&m->vm, m->board.pci, "net0", &m->backends.net.net, mac, &dev, NULL));
    must(virtio_console_create(&m->vm, m->board.pci, "console0", &port, 1, &dev, NULL));
    must(virtio_rng_create(&m->vm, m->board.pci, "rng0", &dev, NULL));
    must(virtio_balloon_create(&m->vm, m->board.pci, "balloon0", &dev, NULL));
    vm_lock(&m->vm);
    vm_reset(&m->vm);
    must(board_direct_boot(&m->board, NULL, NULL));
    vm_unlock(&m->vm);
}

static void finish(struct machine *m)
{
    vm_finish(&m->vm);
    free(m->ram);
    base_assert(!m->plat.allocations);
}

/* Both vCPUs at CODE: real mode, flat 32-bit mode, or long mode with the tables at 0x1000. */
static void set_mode(struct machine *m, unsigned mode)
{
    store_le64(m->ram + 0x1000, 0x2007);
    store_le64(m->ram + 0x2000, 0x3007);
    for (unsigned i = 0; i < 4; i++)
        store_le64(m->ram + 0x3000 + i * 8, (uint64_t)i << 21 | 0x87);
    for (unsigned i = 0; i < 2; i++) {
        struct x86_state *s = &m->vm.vcpu[i]->cpu.s;
        uint32_t flat = X86_SEG_S | X86_SEG_P | X86_SEG_G;

        s->activity = X86_ACT_RUN;
        s->rip = mode ? CODE : 0;
        s->gpr[X86_RSP] = 0x8000;
        s->seg[X86_CS] = (struct x86_segment){.selector = mode ? 8 : CODE >> 4,
                                              .base = mode ? 0 : CODE,
                                              .limit = mode ? ~0U : 0xffff,
                                              .attr = s->seg[X86_CS].attr};
        if (!mode)
            continue;
        for (unsigned k = X86_ES; k <= X86_GS; k++)
            s->seg[k] = (struct x86_segment){.selector = 16, .limit = ~0U, .attr = 3 | flat | X86_SEG_DB};
        s->seg[X86_CS] = (struct x86_segment){
            .selector = 8, .limit = ~0U, .attr = 11 | flat | (mode == 1 ? X86_SEG_DB : X86_SEG_L)};
        s->cr0 |= X86_CR0_PE | (mode == 1 ? 0 : X86_CR0_PG);
        if (mode == 1)
            continue;
        s->cr3 = 0x1000;
        s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
        s->efer = X86_EFER_LME | X86_EFER_LMA;
    }
}

/* Gets the vCPU that runs out of endless loops. */
struct kicker {
    pthread_mutex_t lock; /* guards vcpu */
    struct vcpu *vcpu;
};

static void *kick(void *opaque)
{
    struct kicker *k = opaque;

    for (;;) {
        usleep(1000);
        pthread_mutex_lock(&k->lock);
        if (k->vcpu)
            vcpu_request(k->vcpu, X86_REQ_EXIT);
        pthread_mutex_unlock(&k->lock);
    }
    return NULL;
}

static void set_kicked(struct vcpu *vcpu)
{
    static struct kicker kicker = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static bool started;
    pthread_t thread;

    if (!started)
        started = pthread_create(&thread, NULL, kick, &kicker) == 0;
    pthread_mutex_lock(&kicker.lock);
    kicker.vcpu = vcpu;
    pthread_mutex_unlock(&kicker.lock);
}

static void run(struct machine *m)
{
    for (unsigned i = 0; i < ROUNDS * 2 && m->vm.state == VM_RUNNING; i++) {
        struct vcpu *vcpu = m->vm.vcpu[i % 2];

        __atomic_fetch_and(&vcpu->cpu.request, ~(X86_REQ_EXIT | X86_REQ_INIT | X86_REQ_SIPI),
                           __ATOMIC_SEQ_CST);
        if (vcpu->cpu.s.activity == X86_ACT_RUN) {
            set_kicked(vcpu);
            (void)interp_engine.vcpu_run(vcpu);
            set_kicked(NULL);
        }
        vm_lock(&m->vm);
        m->plat.now += 1000000ULL << i * 3;
        clock_run(&m->vm);
        fake_plat_run_work(&m->plat);
        vm_unlock(&m->vm);
    }
}

/* The end of the changes, where the code is. */
static const uint8_t *find_code(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 8 && p[3] >> 2)
        p += 8;
    return MIN(p + 4, end);
}

/* Walks the fields in at…end, through structs; returns where the payload of the n-th is and how long, or 0.
 */
static size_t walk(const uint8_t *stream, size_t at, size_t end, unsigned *n, uint32_t *length)
{
    while (at < end) {
        uint32_t head = load_le32(stream + at), len;
        size_t payload = at + 12 + (head & 0xff), inner;

        if (!head) { /* the end of a struct's fields */
            at += 4;
            continue;
        }
        len = load_le32(stream + at + 8);
        if ((head >> 8 & 0xff) == STATE_KIND_STRUCT) {
            inner = walk(stream, payload, payload + len, n, length);
            if (inner)
                return inner;
        } else if ((*n)-- == 0) {
            *length = len;
            return payload;
        }
        at = payload + len;
    }
    return 0;
}

/* All objects' fields, without those of RAM, which come last. */
static size_t find_field(const struct memory_io *io, unsigned n, uint32_t *length)
{
    size_t at = 20, found = 0;

    while (!found && at + 80 < io->len && load_le32(io->buf + at) == 1) {
        size_t len = load_le32(io->buf + at + 8);

        found = walk(io->buf, at + 80, at + 80 + len, &n, length);
        at += 80 + len;
    }
    return found;
}

/* Which field, which of its bytes, how many, and what. */
static void change(const struct memory_io *io, unsigned fields, const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 8; p += 8) {
        uint32_t length = 0, width = 1U << (p[3] & 3);
        size_t at = find_field(io, load_le16(p) % fields, &length);

        for (uint32_t i = 0, k = p[2] * width; i < width && length; i++, k++)
            io->buf[at + k % length] = i < 4 ? p[4 + i] : (uint8_t) - (p[7] >> 7);
        if (p[3] == 0xff && at) { /* the structure itself, after which nothing can be found */
            io->buf[at - 1 - p[2] % 64] ^= p[4];
            return;
        }
    }
}

static unsigned count_fields(const struct memory_io *io)
{
    unsigned n = 0;
    uint32_t length;

    while (find_field(io, n, &length))
        n++;
    return n;
}

static void save(struct machine *m, struct memory_io *io)
{
    vm_lock(&m->vm);
    must(vm_save(&m->vm, &io->io, NULL));
    vm_unlock(&m->vm);
}

static void load_and_run(struct machine *m, struct memory_io *io)
{
    int r;

    vm_lock(&m->vm);
    r = vm_load(&m->vm, &io->io, NULL);
    if (r == 0) {
        m->vm.state = VM_RUNNING;
        clock_start(&m->vm);
    }
    vm_unlock(&m->vm);
    if (r == 0)
        run(m);
    vm_lock(&m->vm);
    vm_reset(&m->vm);
    vm_unlock(&m->vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct memory_io io = {.io.transfer = put, .buf = malloc(STREAM)};
    static unsigned fields; /* the same each time */
    const uint8_t *code = find_code(data + MIN(size, 1U), data + size);

    if (size) {
        make(m);
        set_mode(m, data[0] % 3);
        memcpy(m->ram + CODE, code, MIN((size_t)(data + size - code), 4096U));
        save(m, &io);
        if (!fields)
            fields = count_fields(&io);
        change(&io, fields, data + 1, code);
        io.at = 0;
        io.io.transfer = get;
        load_and_run(m, &io);
        finish(m);
    }
    free(io.buf);
    free(m);
    return 0;
}
