/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer work whose cost is its data: a hash table, a decompressor, linked lists. */
#include "kernels.h"

#include <string.h>

/* Vectors have kernels of their own. */
#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize")

/* A hash table of 1 MiB with open addressing: insertions, hits and misses. */

#define SLOTS (1u << 16)

struct slot {
    uint64_t key, value;
};

static uint64_t hash_round(void)
{
    static struct slot table[SLOTS];
    uint64_t random = SEED, sum = 0;

    memset(table, 0, sizeof(table));
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t key = next_random(&random) % 40000 + 1;
        uint32_t at = (uint32_t)(key * 0x9e3779b97f4a7c15ULL >> 48);

        while (table[at].key && table[at].key != key)
            at = (at + 1) & (SLOTS - 1);
        table[at].key = key;
        sum = sum * 3 + table[at].value;
        table[at].value += i;
    }
    return sum;
}

/*
 * LZ77 in bytes: a token's high half says how many literals follow, its low half how much is copied (less
 * MATCH) from the 16-bit distance behind them. The packer is greedy and only there to make the unpacker's
 * input.
 */

#define PLAIN  (256u << 10)
#define MATCH  4
#define WINDOW 0xffffu

static uint8_t plain[PLAIN], packed[PLAIN * 2];
static size_t packed_size;

static size_t match_length(size_t at, size_t from)
{
    size_t n = 0;

    while (n < 15 + MATCH && at + n < PLAIN && plain[from + n] == plain[at + n])
        n++;
    return n;
}

static void lz_prepare(void)
{
    static uint32_t heads[1 << 14];
    size_t literals = 0, out = 0, token = 0;

    text_fill((char *)plain, PLAIN);
    out = 1;
    for (size_t at = 0; at + MATCH < PLAIN;) {
        uint32_t word, hash;
        size_t from, length = 0;

        memcpy(&word, plain + at, sizeof(word));
        hash = word * 2654435761u >> 18;
        from = heads[hash];
        heads[hash] = (uint32_t)at;
        if (from < at && at - from <= WINDOW)
            length = match_length(at, from);
        if (length < MATCH && literals < 15) {
            packed[out++] = plain[at++];
            literals++;
            continue;
        }
        if (length < MATCH) { /* 15 literals wait: a copy of nothing would need a code of its own, so copy one
                                 byte run */
            from = at ? at - 1 : 0;
            length = MATCH;
            memset(plain + at, plain[from], MATCH);
        }
        packed[token] = (uint8_t)(literals << 4 | (length - MATCH));
        packed[out++] = (uint8_t)(at - from);
        packed[out++] = (uint8_t)((at - from) >> 8);
        at += length;
        literals = 0;
        token = out++;
    }
    packed_size = token;
}

static uint64_t lz_round(void)
{
    static uint8_t out[PLAIN + 64];
    uint8_t *to = out;

    for (const uint8_t *in = packed; in < packed + packed_size;) {
        unsigned literals = *in >> 4, length = (*in & 15) + MATCH;
        const uint8_t *from;

        in++;
        for (; literals; literals--)
            *to++ = *in++;
        from = to - (in[0] | in[1] << 8);
        in += 2;
        for (; length; length--)
            *to++ = *from++;
    }
    return checksum(out, (size_t)(to - out) / 16);
}

/* Linked lists: made, reversed, merge-sorted and searched; 8,000 nodes that lie in memory in no order. */

#define NODES 8000

struct node {
    struct node *next;
    uint32_t value, id;
};

static struct node nodes[NODES];
static uint16_t places[NODES];

static void list_prepare(void)
{
    uint64_t random = SEED;

    for (uint16_t i = 0; i < NODES; i++)
        places[i] = i;
    for (unsigned i = NODES - 1; i > 0; i--) {
        unsigned j = (unsigned)(next_random(&random) % (i + 1));
        uint16_t swap = places[i];

        places[i] = places[j];
        places[j] = swap;
    }
}

static struct node *merge(struct node *a, struct node *b)
{
    struct node *head = NULL, **tail = &head;

    while (a && b) {
        struct node **lesser = a->value <= b->value ? &a : &b;

        *tail = *lesser;
        tail = &(*tail)->next;
        *lesser = (*lesser)->next;
    }
    *tail = a ? a : b;
    return head;
}

static struct node *merge_sort(struct node *list)
{
    struct node *slow = list, *half;

    if (!list || !list->next)
        return list;
    for (struct node *fast = list->next; fast && fast->next; fast = fast->next->next)
        slow = slow->next;
    half = slow->next;
    slow->next = NULL;
    return merge(merge_sort(list), merge_sort(half));
}

static struct node *reverse(struct node *list)
{
    struct node *done = NULL;

    while (list) {
        struct node *next = list->next;

        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static uint64_t list_round(void)
{
    struct node *list = NULL;
    uint64_t random = SEED, sum = 0;

    for (uint32_t i = 0; i < NODES; i++) {
        struct node *n = &nodes[places[i]];

        *n = (struct node){list, (uint32_t)next_random(&random), i};
        list = n;
    }
    list = reverse(merge_sort(reverse(list)));
    for (unsigned i = 0; i < 20; i++) {
        uint32_t limit = UINT32_MAX / 20 * i;

        for (struct node *n = list; n && n->value >= limit; n = n->next)
            sum = sum * 7 + n->id;
    }
    return sum;
}

const struct kernel data_kernels[] = {
    {"integer", "hash", NULL, NULL, hash_round},
    {"integer", "lz", NULL, lz_prepare, lz_round},
    {"integer", "list", NULL, list_prepare, list_round},
    {NULL, NULL, NULL, NULL, NULL},
};
