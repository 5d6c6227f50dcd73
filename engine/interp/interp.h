/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reference engine: an interpreter of decoded blocks. It runs every mode of
 * the processor on any host thread, with no help from the host's hardware.
 */
#ifndef ENGINE_INTERP_INTERP_H
#define ENGINE_INTERP_INTERP_H

#include "core/engine.h"
#include "x86/insn-ids.h"

extern const struct engine_ops interp_engine;

/* What a vCPU's engine did since it was made; read it while the vCPU is stopped. */
struct interp_stats {
    uint64_t instructions;
    uint64_t lookups; /* blocks looked for beyond links and the jump cache */
    uint64_t blocks;  /* decoded */
    uint64_t decoded; /* instructions in them */
    uint64_t steps;   /* instructions that went through x86_step() */
    uint64_t misses;  /* of the software TLB, in hot handlers */
    uint64_t
        redone; /* hot instructions that the reference semantics finished (MMIO, page crossing, code pages) */
    uint64_t killed;          /* pages whose blocks were dropped, as their code had been written over */
    uint64_t flushes;         /* of the whole cache, as it was full */
    uint64_t protected_pages; /* pages that got their first block */
    uint64_t faults;          /* delivered */
    uint64_t interrupts;
    uint64_t arena; /* bytes of memory for blocks */
};

void interp_stats_get(struct vcpu *vcpu, struct interp_stats *stats);

/* A vCPU's statistics, one line each, for a debug dump. Returns as fmt_print(). */
size_t interp_stats_format(struct vcpu *vcpu, char *buf, size_t size);

#endif
