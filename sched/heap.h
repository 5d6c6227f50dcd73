/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leftist heaps of nodes in their owners: the smallest key first, where keys wrap
 * around (no two lie more than 2^63 apart). Everything is O(log n) in the worst case.
 */
#ifndef SCHED_HEAP_H
#define SCHED_HEAP_H

#include "sched/sched.h"

static inline bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static inline bool heap_in(const struct sched_node *node)
{
    return node->rank != 0;
}

/* In no heap yet. Among equal keys the older one stays first. */
void heap_insert(struct sched_heap *heap, struct sched_node *node, uint64_t key);
/* In this heap. */
void heap_remove(struct sched_heap *heap, struct sched_node *node);

/* All nodes, each before those below it: from the root on, until NULL. skip: none below this one, either. */
struct sched_node *heap_walk(const struct sched_node *node, bool skip);

#endif
