/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sched/heap.h"

static uint32_t rank(const struct sched_node *node)
{
    return node ? node->rank : 0;
}

/* A node's rank is the length of its shortest way down to a missing child, and that is always on the right.
 */
static void lean_left(struct sched_node *node)
{
    if (rank(node->left) < rank(node->right)) {
        struct sched_node *left = node->left;
        node->left = node->right;
        node->right = left;
    }
    node->rank = rank(node->right) + 1;
}

/* Goes down the right sides only, which are as long as the logarithm of the sizes. */
static struct sched_node *merge(struct sched_node *a, struct sched_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (before(b->key, a->key)) {
        struct sched_node *first = b;
        b = a;
        a = first;
    }
    a->right = merge(a->right, b);
    a->right->up = a;
    lean_left(a);
    return a;
}

void heap_insert(struct sched_heap *heap, struct sched_node *node, uint64_t key)
{
    *node = (struct sched_node){.key = key, .rank = 1};
    heap->root = merge(heap->root, node);
    heap->root->up = NULL;
}

void heap_remove(struct sched_heap *heap, struct sched_node *node)
{
    struct sched_node *up = node->up, *below = merge(node->left, node->right);

    if (below)
        below->up = up;
    if (!up)
        heap->root = below;
    else if (up->left == node)
        up->left = below;
    else
        up->right = below;
    for (uint32_t old; up; up = up->up) {
        old = up->rank;
        lean_left(up);
        if (up->rank == old)
            break;
    }
    node->rank = 0;
}

struct sched_node *heap_walk(const struct sched_node *node, bool skip)
{
    if (!skip && node->left)
        return node->left;
    if (!skip && node->right)
        return node->right;
    for (const struct sched_node *up = node->up; up; node = up, up = up->up) {
        if (up->left == node && up->right)
            return up->right;
    }
    return NULL;
}
