/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/kvm/kvm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/vcpu-env.h"
#include "core/vm.h"
#include "engine/kvm/kvm-internal.h"

/* Three pages for real mode on processors without unrestricted guests; no RAM or BAR is there. */
#define TSS_ADDRESS      0xfeffd000UL
#define IDENTITY_ADDRESS 0xfeffc000ULL

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int r;

    do {
        r = ioctl(fd, request, arg);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

static int open_kvm(struct error *err)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int version;

    if (fd < 0 && errno == ENOENT)
        return error_set(
            err, ENOENT,
            "there is no /dev/kvm: this machine has no hardware virtualization to give, or the kvm "
            "module is not loaded (modprobe kvm_intel or kvm_amd)");
    if (fd < 0)
        return error_set(err, errno, "cannot open /dev/kvm (%s): add yourself to its group: adduser %s kvm",
                         strerror(errno), getenv("USER") ? getenv("USER") : "YOU");
    version = kvm_ioctl(fd, KVM_GET_API_VERSION, NULL);
    if (version != KVM_API_VERSION) {
        close(fd);
        return error_set(err, ENOTSUP, "/dev/kvm speaks version %d, not %d", version, KVM_API_VERSION);
    }
    return fd;
}

static int check_capabilities(int fd, struct error *err)
{
    static const struct {
        int capability;
        const char *name;
    } wanted[] = {
        {KVM_CAP_SPLIT_IRQCHIP, "split irqchip"},
        {KVM_CAP_USER_MEMORY, "user memory"},
        {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
        {KVM_CAP_SIGNAL_MSI, "MSI"},
        {KVM_CAP_XSAVE, "XSAVE"},
        {KVM_CAP_EXT_CPUID, "CPUID"},
        {KVM_CAP_ADJUST_CLOCK, "a clock that can be set"},
        {KVM_CAP_GET_TSC_KHZ, "the TSC's rate"},
        {KVM_CAP_X86_USER_SPACE_MSR, "exits for MSRs"},
        {KVM_CAP_X86_MSR_FILTER, "filters for MSRs"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (kvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(long)wanted[i].capability) <= 0)
            return error_set(err, ENOTSUP, "this kernel's KVM lacks %s: Linux 5.10 or newer has it",
                             wanted[i].name);
    }
    return 0;
}

static int kvm_probe(struct error *err)
{
    int fd = open_kvm(err);
    int r;

    if (fd < 0)
        return fd;
    r = check_capabilities(fd, err);
    close(fd);
    return r;
}

static void kvm_vm_finish(struct vm *vm)
{
    struct kvm_vm *k = kvm_vm_of(vm);

    if (!k)
        return;
    if (k->vm_fd >= 0)
        close(k->vm_fd);
    if (k->kvm_fd >= 0)
        close(k->kvm_fd);
    pthread_mutex_destroy(&k->alone);
    free(k->supported);
    free(k);
    vm->engine_data = NULL;
}

static void ignore_signal(int number)
{
    (void)number;
}

static int create_vm(struct kvm_vm *k, struct vm *vm, struct error *err)
{
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {IRQ_GSI_COUNT}};
    uint64_t identity = IDENTITY_ADDRESS;
    int r;

    k->kvm_fd = open_kvm(err);
    if (k->kvm_fd < 0)
        return k->kvm_fd;
    r = check_capabilities(k->kvm_fd, err);
    if (r < 0)
        return r;
    k->vm_fd = kvm_ioctl(k->kvm_fd, KVM_CREATE_VM, NULL);
    if (k->vm_fd < 0)
        return error_set(err, -k->vm_fd, "KVM creates no VM (%s): is another hypervisor using the processor?",
                         strerror(-k->vm_fd));
    r = kvm_ioctl(k->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (r < 0)
        return error_set(err, -r, "KVM does not tell the size of a vCPU");
    k->run_size = (size_t)r;
    (void)kvm_ioctl(k->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    (void)kvm_ioctl(k->vm_fd, KVM_SET_TSS_ADDR, (void *)TSS_ADDRESS);
    r = kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &split);
    if (r < 0)
        return error_set(err, -r, "KVM refuses the split irqchip");
    if ((r = kvm_msr_filter(k, err)) < 0 || (r = kvm_cpuid_load(k, err)) < 0)
        return r;
    return kvm_memory_add(k, vm, err);
}

static int kvm_vm_init(struct vm *vm, struct error *err)
{
    struct sigaction kick = {.sa_handler = ignore_signal};
    struct kvm_vm *k = calloc(1, sizeof(*k));
    int r;

    if (!k)
        return error_set(err, ENOMEM, "no memory for the KVM engine");
    k->kvm_fd = k->vm_fd = -1;
    pthread_mutex_init(&k->alone, NULL);
    vm->engine_data = k;
    sigaction(KVM_KICK_SIGNAL, &kick, NULL);
    r = create_vm(k, vm, err);
    if (r < 0)
        kvm_vm_finish(vm);
    return r;
}

static void kvm_vcpu_finish(struct vcpu *vcpu)
{
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);

    if (!v)
        return;
    kvm_step_finish(vcpu);
    if (v->run)
        munmap(v->run, kvm_vm_of(vcpu->vm)->run_size);
    if (v->fd >= 0)
        close(v->fd);
    free(v);
    vcpu->engine_data = NULL;
}

static int create_vcpu(struct vcpu *vcpu, struct kvm_vcpu *v, struct error *err)
{
    struct kvm_vm *k = kvm_vm_of(vcpu->vm);
    int r;

    v->fd = kvm_ioctl(k->vm_fd, KVM_CREATE_VCPU, (void *)(long)vcpu->index);
    if (v->fd < 0)
        return error_set(err, -v->fd, "KVM creates no vCPU %u (%s)", vcpu->index, strerror(-v->fd));
    v->run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED) {
        v->run = NULL;
        return error_set(err, errno, "cannot map vCPU %u", vcpu->index);
    }
    r = kvm_ioctl(v->fd, KVM_GET_TSC_KHZ, NULL);
    if (r <= 0)
        return error_set(err, r < 0 ? -r : EIO, "KVM does not tell the rate of its time stamp counter");
    k->native_khz = vcpu->vm->clock.tsc_khz = (uint32_t)r;
    kvm_cpuid_tsc(vcpu->vm, k->native_khz);
    return kvm_cpuid_set(vcpu, err);
}

static int kvm_vcpu_init(struct vcpu *vcpu, struct error *err)
{
    struct kvm_vcpu *v = calloc(1, sizeof(*v));
    int r;

    if (!v)
        return error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
    v->fd = -1;
    vcpu->engine_data = v;
    vcpu->cpu.env = &vcpu_env;
    r = create_vcpu(vcpu, v, err);
    if (r < 0)
        kvm_vcpu_finish(vcpu);
    return r;
}

static int kvm_add_ioeventfd(struct vm *vm, bool mmio, uint64_t address, unsigned size, int fd, bool add)
{
    struct kvm_ioeventfd e = {
        .addr = address,
        .len = size,
        .fd = fd,
        .flags = (mmio ? 0 : KVM_IOEVENTFD_FLAG_PIO) | (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };
    int r = kvm_ioctl(kvm_vm_of(vm)->vm_fd, KVM_IOEVENTFD, &e);

    vm_trace(vm, ENGINE, "doorbell at 0x%llx %s (%d)", (unsigned long long)address, add ? "added" : "removed",
             r);
    return r;
}

const struct engine_ops kvm_engine = {
    .name = "kvm",
    .own_lapic = true,
    .own_tsc = true,
    .probe = kvm_probe,
    .vm_init = kvm_vm_init,
    .vm_finish = kvm_vm_finish,
    .vcpu_init = kvm_vcpu_init,
    .vcpu_finish = kvm_vcpu_finish,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_kick = kvm_vcpu_kick,
    .state_get = kvm_state_get,
    .state_put = kvm_state_put,
    .lapic_get = kvm_lapic_get,
    .lapic_put = kvm_lapic_put,
    .tsc_rate = kvm_tsc_rate,
    .clock_changed = kvm_clock_changed,
    .exclusive = kvm_exclusive,
    .dirty_track = kvm_dirty_track,
    .dirty_collect = kvm_dirty_collect,
    .msi = kvm_msi,
    .extint = kvm_extint,
    .ioapic_changed = kvm_ioapic_changed,
    .ioeventfd = kvm_add_ioeventfd,
};
