/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole machine as a stream: magic, machine, vCPUs, devices, RAM, end.
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "base/fmt.h"
#include "core/device.h"
#include "core/state-internal.h"
#include "x86/mem.h"

#define RAM_CHUNK  MIB(1)
#define OBJECT_MAX MIB(4)

/* What must match, and what the core itself has to remember. */
struct machine {
    uint64_t ram_size;
    uint32_t vcpus;
    uint32_t tsc_khz;
    uint64_t clock;
    uint64_t rtc_base;
    uint16_t line_level[IRQ_GSI_COUNT];
};

static const struct state_field machine_fields[] = {
    STATE_INT(struct machine, ram_size),
    STATE_INT(struct machine, vcpus),
    STATE_INT(struct machine, tsc_khz),
    STATE_INT(struct machine, clock),
    STATE_INT(struct machine, rtc_base),
    STATE_INTS(struct machine, line_level, uint16_t),
    STATE_END,
};

static const struct state_table machine_table = {.name = "machine", .version = 1, .fields = machine_fields};

/* ---- save ---- */

static int save_cpus(struct vm *vm, struct state_io *io, struct error *err)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpu[i];
        char instance[32];
        int e;

        if (vm->engine->state_get && !vcpu->state_dirty && (e = vm->engine->state_get(vcpu)) < 0)
            return error_set(err, -e, "the %s engine does not tell the state of vCPU %u", vm->engine->name,
                             i);
        x86_state_flush(&vcpu->cpu);
        fmt_print(instance, sizeof(instance), "%u", i);
        e = state_save_object(io, &x86_state_table, instance, &vcpu->cpu.s, err);
        if (e < 0)
            return e;
    }
    return 0;
}

static bool page_is_zero(const uint8_t *p)
{
    for (unsigned i = 0; i < MEM_PAGE; i += 8) {
        if (load_le64(p + i))
            return false;
    }
    return true;
}

static int save_ram_run(struct state_io *io, const struct mem_ram *r, uint64_t at, uint64_t len)
{
    struct state_record rec = {.kind = STATE_RECORD_RAM, .version = 1, .length = 8 + len};
    uint8_t offset[8];
    int e;

    state_record_name(rec.name, "ram");
    store_le64(offset, r->offset + at);
    e = state_record_begin(io, &rec);
    if (!e)
        e = io->transfer(io, offset, sizeof(offset));
    return e ? e : io->transfer(io, r->host + at, len);
}

static int save_ram(struct vm *vm, struct state_io *io)
{
    for (unsigned i = 0; i < vm->mem.ram_count; i++) {
        const struct mem_ram *r = &vm->mem.ram[i];
        uint64_t at = 0;

        while (!r->rom && at < r->size) {
            uint64_t len = 0;
            int e;

            while (at + len < r->size && len < RAM_CHUNK && !page_is_zero(r->host + at + len))
                len += MEM_PAGE;
            if (len && (e = save_ram_run(io, r, at, len)) < 0)
                return e;
            at += len ? len : MEM_PAGE;
        }
    }
    return 0;
}

/*
 * Before anything is written: a disk that waits for its last requests raises
 * interrupts, which the controllers and processors must have in their state.
 */
static void devices_settle(struct vm *vm)
{
    struct device *dev;

    list_for_each (dev, &vm->devices, link) {
        if (dev->ops->state->pre_save)
            dev->ops->state->pre_save(device_object(dev));
    }
}

int vm_save(struct vm *vm, struct state_io *io, struct error *err)
{
    struct machine m = {
        .ram_size = vm->mem.ram_size,
        .vcpus = vm->vcpu_count,
        .tsc_khz = vm->clock.tsc_khz,
        .clock = clock_now(vm),
        .rtc_base = vm->clock.rtc_base,
    };
    struct state_record end = {.kind = STATE_RECORD_END, .version = 1};
    uint8_t magic[STATE_MAGIC_SIZE + 4] = STATE_MAGIC;
    struct device *dev;
    int e;

    devices_settle(vm);
    memcpy(m.line_level, vm->irqs.line_level, sizeof(m.line_level));
    store_le32(magic + STATE_MAGIC_SIZE, STATE_STREAM_VERSION);
    e = io->transfer(io, magic, sizeof(magic));
    if (e < 0)
        return error_set(err, -e, "writing the state failed");
    if ((e = state_save_object(io, &machine_table, "0", &m, err)) < 0 || (e = save_cpus(vm, io, err)) < 0)
        return e;
    list_for_each (dev, &vm->devices, link) {
        e = state_save_object(io, dev->ops->state, dev->id, device_object(dev), err);
        if (e < 0)
            return e;
    }
    e = save_ram(vm, io);
    if (!e)
        e = state_record_begin(io, &end);
    return e < 0 ? error_set(err, -e, "writing guest memory failed") : 0;
}

/* ---- load ---- */

struct loader {
    struct vm *vm;
    struct state_io *io;
    struct error *err;
    bool machine;
    uint64_t cpus; /* bit n: vCPU n was loaded */
    unsigned devices;
};

static int get_record(struct loader *l, struct state_record *r)
{
    uint8_t head[STATE_RECORD_SIZE];
    int e = l->io->transfer(l->io, head, sizeof(head));

    if (e < 0)
        return error_set(l->err, -e, "the state ends before its end record");
    r->kind = load_le32(head);
    r->version = load_le32(head + 4);
    r->length = load_le64(head + 8);
    memcpy(r->name, head + 16, sizeof(r->name));
    memcpy(r->instance, head + 48, sizeof(r->instance));
    r->name[31] = '\0';
    r->instance[31] = '\0';
    return 0;
}

static int load_ram(struct loader *l, const struct state_record *r)
{
    uint8_t b[8];
    uint64_t offset, len;
    int e;

    if (r->length < 8 || r->length - 8 > RAM_CHUNK || (r->length - 8) % MEM_PAGE)
        return error_set(l->err, EINVAL, "the state has a memory record of a wrong size");
    e = l->io->transfer(l->io, b, sizeof(b));
    if (e < 0)
        return error_set(l->err, -e, "the state ends inside guest memory");
    offset = load_le64(b);
    len = r->length - 8;
    for (unsigned i = 0; i < l->vm->mem.ram_count; i++) {
        const struct mem_ram *ram = &l->vm->mem.ram[i];

        if (ram->rom || offset < ram->offset || !range_inside(offset - ram->offset, len, ram->size))
            continue;
        e = l->io->transfer(l->io, ram->host + (offset - ram->offset), len);
        return e < 0 ? error_set(l->err, -e, "the state ends inside guest memory") : 0;
    }
    return error_set(l->err, EINVAL, "the state has memory that this VM does not have");
}

static int load_machine(struct loader *l, const struct state_record *r, const uint8_t *body)
{
    struct vm *vm = l->vm;
    struct machine m;
    int e = state_load_object(body, r->length, r->version, &machine_table, &m, l->err);

    if (e < 0)
        return e;
    if (m.ram_size != vm->mem.ram_size || m.vcpus != vm->vcpu_count)
        return error_set(l->err, EINVAL,
                         "the state is of a VM with %llu MiB and %u vCPUs: start this one with the same",
                         (unsigned long long)(m.ram_size >> 20), m.vcpus);
    if (!m.tsc_khz)
        return error_set(l->err, EINVAL, "the state has a TSC that stands still");
    vm->clock.base = m.clock;
    vm->clock.rtc_base = m.rtc_base;
    vm->clock.tsc_khz = m.tsc_khz;
    memcpy(vm->irqs.line_level, m.line_level, sizeof(m.line_level));
    l->machine = true;
    return 0;
}

/* What the guest has turned on: a state of --cpu v3 is not one of v2. */
static bool processor_has(const struct x86_cpuid_model *model, const struct x86_state *s)
{
    return !(s->cr4 & ~model->cr4_allowed) && !(s->efer & ~model->efer_allowed) &&
           !(s->xcr0 & ~(model->xcr0_allowed | X86_XCR0_X87));
}

static int load_cpu(struct loader *l, const struct state_record *r, const uint8_t *body)
{
    struct vm *vm = l->vm;
    unsigned n = 0;
    int e;

    for (const char *p = r->instance; *p >= '0' && *p <= '9' && n < VM_MAX_VCPUS; p++)
        n = n * 10 + (unsigned)(*p - '0');
    if (n >= vm->vcpu_count)
        return error_set(l->err, EINVAL, "the state has a vCPU %s that this VM does not have", r->instance);
    e = state_load_object(body, r->length, r->version, &x86_state_table, &vm->vcpu[n]->cpu.s, l->err);
    if (e < 0)
        return e;
    if (!processor_has(&vm->cpuid, &vm->vcpu[n]->cpu.s))
        return error_set(l->err, EINVAL,
                         "the state's guest uses what the processor of this VM does not have: start it with "
                         "the same --cpu");
    x86_state_changed(&vm->vcpu[n]->cpu);
    vm->vcpu[n]->state_dirty = true;
    l->cpus |= BIT64(n);
    return 0;
}

static int load_object(struct loader *l, const struct state_record *r, const uint8_t *body)
{
    struct device *dev;

    if (!memcmp(r->name, "machine", 8))
        return load_machine(l, r, body);
    if (!l->machine)
        return error_set(l->err, EINVAL, "the state does not start with the machine");
    if (!memcmp(r->name, x86_state_table.name, 8))
        return load_cpu(l, r, body);
    dev = device_find(l->vm, r->instance);
    if (!dev)
        return error_set(l->err, ENODEV,
                         "the state has a %s named %s; this VM has none: start it with the same devices",
                         r->name, r->instance);
    l->devices++;
    return state_load_object(body, r->length, r->version, dev->ops->state, device_object(dev), l->err);
}

static int load_body(struct loader *l, const struct state_record *r)
{
    uint8_t *body;
    int e;

    if (r->length > OBJECT_MAX)
        return error_set(l->err, EINVAL, "the state has an object %s of %llu bytes", r->name,
                         (unsigned long long)r->length);
    body = vm_alloc(l->vm, r->length ? r->length : 1);
    if (!body)
        return error_set(l->err, ENOMEM, "no memory to load the state");
    e = r->length ? l->io->transfer(l->io, body, r->length) : 0;
    if (e < 0)
        error_set(l->err, -e, "the state ends inside %s %s", r->name, r->instance);
    else
        e = load_object(l, r, body);
    vm_free(l->vm, body);
    return e;
}

/*
 * An engine whose TSC has a rate of its own, not the saved one: the guest's TSC
 * goes on from where it was, at that rate. Guests that take their time from the
 * paravirtual clock do not mind.
 */
static void adopt_tsc(struct vm *vm, uint32_t native_khz)
{
    uint32_t saved_khz = vm->clock.tsc_khz;
    uint64_t saved = clock_tsc(vm);

    if (!vm->engine->own_tsc || saved_khz == native_khz)
        return;
    if (vm->engine->tsc_rate && vm->engine->tsc_rate(vm, saved_khz) == 0)
        return;
    vm->clock.tsc_khz = native_khz;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vm->vcpu[i]->cpu.s.tsc_offset += (int64_t)(saved - clock_tsc(vm));
    vm_log(
        vm, LOG_WARN,
        "the guest's time stamp counter ran at %u kHz, here it runs at %u: a guest that takes its time from "
        "it, not from the paravirtual clock, will be wrong",
        saved_khz, native_khz);
}

static int check_complete(const struct loader *l)
{
    const struct device *dev;
    unsigned devices = 0;
    uint64_t all = l->vm->vcpu_count == 64 ? ~0ULL : BIT64(l->vm->vcpu_count) - 1;

    list_for_each (dev, &l->vm->devices, link)
        devices++;
    if (l->cpus != all || l->devices != devices)
        return error_set(l->err, EINVAL, "the state lacks vCPUs or devices that this VM has");
    return 0;
}

int vm_load(struct vm *vm, struct state_io *io, struct error *err)
{
    struct loader l = {.vm = vm, .io = io, .err = err};
    uint32_t native_khz = vm->clock.tsc_khz;
    uint8_t magic[STATE_MAGIC_SIZE + 4];
    const uint8_t expected[STATE_MAGIC_SIZE] = STATE_MAGIC;
    int e = io->transfer(io, magic, sizeof(magic));

    if (e < 0 || memcmp(magic, expected, STATE_MAGIC_SIZE))
        return error_set(err, EINVAL, "this is not a state of a batuta VM");
    if (load_le32(magic + STATE_MAGIC_SIZE) != STATE_STREAM_VERSION)
        return error_set(err, EINVAL, "the state has stream version %u; this batuta knows %u",
                         load_le32(magic + STATE_MAGIC_SIZE), STATE_STREAM_VERSION);
    for (unsigned i = 0; i < vm->mem.ram_count; i++) {
        if (!vm->mem.ram[i].rom)
            memset(vm->mem.ram[i].host, 0, vm->mem.ram[i].size);
    }
    for (;;) {
        struct state_record r;

        e = get_record(&l, &r);
        if (e < 0)
            return e;
        switch (r.kind) {
        case STATE_RECORD_END:
            mem_written(vm, 0, vm->mem.ram_low);
            e = check_complete(&l);
            if (!e)
                adopt_tsc(vm, native_khz);
            return e;
        case STATE_RECORD_RAM:
            e = load_ram(&l, &r);
            break;
        case STATE_RECORD_OBJECT:
            e = load_body(&l, &r);
            break;
        default:
            e = error_set(err, EINVAL, "the state has a record of unknown kind %u", r.kind);
        }
        if (e < 0)
            return e;
    }
}
