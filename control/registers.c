/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vCPU's registers, as programs read them: numbers as text, for they are 64 bits wide. */
#include "control/control-internal.h"

static void add(struct json_writer *w, const char *name, uint64_t value)
{
    json_key(w, name);
    json_put_format(w, "0x%llx", (unsigned long long)value);
}

static void put_general(struct json_writer *w, const struct x86_state *s)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    json_open(w, '{');
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        add(w, names[i], s->gpr[i]);
    json_close(w, '{');
}

static void put_segments(struct json_writer *w, const struct x86_state *s)
{
    static const struct {
        const char *name;
        unsigned index;
    } segments[] = {{"es", X86_ES}, {"cs", X86_CS}, {"ss", X86_SS}, {"ds", X86_DS},
                    {"fs", X86_FS}, {"gs", X86_GS}, {"tr", X86_TR}, {"ldtr", X86_LDTR}};

    json_open(w, '{');
    for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
        const struct x86_segment *seg = &s->seg[segments[i].index];

        json_key(w, segments[i].name);
        json_open(w, '{');
        add(w, "selector", seg->selector);
        add(w, "base", seg->base);
        add(w, "limit", seg->limit);
        json_close(w, '{');
    }
    json_close(w, '{');
}

void control_put_registers(struct json_writer *w, const struct vcpu *vcpu)
{
    static const char *const activity[] = {"running", "halted", "waits-for-sipi", "shutdown"};
    const struct x86_state *s = &vcpu->cpu.s;

    json_open(w, '{');
    json_add_uint(w, "cpu-index", vcpu->index);
    json_add_text(w, "activity", s->activity < ARRAY_SIZE(activity) ? activity[s->activity] : "unknown");
    add(w, "rip", s->rip);
    add(w, "rflags", s->rflags);
    add(w, "cr0", s->cr0);
    add(w, "cr2", s->cr2);
    add(w, "cr3", s->cr3);
    add(w, "cr4", s->cr4);
    add(w, "efer", s->efer);
    json_key(w, "general");
    put_general(w, s);
    json_key(w, "segments");
    put_segments(w, s);
    add(w, "gdtr", s->gdtr.base);
    add(w, "idtr", s->idtr.base);
    json_close(w, '{');
}

static void put_vcpu(void *opaque, struct vcpu *vcpu)
{
    control_put_registers(opaque, vcpu);
}

void control_query_registers(struct control_call *call)
{
    struct vm *vm = call->target->vm;

    json_open(call->out, '[');
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_call(vm->vcpu[i], &(struct vcpu_call){.fn = put_vcpu, .opaque = call->out});
    json_close(call->out, '[');
}
