/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thunks: short pieces of host code that run one guest instruction (x87, MMX,
 * SSE, AVX …) as the host's own, on the guest's registers in struct x86_state.
 *
 * A thunk loads the vector, MMX and general registers that the instruction
 * names, executes it with its memory operand rewritten to [rsi], and stores what
 * it wrote. It clobbers only registers that the System V ABI lets a callee
 * clobber, and leaves MXCSR and the x87 as that ABI wants them: this code itself
 * is free of vector registers, its callers need not be.
 *
 * One struct x86_thunks a vCPU, touched by its thread only. Its environment
 * supplies two mappings of the same memory, one writable and one executable, so
 * that no page is ever both. When either is full all thunks are dropped and
 * `generation` changes: whoever keeps a thunk compares it before the next use.
 */
#ifndef X86_THUNK_H
#define X86_THUNK_H

#include "x86/exec.h"

#define X86_THUNKS_MAX       4096U
#define X86_THUNKS_CODE_SIZE KIB(512) /* enough for about that many */

/* mem: what stands for the memory operand. image: 512 bytes for FXSAVE, 16-byte aligned; x87 thunks only. */
typedef void x86_thunk_code(struct x86_cpu *cpu, void *mem, void *image);

#define X86_THUNK_FP     BIT(0) /* uses MXCSR, may raise #XM */
#define X86_THUNK_MMX    BIT(1) /* uses MM registers */
#define X86_THUNK_X87    BIT(2) /* uses the image */
#define X86_THUNK_ALIGN  BIT(3) /* #GP(0) if the memory operand is not aligned to its size */

#define X86_THUNK_NO_MEM 0xff

struct x86_thunk {
    uint64_t key;
    x86_thunk_code *code;
    uint8_t flags;  /* X86_THUNK_… */
    uint8_t memory; /* index of the memory operand, X86_THUNK_NO_MEM if none */
};

struct x86_thunks {
    uint8_t image[512] __attribute__((aligned(64)));
    uint8_t *write_map;
    const uint8_t *exec_map;
    size_t size;
    size_t used;
    uint32_t generation;
    uint32_t count;
    struct x86_thunk thunk[X86_THUNKS_MAX];
    uint16_t slot[X86_THUNKS_MAX * 2]; /* 1 + index of thunk, 0: empty; linear probing */
};

/* Both maps are of `size` bytes, at least 4 KiB; they stay the caller's. The same thunks are made again as
 * needed. */
void x86_thunks_init(struct x86_thunks *thunks, void *write_map, const void *exec_map, size_t size);

/*
 * The thunk of an instruction whose semantics are x86_exec_vector or x86_exec_x87
 * (no other has one). Valid while cpu->thunks->generation is what it is now. The
 * same for all decodings of the same bytes in the same mode.
 */
const struct x86_thunk *x86_thunk_get(struct x86_cpu *cpu, const struct x86_insn *insn);

/* Executes the instruction by its thunk: everything x86_exec_table[insn->id] would do. */
enum x86_result x86_thunk_run(struct x86_cpu *cpu, const struct x86_insn *insn,
                              const struct x86_thunk *thunk);

/*
 * Code was written through one address and will be fetched through another: the
 * processor wants a serializing instruction between (SDM 3A 12.6). For all who make code.
 */
void x86_thunk_serialize(void);

#endif
