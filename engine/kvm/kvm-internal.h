/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of engine/kvm. */
#ifndef ENGINE_KVM_KVM_INTERNAL_H
#define ENGINE_KVM_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>

#include "core/vm.h"

struct kvm_vm {
    int kvm_fd;
    int vm_fd;
    size_t run_size;     /* of the mapping of a vCPU's struct kvm_run */
    bool extint;         /* level of the 8259's INTR; atomic */
    uint32_t native_khz; /* of the TSC, unscaled */
    uint64_t stopped_at; /* the host's TSC when the VM's clock stopped */

    /* see kvm-alone.c */
    pthread_mutex_t alone;
    uint32_t alone_wanted; /* atomic: how many vCPUs want to be */
    struct kvm_cpuid2 *supported;
};

struct kvm_vcpu {
    int fd;
    struct kvm_run *run;
    pthread_t thread;      /* valid if running; guarded by nothing but atomic `running` */
    bool running;          /* atomic */
    bool in_guest;         /* atomic: may touch guest memory; see kvm-alone.c */
    uint64_t tsc_deadline; /* to be armed by the next kvm_state_put(); 0: none */
};

static inline struct kvm_vm *kvm_vm_of(const struct vm *vm)
{
    return vm->engine_data;
}

static inline struct kvm_vcpu *kvm_vcpu_of(const struct vcpu *vcpu)
{
    return vcpu->engine_data;
}

#define KVM_KICK_SIGNAL SIGUSR1

/* ioctl() that goes on after EINTR; a negative errno instead of -1. */
int kvm_ioctl(int fd, unsigned long request, void *arg);

/* kvm-state.c; a vCPU at rest, and (step) between two instructions of a running one. */
int kvm_state_get(struct vcpu *vcpu);
int kvm_state_put(struct vcpu *vcpu);
int kvm_step_get(struct vcpu *vcpu);
int kvm_step_put(struct vcpu *vcpu);

/* kvm-msr.c */
int kvm_msr_filter(struct kvm_vm *k, struct error *err);
/* Answers KVM_EXIT_X86_RDMSR and WRMSR. */
void kvm_msr_exit(struct vcpu *vcpu, struct kvm_run *run);
int kvm_msr_get(int fd, uint32_t msr, uint64_t *value);
int kvm_msr_set(int fd, uint32_t msr, uint64_t value);
/* at_rest: all, also those that only matter to a VM that is saved or loaded. */
void kvm_msrs_transfer(int fd, struct x86_state *s, bool at_rest, bool put);

/* kvm-lapic.c: engine_ops, see there */
int kvm_lapic_get(struct vcpu *vcpu, struct lapic_image *image);
int kvm_lapic_put(struct vcpu *vcpu, const struct lapic_image *image);
void kvm_msi(struct vm *vm, uint64_t address, uint32_t data);
void kvm_extint(struct vm *vm, bool level);
void kvm_ioapic_changed(struct vm *vm);

/* kvm-memory.c: the last two are engine_ops */
int kvm_memory_add(struct kvm_vm *k, const struct vm *vm, struct error *err);
int kvm_dirty_track(struct vm *vm, bool on);
int kvm_dirty_collect(struct vm *vm);

/* kvm-clock.c: the first two are engine_ops; the others exchange cpu.s.tsc_offset. */
void kvm_clock_changed(struct vm *vm, bool running);
int kvm_tsc_rate(struct vm *vm, uint32_t khz);
int kvm_tsc_get(struct vcpu *vcpu);
int kvm_tsc_put(struct vcpu *vcpu);

/* kvm-cpuid.c */
int kvm_cpuid_load(struct kvm_vm *k, struct error *err);
int kvm_cpuid_set(struct vcpu *vcpu, struct error *err);
/* Has the VM's CPUID model tell the TSC's rate; kvm_cpuid_set() follows. */
void kvm_cpuid_tsc(struct vm *vm, uint32_t khz);

/* kvm-run.c */
enum vm_exit kvm_vcpu_run(struct vcpu *vcpu);
void kvm_vcpu_kick(struct vcpu *vcpu);

/* kvm-step.c: the instruction at rip by x86_step(); go_on: KVM may continue. */
enum vm_exit kvm_step(struct vcpu *vcpu, bool *go_on);
void kvm_step_finish(struct vcpu *vcpu);

/* kvm-alone.c: the first is engine_ops; the others go around KVM_RUN. */
void kvm_exclusive(struct vcpu *vcpu, bool begin);
/* False: another vCPU was alone meanwhile, look at the requests again. */
bool kvm_guest_enter(struct vcpu *vcpu);
void kvm_guest_leave(struct vcpu *vcpu);

#endif
