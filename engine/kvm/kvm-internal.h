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
    size_t run_size; /* of the mapping of a vCPU's struct kvm_run */
    bool extint;     /* level of the 8259's INTR; atomic */
    struct kvm_cpuid2 *supported;
};

struct kvm_vcpu {
    int fd;
    struct kvm_run *run;
    pthread_t thread; /* valid if running; guarded by nothing but atomic `running` */
    bool running;     /* atomic */
    struct kvm_lapic_state power_on_lapic;
    uint64_t fallbacks; /* instructions that x86_step() finished */
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

/* kvm-state.c */
int kvm_state_get(struct vcpu *vcpu);
int kvm_state_put(struct vcpu *vcpu);

/* kvm-cpuid.c */
int kvm_cpuid_load(struct kvm_vm *k, struct error *err);
int kvm_cpuid_set(struct vcpu *vcpu, struct error *err);

/* kvm-run.c */
enum vm_exit kvm_vcpu_run(struct vcpu *vcpu);
void kvm_vcpu_kick(struct vcpu *vcpu);

#endif
