/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VM was doing when it crashed: each vCPU's registers, the top of its stack and the
 * bytes of the instruction, as JSON. It is kept until the next crash.
 */
#include "core/metal.h"
#include "hv/hv.h"
#include "hv/log.h"
#include "x86/mem.h"

#define DUMP_MAX    KIB(256)
#define STACK_WORDS 32U
#define CODE_BYTES  16U

/* Without any effect on the guest; false: nothing is there. */
static bool peek(struct vcpu *vcpu, uint64_t lin, void *buf, unsigned size)
{
    uint64_t gpa;

    return (lin & (MEM_PAGE - 1)) <= MEM_PAGE - size && x86_walk_quiet(&vcpu->cpu, lin, &gpa) &&
           mem_read(vcpu->vm, gpa, buf, size) == 0;
}

static void put_stack(struct json_writer *w, struct vcpu *vcpu)
{
    const struct x86_state *s = &vcpu->cpu.s;
    uint64_t at = s->gpr[X86_RSP] + s->seg[X86_SS].base, word;

    json_open(w, '[');
    for (unsigned i = 0; i < STACK_WORDS && peek(vcpu, (at & ~7ULL) + i * 8, &word, 8); i++)
        json_put_format(w, "0x%llx", (unsigned long long)word);
    json_close(w, '[');
}

static void put_code(struct json_writer *w, struct vcpu *vcpu)
{
    const struct x86_state *s = &vcpu->cpu.s;
    uint8_t byte;

    json_open(w, '[');
    for (unsigned i = 0; i < CODE_BYTES && peek(vcpu, s->rip + s->seg[X86_CS].base + i, &byte, 1); i++)
        json_put_format(w, "%02x", byte);
    json_close(w, '[');
}

static void put_vcpu(void *opaque, struct vcpu *vcpu)
{
    struct json_writer *w = opaque;

    json_open(w, '{');
    json_key(w, "registers");
    control_put_registers(w, vcpu);
    json_key(w, "code");
    put_code(w, vcpu);
    json_key(w, "stack");
    put_stack(w, vcpu);
    json_close(w, '{');
}

static void put_head(struct json_writer *w, const struct guest *g, const char *why)
{
    json_open(w, '{');
    json_add_text(w, "vm", guest_name(g));
    json_add_text(w, "why", why);
    json_add_uint(w, "host-ns", time_now());
    json_key(w, "vcpus");
    json_open(w, '[');
}

static void put_end(struct json_writer *w)
{
    json_close(w, '[');
    json_close(w, '{');
}

void guest_dump_crash(struct guest *g, const char *why)
{
    struct json_writer w, old;

    json_writer_init(&w, &g->hv->plat.plat, DUMP_MAX);
    put_head(&w, g, why);
    for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
        struct vcpu *vcpu = g->vm.vcpu[i];

        if (g->vm.engine->state_get && !vcpu->state_dirty)
            (void)g->vm.engine->state_get(vcpu);
        put_vcpu(&w, vcpu);
    }
    put_end(&w);
    if (w.failed) {
        json_writer_finish(&w);
        return;
    }
    spin_lock(&g->lock);
    old = g->dump;
    g->dump = w;
    spin_unlock(&g->lock);
    if (old.plat) /* there was one */
        json_writer_finish(&old);
    hv_log(LOG_INFO, "%s: its state is kept: \"dump %s\" shows it", guest_name(g), guest_name(g));
}

int guest_dump(struct guest *g, struct json_writer *out, struct error *err)
{
    struct vm *vm;
    bool kept;

    spin_lock(&g->lock);
    kept = g->dump.text;
    if (kept)
        json_put_raw(out, g->dump.text, g->dump.len);
    spin_unlock(&g->lock);
    if (kept)
        return 0;
    vm = guest_get(g);
    if (!vm)
        return error_set(err, ENOENT, "%s has not crashed, and it is off", guest_name(g));
    vm_lock(vm);
    put_head(out, g, "asked for");
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_call(vm->vcpu[i], &(struct vcpu_call){.fn = put_vcpu, .opaque = out});
    put_end(out);
    vm_unlock(vm);
    guest_put(g);
    return 0;
}
