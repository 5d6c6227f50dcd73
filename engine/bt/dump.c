/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block for people: each guest instruction, and the host code that it became. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "engine/bt/translate.h"

/* More of them at one address (programs with the same addresses, other modes) are only counted. */
#define BLOCKS_MAX 8

struct sink {
    engine_line_fn *line;
    void *opaque;
};

static void put_bytes(char *text, size_t size, const uint8_t *bytes, unsigned n)
{
    size_t at = 0;

    for (unsigned i = 0; i < n && at + 3 < size; i++)
        at += fmt_print(text + at, size - at, "%02x ", bytes[i]);
    text[at] = 0;
}

static void dump_guest(const struct sink *out, const uint8_t *bytes, uint64_t rip, enum x86_mode mode)
{
    struct x86_insn insn;
    char text[96], hex[64], line[240];

    if (x86_decode(bytes, X86_MAX_INSN_LEN, mode, &insn) < 0) {
        fmt_print(line, sizeof(line), "%016llx  (no instruction)", (unsigned long long)rip);
    } else {
        x86_insn_format(&insn, rip, text, sizeof(text));
        put_bytes(hex, sizeof(hex), bytes, insn.length);
        fmt_print(line, sizeof(line), "%016llx  %-24s %s", (unsigned long long)rip, hex, text);
    }
    out->line(out->opaque, line);
}

static void dump_host(const struct sink *out, const struct bt_vm *bvm, uint32_t from, uint32_t to)
{
    const uint8_t *exec = bvm->code.exec, *code = bvm->code.write;
    struct x86_insn insn;
    char text[96], line[160];

    for (uint32_t at = from; at < to; at += insn.length) {
        uint64_t ip = (uint64_t)(uintptr_t)(exec + at);
        bool data = x86_decode(code + at, to - at, X86_MODE_64, &insn) < 0;

        if (!data)
            x86_insn_format(&insn, ip, text, sizeof(text));
        fmt_print(line, sizeof(line), "            %llx  %s", (unsigned long long)ip, data ? "(data)" : text);
        out->line(out->opaque, line);
        if (data)
            return;
    }
}

/* The block's guest bytes, and zeros behind them. */
static void get_bytes(const struct bt_block *b, uint8_t *bytes, size_t size)
{
    unsigned offset = (unsigned)(b->rip & 4095), first = MIN(b->bytes, 4096 - offset);

    memset(bytes, 0, size);
    first = (unsigned)MIN(first, size);
    memcpy(bytes, b->page->host + offset, first);
    if (b->page2)
        memcpy(bytes + first, b->page2->host, MIN(b->bytes - first, size - first));
}

static void dump_block(const struct sink *out, const struct bt_vm *bvm, const struct bt_block *b)
{
    uint8_t bytes[BT_MAX_INSNS * X86_MAX_INSN_LEN + X86_MAX_INSN_LEN];
    uint32_t from = b->code, to = from;
    char line[200];

    get_bytes(b, bytes, sizeof(bytes));
    fmt_print(line, sizeof(line),
              "block at 0x%llx, CPL %u: %u instructions, entries +%u (flags in the host's) +%u (saved)",
              (unsigned long long)b->rip, b->key >> 2 & 3, b->insns, b->entry_host - b->code,
              b->entry_saved - b->code);
    out->line(out->opaque, line);
    for (unsigned i = 0; i < b->insns; i++) {
        dump_guest(out, bytes + b->extents[i].guest, b->rip + b->extents[i].guest, b->key & 3);
        to = b->code + b->extents[i].host_end;
        dump_host(out, bvm, from, to);
        from = to;
    }
    fmt_print(line, sizeof(line), "            %llx  … %u bytes for what is rare",
              (unsigned long long)(uintptr_t)(bvm->code.exec + to), b->code + b->code_size - to);
    out->line(out->opaque, line);
}

/* ---- as they are made: --trace code ---- */

static void trace_line(void *opaque, const char *text)
{
    struct vm *vm = opaque;

    vm_trace(vm, CODE, "%s", text);
}

void bt_dump(const struct bt_translation *t)
{
    const struct sink out = {trace_line, t->bvm->vm};

    dump_block(&out, t->bvm, t->block);
}

/* ---- of a VM that runs ---- */

unsigned bt_dump_code(struct vm *vm, uint64_t lin, engine_line_fn *line, void *opaque)
{
    struct bt_vm *bvm = vm->engine_data;
    const struct sink out = {line, opaque};
    unsigned count = 0;

    bt_lock(bvm);
    for (unsigned i = 0; i < bvm->regions.count; i++) {
        for (const struct bt_block *b = bvm->regions.region[i].blocks; b; b = b->next_region) {
            if (bt_is_dead(b) || lin - b->rip >= b->bytes)
                continue;
            if (count++ < BLOCKS_MAX)
                dump_block(&out, bvm, b);
        }
    }
    bt_unlock(bvm);
    return count;
}
