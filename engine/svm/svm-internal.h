/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of engine/svm. */
#ifndef ENGINE_SVM_SVM_INTERNAL_H
#define ENGINE_SVM_SVM_INTERNAL_H

#include "engine/hw/hw.h"
#include "engine/svm/svm.h"
#include "engine/svm/vmcb.h"

/* The permission maps: I/O ports', MSRs' behind. */
#define SVM_MAPS_IO   (3 * 4096U)
#define SVM_MAPS_SIZE (SVM_MAPS_IO + 2 * 4096U)

/* What processors have beyond nested paging (CPUID 8000000A). */
struct svm_features {
    uint32_t asids;
    bool next_rip, clean_bits, flush_by_asid, decode_assists, pause_filter, pause_threshold;
    bool tsc_ratio, spec_ctrl;
    bool huge; /* pages of 1 GiB */
    bool rdtscp, rdpru, mcommit;
    bool injects_twice; /* QEMU's TCG; see svm_inject() */
};

struct svm_cpu {
    struct hw_cpu hw;
    struct svm_features has;
    struct vmcb *host; /* what VMLOAD gives back to the hypervisor: GS base, TR … */
    uint64_t host_phys;
    uint64_t tsc_aux, tsc_ratio; /* in the registers */
    uint64_t spec_ctrl;
};

struct svm_vm {
    struct hw_vm hw;
    struct svm_features has; /* of all processors */
    struct hw_format format;
    uint8_t *maps;
    /* The model has MSR SPEC_CTRL; it is in the block, or in the processor's register while loaded. */
    bool spec_ctrl_direct, spec_ctrl;
};

struct svm_vcpu {
    struct hw_vcpu hw;
    struct vmcb *vmcb;
    uint64_t phys;
    bool interrupt; /* the virtual interrupt is one for the guest, not a window */
};

static inline struct svm_cpu *svm_cpu_of(const struct hw_cpu *cpu)
{
    return (struct svm_cpu *)(void *)cpu;
}

static inline struct svm_vm *svm_vm_of(const struct vm *vm)
{
    return vm->engine_data;
}

static inline struct svm_vcpu *svm_vcpu_of(const struct hw_vcpu *v)
{
    return (struct svm_vcpu *)(void *)v;
}

/* svm-state.c: cpu.s and the control block */
void svm_fetch(struct hw_vcpu *v, uint32_t parts);
void svm_flush_state(struct svm_vcpu *v);
struct vmcb_segment svm_segment_to(const struct x86_segment *s);
struct x86_segment svm_segment_from(const struct vmcb_segment *s);

/* svm-run.c */
extern const struct hw_ops svm_hw_ops;
/* What of the control block never changes, and what INIT does not. */
void svm_vmcb_init(struct svm_vcpu *v);

#endif
