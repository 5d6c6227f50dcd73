/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "selftest" on the command line: what only the machine itself can show. One line a test, then the
 * counts. "selftest=panic", "assert", "null", "stack", "text", "double" end in the panic of that name, which
 * a test looks at.
 */
#include "hv/selftest.h"
#include "base/bytes.h"
#include "hv/boot/acpi.h"
#include "hv/boot/boot-info.h"
#include "hv/cpu/apic.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/irq.h"
#include "hv/cpu/trap.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/mem/map.h"
#include "hv/mem/ram.h"
#include "hv/panic.h"
#include "hv/settings.h"
#include "hv/thread.h"

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            hv_log(LOG_ERROR, "selftest: line %u: %s", __LINE__, #cond);                                     \
            return false;                                                                                    \
        }                                                                                                    \
    } while (0)

#define MS 1000000ULL

extern const uint8_t text_start[], rodata_start[], boot_stack[];

static uint64_t address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static uint32_t random_state = 1;

static uint32_t random(uint32_t below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * below >> 32);
}

/* ---- memory ---- */

static bool test_pages(void)
{
    struct memory_account account = {.name = "test", .limit = MIB(16)};
    uint64_t block[64], free = page_free_bytes();
    unsigned order[64], n = 0;

    CHECK(page_total_bytes() > MIB(16) && free <= page_total_bytes());
    while (n < 64) {
        order[n] = random(6);
        block[n] = page_alloc(order[n], &account);
        if (block[n] == PAGE_NONE)
            break;
        CHECK(!(block[n] & ((PAGE_SIZE << order[n]) - 1)));
        memset(phys_to_virt(block[n]), (int)n, PAGE_SIZE << order[n]);
        n++;
    }
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = phys_to_virt(block[i]);

        for (uint64_t k = 0; k < PAGE_SIZE << order[i]; k += 512)
            CHECK(p[k] == i);
        page_free(block[i], order[i], &account);
    }
    CHECK(account.used == 0 && page_free_bytes() == free);
    CHECK(page_alloc(13, &account) == PAGE_NONE && account.used == 0); /* 32 MiB */
    return true;
}

static bool test_heap(void)
{
    struct memory_account account = {.name = "test", .limit = MIB(32)};
    uint8_t *piece[100] = {NULL};
    size_t size[100];

    for (unsigned round = 0; round < 2000; round++) {
        unsigned i = random(100);

        if (piece[i]) {
            CHECK(piece[i][0] == (uint8_t)i && piece[i][size[i] - 1] == (uint8_t)i);
            heap_free(piece[i]);
            piece[i] = NULL;
            continue;
        }
        size[i] = 1 + random(random(4) ? 2000 : 50000);
        piece[i] = heap_alloc(size[i], &account);
        CHECK(piece[i] && address_of(piece[i]) % (size[i] >= PAGE_SIZE ? PAGE_SIZE : 64) == 0);
        CHECK(!piece[i][0] && !piece[i][size[i] / 2] && !piece[i][size[i] - 1]);
        memset(piece[i], (int)i, size[i]);
    }
    for (unsigned i = 0; i < 100; i++)
        heap_free(piece[i]);
    heap_trim(&account);
    CHECK(account.used == 0);
    return true;
}

static bool test_protection(void)
{
    static uint64_t data[8];
    uint64_t value, stack = address_of(thread_this()->stack), text = address_of(test_pages), ret = 0xc3;
    uint8_t *heap = heap_alloc(64, &memory_own);
    const void *code;
    uint8_t *write = metal_code_alloc(100, &code);

    CHECK(heap && write);
    CHECK(probe_read64(text, &value) && !probe_write8(text, 0xcc));
    CHECK(!probe_write8(DIRECT_BASE + virt_to_phys(test_pages), 0xcc));
    CHECK(!probe_write8(address_of(rodata_start), 0));
    store_le64(data, ret);
    store_le64(heap, ret);
    CHECK(!probe_call(address_of(data)) && !probe_call(address_of(heap)) && !probe_call(address_of(&ret)));
    CHECK(!probe_call(DIRECT_BASE + virt_to_phys(test_pages)));
    CHECK(!probe_read64(0, &value) && !probe_write8(4096, 0) && !probe_call(0));
    CHECK(probe_read64(stack, &value) && !probe_read64(stack - 8, &value) &&
          !probe_write8(stack - PAGE_SIZE, 0));
    CHECK(!probe_read64(address_of(boot_stack) - 8, &value) && probe_read64(address_of(boot_stack), &value));
    *write = 0xc3;
    CHECK(probe_call(address_of(code)) && !probe_write8(address_of(code), 0) &&
          !probe_call(address_of(write)));
    metal_code_free(write, 100);
    CHECK(!probe_call(address_of(code)));
    heap_free(heap);
    CHECK(map_is_safe());
    return true;
}

/* ---- threads ---- */

struct worker {
    struct thread *thread, *peer;
    uint64_t cpus; /* seen */
    uint64_t count;
    struct guest_ram *ram;
    bool good;
};

static uint64_t seen_cpus, all_cpus; /* atomic: where spin_on_cpu() has run */

static void spin_on_cpu(void *arg)
{
    struct worker *w = arg;
    uint64_t begin = time_now();

    /* An emulated processor may have to wait for one of the host's. */
    while (time_now() < begin + 20 * MS ||
           (__atomic_load_n(&seen_cpus, __ATOMIC_SEQ_CST) != all_cpus && time_now() < begin + 5000 * MS)) {
        __atomic_fetch_or(&seen_cpus, BIT64(cpu_this()->metal.index), __ATOMIC_SEQ_CST);
        if (metal_must_yield())
            thread_yield();
        w->count++;
    }
}

static bool test_threads(void)
{
    struct worker w[2 * HV_MAX_CPUS] = {{0}};
    unsigned n = MIN(2 * cpu_count, (unsigned)ARRAY_SIZE(w));

    seen_cpus = 0;
    all_cpus = cpu_count == 64 ? ~0ULL : BIT64(cpu_count) - 1;
    for (unsigned i = 0; i < n; i++) {
        w[i].thread = thread_create("spin", &hv_group, &memory_own, spin_on_cpu, &w[i]);
        CHECK(w[i].thread);
    }
    for (unsigned i = 0; i < n; i++) {
        thread_join(w[i].thread);
        CHECK(w[i].count);
    }
    CHECK(seen_cpus == all_cpus);
    return true;
}

static void pong(void *arg)
{
    struct worker *w = arg;

    while (w->count < 1000) {
        uint64_t before = w->count;

        thread_wake(w->peer);
        while (__atomic_load_n(&w->count, __ATOMIC_SEQ_CST) == before)
            thread_wait();
    }
    w->good = true;
}

static bool test_wake(void)
{
    struct worker w = {.peer = thread_this()};
    uint64_t begin = time_now();

    w.thread = thread_create("pong", &hv_group, &memory_own, pong, &w);
    CHECK(w.thread);
    for (unsigned i = 0; i < 1000; i++) {
        thread_wait_until(time_now() + 1000 * MS);
        __atomic_fetch_add(&w.count, 1, __ATOMIC_SEQ_CST);
        thread_wake(w.thread);
    }
    thread_join(w.thread);
    CHECK(w.good);
    hv_log(LOG_DEBUG, "selftest: a wake-up and back takes %u ns", (unsigned)((time_now() - begin) / 1000));
    return true;
}

static void wait_for_poke(void *arg)
{
    struct worker *w = arg;
    uint64_t end = time_now() + 1000 * MS;

    thread_yield();
    __atomic_store_n(&w->cpus, cpu_this()->metal.index + 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&cpu_this()->must_yield, __ATOMIC_SEQ_CST) && time_now() < end)
        cpu_pause();
    w->good = time_now() < end;
}

/* The other processor looks up, from a loop and from HLT. */
static bool test_poke(void)
{
    struct worker w = {0};
    uint64_t on;

    if (cpu_count == 1)
        return true;
    w.thread = thread_create("poked", &hv_group, &memory_own, wait_for_poke, &w);
    CHECK(w.thread);
    while (!(on = __atomic_load_n(&w.cpus, __ATOMIC_SEQ_CST)))
        cpu_pause(); /* it comes to another processor, as this one is taken */
    cpu_poke(cpus[on - 1]);
    thread_join(w.thread);
    CHECK(w.good);
    return true;
}

/* ---- guests' RAM ---- */

static void touch_all(void *arg)
{
    struct worker *w = arg;
    uint8_t *host = guest_ram_host(w->ram);
    uint64_t size;

    w->good = true;
    for (uint64_t at = 0; at < MIB(21); at += MIB(1)) {
        uint64_t *p = (uint64_t *)(host + at);

        __atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST); /* both come to each piece at the same time */
        w->good &= *p == 1 || *p == 2;
        w->good &= !load_le64(host + at + 4096);
        w->good &= guest_ram_phys(w->ram, at, &size) == virt_to_phys(host + at);
    }
}

static bool test_guest_ram(void)
{
    struct memory_account account = {.name = "test", .limit = MIB(22)};
    struct worker w[2] = {{0}};
    struct error err = {0};
    struct guest_ram *ram;
    uint64_t size, value, host;

    CHECK(guest_ram_create(&ram, MIB(64), &account, &err) == -ENOMEM && err.code == ENOMEM);
    CHECK(guest_ram_create(&ram, MIB(1) + 4096, &account, NULL) == -EINVAL);
    for (unsigned round = 0; round < 3; round++) {
        CHECK(guest_ram_create(&ram, MIB(21), &account, NULL) == 0 && account.used >= MIB(21));
        host = address_of(guest_ram_host(ram));
        for (unsigned i = 0; i < 2; i++) {
            w[i].ram = ram;
            w[i].thread = thread_create("touch", &hv_group, &memory_own, touch_all, &w[i]);
            CHECK(w[i].thread);
        }
        for (unsigned i = 0; i < 2; i++) {
            thread_join(w[i].thread);
            CHECK(w[i].good);
        }
        CHECK(*(uint64_t *)(host + MIB(20)) == 2);
        (void)guest_ram_phys(ram, MIB(3), &size);
        CHECK(size == MIB(2));
        (void)guest_ram_phys(ram, MIB(20) + 5000, &size);
        CHECK(size == PAGE_SIZE);
        CHECK(!probe_read64(host + MIB(21), &value) && probe_read64(host + MIB(21) - 8, &value));
        memset((void *)host, 0xa5, MIB(21)); /* the next one must not see it */
        guest_ram_destroy(ram);
        CHECK(!probe_read64(host, &value) && !probe_write8(host + MIB(20), 1));
    }
    heap_trim(&account);
    CHECK(!account.used);
    return true;
}

/* Windows come and go on all processors at once: nobody waits for who waits for him, nobody sees an old page.
 */
static void remap(void *arg)
{
    struct worker *w = arg;
    uint64_t page[2], virt, value;

    for (unsigned i = 0; i < 2; i++) {
        page[i] = page_alloc(0, &memory_own);
        if (page[i] == PAGE_NONE)
            return;
        *(uint64_t *)phys_to_virt(page[i]) = i + 1;
    }
    w->good = true;
    for (unsigned i = 0; i < 100; i++) {
        virt = map_reserve(PAGE_SIZE, PAGE_SIZE);
        w->good &= virt && !map_add(virt, page[i % 2], PAGE_SIZE, MAP_RAM);
        w->good &= probe_read64(virt, &value) && value == i % 2 + 1;
        if (i % 16 == 0)
            thread_yield();
        map_remove(virt, PAGE_SIZE);
        w->good &= !probe_read64(virt, &value);
    }
    page_free(page[0], 0, &memory_own);
    page_free(page[1], 0, &memory_own);
}

static bool test_remap(void)
{
    struct worker w[4] = {{0}};
    uint64_t before = memory_own.used;

    for (unsigned i = 0; i < 4; i++) {
        w[i].thread = thread_create("remap", &hv_group, &memory_own, remap, &w[i]);
        CHECK(w[i].thread);
    }
    for (unsigned i = 0; i < 4; i++) {
        thread_join(w[i].thread);
        CHECK(w[i].good);
    }
    CHECK(memory_own.used <= before + KIB(64)); /* empty pages of the heap */
    return true;
}

/* ---- time ---- */

struct shot {
    struct host_timer timer;
    uint64_t wanted, fired;
    unsigned order;
};

static unsigned shots; /* fired so far */

static void fired(void *opaque)
{
    struct shot *s = opaque;

    s->fired = time_now();
    s->order = shots++;
}

static bool test_timers(void)
{
    struct shot s[40];
    uint64_t base = time_now() + 5 * MS, late = 0;

    shots = 0;
    for (unsigned i = 0; i < 40; i++) {
        host_timer_init(&s[i].timer, fired, &s[i]);
        s[i].wanted = base + i * 7 % 40 * (MS / 2);
        host_timer_set(&s[i].timer, s[i].wanted);
    }
    host_timer_set(&s[39].timer, TIMER_NEVER);
    for (uint64_t end = base + 200 * MS; shots < 39 && time_now() < end;)
        cpu_irq_window();
    CHECK(shots == 39);
    for (unsigned i = 0; i < 39; i++) {
        CHECK(s[i].fired >= s[i].wanted);
        late = MAX(late, s[i].fired - s[i].wanted);
        for (unsigned k = 0; k < 39; k++)
            CHECK(s[i].wanted <= s[k].wanted || s[i].order > s[k].order);
    }
    hv_log(LOG_DEBUG, "selftest: the latest timer was %u us late", (unsigned)(late / 1000));

    base = time_now();
    thread_wait_until(base + 20 * MS);
    CHECK(time_now() >= base + 20 * MS);
    CHECK(time_real() / 1000000000 > 1700000000 && time_real() / 1000000000 < 4102444800);
    return true;
}

static uint64_t latest; /* atomic: of time_now() on any processor */

static void watch_time(void *arg)
{
    struct worker *w = arg;

    w->good = true;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t seen = __atomic_load_n(&latest, __ATOMIC_SEQ_CST), now = time_now();

        w->good &= now >= seen;
        while (now > seen &&
               !__atomic_compare_exchange_n(&latest, &seen, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        }
        if (i % 1000 == 0)
            thread_yield();
    }
}

static bool test_one_clock(void)
{
    struct worker w[2] = {{0}};

    latest = 0;
    for (unsigned i = 0; i < 2; i++) {
        w[i].thread = thread_create("clock", &hv_group, &memory_own, watch_time, &w[i]);
        CHECK(w[i].thread);
    }
    for (unsigned i = 0; i < 2; i++)
        thread_join(w[i].thread);
    CHECK(w[0].good && w[1].good);
    return true;
}

/* ---- interrupts ---- */

static void count_irq(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void count_rtc(void *opaque)
{
    outb(0x70, 0x8c);
    (void)inb(0x71);
    ++*(unsigned *)opaque;
}

static bool test_irqs(void)
{
    static unsigned count, ticks; /* the handlers stay */
    uint64_t address, end;
    uint32_t data;
    uint8_t b;

    CHECK(irq_msi_alloc(cpu_this()->metal.index, count_irq, &count, &address, &data) == 0);
    count = 0;
    apic_ipi(cpu_this()->metal.apic_id, (uint8_t)data);
    for (end = time_now() + MS; time_now() < end;)
        cpu_pause();
    CHECK(count == 0); /* interrupts are off */
    cpu_irq_window();
    CHECK(count == 1);
    cpu_irq_window();
    CHECK(count == 1);

    /* The real-time clock, 1024 times a second by an IO-APIC, to the first processor. */
    CHECK(irq_isa_connect(8, count_rtc, &ticks) == 0 && irq_isa_connect(8, count_rtc, &ticks) == -EBUSY);
    outb(0x70, 0x8b);
    b = inb(0x71);
    outb(0x70, 0x8b);
    outb(0x71, b | 0x40);
    outb(0x70, 0x8c);
    (void)inb(0x71);
    for (end = time_now() + 200 * MS; __atomic_load_n(&ticks, __ATOMIC_SEQ_CST) < 5 && time_now() < end;)
        thread_wait_until(time_now() + MS);
    outb(0x70, 0x8b);
    outb(0x71, b);
    CHECK(ticks >= 5);
    return true;
}

/* ---- the rest ---- */

static bool test_tables(void)
{
    char name[64];

    for (unsigned i = 0; i < boot_info.module_count; i++)
        hv_log(LOG_DEBUG, "selftest: module \"%s\": %llu bytes", boot_info.modules[i].text,
               (unsigned long long)boot_info.modules[i].size);
    CHECK(acpi.cpu_count >= cpu_count && acpi.ioapic_count);
    CHECK(
        !memcmp(symbol_text(address_of(selftest_kernel) + 1, name, sizeof(name)), "selftest_kernel+0x1", 20));
    CHECK(!memcmp(symbol_text(address_of(text_start) - 1, name, sizeof(name)), "0x", 2));
    CHECK(boot_option_is("selftest", "") || boot_option("selftest", name, sizeof(name)));
    CHECK(!boot_option("selftes", name, sizeof(name)) && !boot_option("elftest", name, sizeof(name)));
    return true;
}

static const struct {
    const char *name;
    bool (*fn)(void);
} tests[] = {
    {"pages", test_pages},         {"heap", test_heap},       {"protection", test_protection},
    {"threads", test_threads},     {"wake", test_wake},       {"poke", test_poke},
    {"guest-ram", test_guest_ram}, {"remap", test_remap},     {"timers", test_timers},
    {"one-clock", test_one_clock}, {"interrupts", test_irqs}, {"tables", test_tables},
};

static ATTR_NOINLINE uint64_t eat_stack(volatile uint64_t *above)
{
    volatile uint64_t here[32];

    for (unsigned i = 0; i < 32; i++)
        here[i] = above[i % 32] + i;
    if (here[3] == 1)
        return 0; /* it never is */
    return eat_stack(here) + here[3];
}

static ATTR_NOINLINE void crash(const char *what)
{
    volatile uint64_t start[32] = {0};

    if (boot_option_is("selftest", "panic"))
        panic("as asked for on the command line");
    if (boot_option_is("selftest", "assert"))
        base_assert(*what == '\0');
    if (boot_option_is("selftest", "null"))
        start[0] = *(volatile uint64_t *)(uintptr_t)(16 + start[1]);
    if (boot_option_is("selftest", "text"))
        *(volatile uint8_t *)(uintptr_t)address_of(selftest_kernel) = 0xcc;
    if (boot_option_is("selftest", "stuck")) {
        settings_apply(&(struct hv_own_config){.log = HV_LOG_INFO, .speed = 115200, .watchdog = 2});
        for (;;)
            cpu_pause();
    }
    if (boot_option_is("selftest", "stack"))
        start[0] = eat_stack(start);
}

bool selftest_kernel(const char *what)
{
    unsigned failed = 0;

    crash(what);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++) {
        bool good = tests[i].fn();

        hv_log(LOG_INFO, "selftest: %s %s", good ? "ok" : "FAIL", tests[i].name);
        failed += !good;
    }
    hv_log(LOG_INFO, "selftest: %u passed, %u failed", (unsigned)ARRAY_SIZE(tests) - failed, failed);
    return !failed;
}
