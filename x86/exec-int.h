/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The integer instructions: their place in x86_exec_table, and their names for
 * engines that call them directly.
 */
#ifndef X86_EXEC_INT_H
#define X86_EXEC_INT_H

#include "x86/exec.h"

/* X(id, function's name after x86_exec_), by the file that has them */
/* clang-format off */
#define X86_EXEC_INT_LIST(X) \
    /* flags.c */ \
    X(CLC, clc) X(CLD, cld) X(CMC, cmc) X(LAHF, lahf) X(SAHF, sahf) X(SALC, salc) X(STC, stc) \
    X(STD, std) \
    /* exec-arith.c */ \
    X(ADC, adc) X(ADCX, adx) X(ADD, add) X(ADOX, adx) X(CMP, cmp) X(CMPXCHG, cmpxchg) \
    X(CMPXCHG16B, cmpxchg16b) X(CMPXCHG8B, cmpxchg8b) X(DEC, dec) X(DIV, div) X(IDIV, idiv) \
    X(IMUL, imul) X(INC, inc) X(MUL, mul) X(MULX, mulx) X(NEG, neg) X(SBB, sbb) X(SUB, sub) \
    X(XADD, xadd) \
    /* exec-bcd.c */ \
    X(AAA, aaa) X(AAD, aad) X(AAM, aam) X(AAS, aas) X(DAA, daa) X(DAS, das) \
    /* exec-bit.c */ \
    X(ANDN, andn) X(BEXTR, bextr) X(BLSI, blsi) X(BLSMSK, blsmsk) X(BLSR, blsr) X(BSF, bsf) X(BSR, bsr) \
    X(BT, bt) X(BTC, btc) X(BTR, btr) X(BTS, bts) X(BZHI, bzhi) X(CRC32, crc32) X(LZCNT, lzcnt) \
    X(PDEP, pdep) X(PEXT, pext) X(POPCNT, popcnt) X(TZCNT, tzcnt) \
    /* exec-branch.c */ \
    X(BOUND, bound) X(CALL, call) X(JCC, jcc) X(JCXZ, jcxz) X(JMP, jmp) X(LOOP, loop) X(LOOPE, loope) \
    X(LOOPNE, loopne) X(RET, ret) \
    /* exec-logic.c */ \
    X(AND, and) X(NOT, not) X(OR, or) X(TEST, test) X(XOR, xor) \
    /* exec-move.c */ \
    X(BSWAP, bswap) X(CBW, cbw) X(CLFLUSH, clflush) X(CLFLUSHOPT, clflush) X(CLWB, clflush) \
    X(CMOVCC, cmovcc) X(CWD, cwd) X(LEA, lea) X(LFENCE, fence) X(MFENCE, fence) X(MOV, mov) \
    X(MOVBE, movbe) X(MOVNTI, mov) X(MOVSX, movsx) X(MOVSXD, movsx) X(MOVZX, mov) X(NOP, nop) \
    X(PAUSE, pause) X(PREFETCH, nop) X(PREFETCHNTA, nop) X(PREFETCHT0, nop) X(PREFETCHT1, nop) \
    X(PREFETCHT2, nop) X(PREFETCHW, nop) X(PREFETCHWT1, nop) X(SETCC, setcc) X(SFENCE, fence) \
    X(XCHG, xchg) X(XLAT, xlat) \
    /* exec-shift.c */ \
    X(RCL, rcl) X(RCR, rcr) X(ROL, rol) X(ROR, ror) X(RORX, rorx) X(SAR, sar) X(SARX, sarx) X(SHL, shl) \
    X(SHLD, shld) X(SHLX, shlx) X(SHR, shr) X(SHRD, shrd) X(SHRX, shrx) \
    /* exec-stack.c */ \
    X(ENTER, enter) X(LEAVE, leave) X(POP, pop) X(POPA, popa) X(POPF, popf) X(PUSH, push) \
    X(PUSHA, pusha) X(PUSHF, pushf) \
    /* exec-string.c */ \
    X(CMPS, cmps) X(LODS, lods) X(MOVS, movs) X(SCAS, scas) X(STOS, stos)
/* clang-format on */

#define X86_EXEC_INT_ENTRY(id, name)   [X86_##id] = x86_exec_##name,
#define X86_EXEC_INT_DECLARE(id, name) x86_exec_fn x86_exec_##name;

X86_EXEC_INT_LIST(X86_EXEC_INT_DECLARE)
#undef X86_EXEC_INT_DECLARE

/* Designated initialisers for x86_exec_table. */
#define X86_EXEC_INT_TABLE X86_EXEC_INT_LIST(X86_EXEC_INT_ENTRY)

/* #UD: instructions without semantics. */
x86_exec_fn x86_exec_invalid;

#endif
