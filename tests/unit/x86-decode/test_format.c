/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/insn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    enum x86_mode mode;
    uint8_t bytes[15];
    const char *text;
} cases[] = {
    {X86_MODE_64, {0x90}, "nop"},
    {X86_MODE_64, {0x48, 0x83, 0xc0, 0xff}, "add rax, 0xffffffffffffffff"},
    {X86_MODE_64, {0xf0, 0x65, 0x4f, 0x01, 0x7c, 0x8d, 0xf8}, "lock add qword ptr gs:[r13+r9*4-0x8], r15"},
    {X86_MODE_64, {0x8b, 0x05, 0xfa, 0xff, 0xff, 0xff}, "mov eax, dword ptr [0x1000]"},
    {X86_MODE_64, {0xeb, 0xfe}, "jmp 0x1000"},
    {X86_MODE_16, {0xe9, 0xfd, 0xff}, "jmp 0x1000"},
    {X86_MODE_64, {0x0f, 0x85, 0x00, 0x01, 0x00, 0x00}, "jnz 0x1106"},
    {X86_MODE_64, {0x0f, 0x9f, 0xc4}, "setnle ah"},
    {X86_MODE_64, {0xf3, 0x48, 0xa5}, "rep movs qword ptr es:[rdi], qword ptr ds:[rsi]"},
    {X86_MODE_64, {0xf2, 0xae}, "repne scas al, byte ptr es:[rdi]"},
    {X86_MODE_64, {0x8d, 0x44, 0x24, 0x08}, "lea eax, [rsp+0x8]"},
    {X86_MODE_32, {0xa1, 0x78, 0x56, 0x34, 0x12}, "mov eax, dword ptr [0x12345678]"},
    {X86_MODE_16, {0x8b, 0x42, 0xfe}, "mov ax, word ptr [bp+si-0x2]"},
    {X86_MODE_32, {0xea, 0, 0x10, 0, 0, 0x08, 0}, "jmp far 0x8:0x1000"},
    {X86_MODE_64, {0x0f, 0x22, 0xd8}, "mov cr3, rax"},
    {X86_MODE_64, {0xd8, 0xc3}, "fadd st0, st3"},
    {X86_MODE_64, {0xc4, 0x62, 0xad, 0xb8, 0x08}, "vfmadd231pd ymm9, ymm10, ymmword ptr [rax]"},
    {X86_MODE_64, {0xc4, 0xe2, 0x65, 0x91, 0x0c, 0xd0}, "vpgatherqd xmm1, dword ptr [rax+ymm2*8], xmm3"},
    {X86_MODE_64, {0xc4, 0xe2, 0xe5, 0x90, 0x0c, 0xd0}, "vpgatherdq ymm1, qword ptr [rax+xmm2*8], ymm3"},
    {X86_MODE_64, {0x66, 0x0f, 0x6f, 0xc8}, "movdqa xmm1, xmm0"},
    {X86_MODE_64, {0xf7, 0xf1}, "div ecx"},
    {X86_MODE_64, {0xc8, 0x10, 0x00, 0x01}, "enter 0x10, 0x1"},
};

static void test_text(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct x86_insn insn;
        char text[96];
        assert_int_equal(x86_decode(cases[i].bytes, 15, cases[i].mode, &insn), 0);
        size_t length = x86_insn_format(&insn, 0x1000, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
        assert_int_equal(length, strlen(text));
    }
}

static void test_short_buffer(void **state)
{
    struct x86_insn insn;
    char text[10] = "zzzzzzzzz";
    assert_int_equal(x86_decode(cases[1].bytes, 15, X86_MODE_64, &insn), 0);
    assert_int_equal(x86_insn_format(&insn, 0, text, 6), strlen(cases[1].text));
    assert_string_equal(text, "add r");
    assert_int_equal(text[6], 'z');
    assert_int_equal(x86_insn_format(&insn, 0, NULL, 0), strlen(cases[1].text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_short_buffer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
