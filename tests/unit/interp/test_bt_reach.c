/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far accesses of translated code reach: never behind what was checked for them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "engine/bt/bt.h"
#include "engine/bt/translate.h"
#include "tests/diff/insn-random.h"
#include "tests/unit/interp/machine.h"

#define SECRET 0x5ec2e75ec2e7
#define BORDER MIB(9) /* a page here is nobody's: who touches it gets SIGSEGV */
#define TRIES  24     /* of each row of the instruction table */

static struct machine m;

static int teardown(void **state)
{
    machine_finish(&m);
    return 0;
}

/* ---- groups of accesses ---- */

static int setup(void **state)
{
    machine_init(&m, &bt_engine, 1);
    return 0;
}

GUEST(guest_far, "mov $0x4007ffff, %ebx\n"
                 "movq $0, -0x3fffffff(%rbx)\n" /* 0x80000: RAM */
                 "mov 0x3fffffff(%rbx), %rsi\n" /* 0x8007fffe: no page */
                 "movq $0x41414141, 0x3fffffff(%rbx)\n"
                 "hlt");

/* Displacements so far apart that their distance is no int. */
static void test_far_apart(void **state)
{
    uint64_t beyond = (uint64_t)(uintptr_t)m.ram + MACHINE_DATA + 0x7ffffffe;
    uint8_t *secret = mmap((void *)(uintptr_t)(beyond & ~4095ULL), 8192, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (secret != MAP_FAILED)
        store_le64((void *)(uintptr_t)beyond, SECRET);
    MACHINE_PUT(&m, MACHINE_CODE, guest_far);
    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    machine_run(&m, 0);
    assert_int_equal(machine_state(&m, 0)->gpr[X86_R15], 14); /* #PF */
    assert_int_equal(machine_state(&m, 0)->cr2, 0x8007fffe);
    if (secret != MAP_FAILED) {
        assert_int_equal(load_le64((void *)(uintptr_t)beyond), SECRET);
        munmap(secret, 8192);
    }
}

/* ---- operands beside the border ---- */

static uint8_t signal_stack[65536];
static sigjmp_buf out;
static volatile uint64_t touched;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    touched = (uint64_t)(uintptr_t)info->si_addr;
    siglongjmp(out, 1);
}

static int setup_border(void **state)
{
    machine_init_counted(&m, &bt_engine, X86_CPU_V3);
    mprotect(m.ram + BORDER, 4096, PROT_NONE);
    return 0;
}

/* In place of cmocka's, which would run on the stack of translated code. */
static void catch_faults(void)
{
    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    sigaltstack(&ss, NULL);
    sigaction(SIGSEGV, &sa, NULL);
}

static void start(uint64_t *seed)
{
    struct x86_cpu *cpu = &m.vm.vcpu[0]->cpu;

    machine_start(&m, 0, X86_MODE_64, MACHINE_CODE);
    cpu->s.cr4 |= X86_CR4_OSXSAVE;
    cpu->s.xcr0 = 7;
    m.vm.engine->state_put(m.vm.vcpu[0]);
    for (unsigned i = 0; i < 16; i++) {
        if (i != X86_RSP)
            cpu->s.gpr[i] = x86_random_next(seed) >> (x86_random_next(seed) & 63);
        memset(&cpu->s.vec[i], *seed & 1 ? 0xff : 0, sizeof(cpu->s.vec[i])); /* masks */
    }
}

/* Does translated code have it itself? */
static bool is_inline(const struct x86_insn *insn)
{
    struct bt_vcpu *bv = bt_of(m.vm.vcpu[0]);
    struct bt_translation *t = bv->bvm->translation;

    t->bv = bv;
    t->bvm = bv->bvm;
    t->cpu = &m.vm.vcpu[0]->cpu;
    t->count = BT_MAX_INSNS;
    t->now = 0;
    t->key = bv->key = bt_state_key(t->cpu);
    t->wide = true;
    t->mmu = t->cpu->mmu_index;
    return bt_is_inline(t, insn);
}

static unsigned operand_size(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->op[i].kind == X86_OP_MEM && insn->op[i].access)
            return insn->op[i].size;
    }
    return 0;
}

/* BT and its kin reach far by themselves, by the number in their register. */
static bool is_far_by_itself(const struct x86_insn *insn)
{
    return (insn->id == X86_BT || insn->id == X86_BTS || insn->id == X86_BTR || insn->id == X86_BTC) &&
           insn->op[1].kind == X86_OP_REG;
}

static void run_beside_border(const uint8_t *code, const struct x86_insn *insn, bool behind)
{
    uint64_t *gpr = m.vm.vcpu[0]->cpu.s.gpr;
    uint64_t at = behind ? BORDER + 4096 : BORDER - operand_size(insn);
    char text[3 * X86_MAX_INSN_LEN + 1] = "";

    if (is_far_by_itself(insn))
        gpr[insn->op[1].reg] &= 7;
    gpr[X86_RBX] = at - (uint64_t)insn->mem.disp;
    if (operand_size(insn) == 8)
        store_le64(m.ram + at, MACHINE_CODE + X86_MAX_INSN_LEN); /* a HLT, should it go there */
    machine_put(&m, MACHINE_CODE, code, 32);
    bt_memory_written(&m.vm, MACHINE_CODE, 32);
    if (!sigsetjmp(out, 1)) {
        machine_run(&m, 0);
        return;
    }
    for (unsigned i = 0; i < insn->length; i++)
        snprintf(text + 3 * i, 4, " %02x", code[i]);
    fail_msg("%s of %u bytes %s the border touched 0x%llx of it:%s", x86_insn_row(insn->row)->name,
             operand_size(insn), behind ? "behind" : "before",
             (unsigned long long)(touched - (uint64_t)(uintptr_t)(m.ram + BORDER)), text);
}

/* Every instruction that translated code has, with an operand that ends, or begins, at the border. */
static void test_operands_beside_border(void **state)
{
    const struct x86_random_options options = {
        .avoid = BIT(X86_RBX) | BIT(X86_RSP),
        .allow_mem = true,
        .only_mem = true,
        .mem_base = X86_RBX,
        .disp_min = -512,
        .disp_max = 512,
        .allow_lock = true,
    };
    uint64_t seed = 777;
    unsigned rows = 0;

    catch_faults();
    for (unsigned row = 0; row < x86_insn_row_count(); row++) {
        unsigned did = 0;

        for (unsigned i = 0; i < TRIES; i++) {
            uint8_t code[32];
            struct x86_insn insn;

            memset(code, 0xf4, sizeof(code)); /* hlt */
            if (x86_insn_random(&seed, (uint16_t)row, &options, code, &insn) <= 0)
                break;
            start(&seed);
            if (!operand_size(&insn) || insn.mem.base != X86_RBX || !is_inline(&insn))
                continue;
            run_beside_border(code, &insn, i & 1);
            did = 1;
        }
        rows += did;
    }
    assert_in_range(rows, 500, x86_insn_row_count());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_far_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operands_beside_border, setup_border, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
