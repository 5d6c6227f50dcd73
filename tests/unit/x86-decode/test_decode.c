/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the comparison with Zydis cannot say: our own conventions, and the errors. */
#include "x86/insn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define DECODE(mode, insn, ...)                                                                              \
    x86_decode((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), mode, insn)

static void test_memory_operand(void **state)
{
    struct x86_insn insn;
    /* lock add qword ptr gs:[r13 + r9 * 4 - 8], r15 */
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xf0, 0x65, 0x4f, 0x01, 0x7c, 0x8d, 0xf8), 0);
    assert_int_equal(insn.id, X86_ADD);
    assert_int_equal(insn.length, 7);
    assert_int_equal(insn.opsize, 8);
    assert_int_equal(insn.addrsize, 8);
    assert_int_equal(insn.prefixes, X86_PFX_LOCK | X86_PFX_SEG | X86_PFX_REX | X86_PFX_REX_W);
    assert_int_equal(insn.operand_count, 2);
    assert_int_equal(insn.op[0].kind, X86_OP_MEM);
    assert_int_equal(insn.op[0].access, X86_RW);
    assert_int_equal(insn.op[0].size, 8);
    assert_int_equal(insn.op[0].reg, X86_NO_REG);
    assert_int_equal(insn.mem.base, X86_R13);
    assert_int_equal(insn.mem.index, X86_R9);
    assert_int_equal(insn.mem.scale, 2);
    assert_int_equal(insn.mem.seg, X86_GS);
    assert_int_equal(insn.mem.disp, -8);
    assert_int_equal(insn.op[1].kind, X86_OP_REG);
    assert_int_equal(insn.op[1].reg, X86_R15);
    assert_int_equal(insn.op[1].access, X86_READ);
    assert_int_equal(insn.modrm_offset, 4);
    assert_int_equal(insn.modrm, 0x7c);
}

static void test_default_segments(void **state)
{
    struct x86_insn insn;
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x8b, 0x45, 0x00), 0); /* [rbp] */
    assert_int_equal(insn.mem.seg, X86_SS);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x41, 0x8b, 0x45, 0x00), 0); /* [r13] */
    assert_int_equal(insn.mem.seg, X86_DS);
    assert_int_equal(DECODE(X86_MODE_16, &insn, 0x8b, 0x02), 0); /* [bp+si] */
    assert_int_equal(insn.mem.seg, X86_SS);
    assert_int_equal(DECODE(X86_MODE_32, &insn, 0x3e, 0x8b, 0x45, 0x00), 0); /* ds:[ebp] */
    assert_int_equal(insn.mem.seg, X86_DS);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x64, 0x3e, 0x8b, 0x45, 0x00), 0); /* the DS means nothing */
    assert_int_equal(insn.mem.seg, X86_FS);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x8b, 0x05, 1, 0, 0, 0), 0);
    assert_int_equal(insn.mem.base, X86_RIP);
    assert_int_equal(DECODE(X86_MODE_32, &insn, 0x8b, 0x05, 1, 0, 0, 0), 0);
    assert_int_equal(insn.mem.base, X86_NO_REG);
}

static void test_strings(void **state)
{
    struct x86_insn insn;
    assert_int_equal(DECODE(X86_MODE_32, &insn, 0xf3, 0x26, 0xa5), 0); /* rep movsd es:[edi], es:[esi] */
    assert_int_equal(insn.id, X86_MOVS);
    assert_int_equal(insn.operand_count, 2);
    assert_int_equal(insn.op[0].reg, X86_RDI);
    assert_int_equal(insn.op[0].access, X86_WRITE);
    assert_int_equal(insn.op[0].size, 4);
    assert_int_equal(insn.op[1].reg, X86_RSI);
    assert_true(insn.op[0].implicit && insn.op[1].implicit);
    assert_int_equal(insn.mem.base, X86_RSI);
    assert_int_equal(insn.mem.seg, X86_ES);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x48, 0xab), 0); /* stosq */
    assert_int_equal(insn.id, X86_STOS);
    assert_int_equal(insn.op[0].reg, X86_RDI);
    assert_int_equal(insn.op[1].kind, X86_OP_REG);
    assert_int_equal(insn.op[1].size, 8);
}

static void test_immediates(void **state)
{
    struct x86_insn insn;
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x48, 0x83, 0xc0, 0xff), 0); /* add rax, -1 */
    assert_int_equal(insn.imm, -1);
    assert_int_equal(insn.op[1].imm, -1);
    assert_int_equal(insn.imm_offset, 3);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x48, 0x05, 0, 0, 0, 0x80), 0); /* add rax, imm32 */
    assert_int_equal(insn.imm, INT32_MIN);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xb8, 0, 0, 0, 0x80), 0); /* mov eax, imm32 */
    assert_int_equal(insn.imm, 0x80000000);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8), 0);
    assert_int_equal(insn.imm, 0x0807060504030201);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xcd, 0x80), 0); /* int 0x80: not negative */
    assert_int_equal(insn.imm, 0x80);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xc8, 0x34, 0x12, 0x05), 0); /* enter 0x1234, 5 */
    assert_int_equal(insn.imm, 0x1234);
    assert_int_equal(insn.imm2, 5);
    assert_int_equal(DECODE(X86_MODE_32, &insn, 0x9a, 1, 2, 3, 4, 0x10, 0), 0); /* call far */
    assert_int_equal(insn.id, X86_CALL_FAR);
    assert_int_equal(insn.op[0].kind, X86_OP_FAR);
    assert_int_equal(insn.imm, 0x04030201);
    assert_int_equal(insn.imm2, 0x10);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xeb, 0xfe), 0); /* jmp $ */
    assert_int_equal(insn.op[0].kind, X86_OP_REL);
    assert_int_equal(insn.imm, -2);
    assert_int_equal(insn.opsize, 8);
}

static void test_byte_registers(void **state)
{
    struct x86_insn insn;
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x88, 0xe5), 0); /* mov ch, ah */
    assert_int_equal(insn.op[0].reg_class, X86_RC_GPR8H);
    assert_int_equal(insn.op[0].reg, 1);
    assert_int_equal(insn.op[1].reg, 0);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x40, 0x88, 0xe5), 0); /* mov bpl, spl */
    assert_int_equal(insn.op[0].reg_class, X86_RC_GPR);
    assert_int_equal(insn.op[0].reg, X86_RBP);
    assert_int_equal(insn.op[1].reg, X86_RSP);
}

static void test_families(void **state)
{
    struct x86_insn insn;
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x0f, 0x8d, 0, 0, 0, 0), 0); /* jge */
    assert_int_equal(insn.id, X86_JCC);
    assert_int_equal(insn.opcode & 15, 13);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x0f, 0x94, 0xc0), 0);
    assert_int_equal(insn.id, X86_SETCC);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x48, 0x98), 0); /* cdqe */
    assert_int_equal(insn.id, X86_CBW);
    assert_int_equal(insn.opsize, 8);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x66, 0x50), 0); /* push ax */
    assert_int_equal(insn.opsize, 2);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x50), 0);
    assert_int_equal(insn.opsize, 8);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x90), 0);
    assert_int_equal(insn.id, X86_NOP);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xf3, 0x90), 0);
    assert_int_equal(insn.id, X86_PAUSE);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x41, 0x90), 0);
    assert_int_equal(insn.id, X86_XCHG);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xf3, 0x0f, 0x1e, 0xfa), 0); /* endbr64 */
    assert_int_equal(insn.id, X86_NOP);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xf2, 0x0f, 0x10, 0x00), 0);
    assert_int_equal(insn.id, X86_MOVSD);
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0x0f, 0x20, 0x18), 0); /* mod is not looked at */
    assert_int_equal(insn.id, X86_MOV_CR);
    assert_int_equal(insn.op[0].kind, X86_OP_REG);
    assert_int_equal(insn.op[1].reg, 3);
    assert_int_equal(insn.length, 3);
}

static void test_vex(void **state)
{
    struct x86_insn insn;
    /* vfmadd231pd ymm9, ymm10, [rax] */
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xc4, 0x62, 0xad, 0xb8, 0x08), 0);
    assert_int_equal(insn.id, X86_VFMADD231PD);
    assert_int_equal(insn.vex_l, 1);
    assert_int_equal(insn.vex_w, 1);
    assert_int_equal(insn.prefixes, X86_PFX_VEX);
    assert_int_equal(insn.op[0].reg_class, X86_RC_VEC);
    assert_int_equal(insn.op[0].size, 32);
    assert_int_equal(insn.op[0].reg, 9);
    assert_int_equal(insn.op[1].reg, 10);
    assert_int_equal(insn.op[2].size, 32);
    /* vpgatherdq ymm1, [rax + xmm2 * 8], ymm3: the index is a vector register */
    assert_int_equal(DECODE(X86_MODE_64, &insn, 0xc4, 0xe2, 0xe5, 0x90, 0x0c, 0xd0), 0);
    assert_int_equal(insn.mem.index, 2);
    assert_int_equal(insn.op[1].size, 8);
    /* LES where 64-bit mode has VEX */
    assert_int_equal(DECODE(X86_MODE_32, &insn, 0xc4, 0x00), 0);
    assert_int_equal(insn.id, X86_LES);
    assert_int_equal(insn.op[1].size, 6);
}

static void test_undefined(void **state)
{
    static const struct {
        enum x86_mode mode;
        uint8_t bytes[15];
        const char *why;
    } cases[] = {
        {X86_MODE_64, {0xf0, 0x01, 0xc0}, "LOCK with a register destination"},
        {X86_MODE_64, {0xf0, 0x8b, 0x00}, "LOCK MOV"},
        {X86_MODE_64, {0xf0, 0x03, 0x00}, "LOCK with a memory source"},
        {X86_MODE_64, {0xf0, 0x39, 0x00}, "LOCK CMP"},
        {X86_MODE_64, {0xf0, 0x90}, "LOCK NOP"},
        {X86_MODE_64, {0x06}, "PUSH ES in 64-bit mode"},
        {X86_MODE_64, {0x27}, "DAA in 64-bit mode"},
        {X86_MODE_64, {0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0}, "EVEX"},
        {X86_MODE_64, {0x8f, 0xe8, 0x78, 0x85, 0xc0, 0x00}, "XOP"},
        {X86_MODE_64, {0x0f, 0x0f, 0xc0, 0x9e}, "3DNow"},
        {X86_MODE_64, {0x66, 0xc5, 0xf8, 0x58, 0xc0}, "66 before VEX"},
        {X86_MODE_64, {0xf2, 0xc5, 0xf8, 0x58, 0xc0}, "F2 before VEX"},
        {X86_MODE_64, {0x48, 0xc5, 0xf8, 0x58, 0xc0}, "REX before VEX"},
        {X86_MODE_64, {0xf0, 0xc5, 0xf8, 0x58, 0xc0}, "LOCK before VEX"},
        {X86_MODE_64, {0xc5, 0xc8, 0x28, 0xc0}, "VEX.vvvv where it has no use"},
        {X86_MODE_64, {0xc4, 0xe0, 0x78, 0x58, 0xc0}, "VEX map 0"},
        {X86_MODE_64, {0xc4, 0xe2, 0x7d, 0x90, 0x04, 0x08}, "a gather with one register twice"},
        {X86_MODE_64, {0xc4, 0xe2, 0x7d, 0x90, 0x00}, "a gather without SIB"},
        {X86_MODE_64, {0x8e, 0xc8}, "MOV to CS"},
        {X86_MODE_64, {0x8e, 0xf0}, "MOV to a seventh segment register"},
        {X86_MODE_64, {0x0f, 0x20, 0xc8}, "CR1"},
        {X86_MODE_64, {0x44, 0x0f, 0x21, 0xc0}, "DR8"},
        {X86_MODE_64, {0x8d, 0xc0}, "LEA of a register"},
        {X86_MODE_32, {0xc5, 0xc0}, "LDS of a register is VEX, and short of a row"},
        {X86_MODE_64, {0x0f, 0xc7, 0xc8}, "CMPXCHG8B of a register"},
        {X86_MODE_64, {0xff, 0xf8}, "FF /7"},
        {X86_MODE_64, {0xd9, 0xd1}, "an x87 hole"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct x86_insn insn;
        int result = x86_decode(cases[i].bytes, 15, cases[i].mode, &insn);
        if (result != -EINVAL)
            fail_msg("%s: %d", cases[i].why, result);
        assert_in_range(insn.length, 1, 15);
    }
}

static void test_length(void **state)
{
    uint8_t bytes[32];
    struct x86_insn insn;
    memset(bytes, 0x66, sizeof(bytes));
    assert_int_equal(x86_decode(bytes, sizeof(bytes), X86_MODE_64, &insn), -E2BIG);
    assert_int_equal(x86_decode(bytes, 15, X86_MODE_64, &insn), -E2BIG);
    assert_int_equal(x86_decode(bytes, 14, X86_MODE_64, &insn), -EAGAIN);
    bytes[14] = 0x90;
    assert_int_equal(x86_decode(bytes, 15, X86_MODE_64, &insn), 0);
    assert_int_equal(insn.length, 15);
    bytes[13] = 0x01; /* add r/m16, r16 with its ModRM as byte 14 */
    bytes[14] = 0xc0;
    assert_int_equal(x86_decode(bytes, 15, X86_MODE_64, &insn), 0);
    bytes[14] = 0x80; /* … and a displacement past byte 15 */
    assert_int_equal(x86_decode(bytes, sizeof(bytes), X86_MODE_64, &insn), -E2BIG);
    assert_int_equal(x86_decode(bytes, 0, X86_MODE_64, &insn), -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_operand),
        cmocka_unit_test(test_default_segments),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_immediates),
        cmocka_unit_test(test_byte_registers),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_vex),
        cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
