/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot handlers: LOCKed read-modify-writes and XCHG with memory, by the host's own
 * locked instructions on guest memory, so that vCPUs on several threads agree.
 * XADD and CMPXCHG are done so without LOCK as well: nobody can tell.
 */
#include "engine/interp/ops-internal.h"

#define EAS_OF(prefix)                                                                                       \
    {                                                                                                        \
        prefix##b, prefix##i, prefix##s                                                                      \
    }
#define SIZES_EAS_OF(prefix)                                                                                 \
    {                                                                                                        \
        EAS_OF(prefix##8), EAS_OF(prefix##16), EAS_OF(prefix##32), EAS_OF(prefix##64)                        \
    }

#define LOCKED(text, bits, ...)                                                                              \
    uint16_t ax;                                                                                             \
    __asm__ volatile("lock " text ALU_SAVE_FLAGS                                                             \
                     : "=&a"(ax), [m] "+m"(*(volatile UINT(bits) *)host_)                                    \
                     : __VA_ARGS__                                                                           \
                     : "memory", "cc");                                                                      \
    cpu->cc = ax

#define LOCK_BINARY(name, bits, sfx, ea)                                                                     \
    OP(lock_##name##_mr##bits##ea)                                                                           \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        LOCKED(#name #sfx " %[b], %[m]", bits, [b] "r"(GET##bits(op->src)));                                 \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(lock_##name##_mi##bits##ea)                                                                           \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        LOCKED(#name #sfx " %[b], %[m]", bits, [b] "r"(IMM(bits)));                                          \
        NEXT;                                                                                                \
    }

/* INC and DEC keep the carry. */
#define LOCK_UNARY(name, bits, sfx, ea)                                                                      \
    OP(lock_##name##_m##bits##ea)                                                                            \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        uint16_t ax = (uint16_t)cpu->cc;                                                                     \
        __asm__ volatile(ALU_LOAD_CARRY "lock " #name #sfx " %[m]" ALU_SAVE_FLAGS                            \
                         : [cc] "+&a"(ax), [m] "+m"(*(volatile UINT(bits) *)host_)                           \
                         :                                                                                   \
                         : "memory", "cc");                                                                  \
        cpu->cc = ax;                                                                                        \
        NEXT;                                                                                                \
    }

#define EXCHANGES(name, bits, sfx, ea)                                                                       \
    OP(xchg_mr##bits##ea)                                                                                    \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        SET##bits(op->src, __atomic_exchange_n((UINT(bits) *)host_, GET##bits(op->src), __ATOMIC_SEQ_CST));  \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(xadd_mr##bits##ea)                                                                                    \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        UINT(bits) value = GET##bits(op->src);                                                               \
        uint16_t ax;                                                                                         \
        __asm__ volatile("lock xadd" #sfx " %[value], %[m]" ALU_SAVE_FLAGS                                   \
                         : "=&a"(ax), [m] "+m"(*(volatile UINT(bits) *)host_), [value] "+r"(value)           \
                         :                                                                                   \
                         : "memory", "cc");                                                                  \
        cpu->cc = ax;                                                                                        \
        SET##bits(op->src, value);                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(cmpxchg_mr##bits##ea)                                                                                 \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        uint64_t rax = cpu->s.gpr[X86_RAX], old;                                                             \
        __asm__ volatile("lock cmpxchg" #sfx " %[src], %[m]\n\tmov %%rax, %[old]" ALU_SAVE_FLAGS             \
                         : "+&a"(rax), [old] "=&r"(old), [m] "+m"(*(volatile UINT(bits) *)host_)             \
                         : [src] "r"(GET##bits(op->src))                                                     \
                         : "memory", "cc");                                                                  \
        cpu->cc = (uint16_t)rax;                                                                             \
        cpu->s.gpr[X86_RAX] = old;                                                                           \
        NEXT;                                                                                                \
    }

#define EAS(kind, name, bits, sfx) kind(name, bits, sfx, b) kind(name, bits, sfx, i) kind(name, bits, sfx, s)
#define SIZES(kind, name)                                                                                    \
    EAS(kind, name, 8, b) EAS(kind, name, 16, w) EAS(kind, name, 32, l) EAS(kind, name, 64, q)

/* clang-format off */
SIZES(LOCK_BINARY, add)
SIZES(LOCK_BINARY, or)
SIZES(LOCK_BINARY, and)
SIZES(LOCK_BINARY, sub)
SIZES(LOCK_BINARY, xor)
SIZES(LOCK_UNARY, inc)
SIZES(LOCK_UNARY, dec)
SIZES(EXCHANGES, -)
/* clang-format on */

interp_fn *const interp_lock_mr[ALU_COUNT][4][3] = {
    [ALU_ADD] = SIZES_EAS_OF(lock_add_mr), [ALU_OR] = SIZES_EAS_OF(lock_or_mr),
    [ALU_AND] = SIZES_EAS_OF(lock_and_mr), [ALU_SUB] = SIZES_EAS_OF(lock_sub_mr),
    [ALU_XOR] = SIZES_EAS_OF(lock_xor_mr),
};
interp_fn *const interp_lock_mi[ALU_COUNT][4][3] = {
    [ALU_ADD] = SIZES_EAS_OF(lock_add_mi), [ALU_OR] = SIZES_EAS_OF(lock_or_mi),
    [ALU_AND] = SIZES_EAS_OF(lock_and_mi), [ALU_SUB] = SIZES_EAS_OF(lock_sub_mi),
    [ALU_XOR] = SIZES_EAS_OF(lock_xor_mi),
};
interp_fn *const interp_lock_unary[2][4][3] = {SIZES_EAS_OF(lock_inc_m), SIZES_EAS_OF(lock_dec_m)};
interp_fn *const interp_xchg_mr[4][3] = SIZES_EAS_OF(xchg_mr);
interp_fn *const interp_xadd_mr[4][3] = SIZES_EAS_OF(xadd_mr);
interp_fn *const interp_cmpxchg_mr[4][3] = SIZES_EAS_OF(cmpxchg_mr);
