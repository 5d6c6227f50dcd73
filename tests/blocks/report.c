/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/blocks/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool still_differs(struct block *block, struct world *a, struct world *b)
{
    world_run(a, block);
    world_run(b, block);
    return worlds_differ(a, b) != NULL;
}

void block_shrink(struct block *block, struct world *a, struct world *b)
{
    bool progress = true;

    while (progress) {
        progress = false;
        for (unsigned i = 0; i < block->count; i++) {
            if (block->item[i].dropped)
                continue;
            block->item[i].dropped = true;
            if (still_differs(block, a, b))
                progress = true;
            else
                block->item[i].dropped = false;
        }
        while (block->limit > 1) {
            block->limit--;
            if (!still_differs(block, a, b)) {
                block->limit++;
                break;
            }
        }
    }
    (void)still_differs(block, a, b);
}

static void print_item(const struct block *block, const struct item *it)
{
    unsigned at = 0;

    while (at < it->placed_length) {
        uint64_t rip = it->address + at;
        struct x86_insn insn;
        char text[160];

        if (x86_decode(it->placed + at, it->placed_length - at, block->mode, &insn) < 0) {
            printf("  %6llx  ?\n", (unsigned long long)rip);
            return;
        }
        x86_insn_format(&insn, rip, text, sizeof(text));
        printf("  %6llx  %-40s", (unsigned long long)rip, text);
        for (unsigned i = 0; i < insn.length; i++)
            printf(" %02x", it->placed[at + i]);
        puts("");
        at += insn.length;
    }
}

struct lines {
    char text[160][600];
    unsigned count;
};

static void keep(void *opaque, const char *line)
{
    struct lines *l = opaque;

    if (l->count < ARRAY_SIZE(l->text))
        snprintf(l->text[l->count++], sizeof(l->text[0]), "%s", line);
}

static void print_states(const struct world *a, const struct world *b, const struct x86_state *in)
{
    static struct lines la, lb, li;

    la.count = lb.count = li.count = 0;
    state_dump(&x86_state_table, &a->outcome.state, keep, &la);
    state_dump(&x86_state_table, &b->outcome.state, keep, &lb);
    state_dump(&x86_state_table, in, keep, &li);
    for (unsigned i = 0; i < la.count && i < lb.count; i++) {
        if (strcmp(la.text[i], lb.text[i]))
            printf("  start %s\n  %-5s %s\n  %-5s %s\n", li.text[i], a->name, la.text[i], b->name,
                   lb.text[i]);
    }
}

static void print_memory(const struct world *a, const struct world *b)
{
    unsigned shown = 0;

    for (uint64_t at = 0x10000; at < 0x100000 && shown < 8; at += 8) {
        if (memcmp(a->machine.ram + at, b->machine.ram + at, 8)) {
            printf("  memory %llx: %s %016llx %s %016llx\n", (unsigned long long)at, a->name,
                   (unsigned long long)load_le64(a->machine.ram + at), b->name,
                   (unsigned long long)load_le64(b->machine.ram + at));
            shown++;
        }
    }
}

void report(struct block *block, struct world *a, struct world *b, const char *what)
{
    static const char *const exits[] = {"request", "halt", "limit", "shutdown", "error"};

    printf("block %llu: %s differs: %s, %s%s%s\n", (unsigned long long)block->number, what,
           block->mode == X86_MODE_64 ? "64 bits" : "32 bits", block->user ? "CPL 3" : "CPL 0",
           block->legacy ? ", legacy" : "", block->split_code ? ", second page elsewhere" : "");
    printf("repeat: blocks --engines %s,%s --seed %llu --only %llu\n", a->name, b->name,
           (unsigned long long)block->seed, (unsigned long long)block->number);
    for (unsigned i = 0; i < block->count; i++)
        print_item(block, &block->item[i]);
    printf("limit %llu, stop %llu, interrupt %lld\n", (unsigned long long)block->limit,
           (unsigned long long)block->stop, (long long)block->interrupt);
    for (unsigned i = 0; i < 2; i++) {
        const struct world *w = i ? b : a;

        printf("  %-5s %llu instructions, then %s, rip %llx\n", w->name,
               (unsigned long long)w->outcome.instructions, exits[w->outcome.exit],
               (unsigned long long)w->outcome.state.rip);
    }
    print_states(a, b, &block->in);
    print_memory(a, b);
}
