/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace points: one bit each, tested where they stand; off, they cost that test.
 */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include "base/base.h"

struct vm;

/* name as in --trace, what it shows */
#define TRACE_EVENTS(X)                                                                                      \
    X(PIO, "pio", "port reads and writes")                                                                   \
    X(MMIO, "mmio", "device memory reads and writes")                                                        \
    X(IRQ, "irq", "interrupt lines, MSIs and vectors")                                                       \
    X(EXCEPTION, "exception", "exceptions delivered to the guest")                                           \
    X(MSR, "msr", "model-specific registers read and written")                                               \
    X(PCI, "pci", "PCI configuration space")                                                                 \
    X(VIRTIO, "virtio", "virtio devices: status, queues, requests")                                          \
    X(BLOCK, "block", "disk requests")                                                                       \
    X(NET, "net", "packets")                                                                                 \
    X(TIMER, "timer", "timers armed and fired")                                                              \
    X(UNASSIGNED, "unassigned", "accesses that no device answers")                                           \
    X(ENGINE, "engine", "what the CPU engine does; its statistics at the end")                               \
    X(TRANSLATE, "translate", "blocks made (bt, interp)")                                                    \
    X(CODE, "code", "translated code, the guest's beside the host's (bt)")                                   \
    X(CHAIN, "chain", "blocks tied together and taken apart (bt)")                                           \
    X(TLB, "tlb", "the translator's misses of its slots and TLB (bt)")                                       \
    X(SMC, "smc", "guest writes over its own code (bt)")

enum trace_event {
#define TRACE_ENUM(id, name, help) TRACE_##id,
    TRACE_EVENTS(TRACE_ENUM)
#undef TRACE_ENUM
        TRACE_COUNT,
};

struct trace {
    uint64_t mask; /* BIT64(event) */
    void (*emit)(void *opaque, enum trace_event event, const char *text);
    void *opaque;
};

const char *trace_name(enum trace_event event);
/* -ENOENT: no such event. */
int trace_enable(struct trace *trace, const char *name);

void trace_print(struct vm *vm, enum trace_event event, const char *fmt, ...) ATTR_PRINTF(3, 4);

#define vm_trace(vm, event, ...)                                                                             \
    do {                                                                                                     \
        if (unlikely((vm)->trace.mask & BIT64(TRACE_##event)))                                               \
            trace_print(vm, TRACE_##event, __VA_ARGS__);                                                     \
    } while (0)

#endif
