/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests that look at the time that they get, and others that would take it from them. */
#include "tests/guest/hostile/virtio-driver.h"
#include "tests/guest/isolation/machine.h"
#include "tests/guest/kernel/laws.h"

#define PERIOD_US   10000ULL
#define JOB_US      1800ULL /* of 2000 that are promised: its interrupt, and the way back, want some */
#define REPORT_US   1000000ULL
#define CHUNK       50ULL /* rounds of a loop: some microseconds */
#define TICK_VECTOR 0x40
#define TICK_NS     10000U
#define SECTOR      512U

/* ---- work, in microseconds of an undisturbed processor ---- */

static uint64_t chunk_ticks; /* what a chunk takes if nothing comes in between */

static void work_chunk(void)
{
    uint64_t n = CHUNK;

    __asm__ volatile("1: .rept 64; nop; .endr; dec %0; jnz 1b" : "+r"(n)); /* emulators are fast at that */
}

static void calibrate(void)
{
    chunk_ticks = ~0ULL;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t start = rdtsc(), took;

        work_chunk();
        took = rdtsc() - start;
        if (took < chunk_ticks)
            chunk_ticks = took;
    }
}

static uint64_t ticks_of(uint64_t us)
{
    return us * tsc_khz() / 1000;
}

static void tell(const char *what, uint64_t value)
{
    print(" ");
    print(what);
    print(" ");
    print_number(value);
}

/* ---- who looks ---- */

/* Works all the time. Each second of its clock: how much of that it could, both from the beginning. */
static void steady(void)
{
    uint64_t start, next, chunks = 0;

    calibrate();
    start = rdtsc();
    next = start + ticks_of(REPORT_US);
    for (;;) {
        work_chunk();
        chunks++;
        if (rdtsc() < next)
            continue;
        print("steady");
        tell("did", ticks_to_us(chunks * chunk_ticks));
        tell("of", ticks_to_us(rdtsc() - start));
        print("\n");
        next = rdtsc() + ticks_of(REPORT_US);
    }
}

static bool on_tick(struct trap_frame *frame)
{
    if (frame->vector != TICK_VECTOR)
        return false;
    lapic_eoi();
    return true;
}

static void sleep_until(uint64_t when)
{
    for (uint64_t now; (now = rdtsc()) < when;) {
        lapic_timer(TICK_VECTOR, (uint32_t)(ticks_to_us(when - now) * 1000 + 1000));
        __asm__ volatile("sti; hlt; cli");
    }
}

/* Every 10 ms a job of 1.8 ms, which must be done before the next one is due. One that is done too late has
 * missed its period, and all that have begun meanwhile are missed, too. */
static void periods(void)
{
    uint64_t period = ticks_of(PERIOD_US), done = 0, missed = 0, worst = 0, worst_start = 0, release, began,
             took;

    calibrate();
    lapic_on();
    trap_hook = on_tick;
    release = rdtsc() + period;
    for (;;) {
        sleep_until(release);
        began = rdtsc() - release;
        for (uint64_t ticks = 0; ticks < ticks_of(JOB_US); ticks += chunk_ticks)
            work_chunk();
        took = rdtsc() - release;
        worst = took > worst ? took : worst;
        worst_start = began > worst_start ? began : worst_start;
        done++;
        for (; took > period; took -= period, release += period)
            missed++;
        release += period;
        if (done % (REPORT_US / PERIOD_US))
            continue;
        print("periods");
        tell("done", done);
        tell("missed", missed);
        tell("start", ticks_to_us(worst_start));
        tell("end", ticks_to_us(worst));
        print("\n");
        worst = worst_start = 0;
    }
}

/* ---- who takes ---- */

static void ticks_on(void)
{
    lapic_on();
    trap_hook = on_tick;
    MMIO32(LAPIC_LVTT) = 0x20000 | TICK_VECTOR; /* periodic */
    MMIO32(LAPIC_TICR) = TICK_NS;
    print("storm\n");
}

/* Timers every 10 us, asleep in between, and never asleep. */
static void ticks_asleep(void)
{
    ticks_on();
    for (;;)
        __asm__ volatile("sti; hlt");
}

static void ticks_awake(void)
{
    ticks_on();
    __asm__ volatile("sti");
    for (;;)
        work_chunk();
}

/* Requests of one sector, each told at once: as many interrupts of the machine's disk as there can be. */
static void requests(void)
{
    struct vdev d;
    struct vqueue *q;

    vdev_find(&d, ID_BLK);
    vdev_start(&d, 0);
    q = &d.q[0];
    print("storm\n");
    for (uint64_t n = 0;; n++) {
        unsigned slots = q->size / 3U;

        for (unsigned i = 0; i < slots; i++) {
            uint64_t at = DATA + i * 0x2000ULL;

            MMIO64(at) = 0; /* VIRTIO_BLK_T_IN */
            MMIO64(at + 8) = (n + i) % 64;
            vq_desc(q, 3 * i, at, 16, D_NEXT, 3 * i + 1);
            vq_desc(q, 3 * i + 1, at + 4096, SECTOR, D_NEXT | D_WRITE, 3 * i + 2);
            vq_desc(q, 3 * i + 2, at + 64, 1, D_WRITE, 0);
            vq_offer(q, (uint16_t)(3 * i));
            vq_notify(q, 0);
        }
        for (unsigned i = 0; i < slots && vq_wait(&d, 0, NULL); i++)
            ;
    }
}

static void spin(void)
{
    print("storm\n");
    for (;;) {
        work_chunk();
        (void)rdtsc();
    }
}

/* clang-format off */
const struct test tests[] = {
    S(2, steady),
    S(2, periods),
    S(2, ticks_asleep),
    S(2, ticks_awake),
    S(2, requests),
    S(2, spin),
    {0},
};
/* clang-format on */
