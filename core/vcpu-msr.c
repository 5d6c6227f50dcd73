/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MSRs that the platform answers: those of the local APIC, and KVM's
 * paravirtual clock, which every engine offers alike so that a guest may move
 * between them, and its steal time, where the platform knows that (Linux Documentation/virt/kvm/x86/msr.rst).
 */
#include "base/bytes.h"
#include "core/vm.h"

#define PVCLOCK_TSC_STABLE BIT(0)
#define STEAL_ON           BIT(0)
#define STEAL_RESERVED     0x3eU

struct pvclock_time {
    uint32_t version;
    uint32_t pad0;
    uint64_t tsc_timestamp;
    uint64_t system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t pad[2];
};

struct pvclock_wall {
    uint32_t version;
    uint32_t sec;
    uint32_t nsec;
};

struct steal_time {
    uint64_t steal;
    uint32_t version;
    uint32_t flags;
    uint8_t preempted, pad[47];
};

/* ns = ((ticks << shift) * mul) >> 32, with mul in [2^31, 2^32). */
static void tsc_scale(uint32_t tsc_khz, uint32_t *mul, int8_t *shift)
{
    uint64_t ns_per_s = 1000000000;
    uint64_t ticks_per_s = (uint64_t)tsc_khz * 1000;
    int s = 0;

    while (ticks_per_s > ns_per_s * 2) {
        ticks_per_s >>= 1;
        s--;
    }
    while (ticks_per_s <= ns_per_s) {
        ticks_per_s <<= 1;
        s++;
    }
    *mul = (uint32_t)((ns_per_s << 32) / ticks_per_s);
    *shift = (int8_t)s;
}

static void write_system_time(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    uint64_t gpa = vcpu->cpu.s.kvm_system_time & ~1ULL;
    struct pvclock_time t = {0};
    uint32_t version;

    if (!(vcpu->cpu.s.kvm_system_time & 1) || mem_read(vm, gpa, &version, sizeof(version)) < 0)
        return;
    t.system_time = clock_now(vm);
    t.tsc_timestamp = clock_ns_to_tsc(vm, t.system_time) + (uint64_t)vcpu->cpu.s.tsc_offset;
    tsc_scale(vm->clock.tsc_khz, &t.tsc_to_system_mul, &t.tsc_shift);
    t.flags = PVCLOCK_TSC_STABLE;
    t.version = (version + 2) & ~1U; /* odd while it changes */
    (void)mem_write(vm, gpa, &t, sizeof(t));
}

static void write_wall_clock(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    struct pvclock_wall w = {
        .version = 2,
        .sec = (uint32_t)(vm->clock.rtc_base / 1000000000),
        .nsec = (uint32_t)(vm->clock.rtc_base % 1000000000),
    };

    (void)mem_write(vm, vcpu->cpu.s.kvm_wall_clock, &w, sizeof(w));
}

/* The guest's structure is its own to spoil: what we add to is read from there. */
void vcpu_tell_stolen(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    uint64_t gpa = vcpu->cpu.s.kvm_steal_time & ~0x3fULL, stolen;
    struct steal_time t;

    if (!(vcpu->cpu.s.kvm_steal_time & STEAL_ON) || !vm->plat->ops->vcpu_stolen)
        return;
    stolen = vm->plat->ops->vcpu_stolen(vm->plat, vcpu);
    if (stolen == vcpu->stolen_told || mem_read(vm, gpa, &t, sizeof(t)) < 0)
        return;
    t.steal += stolen - vcpu->stolen_told;
    t.version =
        (t.version + 2) & ~1U; /* one copy, on the thread of the only reader: never seen half-written */
    t.preempted = 0;
    if (mem_write(vm, gpa, &t, sizeof(t)) == 0)
        vcpu->stolen_told = stolen;
}

static bool set_steal_time(struct vcpu *vcpu, uint64_t value)
{
    struct plat *plat = vcpu->vm->plat;

    if (!plat->ops->vcpu_stolen || value & STEAL_RESERVED)
        return false;
    if (!(vcpu->cpu.s.kvm_steal_time & STEAL_ON))
        vcpu->stolen_told = plat->ops->vcpu_stolen(plat, vcpu);
    vcpu->cpu.s.kvm_steal_time = value;
    return true;
}

bool vcpu_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;
    bool known = true;

    switch (msr) {
    case X86_MSR_KVM_SYSTEM_TIME_NEW:
        *value = vcpu->cpu.s.kvm_system_time;
        break;
    case X86_MSR_KVM_WALL_CLOCK_NEW:
        *value = vcpu->cpu.s.kvm_wall_clock;
        break;
    case X86_MSR_KVM_STEAL_TIME:
        *value = vcpu->cpu.s.kvm_steal_time;
        known = vcpu->vm->plat->ops->vcpu_stolen;
        break;
    default:
        known = false;
        if (lapic) {
            vm_lock(vcpu->vm);
            known = lapic->msr_read(vcpu, msr, value);
            vm_unlock(vcpu->vm);
        }
        break;
    }
    vm_trace(vcpu->vm, MSR, "rdmsr 0x%x: %s 0x%llx", msr, known ? "" : "#GP",
             known ? (unsigned long long)*value : 0);
    return known;
}

bool vcpu_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct vm *vm = vcpu->vm;
    const struct lapic_ops *lapic = vm->irqs.lapic;
    bool known = true;

    vm_trace(vm, MSR, "wrmsr 0x%x 0x%llx", msr, (unsigned long long)value);
    switch (msr) {
    case X86_MSR_KVM_SYSTEM_TIME_NEW:
        vcpu->cpu.s.kvm_system_time = value;
        write_system_time(vcpu);
        return true;
    case X86_MSR_KVM_WALL_CLOCK_NEW:
        vcpu->cpu.s.kvm_wall_clock = value;
        write_wall_clock(vcpu);
        return true;
    case X86_MSR_KVM_STEAL_TIME:
        return set_steal_time(vcpu, value);
    default:
        if (!lapic)
            return false;
        vm_lock(vm);
        known = lapic->msr_write(vcpu, msr, value);
        vm_unlock(vm);
        return known;
    }
}
