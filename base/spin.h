/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Spin locks, first come first served, for code that is not interrupted while it holds
 * one, as in all of the bare-metal hypervisor: a lock is held for microseconds, and its
 * holder does not wait. Two that are taken in two orders are a bug.
 */
#ifndef BASE_SPIN_H
#define BASE_SPIN_H

#include "base/base.h"

struct spinlock {
    uint32_t next, serving;
};

static inline void spin_lock(struct spinlock *lock)
{
    uint32_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

    while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket)
        __builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
    __atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
}

#endif
