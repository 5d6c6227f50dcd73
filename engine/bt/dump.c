/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block for people: each guest instruction, and the host code that it became. */
#include "base/fmt.h"
#include "engine/bt/translate.h"

static void dump_guest(const struct bt_translation *t, unsigned i)
{
    char text[96];

    x86_insn_format(&t->insn[i], t->rip + t->insn_offset[i], text, sizeof(text));
    vm_trace(t->bvm->vm, CODE, "%llx  %s", (unsigned long long)(t->rip + t->insn_offset[i]), text);
}

static void dump_host(const struct bt_translation *t, uint32_t from, uint32_t to)
{
    const uint8_t *exec = t->bvm->code.exec, *code = t->bvm->code.write;
    struct x86_insn insn;
    char text[96];

    for (uint32_t at = from; at < to; at += insn.length) {
        uint64_t ip = (uint64_t)(uintptr_t)(exec + at);

        if (x86_decode(code + at, to - at, X86_MODE_64, &insn) < 0) {
            vm_trace(t->bvm->vm, CODE, "            %llx  (data)", (unsigned long long)ip);
            return;
        }
        x86_insn_format(&insn, ip, text, sizeof(text));
        vm_trace(t->bvm->vm, CODE, "            %llx  %s", (unsigned long long)ip, text);
    }
}

void bt_dump(const struct bt_translation *t)
{
    uint32_t from = t->block->code;

    vm_trace(t->bvm->vm, CODE,
             "block at 0x%llx: %u instructions, entries +%u (flags in the host's) +%u (saved)",
             (unsigned long long)t->rip, t->count, t->block->entry_host - t->block->code,
             t->block->entry_saved - t->block->code);
    for (unsigned i = 0; i < t->count; i++) {
        dump_guest(t, i);
        dump_host(t, from, t->insn_end[i]);
        from = t->insn_end[i];
    }
}
