/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every mnemonic's semantics: system, vector and integer instructions; the rest is #UD. */
#include "x86/exec-int.h"
#include "x86/exec-sys.h"
#include "x86/exec-vec.h"

enum x86_result x86_exec_invalid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_raise(cpu, X86_UD);
}

/* Later initialisers take over from the first, which fills the table. */
#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

/* clang-format off */
x86_exec_fn *const x86_exec_table[X86_ID_COUNT] = {
    [0 ... X86_ID_COUNT - 1] = x86_exec_invalid,
    X86_EXEC_SYS_TABLE
    X86_EXEC_VEC_TABLE
    X86_EXEC_INT_TABLE
};
/* clang-format on */

#pragma GCC diagnostic pop
