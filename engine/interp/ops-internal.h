/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the hot handlers are written with. A handler sees cpu, op and in; its
 * macros either yield a value or leave the handler by a tail call.
 */
#ifndef ENGINE_INTERP_OPS_INTERNAL_H
#define ENGINE_INTERP_OPS_INTERNAL_H

#include "engine/interp/interp-internal.h"
#include "x86/alu.h"

/*
 * Where sibling calls are certain, blocks go straight on to the next one. Else
 * they return to the dispatcher after at most INTERP_MAX_OPS nested calls.
 */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && !__has_feature(memory_sanitizer)
#define INTERP_SIBLING_CALLS 1
#endif
#else
#define INTERP_SIBLING_CALLS 1
#endif
#endif
#ifndef INTERP_SIBLING_CALLS
#define INTERP_SIBLING_CALLS 0
#endif

#define OP(name)                                                                                             \
    static enum interp_next name(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)

#define NEXT return op[1].fn(cpu, op + 1, in)

#if INTERP_SIBLING_CALLS
#define ENTER(next_op)                                                                                       \
    do {                                                                                                     \
        const struct interp_op *enter_ = (next_op);                                                          \
        return enter_->fn(cpu, enter_, in);                                                                  \
    } while (0)
#else
#define ENTER(next_op)                                                                                       \
    do {                                                                                                     \
        in->chain = (next_op);                                                                               \
        return INTERP_CHAIN;                                                                                 \
    } while (0)
#endif

/* Registers by operand size. A byte's number is its offset in struct x86_cpu. */
#define GET8(n)     (((const uint8_t *)cpu)[n])
#define GET16(n)    ((uint16_t)cpu->s.gpr[n])
#define GET32(n)    ((uint32_t)cpu->s.gpr[n])
#define GET64(n)    (cpu->s.gpr[n])
#define SET8(n, v)  (((uint8_t *)cpu)[n] = (v))
#define SET16(n, v) (*(uint16_t *)&cpu->s.gpr[n] = (v))
#define SET32(n, v) (cpu->s.gpr[n] = (uint32_t)(v))
#define SET64(n, v) (cpu->s.gpr[n] = (v))

/* Host memory by size, at any alignment. */
#define PEEK8(p)     (*(const uint8_t *)(p))
#define PEEK16(p)    load_le16(p)
#define PEEK32(p)    load_le32(p)
#define PEEK64(p)    load_le64(p)
#define POKE8(p, v)  (*(uint8_t *)(p) = (v))
#define POKE16(p, v) store_le16(p, v)
#define POKE32(p, v) store_le32(p, v)
#define POKE64(p, v) store_le64(p, v)

/* Effective addresses: base + disp; with an index; and with a segment's base and truncation too. */
#define SLOT(n) (((const uint64_t *)cpu)[n])
#define EA_b    (SLOT(op->base) + (uint64_t)op->disp)
#define EA_i    (SLOT(op->base) + (SLOT(op->index) << (op->scale & 3)) + (uint64_t)op->disp)
#define EA_s    (SLOT(op->seg) + (EA_i << (op->scale & 32) >> (op->scale & 32)))

/* Declares host_, the host address of `bits` bits at the linear address. */
#define AT(access, tag, bits, address)                                                                       \
    const uint64_t lin_ = (address);                                                                         \
    const struct x86_tlb_entry *tlb_ = x86_tlb_slot(cpu, lin_);                                              \
    if (unlikely(lin_ - tlb_->tag > 4096 - (bits) / 8))                                                      \
        return interp_miss(cpu, op, in, lin_, INTERP_MISS(access, (bits) / 8));                              \
    void *const host_ = (void *)(uintptr_t)(lin_ + tlb_->addend)

/*
 * As AT_WRITE, but what misses is done by the reference: for an op's second access. Filling the TLB for it
 * could drop what the first one needs, and so on for ever.
 */
#define AT_WRITE_AGAIN(bits, address)                                                                        \
    const uint64_t lin_ = (address);                                                                         \
    const struct x86_tlb_entry *tlb_ = x86_tlb_slot(cpu, lin_);                                              \
    if (unlikely(lin_ - tlb_->tag_write > 4096 - (bits) / 8))                                                \
        return interp_redo(cpu, op, in);                                                                     \
    void *const host_ = (void *)(uintptr_t)(lin_ + tlb_->addend)

#define AT_READ(bits, address)  AT(X86_MEM_READ, tag_read, bits, address)
#define AT_WRITE(bits, address) AT(X86_MEM_WRITE, tag_write, bits, address)

#define UINT(bits)              uint##bits##_t
#define IMM(bits)               ((UINT(bits))op->imm)

/* The conditions of Jcc, SETcc, CMOVcc on a cc in the form of x86_cpu.cc, by the low bits of the opcode. */
#define COND_0(cc)  ((cc)&ALU_CC_OF)
#define COND_1(cc)  (!((cc)&ALU_CC_OF))
#define COND_2(cc)  ((cc)&ALU_CC_CF)
#define COND_3(cc)  (!((cc)&ALU_CC_CF))
#define COND_4(cc)  ((cc)&ALU_CC_ZF)
#define COND_5(cc)  (!((cc)&ALU_CC_ZF))
#define COND_6(cc)  ((cc) & (ALU_CC_CF | ALU_CC_ZF))
#define COND_7(cc)  (!((cc) & (ALU_CC_CF | ALU_CC_ZF)))
#define COND_8(cc)  ((cc)&ALU_CC_SF)
#define COND_9(cc)  (!((cc)&ALU_CC_SF))
#define COND_10(cc) ((cc)&ALU_CC_PF)
#define COND_11(cc) (!((cc)&ALU_CC_PF))
#define COND_12(cc) (((cc) >> 15 ^ (cc)) & 1)
#define COND_13(cc) (!(((cc) >> 15 ^ (cc)) & 1))
#define COND_14(cc) ((((cc) >> 15 ^ (cc)) & 1) || (cc)&ALU_CC_ZF)
#define COND_15(cc) (!(((cc) >> 15 ^ (cc)) & 1) && !((cc)&ALU_CC_ZF))

#define FOR_CONDITIONS(X)                                                                                    \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/* Exit n of a block: on to the linked block unless somebody wants our attention. */
#define LEAVE(n)                                                                                             \
    do {                                                                                                     \
        const struct interp_exit *exit_ = (const void *)(op + 1);                                            \
        const struct interp_op *to_ = exit_->link[n];                                                        \
        cpu->instructions += op->count;                                                                      \
        if (likely(to_ && interp_free(cpu, in)))                                                             \
            ENTER(to_);                                                                                      \
        cpu->s.rip = exit_->rip[n];                                                                          \
        return interp_follow##n(cpu, op, in);                                                                \
    } while (0)

/* On to the block at an address that only now is known; s.rip is set. */
#define GO(target)                                                                                           \
    do {                                                                                                     \
        const struct interp_block *go_ = in->jump[interp_jump_hash(target)];                                 \
        if (likely(go_->rip == (target) && go_->page->stamp == in->stamp && interp_free(cpu, in)))           \
            ENTER(go_->op);                                                                                  \
        return INTERP_LOOK;                                                                                  \
    } while (0)

/* ---- the handlers, by size (0..3: 1, 2, 4, 8 bytes) and kind of address (0..2: EA_b, EA_i, EA_s) ---- */

enum interp_alu {
    ALU_ADD,
    ALU_OR,
    ALU_ADC,
    ALU_SBB,
    ALU_AND,
    ALU_SUB,
    ALU_XOR,
    ALU_CMP,
    ALU_TEST,
    ALU_COUNT
};
enum interp_unary { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT, UNARY_COUNT };
enum interp_shift { SHIFT_SHL, SHIFT_SHR, SHIFT_SAR, SHIFT_ROL, SHIFT_ROR, SHIFT_COUNT };

struct interp_alu_handlers { /* NULL where there is none */
    interp_fn *rr[4], *ri[4];
    interp_fn *rr_quiet[4], *ri_quiet[4]; /* flags are not looked at; 32 and 64 bits only */
    interp_fn *rm[4][3];
    interp_fn *rm_quiet[4][3];
    interp_fn *mr[4][3], *mi[4][3];
};

struct interp_unary_handlers {
    interp_fn *r[4];
    interp_fn *m[4][3];
};

struct interp_shift_handlers {
    interp_fn *ri[4], *rc[4];
    interp_fn *ri_quiet[4];
    interp_fn *mi[4][3];
};

struct interp_move_handlers {
    interp_fn *rr[4], *ri[4], *rm[4][3], *mr[4][3], *mi[4][3];
    interp_fn *wide; /* r64, imm64 */
};

/* MOVZX and MOVSX by the destination's size (2, 4, 8 bytes: 1..3) and the source's (1, 2, 4 bytes: 0..2). */
struct interp_extend_handlers {
    interp_fn *rr[4][3], *rm[4][3][3];
};

extern const struct interp_alu_handlers interp_alu_handlers[ALU_COUNT];
extern const struct interp_unary_handlers interp_unary_handlers[UNARY_COUNT];
extern const struct interp_shift_handlers interp_shift_handlers[SHIFT_COUNT];
extern const struct interp_move_handlers interp_move_handlers;
extern const struct interp_extend_handlers interp_zx_handlers, interp_sx_handlers;

/* ops-move.c; [0]: 32 bits, [1]: 64 bits */
extern interp_fn *const interp_lea_handlers[2][3];
extern interp_fn *const interp_cmov_rr[16][2], *const interp_cmov_rm[16][2][3];
extern interp_fn *const interp_set_r[16], *const interp_set_m[16][3];
extern interp_fn *const interp_xchg_rr[2], *const interp_bswap[2];
extern interp_fn *const interp_cbw[3], *const interp_cwd[3]; /* 2, 4, 8 bytes */

/* ops-alu.c */
extern interp_fn *const interp_imul_rr[2], *const interp_imul_rm[2][3];
extern interp_fn *const interp_imul_rri[2], *const interp_imul_rmi[2][3];
/* of memory: no EA_s */
extern interp_fn *const interp_bt_mi[2][3], *const interp_bt_mr[2][3];
extern interp_fn *const interp_bt_ri[2], *const interp_bt_rr[2], *const interp_bts_ri[2],
                                                                     *const interp_btr_ri[2];
extern interp_fn *const interp_mul_r[2], *const interp_imul_r[2], *const interp_div_r[2],
                                                                      *const interp_idiv_r[2];

/* ops-flow.c; [0]: 32-bit stack, [1]: 64-bit */
extern interp_fn *const interp_push_r[2], *const interp_push_i[2], *const interp_pop_r[2];
extern interp_fn *const interp_push_m[2][3];
extern interp_fn *const interp_call[2], *const interp_ret[2], *const interp_leave[2];
extern interp_fn *const interp_call_r[2], *const interp_call_m[2][3];
extern interp_fn *const interp_jmp_r[2], *const interp_jmp_m[2][3];
extern interp_fn *const interp_jcc[16];
/* CMP or TEST with a JCC: [CMP, TEST][8, 32, 64 bits][condition] */
extern interp_fn *const interp_fused_rr[2][3][16], *const interp_fused_ri[2][3][16];

/* ops-atomic.c: LOCKed and XCHG, by size */
extern interp_fn *const interp_lock_mr[ALU_COUNT][4][3], *const interp_lock_mi[ALU_COUNT][4][3];
extern interp_fn *const interp_lock_unary[2][4][3]; /* INC, DEC */
extern interp_fn *const interp_xchg_mr[4][3], *const interp_xadd_mr[4][3], *const interp_cmpxchg_mr[4][3];

#endif
