/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random sequences of instructions, run once as blocks and once by x86_step():
 * registers, flags, memory, faults and where they happened must agree. This is
 * what says that a hot handler means the same as the reference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/diff/insn-random.h"
#include "tests/unit/interp/engine.h"
#include "tests/unit/interp/machine.h"

#define LENGTH 40 /* instructions in a sequence */
#define PASSES 3  /* over each */

static struct machine fast, slow;
static enum x86_mode mode;
static uint64_t seed = 0x123456789abcdef;

static uint64_t next(void)
{
    return x86_random_next(&seed);
}

static bool is_candidate(uint16_t row)
{
    static const uint16_t ids[] = {
        X86_ADD,  X86_OR,      X86_ADC,  X86_SBB,   X86_AND,   X86_SUB,    X86_XOR, X86_CMP,    X86_TEST,
        X86_INC,  X86_DEC,     X86_NEG,  X86_NOT,   X86_SHL,   X86_SHR,    X86_SAR, X86_ROL,    X86_ROR,
        X86_RCL,  X86_IMUL,    X86_MUL,  X86_DIV,   X86_IDIV,  X86_BT,     X86_BTS, X86_BTR,    X86_BTC,
        X86_XADD, X86_CMPXCHG, X86_MOV,  X86_MOVZX, X86_MOVSX, X86_MOVSXD, X86_LEA, X86_CMOVCC, X86_SETCC,
        X86_XCHG, X86_BSWAP,   X86_CBW,  X86_CWD,   X86_NOP,   X86_PUSH,   X86_POP, X86_SHLD,   X86_CMC,
        X86_STC,  X86_CLC,     X86_LAHF, X86_SAHF,  X86_BSF,   X86_BSR,
    };

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        if (x86_insn_row(row)->id == ids[i])
            return true;
    }
    return false;
}

static uint16_t candidates[2048];
static unsigned candidate_count;

/* Segment registers are changed by none, RSP only by the stack instructions. */
static bool is_tame(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->op[i];

        if (o->kind == X86_OP_REG && o->reg_class != X86_RC_GPR && o->reg_class != X86_RC_GPR8H)
            return false;
        /* A bit offset in a register reaches far from its memory operand. */
        if (o->kind == X86_OP_MEM && i == 0 && insn->id >= X86_BT && insn->op[1].kind == X86_OP_REG &&
            (insn->id == X86_BT || insn->id == X86_BTS || insn->id == X86_BTR || insn->id == X86_BTC))
            return false;
    }
    return true;
}

/* Appends one instruction; returns its length. rbx points to the data, rsi is a small index, rdi is a wild
 * pointer. */
static size_t put_insn(uint8_t *code)
{
    struct x86_random_options options = {
        .avoid = BIT(X86_RSP) | BIT(X86_RBX) | BIT(X86_RSI) | BIT(X86_RDI),
        .allow_mem = true,
        .mem_base = X86_RBX,
        .disp_min = -64,
        .disp_max = 64,
        .allow_lock = true,
        .allow_segment = true,
        .allow_index = true,
        .mem_index = X86_RSI,
    };
    struct x86_insn insn;

    for (;;) {
        uint16_t row = candidates[next() % candidate_count];
        int n;

        options.mem_base = next() % 64 ? X86_RBX : X86_RDI;
        n = x86_insn_random(&seed, row, &options, code, &insn);
        /* Encodings are made for 64-bit mode; without REX most mean the same in 32-bit mode. */
        if (n > 0 && mode == X86_MODE_32 &&
            (insn.prefixes & X86_PFX_REX || x86_decode(code, (size_t)n, mode, &insn) < 0 || insn.length != n))
            continue;
        if (n > 0 && is_tame(&insn))
            return (size_t)n;
    }
}

/* A comparison or none, and a branch over the next instruction. */
static size_t put_branch(uint8_t *code)
{
    uint8_t skipped[X86_MAX_INSN_LEN];
    size_t n = 0, len = put_insn(skipped);

    if (next() % 2) {
        unsigned r = (unsigned)next();
        static const uint8_t opcodes[] = {0x39, 0x85, 0x38, 0x84, 0x3b};

        if (mode == X86_MODE_64 && r >> 16 & 1)
            code[n++] = (uint8_t)(0x48 | (r & 5) | (r >> 8 & 8));
        code[n++] = opcodes[(r >> 20) % sizeof(opcodes)];
        code[n++] = (uint8_t)(0xc0 | (r >> 24 & 0x3f));
    }
    code[n++] = (uint8_t)(0x70 | (next() & 15));
    code[n++] = (uint8_t)len;
    memcpy(code + n, skipped, len);
    return n + len;
}

/* MOV rCX, small; BT [rbx + 8], rCX: a bit number reaches beyond its operand on both sides. */
static size_t put_bit_test(uint8_t *code)
{
    static const uint8_t bytes[] = {0x48, 0xc7, 0xc1, 0, 0, 0, 0, 0x48, 0x0f, 0xa3, 0x4b, 0x08};
    size_t n = 0;

    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (bytes[i] != 0x48 || mode == X86_MODE_64)
            code[n++] = bytes[i];
    }
    store_le32(code + n - (mode == X86_MODE_64 ? 9 : 8), (uint32_t)(next() % 600) - 300);
    return n;
}

static size_t make_sequence(uint8_t *code)
{
    size_t n = 0;

    for (unsigned i = 0; i < LENGTH; i++)
        n += next() % 8 ? put_insn(code + n) : next() % 4 ? put_branch(code + n) : put_bit_test(code + n);
    code[n++] = 0xf4;
    return n;
}

static void set_registers(struct machine *m, const uint64_t gpr[16], uint64_t flags)
{
    struct x86_state *s = machine_state(m, 0);

    memcpy(s->gpr, gpr, sizeof(s->gpr));
    s->gpr[X86_RSP] = MACHINE_STACK - 0x800;
    s->gpr[X86_RBX] = MACHINE_DATA + 0x100 + gpr[X86_RBX] % 0xe00;
    s->gpr[X86_RSI] = gpr[X86_RSI] % 8;
    s->gpr[X86_RDI] = gpr[X86_RDI] % 4 == 0   ? 0x8000000000000000
                      : gpr[X86_RDI] % 4 == 1 ? 0x40000000
                                              : MACHINE_DATA + 0xffe;
    if (mode == X86_MODE_32) {
        for (unsigned i = 0; i < 16; i++)
            s->gpr[i] = i < 8 ? (uint32_t)s->gpr[i] : 0;
    }
    s->rflags = flags;
}

static void prepare(struct machine *m, const uint64_t gpr[16], uint64_t flags, const uint8_t *code,
                    size_t len, uint64_t rip)
{
    machine_put(m, rip, code, len);
    machine_start(m, 0, mode, rip);
    set_registers(m, gpr, flags);
    m->vm.engine->state_put(m->vm.vcpu[0]);
}

/* From the start once more, with what the engine has made of the code: linked blocks, filled tables. */
static void start_again(struct machine *m, const uint64_t gpr[16], uint64_t flags, uint64_t rip)
{
    struct x86_state *s = machine_state(m, 0);

    s->rip = rip;
    s->activity = X86_ACT_RUN;
    set_registers(m, gpr, flags);
    x86_state_changed(&m->vm.vcpu[0]->cpu);
}

static void run_slow(void)
{
    struct x86_cpu *cpu = &slow.vm.vcpu[0]->cpu;

    while (cpu->s.activity == X86_ACT_RUN)
        (void)x86_step(cpu);
    x86_state_flush(cpu);
}

static void check(const uint8_t *code, size_t len, uint64_t rip)
{
    const struct x86_state *a = machine_state(&fast, 0), *b = machine_state(&slow, 0);
    bool same = !memcmp(a->gpr, b->gpr, sizeof(a->gpr)) && a->rip == b->rip && a->rflags == b->rflags &&
                a->cr2 == b->cr2 && a->activity == b->activity &&
                (!TEST_COUNTS || fast.vm.vcpu[0]->cpu.instructions == slow.vm.vcpu[0]->cpu.instructions) &&
                !memcmp(fast.ram + MACHINE_DATA, slow.ram + MACHINE_DATA, 0x2000) &&
                !memcmp(fast.ram + MACHINE_STACK - 0x1000, slow.ram + MACHINE_STACK - 0x1000, 0x1000);
    struct x86_insn insn;
    char text[128];

    if (same)
        return;
    for (size_t at = 0; at < len && !x86_decode(code + at, len - at, mode, &insn); at += insn.length) {
        x86_insn_format(&insn, rip + at, text, sizeof(text));
        fprintf(stderr, "%6llx  %s\n", (unsigned long long)(rip + at), text);
    }
    for (unsigned i = 0; i < 16; i++)
        fprintf(stderr, "r%u %llx %llx%s\n", i, (unsigned long long)a->gpr[i], (unsigned long long)b->gpr[i],
                a->gpr[i] == b->gpr[i] ? "" : "  <<<");
    fprintf(stderr, "rip %llx %llx rflags %llx %llx instructions %llu %llu\n", (unsigned long long)a->rip,
            (unsigned long long)b->rip, (unsigned long long)a->rflags, (unsigned long long)b->rflags,
            (unsigned long long)fast.vm.vcpu[0]->cpu.instructions,
            (unsigned long long)slow.vm.vcpu[0]->cpu.instructions);
    for (size_t i = 0; i < 0x2000; i++) {
        if (fast.ram[MACHINE_DATA + i] != slow.ram[MACHINE_DATA + i])
            fprintf(stderr, "data %zx %x %x\n", i, fast.ram[MACHINE_DATA + i], slow.ram[MACHINE_DATA + i]);
    }
    for (size_t i = 0; i < 0x1000; i++) {
        size_t at = MACHINE_STACK - 0x1000 + i;

        if (fast.ram[at] != slow.ram[at])
            fprintf(stderr, "stack %zx %x %x\n", at, fast.ram[at], slow.ram[at]);
    }
    fail_msg("blocks and steps disagree");
}

static void compare(void)
{
    unsigned rounds = getenv("LOCKSTEP_ROUNDS") ? (unsigned)atoi(getenv("LOCKSTEP_ROUNDS")) : 4000;
    uint8_t code[LENGTH * 3 * X86_MAX_INSN_LEN];
    uint64_t gpr[16];

    for (unsigned round = 0; round < rounds; round++) {
        size_t len = make_sequence(code);
        uint64_t rip = MACHINE_CODE + next() % 0x2000;
        uint64_t flags = X86_FL_FIXED | (next() & X86_FL_ARITH);

        for (unsigned i = 0; i < 16; i++)
            gpr[i] = next() % 4 ? next() : (uint64_t)(int64_t)(int8_t)next();
        fast.vm.vcpu[0]->cpu.instructions = slow.vm.vcpu[0]->cpu.instructions = 0;
        prepare(&fast, gpr, flags, code, len, rip);
        prepare(&slow, gpr, flags, code, len, rip);
        for (unsigned pass = 0; pass < PASSES; pass++) {
            if (pass) {
                start_again(&fast, gpr, flags, rip);
                start_again(&slow, gpr, flags, rip);
            }
            machine_run(&fast, 0);
            run_slow();
            check(code, len, rip);
        }
    }
}

static void test_64(void **state)
{
    mode = X86_MODE_64;
    compare();
}

static void test_flat_32(void **state)
{
    mode = X86_MODE_32;
    compare();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_64), cmocka_unit_test(test_flat_32)};
    int r;

    if (getenv("LOCKSTEP_SEED"))
        seed = strtoull(getenv("LOCKSTEP_SEED"), NULL, 0) | 1;
    for (uint16_t row = 0; row < x86_insn_row_count(); row++) {
        if (is_candidate(row) && candidate_count < ARRAY_SIZE(candidates))
            candidates[candidate_count++] = row;
    }
    machine_init(&fast, &TEST_ENGINE, 1);
    machine_init(&slow, &TEST_ENGINE, 1);
    for (size_t i = 0; i < 0x2000; i++)
        fast.ram[MACHINE_DATA + i] = slow.ram[MACHINE_DATA + i] = (uint8_t)next();
    r = cmocka_run_group_tests_name(TEST_ENGINE_NAME " lockstep", tests, NULL, NULL);
    machine_finish(&fast);
    machine_finish(&slow);
    return r;
}
