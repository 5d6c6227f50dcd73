/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm-internal.h"

void kvm_vcpu_kick(struct vcpu *vcpu)
{
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);

    /* The flag makes a KVM_RUN that is about to start return at once; the signal ends one that runs. */
    __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&v->running, __ATOMIC_SEQ_CST))
        pthread_kill(v->thread, KVM_KICK_SIGNAL);
}

static void handle_io(struct vcpu *vcpu, struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        uint64_t value = 0;

        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, run->io.size);
            vcpu_pio_write(vcpu, run->io.port, value, run->io.size);
        } else {
            value = vcpu_pio_read(vcpu, run->io.port, run->io.size);
            memcpy(data, &value, run->io.size);
        }
    }
}

static void handle_mmio(struct vcpu *vcpu, struct kvm_run *run)
{
    uint64_t value = 0;
    unsigned size = run->mmio.len > 8 ? 8 : run->mmio.len;

    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, size);
        vcpu_mmio_write(vcpu, run->mmio.phys_addr, value, size);
    } else {
        value = vcpu_mmio_read(vcpu, run->mmio.phys_addr, size);
        memcpy(run->mmio.data, &value, size);
    }
}

static void end_of_interrupt(struct vcpu *vcpu, uint8_t vector)
{
    struct vm *vm = vcpu->vm;

    vm_lock(vm);
    if (vm->irqs.ioapic_eoi)
        vm->irqs.ioapic_eoi(vm->irqs.ioapic_opaque, vector);
    vm_unlock(vm);
}

static enum vm_exit handle_exit(struct vcpu *vcpu, struct kvm_run *run, bool *go_on)
{
    *go_on = true;
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        handle_io(vcpu, run);
        return VM_EXIT_REQUEST;
    case KVM_EXIT_MMIO:
        handle_mmio(vcpu, run);
        return VM_EXIT_REQUEST;
    case KVM_EXIT_IOAPIC_EOI:
        end_of_interrupt(vcpu, run->eoi.vector);
        return VM_EXIT_REQUEST;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        kvm_msr_exit(vcpu, run);
        return VM_EXIT_REQUEST;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
        return VM_EXIT_REQUEST;
    case KVM_EXIT_INTERNAL_ERROR:
        if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
            return kvm_step(vcpu, go_on);
        break;
    case KVM_EXIT_SHUTDOWN:
        *go_on = false;
        return VM_EXIT_SHUTDOWN;
    default:
        break;
    }
    *go_on = false;
    vm_log(vcpu->vm, LOG_ERROR, "vCPU %u: KVM stops with reason %u (hardware 0x%llx)", vcpu->index,
           run->exit_reason, (unsigned long long)run->hw.hardware_exit_reason);
    return VM_EXIT_ERROR;
}

/* The 8259's interrupt, which the kernel's local APIC takes only from us. */
static void inject_extint(struct vcpu *vcpu, struct kvm_vcpu *v)
{
    struct vm *vm = vcpu->vm;
    struct kvm_vm *k = kvm_vm_of(vm);
    int vector = -1;

    v->run->request_interrupt_window = 0;
    if (vcpu->index != 0 || !__atomic_load_n(&k->extint, __ATOMIC_SEQ_CST))
        return;
    if (!v->run->ready_for_interrupt_injection) {
        v->run->request_interrupt_window = 1;
        return;
    }
    vm_lock(vm);
    if (k->extint && vm->irqs.pic_acknowledge)
        vector = vm->irqs.pic_acknowledge(vm->irqs.pic_opaque);
    vm_unlock(vm);
    if (vector >= 0) {
        struct kvm_interrupt irq = {.irq = (uint32_t)vector};
        (void)kvm_ioctl(v->fd, KVM_INTERRUPT, &irq);
    }
}

/*
 * MMIO, port and MSR exits complete inside the next KVM_RUN: before the state may be
 * read, one that returns at once lets them. It comes back with EINTR, or with the
 * next piece of an access that KVM makes in several.
 */
static enum vm_exit complete_exit(struct vcpu *vcpu)
{
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);
    enum vm_exit exit = VM_EXIT_REQUEST;
    bool go_on = true;

    while (go_on) {
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        if (ioctl(v->fd, KVM_RUN, NULL) < 0)
            break;
        exit = handle_exit(vcpu, v->run, &go_on);
    }
    return exit;
}

static void enter(struct kvm_vcpu *v)
{
    sigset_t set;

    if (__atomic_load_n(&v->running, __ATOMIC_RELAXED))
        return;
    sigemptyset(&set);
    sigaddset(&set, KVM_KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    v->thread = pthread_self();
    __atomic_store_n(&v->running, true, __ATOMIC_SEQ_CST);
}

enum vm_exit kvm_vcpu_run(struct vcpu *vcpu)
{
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);
    struct kvm_run *run = v->run;
    enum vm_exit exit = VM_EXIT_REQUEST;
    bool go_on = true;
    int r;

    enter(v);
    while (go_on) {
        /* Cleared before the requests are looked at: see kvm_vcpu_kick(). */
        __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&vcpu->cpu.request, __ATOMIC_SEQ_CST) & X86_REQ_EXIT) {
            exit = complete_exit(vcpu);
            break;
        }
        __atomic_fetch_and(&vcpu->cpu.request, ~X86_REQ_INTERRUPT, __ATOMIC_SEQ_CST);
        inject_extint(vcpu, v);
        if (!kvm_guest_enter(vcpu))
            continue;
        r = ioctl(v->fd, KVM_RUN, NULL) < 0 ? errno : 0;
        kvm_guest_leave(vcpu);
        if (r == EINTR || r == EAGAIN)
            continue;
        if (r) {
            vm_log(vcpu->vm, LOG_ERROR, "vCPU %u: KVM_RUN: %s", vcpu->index, strerror(r));
            exit = VM_EXIT_ERROR;
            break;
        }
        exit = handle_exit(vcpu, run, &go_on);
    }
    __atomic_store_n(&v->running, false, __ATOMIC_SEQ_CST);
    return exit;
}
