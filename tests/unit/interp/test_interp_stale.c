/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that are finished by reference while their bytes are written over. The writer is what a disk's
 * DMA is: the bytes come first, mem_written() when the request is done. Until then either instruction may
 * run, but nobody may take what the new one does for checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tests/unit/interp/engine.h"
#include "tests/unit/interp/machine.h"

#define ACROSS 0x80ffc /* eight bytes here lie in two pages */
#define SECRET 0x5ec2e75ec2e7

static struct machine m;

static int setup(void **state)
{
    machine_init(&m, &TEST_ENGINE, 1);
    return 0;
}

static int teardown(void **state)
{
    machine_finish(&m);
    return 0;
}

struct dma {
    uint8_t *to;
    uint8_t bytes[3];
    size_t size;
};

static void *dma_thread(void *arg)
{
    struct dma *dma = arg;

    usleep(100000); /* until the guest runs what is there now */
    memcpy(dma->to, dma->bytes, dma->size);
    usleep(50000); /* the rest of the request */
    mem_written(&m.vm, (uint64_t)(dma->to - m.ram), dma->size);
    return NULL;
}

static void run_beside(struct dma *dma)
{
    pthread_t thread;

    pthread_create(&thread, NULL, dma_thread, dma);
    machine_run(&m, 0);
    pthread_join(thread, NULL);
}

GUEST(guest_moves, "xor %esi, %esi\n mov $0x80ffc, %ecx\n"
                   "1: mov $0x80100, %ebx\n"
                   "movq $0, (%rbx)\n" /* the check of all that is at rbx */
                   ".balign 4, 0x90\n"
                   "mov (%rcx), %rdx\n" /* becomes mov (%rcx), %rbx */
                   "mov 8(%rbx), %rsi\n"
                   "movq $0x4141, 16(%rbx)\n"
                   "test %rsi, %rsi\n jz 1b\n hlt");

/* The new instruction loads the register that the accesses behind it have been checked by. */
static void test_moves_a_checked_register(void **state)
{
    static const uint8_t load[] = {0x48, 0x8b, 0x11};
    uint64_t secret[3] = {0, SECRET, 0};
    struct dma dma = {.bytes = {0x48, 0x8b, 0x19}, .size = 3};

    MACHINE_PUT(&m, MACHINE_CODE, guest_moves);
    store_le64(m.ram + ACROSS, (uint64_t)(uintptr_t)secret - (uint64_t)(uintptr_t)m.ram);
    dma.to = memmem(m.ram + MACHINE_CODE, 64, load, sizeof(load));
    assert_non_null(dma.to);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    run_beside(&dma);
    assert_int_equal(machine_state(&m, 0)->gpr[X86_R15], 14); /* #PF */
    assert_int_equal(machine_state(&m, 0)->gpr[X86_RSI], 0);
    assert_int_equal(secret[1], SECRET);
    assert_int_equal(secret[2], 0);
}

GUEST(guest_asks, "mov $0x80ffc, %ecx\n mov $0x5ec2e7, %eax\n"
                  "1: .rept 40\n mov (%rcx), %rdx\n .endr\n jmp 1b");

/* The new instruction is none for programs. */
static void test_needs_privilege(void **state)
{
    struct x86_state *s = machine_state(&m, 0);
    struct dma dma = {.bytes = {0x0f, 0x23, 0xc0}, .size = 3}; /* mov %rax, %dr0 */

    MACHINE_PUT(&m, MACHINE_CODE, guest_asks);
    dma.to = m.ram + MACHINE_CODE + 10 + 3 * 20;
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    for (unsigned seg = X86_CS; seg <= X86_SS; seg++) {
        s->seg[seg].selector |= 3;
        s->seg[seg].attr |= 3 << 5;
    }
    m.vm.engine->state_put(m.vm.vcpu[0]);
    assert_int_equal(m.vm.vcpu[0]->cpu.cpl, 3);
    run_beside(&dma);
    assert_int_equal(s->dr[0], 0);
}

GUEST(guest_returns, "mov $0x80ffc, %ecx\n"
                     "1: mov %ecx, %esp\n"
                     ".rept 40\n mov (%rcx), %rdx\n .endr\n"
                     "ret\n" /* over two pages, to 1b; becomes a NOP */
                     "hlt");

/* The new instruction is no branch any more: the block ends behind it. */
static void test_branches_no_more(void **state)
{
    struct dma dma = {.bytes = {0x90}, .size = 1};

    MACHINE_PUT(&m, MACHINE_CODE, guest_returns);
    store_le64(m.ram + ACROSS, MACHINE_CODE + 5);
    dma.to = memchr(m.ram + MACHINE_CODE, 0xc3, 256);
    assert_non_null(dma.to);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    run_beside(&dma);
    assert_int_equal(machine_state(&m, 0)->rip, dma.to + 2 - m.ram);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_moves_a_checked_register), TEST(test_needs_privilege),
                                       TEST(test_branches_no_more)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
