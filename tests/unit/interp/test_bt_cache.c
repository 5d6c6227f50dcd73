/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A code cache that is far too small, under vCPUs that run, tie and overwrite what is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/bt/bt.h"
#include "tests/unit/interp/machine.h"

#define VCPUS    3
#define ROUTINES 8192
#define ROUTINE  64 /* bytes */
#define CODE     MIB(2)
#define CALLS    60000

static struct machine m;
static enum vm_exit exits[VCPUS];

static int setup(void **state)
{
    machine_init_cache(&m, &bt_engine, VCPUS, VM_CODE_CACHE_MIN);
    return 0;
}

static int teardown(void **state)
{
    machine_finish(&m);
    return 0;
}

static void *run_vcpu(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;

    exits[i] = machine_run(&m, i);
    return NULL;
}

static void run_all(const uint64_t *entry, unsigned n)
{
    pthread_t thread[VCPUS];

    for (unsigned i = 0; i < n; i++) {
        machine_start(&m, i, X86_MODE_64, entry[i]);
        machine_state(&m, i)->gpr[X86_RDI] = i + 1;
    }
    for (unsigned i = 0; i < n; i++)
        pthread_create(&thread[i], NULL, run_vcpu, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(exits[i], VM_EXIT_HALT);
}

/* By turns the rest by four is 0, where routines return. */
static unsigned follower(unsigned i)
{
    return (i * 1021 + 3077) % ROUTINES;
}

/* Routine i, by CALL: add $i, %rax; dec %ecx; jz end; then on to another one by a jump, or back. */
static void put_routines(void)
{
    for (unsigned i = 0; i < ROUTINES; i++) {
        uint64_t at = CODE + i * ROUTINE, next = CODE + follower(i) * ROUTINE;
        uint8_t code[] = {0x48, 0x05, 0, 0, 0, 0, 0xff, 0xc9, 0x74, 0x05, 0xe9, 0, 0, 0, 0, 0xc3};

        store_le32(code + 2, i);
        store_le32(code + 11, (uint32_t)(next - (at + 15)));
        if (i % 4 == 0)
            code[10] = 0xc3; /* ret */
        machine_put(&m, at, code, sizeof(code));
    }
}

/* Calls routines by an index that a generator makes, until ecx is 0. rdi: its seed. */
GUEST(guest_callers, "mov %edi, %esi\n xor %eax, %eax\n mov $60000, %ecx\n"
                     "1: imul $1103515245, %esi, %esi\n add $12345, %esi\n mov %esi, %ebx\n shr $12, %ebx\n"
                     "and $8191, %ebx\n shl $6, %ebx\n add $0x200000, %ebx\n call *%rbx\n"
                     "test %ecx, %ecx\n jg 1b\n hlt");

static uint64_t expected(uint32_t seed)
{
    uint64_t sum = 0;
    int left = CALLS;

    while (left > 0) {
        unsigned i;

        seed = seed * 1103515245 + 12345;
        i = seed >> 12 & (ROUTINES - 1);
        for (;;) {
            sum += i;
            if (--left == 0 || i % 4 == 0)
                break;
            i = follower(i);
        }
    }
    return sum;
}

static void check_cache(void)
{
    struct bt_stats stats;

    bt_stats_get(&m.vm, &stats);
    assert_true(stats.evictions > 4);
    assert_true(stats.evicted > ROUTINES / 2);
    assert_true(stats.flushes <= VCPUS);
    /* The last block of each region may stand out. */
    assert_true(stats.cache_used > VM_CODE_CACHE_MIN / 4 && stats.cache_used < VM_CODE_CACHE_MIN + KIB(64));
    assert_int_equal(stats.cache_size, VM_CODE_CACHE_MIN);
}

static void test_alone(void **state)
{
    const uint64_t entry[] = {MACHINE_CODE};

    put_routines();
    MACHINE_PUT(&m, MACHINE_CODE, guest_callers);
    run_all(entry, 1);
    assert_int_equal(machine_state(&m, 0)->gpr[X86_RAX], expected(1));
    check_cache();
}

static void test_crowd(void **state)
{
    const uint64_t entry[] = {MACHINE_CODE, MACHINE_CODE, MACHINE_CODE};

    put_routines();
    MACHINE_PUT(&m, MACHINE_CODE, guest_callers);
    run_all(entry, VCPUS);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(machine_state(&m, i)->gpr[X86_RAX], expected(i + 1));
    check_cache();
}

/* vCPU 2 writes each routine's immediate anew, with what it is: its blocks go, and nothing else changes. */
GUEST(guest_rewriter, "mov $3, %ecx\n 2: mov $0x200000, %ebx\n mov $8192, %edx\n"
                      "1: mov 2(%rbx), %eax\n mov %eax, 2(%rbx)\n add $64, %ebx\n dec %edx\n jnz 1b\n"
                      "dec %ecx\n jnz 2b\n hlt");

static void test_rewritten(void **state)
{
    const uint64_t entry[] = {MACHINE_CODE, MACHINE_CODE, 0x20000};

    put_routines();
    MACHINE_PUT(&m, MACHINE_CODE, guest_callers);
    MACHINE_PUT(&m, 0x20000, guest_rewriter);
    run_all(entry, VCPUS);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(machine_state(&m, i)->gpr[X86_RAX], expected(i + 1));
    check_cache();
}

/* Pages without any block cost a description, too: there may be any number of them. */
static void test_many_pages(void **state)
{
    uint64_t pt = 0xf00000, entry;
    struct bt_stats stats;

    /* A gigabyte of addresses, all of them one page of bytes that begin no instruction: #UD, whose handler
     * goes on to the next one. */
    for (unsigned i = 0; i < 512; i++) {
        store_le64(m.ram + pt + 4096 + i * 8, (pt + 8192) | 7);
        store_le64(m.ram + pt + 8192 + i * 8, 0x60000 | 7);
    }
    store_le64(m.ram + 0x2000 + 8, (pt + 4096) | 7);
    memset(m.ram + 0x60000, 0x06, 4096);
    {
        static const uint8_t handler[] = {0x48, 0x81, 0x04, 0x24,
                                          0x00, 0x10, 0x00, 0x00, /* addq $4096, (%rsp) */
                                          0xff, 0xc9,             /* dec %ecx */
                                          0x74, 0x02,             /* jz */
                                          0x48, 0xcf,             /* iretq */
                                          0xf4};

        machine_put(&m, 0x20000, handler, sizeof(handler));
    }
    machine_handler(&m, 6, 0x20000);
    entry = GIB(1);
    machine_start(&m, 0, X86_MODE_64, entry);
    machine_state(&m, 0)->gpr[X86_RCX] = 100000;
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
    assert_int_equal(machine_state(&m, 0)->rip, 0x2000f);
    bt_stats_get(&m.vm, &stats);
    assert_true(stats.cache_used < VM_CODE_CACHE_MIN);
    assert_true(stats.evictions > 10);
}

/* esi: one address space, edi: the other. In each 0x11000 jumps to 0x20000 and comes back to rbx, four times;
 * between them a store of what is there kills the first one's target (0x30000 is its other name). */
GUEST(guest_switches, "mov %rsi, %cr3\n mov $4, %ecx\n"
                      "1: lea 2f(%rip), %rbx\n mov $0x11000, %eax\n jmp *%rax\n"
                      "2: dec %ecx\n jnz 1b\n"
                      "movb $0x49, 0x30000\n mov %rdi, %cr3\n mov $4, %ecx\n"
                      "3: lea 4f(%rip), %rbx\n mov $0x11000, %eax\n jmp *%rax\n"
                      "4: dec %ecx\n jnz 3b\n hlt");
GUEST(guest_shared, ".byte 0xe9\n .long 0x20000 - 0x11005\n");
GUEST(guest_first, "inc %r8\n jmp *%rbx");
GUEST(guest_second, "inc %r9\n jmp *%rbx");

/* A vCPU may stand between the comparison of an exit's page and the jump behind it. So the exit never leads
 * to another page than once: its block is made anew. */
static void test_exit_of_two_address_spaces(void **state)
{
    const uint64_t other = 0x40000; /* page tables: PML4, PDPT, PD, PT */
    struct bt_stats before, after;

    memcpy(m.ram + other, m.ram + MACHINE_PML4, 4 * MEM_PAGE);
    for (unsigned i = 0; i < 3; i++)
        store_le64(m.ram + other + i * MEM_PAGE, (other + (i + 1) * MEM_PAGE) | 7);
    store_le64(m.ram + other + 3 * MEM_PAGE + 8 * 0x20, 0x21000 | 7);
    store_le64(m.ram + MACHINE_PT + 8 * 0x30, 0x20000 | 7);
    MACHINE_PUT(&m, MACHINE_CODE, guest_switches);
    MACHINE_PUT(&m, 0x11000, guest_shared);
    MACHINE_PUT(&m, 0x20000, guest_first);
    MACHINE_PUT(&m, 0x21000, guest_second);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    machine_state(&m, 0)->gpr[X86_RSI] = MACHINE_PML4;
    machine_state(&m, 0)->gpr[X86_RDI] = other;
    machine_state(&m, 0)->gpr[X86_R8] = machine_state(&m, 0)->gpr[X86_R9] = 0;
    bt_stats_get(&m.vm, &before);
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
    bt_stats_get(&m.vm, &after);
    assert_int_equal(machine_state(&m, 0)->gpr[X86_R8], 4);
    assert_int_equal(machine_state(&m, 0)->gpr[X86_R9], 4);
    assert_int_equal(after.killed - before.killed, 2); /* the target, and what jumped to it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_alone), TEST(test_crowd), TEST(test_rewritten),
                                       TEST(test_exit_of_two_address_spaces), TEST(test_many_pages)};

    return cmocka_run_group_tests_name("bt cache", tests, NULL, NULL);
}
