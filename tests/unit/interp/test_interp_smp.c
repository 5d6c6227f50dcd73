/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vCPUs on threads of their own: locked instructions, and code that another one writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/interp/engine.h"
#include "tests/unit/interp/machine.h"

#define VCPUS 3

static struct machine m;
static enum vm_exit exits[VCPUS];

static int setup(void **state)
{
    machine_init(&m, &TEST_ENGINE, VCPUS);
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

/* Runs n vCPUs, each from its own entry, until all halt. */
static void run_all(const uint64_t *entry, unsigned n)
{
    pthread_t thread[VCPUS];

    for (unsigned i = 0; i < n; i++) {
        machine_start(&m, i, X86_MODE_64, entry[i]);
        machine_state(&m, i)->gpr[X86_RDI] = i;
    }
    for (unsigned i = 0; i < n; i++)
        pthread_create(&thread[i], NULL, run_vcpu, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(exits[i], VM_EXIT_HALT);
}

static const uint64_t same_entry[VCPUS] = {MACHINE_CODE, MACHINE_CODE, MACHINE_CODE};

GUEST(guest_lock, "mov $0x80000, %ebx\n mov $200000, %ecx\n mov $1, %edx\n 1: lock incl (%rbx)\n"
                  "mov $1, %eax\n lock xadd %rax, 64(%rbx)\n lock addq $1, 128(%rbx)\n"
                  "mov 192(%rbx), %rax\n 2: lea 1(%rax), %rdx\n lock cmpxchg %rdx, 192(%rbx)\n jnz 2b\n"
                  "lock btsl $0, 256(%rbx)\n dec %ecx\n jnz 1b\n hlt");

static void test_locked(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_lock);
    run_all(same_entry, VCPUS);
    assert_int_equal(load_le32(m.ram + MACHINE_DATA), 200000 * VCPUS);
    assert_int_equal(load_le64(m.ram + MACHINE_DATA + 64), 200000 * VCPUS);
    assert_int_equal(load_le64(m.ram + MACHINE_DATA + 128), 200000 * VCPUS);
    assert_int_equal(load_le64(m.ram + MACHINE_DATA + 192), 200000 * VCPUS);
}

/* A counter across two pages, which only an exclusive section makes atomic. */
GUEST(guest_split, "mov $0x80ffc, %ebx\n mov $3000, %ecx\n 1: lock incq (%rbx)\n dec %ecx\n jnz 1b\n hlt");

static void test_split_lock(void **state)
{
    const uint64_t almost = 0xfffff000;

    machine_put(&m, 0x80ffc, &almost, 8);
    MACHINE_PUT(&m, MACHINE_CODE, guest_split);
    run_all(same_entry, VCPUS);
    assert_int_equal(load_le64(m.ram + 0x80ffc), almost + 3000 * VCPUS);
}

/* vCPU 0 calls a routine until its result is 200; vCPU 1 counts the routine's immediate up, waiting for each.
 */
GUEST(guest_caller,
      "mov $0x80000, %ebx\n mov $0x30000, %esi\n 1: call *%rsi\n mov %eax, (%rbx)\n cmp $200, %eax\n"
      "jb 1b\n hlt");
GUEST(guest_writer, "mov $0x80000, %ebx\n mov $0x30001, %esi\n xor %eax, %eax\n 1: incl (%rsi)\n inc %eax\n"
                    "2: pause\n cmp %eax, (%rbx)\n jne 2b\n cmp $200, %eax\n jb 1b\n hlt");
GUEST(guest_zero, "mov $0, %eax\n ret");

static void test_cross_modifying(void **state)
{
    const uint64_t entry[] = {MACHINE_CODE, 0x20000};

    MACHINE_PUT(&m, MACHINE_CODE, guest_caller);
    MACHINE_PUT(&m, 0x20000, guest_writer);
    MACHINE_PUT(&m, 0x30000, guest_zero);
    run_all(entry, 2);
    assert_int_equal(load_le32(m.ram + MACHINE_DATA), 200);
}

/* All vCPUs make, run and overwrite code in the same pages, each its own routine of 32 bytes. */
GUEST(guest_crowd,
      "mov %edi, %ebx\n shl $5, %ebx\n add $0x30000, %ebx\n mov $20000, %ecx\n xor %edx, %edx\n"
      "movb $0xb8, (%rbx)\n movb $0xc3, 5(%rbx)\n 1: mov %ecx, 1(%rbx)\n call *%rbx\n add %eax, %edx\n"
      "dec %ecx\n jnz 1b\n hlt");

static void test_crowded_page(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_crowd);
    run_all(same_entry, VCPUS);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(machine_state(&m, i)->gpr[X86_RDX], 20000 * 20001 / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_locked),
        TEST(test_split_lock),
        TEST(test_cross_modifying),
        TEST(test_crowded_page),
    };
    return cmocka_run_group_tests_name("interp smp", tests, NULL, NULL);
}
