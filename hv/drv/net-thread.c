/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/drv/net-thread.h"

#include "hv/drv/host-virtio.h"
#include "hv/mem/page.h"
#include "hv/thread.h"
#include "switch/switch.h"

struct poller {
    unsigned number;
    struct thread *thread;
};

static struct poller pollers[NET_THREADS];
static unsigned count;

static void poll_loop(void *arg)
{
    struct poller *p = arg;

    for (;;) {
        if (host_net_poll(p->number))
            thread_yield();
        else
            thread_wait();
    }
}

static void wake(void *opaque)
{
    struct poller *p = opaque;

    if (p->thread)
        thread_wake(p->thread);
}

int net_thread_start(unsigned number, struct net_switch *sw, const struct switch_config *config,
                     struct sched_group *group, struct error *err)
{
    struct poller *p = &pollers[count];
    int r;

    if (count == NET_THREADS)
        return error_set(err, ENOSPC, "%s: at most %u NICs", config->name, NET_THREADS);
    p->number = number;
    r = host_net_join(number, sw, config, wake, p, err);
    if (r < 0)
        return r;
    count++;
    p->thread = thread_create(config->name, group, &memory_own, poll_loop, p);
    return p->thread ? 0 : error_set(err, ENOMEM, "%s: no memory for its thread", config->name);
}
