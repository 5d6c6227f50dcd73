/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interpreter's own part: blocks, their invalidation, links, faults in mid-block, events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/interp/engine.h"
#include "tests/unit/interp/machine.h"

static struct machine m;

static int setup(void **state)
{
    machine_init(&m, &TEST_ENGINE, 2);
    return 0;
}

static int teardown(void **state)
{
    machine_finish(&m);
    return 0;
}

static void run64(uint64_t rip)
{
    machine_start(&m, 0, X86_MODE_64, rip);
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
}

#define REG(n) (machine_state(&m, 0)->gpr[X86_##n])

/* ---- plain running ---- */

GUEST(guest_sum, "xor %eax, %eax\n mov $100000, %ecx\n 1: add %rcx, %rax\n dec %ecx\n jnz 1b\n hlt");

static void test_loop(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_sum);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RAX), 5000050000);
    if (TEST_COUNTS)
        assert_int_equal(m.vm.vcpu[0]->cpu.instructions, 2 + 300000 + 1);
}

GUEST(guest_calls, "mov $20, %edi\n call 1f\n hlt\n"
                   "1: cmp $2, %edi\n jb 2f\n push %rdi\n dec %edi\n call 1b\n mov (%rsp), %rdi\n push %rax\n"
                   "sub $2, %edi\n call 1b\n pop %rcx\n add %rcx, %rax\n pop %rdi\n ret\n"
                   "2: mov %edi, %eax\n ret");

static void test_calls(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_calls);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RAX), 6765); /* the 20th Fibonacci number */
    assert_int_equal(REG(RSP), MACHINE_STACK);
}

GUEST(guest_32,
      ".code32\n mov $0x80000, %ebx\n mov $1000, %ecx\n xor %eax, %eax\n 1: mov %ecx, (%ebx,%ecx,4)\n"
      "add (%ebx,%ecx,4), %eax\n push %eax\n call 2f\n pop %edx\n loop 1b\n hlt\n 2: leal -1(%eax), %edx\n"
      "ret\n .code64");

static void test_flat_32(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_32);
    machine_start(&m, 0, X86_MODE_32, MACHINE_CODE);
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
    assert_int_equal(REG(RAX), 500500);
    assert_int_equal(REG(RDX), 500500);
    assert_int_equal(REG(RSP), MACHINE_STACK);
}

GUEST(guest_16, ".code16\n mov $1000, %cx\n xor %ax, %ax\n 1: add %cx, %ax\n push %ax\n pop %dx\n loop 1b\n"
                "mov $0x2000, %bx\n mov %bx, %ds\n mov %ax, 0x10\n hlt\n .code64");

static void test_real_mode(void **state)
{
    MACHINE_PUT(&m, 0x7000, guest_16);
    machine_start(&m, 0, X86_MODE_16, 0x7000);
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
    assert_int_equal(REG(RAX) & 0xffff, 500500 & 0xffff);
    assert_int_equal(load_le16(m.ram + 0x20010), 500500 & 0xffff);
}

/* ---- faults ---- */

GUEST(guest_fault, "mov $1, %ebx\n add $1, %ebx\n lea 0x40000000, %rcx\n cmp %ebx, %ebx\n mov (%rcx), %rdx\n"
                   "add $100, %ebx\n hlt");

static void test_fault_in_block(void **state)
{
    struct x86_state *s = machine_state(&m, 0);

    MACHINE_PUT(&m, MACHINE_CODE, guest_fault);
    run64(MACHINE_CODE);
    assert_int_equal(REG(R15), X86_PF);
    assert_int_equal(REG(RBX), 2);
    assert_int_equal(s->cr2, 0x40000000);
    /* The frame: error code, RIP of the faulting instruction, CS, RFLAGS with the comparison's ZF. */
    assert_int_equal(load_le64(m.ram + s->gpr[X86_RSP] + 8), MACHINE_CODE + 18);
    assert_true(load_le64(m.ram + s->gpr[X86_RSP] + 24) & X86_FL_ZF);
}

_Static_assert(X86_TLB_SIZE * 4096ULL == MACHINE_ALIAS, "the guests below want collisions");

/* PUSH and CALL by memory whose operand and stack want the same slot of the software TLB. */
GUEST(guest_conflict, "mov $0xf0000 - 16 + 0x8000000, %ebx\n lea 1f(%rip), %rax\n mov %rax, (%rbx)\n"
                      "movq $77, 8(%rbx)\n mov $1000, %ecx\n 2: push 8(%rbx)\n pop %rdx\n add %rdx, %rsi\n"
                      "call *(%rbx)\n dec %ecx\n jnz 2b\n hlt\n 1: inc %edi\n ret");

static void test_tlb_conflict(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_conflict);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RSI), 77000);
    assert_int_equal(REG(RDI), 1000);
}

/* ---- self-modifying code ---- */

/* The store changes the immediate of the very next instruction, and of one in the next block. */
GUEST(guest_smc_next,
      "xor %ebx, %ebx\n movb $7, 1f+1(%rip)\n 1: mov $1, %eax\n movb $9, 2f+1(%rip)\n jmp 2f\n"
      "2: mov $2, %ecx\n hlt");

static void test_smc_own_block(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_smc_next);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RAX), 7);
    assert_int_equal(REG(RCX), 9);
}

/* An instruction's immediate counts the rounds. */
GUEST(guest_smc_loop,
      "xor %eax, %eax\n mov $200, %ecx\n 1: incl 2f+1(%rip)\n 2: mov $0, %edx\n add %edx, %eax\n"
      "dec %ecx\n jnz 1b\n hlt");

static void test_smc_loop(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_smc_loop);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RAX), 200 * 201 / 2);
}

/* Calls into another page that it rewrites before each call: mov $n, %eax; ret. */
GUEST(guest_smc_page,
      "mov $0x20000, %ebx\n movb $0xb8, (%rbx)\n movb $0xc3, 5(%rbx)\n xor %edx, %edx\n"
      "mov $300, %ecx\n 1: mov %ecx, 1(%rbx)\n call *%rbx\n add %eax, %edx\n dec %ecx\n jnz 1b\n hlt");

static void test_smc_other_page(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_smc_page);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RDX), 300 * 301 / 2);
}

/* Data in the code's page, but not in its lines, does not cost the blocks. */
GUEST(guest_beside,
      "lea 0x800(%rip), %rbx\n mov $1000, %ecx\n 1: mov %ecx, (%rbx)\n add (%rbx), %eax\n dec %ecx\n"
      "jnz 1b\n hlt");

static void test_data_beside_code(void **state)
{
    struct test_counts counts;

    MACHINE_PUT(&m, MACHINE_CODE, guest_beside);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RAX), 500500);
    counts = test_counts_of(m.vm.vcpu[0]);
    assert_true(counts.killed <= TEST_KILLED_BESIDE);
    assert_true(counts.blocks < 10 + 3 * counts.killed);
}

/* A device rewrites the routine: mov $1, %eax; ret. */
GUEST(guest_dma,
      "mov $0x100, %edx\n xor %ebx, %ebx\n mov $100, %ecx\n 1: call 2f\n add %eax, %ebx\n out %al, %dx\n"
      "dec %ecx\n jnz 1b\n hlt\n .balign 64\n 2: mov $1, %eax\n ret");

static void dma_increment(struct machine *machine, uint64_t value)
{
    uint32_t imm = (uint32_t)value + 1;

    assert_int_equal(mem_write(&machine->vm, MACHINE_CODE + 65, &imm, 4), 0);
}

static void test_smc_by_device(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_dma);
    m.on_port = dma_increment;
    run64(MACHINE_CODE);
    assert_int_equal(REG(RBX), 100 * 101 / 2);
}

/* ---- translations that change under linked blocks ---- */

/* The page at 0x30000 holds mov $imm, %eax; ret. Its PTE alternates between two frames; CR3 is reloaded. */
GUEST(guest_remap,
      "mov $0x4000 + 0x30 * 8, %esi\n xor %ebx, %ebx\n mov $100, %ecx\n 1: mov $0x30000, %eax\n"
      "call *%rax\n add %eax, %ebx\n xorl $0x1000, (%rsi)\n mov %cr3, %rax\n mov %rax, %cr3\n dec %ecx\n"
      "jnz 1b\n hlt");
GUEST(guest_one, "mov $1, %eax\n ret");
GUEST(guest_thousand, "mov $1000, %eax\n ret");

static void test_remap(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_remap);
    MACHINE_PUT(&m, 0x30000, guest_one);
    MACHINE_PUT(&m, 0x31000, guest_thousand);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RBX), 50 * 1001);
}

/* mov $0x11223344, %eax across the boundary of 0x30000 and 0x31000; the second half changes by store, then by
 * remapping. */
GUEST(guest_crossing,
      "xor %ebx, %ebx\n mov $0x4000 + 0x31 * 8, %esi\n mov $100, %ecx\n 1: mov $0x30ffd, %eax\n"
      "call *%rax\n add %eax, %ebx\n incb 0x31000\n dec %ecx\n jnz 1b\n movl $0x32007, (%rsi)\n"
      "mov $0x31000, %edi\n invlpg (%rdi)\n mov $0x30ffd, %eax\n call *%rax\n hlt");

static void test_page_crossing(void **state)
{
    const uint8_t first[] = {0xb8, 0, 0}, second[] = {0, 0, 0xc3}, other[] = {0x55, 0, 0xc3};

    MACHINE_PUT(&m, MACHINE_CODE, guest_crossing);
    machine_put(&m, 0x30ffd, first, 3);
    machine_put(&m, 0x31000, second, 3);
    machine_put(&m, 0x32000, other, 3);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RBX), 99 * 100 / 2 << 16);
    assert_int_equal(REG(RAX), 0x550000);
}

/* 0x80ef000 and the stack's page have one slot of the TLB between them. */
GUEST(guest_collide, "xor %edx, %edx\n mov $0x80ef100, %ebx\n lea 2f(%rip), %rax\n mov $1000, %ecx\n"
                     "mov %rax, (%rbx)\n 1: call *(%rbx)\n push (%rbx)\n pop 8(%rbx)\n dec %ecx\n jnz 1b\n"
                     "hlt\n 2: inc %edx\n ret");

static void test_tlb_collision(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_collide);
    run64(MACHINE_CODE);
    assert_int_equal((uint32_t)REG(RDX), 1000);
    assert_int_equal(REG(RSP), MACHINE_STACK);
}

/* ---- events ---- */

#define SPINNING 0x21000 /* not 0: the loop has begun */

GUEST(guest_spin, "sti\n 1: inc %rax\n movb $1, 0x21000\n jmp 1b");
GUEST(guest_spin_far, "sti\n 1: jmp 2f\n .skip 4096\n 2: inc %rax\n movb $1, 0x21000\n jmp 1b");
GUEST(guest_handler, "mov $0x1234, %ebx\n hlt");

static void *interrupt_soon(void *arg)
{
    for (unsigned n = 0; n < 10000 && !__atomic_load_n(&m.ram[SPINNING], __ATOMIC_RELAXED); n++)
        usleep(1000);
    machine_interrupt(arg, 0);
    return NULL;
}

static void check_interrupted(void)
{
    pthread_t thread;

    MACHINE_PUT(&m, 0x20000, guest_handler);
    machine_handler(&m, MACHINE_VECTOR, 0x20000);
    m.ram[SPINNING] = 0;
    pthread_create(&thread, NULL, interrupt_soon, &m);
    run64(MACHINE_CODE);
    pthread_join(thread, NULL);
    assert_int_equal(REG(RBX), 0x1234);
    assert_true(REG(RAX) > 0);
}

static void test_interrupt_in_loop(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_spin);
    check_interrupted();
    MACHINE_PUT(&m, MACHINE_CODE, guest_spin_far);
    check_interrupted();
}

/* Exactly one instruction runs between STI and the interrupt. */
GUEST(guest_shadow, "xor %eax, %eax\n sti\n inc %eax\n inc %eax\n inc %eax\n hlt");

static void test_sti_shadow(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_shadow);
    MACHINE_PUT(&m, 0x20000, guest_handler);
    machine_handler(&m, MACHINE_VECTOR, 0x20000);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    machine_interrupt(&m, 0);
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
    assert_int_equal(REG(RBX), 0x1234);
    assert_int_equal(REG(RAX), 1);
}

/* HLT wakes for an interrupt and goes on behind itself. */
GUEST(guest_halt, "sti\n hlt\n cli\n add $5, %ebx\n hlt");
GUEST(guest_iret, "mov $0x100, %ebx\n iretq");

static void test_halt_wakes(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_halt);
    MACHINE_PUT(&m, 0x20000, guest_iret);
    machine_handler(&m, MACHINE_VECTOR, 0x20000);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RBX), 0);
    machine_interrupt(&m, 0);
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
    assert_int_equal(REG(RBX), 0x105);
}

/* TF: the handler counts the steps, the last of which clears TF. */
GUEST(guest_tf,
      "xor %ebx, %ebx\n pushf\n orl $0x100, (%rsp)\n popf\n nop\n mov $1, %eax\n jmp 1f\n 1: pushf\n"
      "andl $~0x100, (%rsp)\n popf\n hlt");
GUEST(guest_count, "inc %ebx\n iretq");

static void test_single_step(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_tf);
    MACHINE_PUT(&m, 0x20000, guest_count);
    machine_handler(&m, X86_DB, 0x20000);
    run64(MACHINE_CODE);
    assert_int_equal(REG(RBX), 6); /* nop mov jmp pushf andl popf */
}

static void test_triple_fault(void **state)
{
    const uint8_t ud2[] = {0x0f, 0x0b};

    machine_put(&m, MACHINE_CODE, ud2, 2);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    machine_state(&m, 0)->idtr.limit = 0;
    assert_int_equal(machine_run(&m, 0), VM_EXIT_SHUTDOWN);
}

GUEST(guest_x87, "fld1\n fstp %st(0)\n hlt");

/* A state whose x87 has an unmasked exception, but not the summary bit, as no instruction leaves it. */
static void test_x87_without_summary(void **state)
{
    struct x86_state *s = machine_state(&m, 0);

    MACHINE_PUT(&m, MACHINE_CODE, guest_x87);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    s->cr0 |= X86_CR0_NE;
    s->x87.fcw = 0x340;
    s->x87.fsw = 0x0001;
    m.vm.engine->state_put(m.vm.vcpu[0]);
    assert_int_equal(machine_run(&m, 0), VM_EXIT_HALT);
    assert_int_equal(REG(R15), 16); /* #MF */
}

static void test_exit_request(void **state)
{
    MACHINE_PUT(&m, MACHINE_CODE, guest_spin);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    vcpu_request(m.vm.vcpu[0], X86_REQ_EXIT);
    assert_int_equal(TEST_ENGINE.vcpu_run(m.vm.vcpu[0]), VM_EXIT_REQUEST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_loop),
        TEST(test_calls),
        TEST(test_flat_32),
        TEST(test_real_mode),
        TEST(test_fault_in_block),
        TEST(test_tlb_conflict),
        TEST(test_smc_own_block),
        TEST(test_smc_loop),
        TEST(test_smc_other_page),
        TEST(test_data_beside_code),
        TEST(test_smc_by_device),
        TEST(test_remap),
        TEST(test_page_crossing),
        TEST(test_tlb_collision),
        TEST(test_interrupt_in_loop),
        TEST(test_sti_shadow),
        TEST(test_halt_wakes),
        TEST(test_single_step),
        TEST(test_triple_fault),
        TEST(test_x87_without_summary),
        TEST(test_exit_request),
    };
    return cmocka_run_group_tests_name("interp", tests, NULL, NULL);
}
