/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beside single values the watchdog is here: a timer on each processor says that it
 * still comes back to take interrupts, and looks whether the others do. Who is late
 * at two looks is stuck; time that passed for none of them makes nobody late.
 */
#include "hv/settings.h"

#include "hv/boot/boot-info.h"
#include "hv/console.h"
#include "hv/cpu/cpu.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/thread.h"

#define NS_PER_S 1000000000ULL

struct watch {
    struct host_timer timer;
    uint64_t alive;            /* atomic: when it was here last */
    uint8_t late[HV_MAX_CPUS]; /* looks at which that one was */
};

static struct watch watches[HV_MAX_CPUS];
static uint64_t patience; /* ns */

static void look(void *opaque)
{
    struct watch *own = opaque;
    uint64_t now = time_now();

    __atomic_store_n(&own->alive, now, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < cpu_count; i++) {
        uint64_t alive = __atomic_load_n(&watches[i].alive, __ATOMIC_RELAXED);

        own->late[i] = alive && now > alive + patience ? own->late[i] + 1 : 0;
        if (own->late[i] == 2)
            panic_stuck(i, (unsigned)((now - alive) / NS_PER_S));
    }
    host_timer_set(&own->timer, now + patience / 4);
}

/* On each processor, as a timer stays where it is armed. */
static void watch_here(void *arg)
{
    struct watch *own = &watches[cpu_this()->metal.index];

    host_timer_init(&own->timer, look, own);
    look(own);
}

static void watch(uint64_t seconds)
{
    static struct sched_group group;
    static uint64_t affinity;
    const struct sched_params params = {.shares = SCHED_SHARES_DEFAULT, .affinity = &affinity};

    patience = seconds * NS_PER_S;
    for (unsigned i = 0; i < cpu_count; i++) {
        struct thread *thread = NULL;

        affinity = BIT64(i);
        if (sched_group_init(&hv_sched, &group, &params, NULL) == 0)
            thread = thread_create("watchdog", &group, &memory_own, watch_here, NULL);
        if (!thread) {
            hv_log(LOG_WARN, "processor %u is not watched: no memory", i);
            continue;
        }
        thread_join(thread);
        sched_group_finish(&hv_sched, &group);
    }
}

void settings_apply(const struct hv_own_config *own)
{
    static const uint16_t ports[] = {
        [HV_SERIAL_COM1] = 0x3f8, [HV_SERIAL_COM2] = 0x2f8, [HV_SERIAL_NONE] = 0};
    char buf[16];

    if (!boot_option("log", buf, sizeof(buf)))
        log_set_level((enum log_level)own->log);
    if (!boot_option("console", buf, sizeof(buf)))
        console_use(ports[own->console], (unsigned)(115200 / own->speed));
    screen_enable(own->screen);
    panic_set(own->panic == HV_PANIC_HALT, (unsigned)own->panic_seconds);
    if (own->watchdog)
        watch(own->watchdog);
}
