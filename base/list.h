/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A circular, intrusive, doubly linked list. The head is a list_node too; the
 * nodes live in their owners, the list owns nothing and takes no lock.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

struct list_node {
    struct list_node *next;
    struct list_node *prev;
};

static inline void list_init(struct list_node *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_empty(const struct list_node *head)
{
    return head->next == head;
}

/* Puts node before `where`; with the head as `where` that is the list's end. */
static inline void list_insert(struct list_node *where, struct list_node *node)
{
    node->prev = where->prev;
    node->next = where;
    where->prev->next = node;
    where->prev = node;
}

/* Takes node out and leaves it an empty list of its own: removing twice is harmless. */
static inline void list_remove(struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)

#define list_for_each(pos, head, member)                                                                     \
    for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head);                   \
         pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* The same, and the body may remove and free pos. */
#define list_for_each_safe(pos, tmp, head, member)                                                           \
    for (pos = list_entry((head)->next, __typeof__(*pos), member),                                           \
        tmp = list_entry(pos->member.next, __typeof__(*pos), member);                                        \
         &pos->member != (head); pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*pos), member))

#endif
