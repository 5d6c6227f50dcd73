/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions about guest code: counters, samples. The VM goes on. */
#include "base/bytes.h"
#include "base/text.h"
#include "control/control-internal.h"
#include "core/plat.h"
#include "x86/mem.h"

/* ---- counters ---- */

struct counter {
    const char *group, *name; /* constants */
    uint64_t value;
};

/* In the order in which they were first told. */
struct counters {
    struct plat *plat;
    struct counter *list;
    size_t count, room;
    size_t next; /* where the next one told is likely to be: vCPUs tell theirs in the same order */
    bool failed;
};

static struct counter *find_counter(struct counters *c, const char *group, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        size_t at = (c->next + i) % c->count;
        struct counter *k = &c->list[at];

        if ((k->name == name || text_equal(k->name, name)) && text_equal(k->group, group)) {
            c->next = at + 1;
            return k;
        }
    }
    return NULL;
}

static bool grow(struct counters *c)
{
    size_t room = c->room ? c->room * 2 : 64;
    struct counter *list = c->plat->ops->alloc(c->plat, room * sizeof(*list));

    if (!list) {
        c->failed = true;
        return false;
    }
    if (c->count)
        memcpy(list, c->list, c->count * sizeof(*list));
    c->plat->ops->free(c->plat, c->list);
    c->list = list;
    c->room = room;
    return true;
}

/* Those of several vCPUs add up. */
static void add_counter(void *opaque, const char *group, const char *name, uint64_t value)
{
    struct counters *c = opaque;
    struct counter *k = find_counter(c, group, name);

    if (k)
        k->value += value;
    else if (c->count < c->room || grow(c))
        c->list[c->count++] = (struct counter){group, name, value};
}

static void count_vcpu(void *opaque, struct vcpu *vcpu)
{
    vcpu->vm->engine->counters(vcpu, vcpu->index == 0, add_counter, opaque);
}

static bool first_of_group(const struct counters *c, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (text_equal(c->list[k].group, c->list[i].group))
            return false;
    }
    return true;
}

static void put_group(struct json_writer *w, const struct counters *c, size_t first)
{
    json_key(w, c->list[first].group);
    json_open(w, '{');
    for (size_t i = first; i < c->count; i++) {
        if (text_equal(c->list[i].group, c->list[first].group))
            json_add_uint(w, c->list[i].name, c->list[i].value & INT64_MAX);
    }
    json_close(w, '{');
}

void control_query_counters(struct control_call *call)
{
    struct vm *vm = call->target->vm;
    struct counters c = {.plat = call->session->server->plat};
    struct json_writer *w = call->out;

    for (unsigned i = 0; vm->engine->counters && i < vm->vcpu_count; i++)
        vcpu_call(vm->vcpu[i], &(struct vcpu_call){.fn = count_vcpu, .opaque = &c});
    json_open(w, '{');
    json_add_text(w, "engine", vm->engine->name);
    json_key(w, "counters");
    json_open(w, '{');
    for (size_t i = 0; i < c.count; i++) {
        if (first_of_group(&c, i))
            put_group(w, &c, i);
    }
    json_close(w, '{');
    json_close(w, '{');
    if (c.failed)
        error_set(call->err, ENOMEM, "out of memory");
    c.plat->ops->free(c.plat, c.list);
}

/* ---- samples ---- */

#define FRAMES_MAX 64

struct sample {
    bool halted;
    unsigned cpl, count;
    uint64_t frame[FRAMES_MAX]; /* innermost first: rip, then return addresses */
};

/* Guest memory as the vCPU sees it, without any effect on it. */
static bool peek(struct vcpu *vcpu, uint64_t lin, uint64_t *value)
{
    uint64_t gpa;

    return !(lin & 7) && x86_walk_quiet(&vcpu->cpu, lin, &gpa) && mem_read(vcpu->vm, gpa, value, 8) == 0;
}

/* Is there a CALL that would come back there? Code without frame pointers has anything in rBP. */
static bool behind_call(struct vcpu *vcpu, uint64_t back)
{
    static const uint8_t indirect[] = {2, 3, 4, 6, 7}; /* lengths of FF /2, without prefixes */
    uint8_t code[8];
    uint64_t gpa;

    if ((back & 4095) < 8 || !x86_walk_quiet(&vcpu->cpu, back - 8, &gpa) ||
        mem_read(vcpu->vm, gpa, code, sizeof(code)) < 0)
        return false;
    if (code[3] == 0xe8)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(indirect); i++) {
        if (code[8 - indirect[i]] == 0xff && (code[9 - indirect[i]] >> 3 & 7) == 2)
            return true;
    }
    return false;
}

/* Frame pointers, as far as they lead up the stack. */
static void walk_frames(struct vcpu *vcpu, struct sample *s)
{
    uint64_t at = vcpu->cpu.s.gpr[X86_RBP], low = vcpu->cpu.s.gpr[X86_RSP], next, back;

    while (s->count < FRAMES_MAX && at >= low && at - low < MIB(8) && peek(vcpu, at, &next) &&
           peek(vcpu, at + 8, &back) && behind_call(vcpu, back)) {
        s->frame[s->count++] = back;
        if (next <= at)
            break;
        low = at;
        at = next;
    }
}

static void take_sample(void *opaque, struct vcpu *vcpu)
{
    struct sample *s = opaque;
    struct x86_cpu *cpu = &vcpu->cpu;

    s->halted = cpu->s.activity != X86_ACT_RUN;
    s->cpl = (cpu->s.seg[X86_SS].attr & X86_SEG_DPL) >> 5;
    s->frame[0] = cpu->s.rip + cpu->s.seg[X86_CS].base;
    s->count = 1;
    if (cpu->s.efer & X86_EFER_LMA && cpu->s.seg[X86_CS].attr & X86_SEG_L)
        walk_frames(vcpu, s);
}

static void put_sample(struct json_writer *w, unsigned index, const struct sample *s)
{
    json_open(w, '{');
    json_add_uint(w, "cpu-index", index);
    json_add_bool(w, "halted", s->halted);
    json_add_uint(w, "cpl", s->cpl);
    json_key(w, "frames");
    json_open(w, '[');
    for (unsigned n = 0; n < s->count; n++)
        json_put_format(w, "0x%llx", (unsigned long long)s->frame[n]);
    json_close(w, '[');
    json_close(w, '{');
}

void control_query_samples(struct control_call *call)
{
    struct vm *vm = call->target->vm;

    json_open(call->out, '[');
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct sample s = {0};

        vcpu_call(vm->vcpu[i], &(struct vcpu_call){.fn = take_sample, .opaque = &s});
        put_sample(call->out, i, &s);
    }
    json_close(call->out, '[');
}
