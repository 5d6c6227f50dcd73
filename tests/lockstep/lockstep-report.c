/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where two VMs parted, for people. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/device.h"
#include "tests/lockstep/lockstep.h"

#define SHOWN_PAGES 8

/* ---- tables side by side ---- */

struct lines {
    char **line;
    size_t count, room;
};

static void keep(void *opaque, const char *line)
{
    struct lines *l = opaque;

    if (l->count == l->room) {
        l->room = l->room * 2 + 64;
        l->line = realloc(l->line, l->room * sizeof(*l->line));
        if (!l->line)
            abort();
    }
    l->line[l->count] = strdup(line);
    if (!l->line[l->count++])
        abort();
}

static void drop(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->line[i]);
    free(l->line);
}

static void show_table(const struct state_table *table, const void *a, const void *b, bool all)
{
    struct lines la = {0}, lb = {0};

    state_dump(table, a, keep, &la);
    state_dump(table, b, keep, &lb);
    for (size_t i = 0; i < la.count && i < lb.count; i++) {
        if (!strcmp(la.line[i], lb.line[i])) {
            if (all)
                printf("    %s\n", la.line[i]);
        } else {
            printf("  A %s\n  B %s\n", la.line[i], lb.line[i]);
        }
    }
    drop(&la);
    drop(&lb);
}

/* ---- parts ---- */

/* The instruction at s->rip, as RAM is now. */
static void show_instruction(struct side *side, const struct x86_state *s)
{
    struct x86_cpu *cpu = &side->vm.vcpu[0]->cpu;
    uint8_t bytes[X86_MAX_INSN_LEN];
    struct x86_insn insn;
    char text[160] = "(bytes cannot be read)";
    int n;

    cpu->s = *s;
    x86_state_changed(cpu);
    n = x86_fetch(cpu, bytes);
    if (n > 0 && x86_decode(bytes, (size_t)n, cpu->mode, &insn) == 0)
        x86_insn_format(&insn, s->rip, text, sizeof(text));
    else if (n > 0)
        strcpy(text, "(not decodable)");
    printf("  %c %llx  %s\n", 'A' + side->index, (unsigned long long)s->rip, text);
}

static void show_ram(const struct pair *pair)
{
    const uint8_t *a = pair->side[0].ram.base, *b = pair->side[1].ram.base;
    unsigned shown = 0, pages = 0;

    for (uint64_t at = 0; at < pair->d->memory; at += MEM_PAGE) {
        unsigned i = 0;

        if (!memcmp(a + at, b + at, MEM_PAGE))
            continue;
        pages++;
        if (shown++ >= SHOWN_PAGES)
            continue;
        while (a[at + i] == b[at + i])
            i++;
        i &= ~7U;
        printf("  RAM %llx: A %016llx B %016llx\n", (unsigned long long)(at + i),
               (unsigned long long)load_le64(a + at + i), (unsigned long long)load_le64(b + at + i));
    }
    printf("  %u pages of RAM differ\n", pages);
}

static void show_devices(const struct pair *pair)
{
    struct list_node *a = pair->side[0].vm.devices.next, *b = pair->side[1].vm.devices.next;

    while (a != &pair->side[0].vm.devices && b != &pair->side[1].vm.devices) {
        struct device *da = list_entry(a, struct device, link), *db = list_entry(b, struct device, link);

        if (!state_equal(da->ops->state, device_object(da), device_object(db))) {
            printf("device %s:\n", da->id);
            show_table(da->ops->state, device_object(da), device_object(db), false);
        }
        a = a->next;
        b = b->next;
    }
}

void report_difference(struct pair *pair)
{
    struct side *a = &pair->side[0], *b = &pair->side[1];

    printf("DIFFERENT after %llu (A) and %llu (B) instructions; equal after %llu\n",
           (unsigned long long)a->digest.instructions, (unsigned long long)b->digest.instructions,
           (unsigned long long)pair->agreed);
    printf("A is %s, B is %s\n", pair->d->engine[0]->name, pair->d->engine[1]->name);
    if (pair->ended[0] != pair->ended[1])
        printf("only %c has ended\n", pair->ended[0] ? 'A' : 'B');
    printf("cpu, as it is now:\n");
    show_table(&x86_state_table, &a->state, &b->state, true);
    show_devices(pair);
    show_ram(pair);
    printf("console, A's last words: %s\n",
           a->console.text + (a->console.len > 200 ? a->console.len - 200 : 0));
    printf("the instruction before:\n");
    show_instruction(a, &a->previous);
    show_instruction(b, &b->previous);
}
