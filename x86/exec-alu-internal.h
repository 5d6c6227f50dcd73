/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the host ALU's functions by size (x86/alu.h) to whole instructions with
 * a register or memory destination.
 */
#ifndef X86_EXEC_ALU_INTERNAL_H
#define X86_EXEC_ALU_INTERNAL_H

#include "x86/exec-int.h"
#include "x86/flags.h"
#include "x86/operand.h"

/* `static uint64_t name##_any(old, args, size, cc)`: alu_name of the size, with args->a as second operand. */
#define ALU_ANY_BINARY(name)                                                                                 \
    static uint64_t name##_any(uint64_t old, const struct x86_modify_args *args, unsigned size,              \
                               uint32_t *cc)                                                                 \
    {                                                                                                        \
        switch (size) {                                                                                      \
        case 1:                                                                                              \
            return alu_##name##8((uint8_t)old, (uint8_t)args->a, cc);                                        \
        case 2:                                                                                              \
            return alu_##name##16((uint16_t)old, (uint16_t)args->a, cc);                                     \
        case 4:                                                                                              \
            return alu_##name##32((uint32_t)old, (uint32_t)args->a, cc);                                     \
        default:                                                                                             \
            return alu_##name##64(old, args->a, cc);                                                         \
        }                                                                                                    \
    }

/* As above, with no second operand. */
#define ALU_ANY_UNARY(name)                                                                                  \
    static uint64_t name##_any(uint64_t old, const struct x86_modify_args *args, unsigned size,              \
                               uint32_t *cc)                                                                 \
    {                                                                                                        \
        switch (size) {                                                                                      \
        case 1:                                                                                              \
            return alu_##name##8((uint8_t)old, cc);                                                          \
        case 2:                                                                                              \
            return alu_##name##16((uint16_t)old, cc);                                                        \
        case 4:                                                                                              \
            return alu_##name##32((uint32_t)old, cc);                                                        \
        default:                                                                                             \
            return alu_##name##64(old, cc);                                                                  \
        }                                                                                                    \
    }

/* As above, with a count in args->a. */
#define ALU_ANY_SHIFT(name)                                                                                  \
    static uint64_t name##_any(uint64_t old, const struct x86_modify_args *args, unsigned size,              \
                               uint32_t *cc)                                                                 \
    {                                                                                                        \
        uint8_t count = (uint8_t)args->a;                                                                    \
        switch (size) {                                                                                      \
        case 1:                                                                                              \
            return alu_##name##8((uint8_t)old, count, cc);                                                   \
        case 2:                                                                                              \
            return alu_##name##16((uint16_t)old, count, cc);                                                 \
        case 4:                                                                                              \
            return alu_##name##32((uint32_t)old, count, cc);                                                 \
        default:                                                                                             \
            return alu_##name##64(old, count, cc);                                                           \
        }                                                                                                    \
    }

/* op[0] = fn(op[0], args); memory with LOCK is atomic. */
enum x86_result x86_exec_modify(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn,
                                const struct x86_modify_args *args);
/* op[0] = fn(op[0], op[1]) */
enum x86_result x86_exec_binary(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn);
/* fn(op[0], op[1]) for its flags: CMP and TEST. */
enum x86_result x86_exec_compare(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn);

#endif
