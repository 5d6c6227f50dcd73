/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast is this /dev/kvm? A small real-mode VM counts down in ring 0, which
 * hardware runs natively and software-only KVMs emulate.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/kvm-internal.h"
#include "engine/kvm/kvm.h"

#define SLICE     20000U /* iterations between looks at the clock */
#define BUDGET_NS 50000000ULL

/* again: mov ecx, SLICE; 1: dec ecx; jnz 1b; out 0x80, al; jmp again */
static const uint8_t program[] = {0x66, 0xb9, SLICE & 0xff, SLICE >> 8, 0,    0,    0x66,
                                  0x49, 0x75, 0xfc,         0xe6,       0x80, 0xeb, 0xf2};

struct probe {
    int kvm, vm, cpu;
    uint8_t *ram;
    struct kvm_run *run;
    size_t run_size;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int prepare(struct probe *p)
{
    struct kvm_userspace_memory_region region = {.memory_size = 4096, .userspace_addr = (uintptr_t)p->ram};
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rflags = 2};
    int size;

    p->vm = kvm_ioctl(p->kvm, KVM_CREATE_VM, NULL);
    if (p->vm < 0 || kvm_ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return -EIO;
    (void)kvm_ioctl(p->vm, KVM_SET_TSS_ADDR, (void *)0xfeffd000UL);
    p->cpu = kvm_ioctl(p->vm, KVM_CREATE_VCPU, NULL);
    size = kvm_ioctl(p->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (p->cpu < 0 || size <= 0)
        return -EIO;
    p->run_size = (size_t)size;
    p->run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->cpu, 0);
    if (p->run == MAP_FAILED) {
        p->run = NULL;
        return -ENOMEM;
    }
    memcpy(p->ram, program, sizeof(program));
    if (kvm_ioctl(p->cpu, KVM_GET_SREGS, &sregs) < 0)
        return -EIO;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (kvm_ioctl(p->cpu, KVM_SET_SREGS, &sregs) < 0 || kvm_ioctl(p->cpu, KVM_SET_REGS, &regs) < 0)
        return -EIO;
    return 0;
}

static int count(struct probe *p, uint64_t *rate)
{
    uint64_t start = now_ns(), slices = 0, spent;

    do {
        if (ioctl(p->cpu, KVM_RUN, NULL) < 0 || p->run->exit_reason != KVM_EXIT_IO)
            return -EIO;
        slices++;
        spent = now_ns() - start;
    } while (spent < BUDGET_NS);
    *rate = (uint64_t)((double)slices * 2 * SLICE * 1e9 / (double)spent);
    return 0;
}

int kvm_measure(uint64_t *instructions_per_second, struct error *err)
{
    struct probe p = {.kvm = -1, .vm = -1, .cpu = -1};
    int r = kvm_engine.probe(err);

    if (r < 0)
        return r;
    p.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    p.ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p.kvm < 0 || p.ram == MAP_FAILED)
        r = error_set(err, errno, "cannot measure KVM: %s", strerror(errno));
    else if ((r = prepare(&p)) < 0 || (r = count(&p, instructions_per_second)) < 0)
        r = error_set(err, -r, "KVM is there but runs no guest code");
    if (p.run)
        munmap(p.run, p.run_size);
    if (p.ram != MAP_FAILED)
        munmap(p.ram, 4096);
    if (p.cpu >= 0)
        close(p.cpu);
    if (p.vm >= 0)
        close(p.vm);
    if (p.kvm >= 0)
        close(p.kvm);
    return r;
}
