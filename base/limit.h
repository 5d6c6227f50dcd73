/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often something is let through that others can provoke for ever: so many times at
 * once, and then one in each interval.
 */
#ifndef BASE_LIMIT_H
#define BASE_LIMIT_H

#include "base/base.h"

/* Is it now? *due, 0 at first: the time from when on it would be; atomic, any thread. */
static inline bool limit_allows(uint64_t *due, uint64_t now, unsigned burst, uint64_t interval)
{
    uint64_t was = __atomic_load_n(due, __ATOMIC_RELAXED), next;

    do {
        if (was > now)
            return false;
        next = MAX(was, now - MIN(now, burst * interval)) + interval;
    } while (!__atomic_compare_exchange_n(due, &was, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

#endif
