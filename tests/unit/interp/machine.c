/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/interp/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- a stand-in for the local APICs ---- */

static struct machine *machine_of(struct vcpu *vcpu)
{
    return container_of(vcpu->vm, struct machine, vm);
}

static bool lapic_pending(struct vcpu *vcpu)
{
    return __atomic_load_n(&machine_of(vcpu)->pending[vcpu->index], __ATOMIC_SEQ_CST);
}

static int lapic_acknowledge(struct vcpu *vcpu)
{
    return __atomic_exchange_n(&machine_of(vcpu)->pending[vcpu->index], 0, __ATOMIC_SEQ_CST) ? MACHINE_VECTOR
                                                                                             : -1;
}

static bool lapic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    return false;
}

static bool lapic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return false;
}

static uint64_t lapic_cr8_read(struct vcpu *vcpu)
{
    return 0;
}

static void lapic_cr8_write(struct vcpu *vcpu, uint64_t value)
{
}

static void lapic_reset(struct vcpu *vcpu, bool init)
{
}

static void lapic_msi(struct vm *vm, uint64_t address, uint32_t data)
{
}

static void lapic_extint(struct vm *vm, bool level)
{
}

static const struct lapic_ops lapic_ops = {
    .msi = lapic_msi,
    .extint = lapic_extint,
    .pending = lapic_pending,
    .acknowledge = lapic_acknowledge,
    .msr_read = lapic_msr_read,
    .msr_write = lapic_msr_write,
    .cr8_read = lapic_cr8_read,
    .cr8_write = lapic_cr8_write,
    .reset = lapic_reset,
};

void machine_interrupt(struct machine *m, unsigned vcpu)
{
    __atomic_store_n(&m->pending[vcpu], 1, __ATOMIC_SEQ_CST);
    vcpu_request(m->vm.vcpu[vcpu], X86_REQ_INTERRUPT);
}

/* ---- the port ---- */

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct machine *m = opaque;

    if (m->on_port)
        m->on_port(m, value);
}

static const struct io_ops port_ops = {.read = port_read, .write = port_write};

/* ---- the machine ---- */

static void put64(struct machine *m, uint64_t gpa, uint64_t value)
{
    memcpy(m->ram + gpa, &value, 8);
}

static void make_tables(struct machine *m)
{
    put64(m, MACHINE_PML4, 0x2000 | 7);
    put64(m, 0x2000, 0x3000 | 7);
    put64(m, 0x3000, MACHINE_PT | 7);
    for (uint64_t i = 1; i < MACHINE_RAM >> 21; i++)
        put64(m, 0x3000 + i * 8, i << 21 | 0x87);
    put64(m, 0x3000 + (MACHINE_ALIAS >> 21) * 8, 0x400000 | 0x87);
    for (uint64_t i = 0; i < 512; i++)
        put64(m, MACHINE_PT + i * 8, i << 12 | 7);
    put64(m, MACHINE_GDT + 8, 0x00af9b000000ffff);  /* 64-bit code */
    put64(m, MACHINE_GDT + 16, 0x00cf93000000ffff); /* data */
    put64(m, MACHINE_GDT + 24, 0x00cf9b000000ffff); /* 32-bit code */
    for (unsigned v = 0; v < 256; v++) {
        uint64_t stub = MACHINE_STUBS + v * 8;
        const uint8_t code[] = {0x41, 0xbf, (uint8_t)v, 0, 0, 0, 0xf4}; /* mov r15d, v; hlt */

        memcpy(m->ram + stub, code, sizeof(code));
        machine_handler(m, v, stub);
        put64(m, MACHINE_IDT32 + v * 8, (stub & 0xffff) | 24 << 16 | 0x8e00ULL << 32);
    }
}

void machine_handler(struct machine *m, unsigned vector, uint64_t rip)
{
    put64(m, MACHINE_IDT + vector * 16,
          (rip & 0xffff) | 8 << 16 | 0x8e00ULL << 32 | (rip >> 16 & 0xffff) << 48);
    put64(m, MACHINE_IDT + vector * 16 + 8, rip >> 32);
}

static void init(struct machine *m, const struct engine_ops *engine, unsigned vcpus, enum x86_cpu_level level,
                 bool count, uint64_t code_cache)
{
    struct vm_config config = {.name = "test", .ram_size = MACHINE_RAM, .vcpus = vcpus};
    struct x86_cpuid_config cpuid = {.level = level, .vcpus = vcpus, .software_engine = true};
    struct error err = {0};

    memset(m, 0, sizeof(*m));
    fake_plat_init(&m->plat);
    m->plat.real_time = true;
    m->ram = mmap(NULL, MACHINE_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    config.ram = m->ram;
    if (m->ram == MAP_FAILED || vm_init(&m->vm, &m->plat.plat, &config, &err) < 0)
        abort();
    m->vm.code_cache = code_cache;
    if ((count && icount_enable(&m->vm, 0, &err) < 0) || x86_cpuid_build(&m->vm.cpuid, &cpuid, &err) < 0 ||
        vm_engine_init(&m->vm, engine, &err) < 0) {
        fprintf(stderr, "cannot make a machine: %s\n", err.text);
        abort();
    }
    m->vm.irqs.lapic = &lapic_ops;
    m->port =
        (struct io_region){.name = "test", .base = MACHINE_PORT, .size = 4, .ops = &port_ops, .opaque = m};
    bus_map(&m->vm.pio, &m->port);
    make_tables(m);
    vm_lock(&m->vm);
    vm_reset(&m->vm);
    vm_unlock(&m->vm);
}

void machine_init(struct machine *m, const struct engine_ops *engine, unsigned vcpus)
{
    init(m, engine, vcpus, X86_CPU_V2, false, 0);
}

void machine_init_cache(struct machine *m, const struct engine_ops *engine, unsigned vcpus,
                        uint64_t code_cache)
{
    init(m, engine, vcpus, X86_CPU_V2, false, code_cache);
}

void machine_init_counted(struct machine *m, const struct engine_ops *engine, enum x86_cpu_level level)
{
    init(m, engine, 1, level, true, 0);
}

void machine_finish(struct machine *m)
{
    vm_finish(&m->vm);
    munmap(m->ram, MACHINE_RAM);
}

void machine_put(struct machine *m, uint64_t gpa, const void *bytes, size_t len)
{
    memcpy(m->ram + gpa, bytes, len);
}

static struct x86_segment flat_segment(uint16_t selector, uint32_t type, uint32_t more)
{
    return (struct x86_segment){
        .selector = selector,
        .limit = ~0U,
        .attr = type | X86_SEG_S | X86_SEG_P | X86_SEG_G | more,
    };
}

void machine_start(struct machine *m, unsigned index, enum x86_mode mode, uint64_t rip)
{
    struct vcpu *vcpu = m->vm.vcpu[index];
    struct x86_state *s = &vcpu->cpu.s;

    x86_reset(&vcpu->cpu, false);
    s->activity = X86_ACT_RUN;
    s->rip = rip;
    s->gpr[X86_RSP] = MACHINE_STACK - index * 0x1000;
    if (mode == X86_MODE_16) {
        s->seg[X86_CS].base = 0;
        s->seg[X86_CS].selector = 0;
        s->gpr[X86_RSP] = 0xf000;
    } else {
        s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;
        for (unsigned i = X86_ES; i <= X86_GS; i++)
            s->seg[i] = flat_segment(16, 3, X86_SEG_DB);
        s->seg[X86_CS] =
            mode == X86_MODE_64 ? flat_segment(8, 11, X86_SEG_L) : flat_segment(24, 11, X86_SEG_DB);
        s->gdtr = (struct x86_table_reg){.base = MACHINE_GDT, .limit = 31};
        s->idtr =
            (struct x86_table_reg){.base = mode == X86_MODE_64 ? MACHINE_IDT : MACHINE_IDT32, .limit = 4095};
    }
    if (mode == X86_MODE_64) {
        s->cr0 |= X86_CR0_PG;
        s->cr3 = MACHINE_PML4;
        s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
        s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
    }
    m->vm.engine->state_put(vcpu);
}

enum vm_exit machine_run(struct machine *m, unsigned index)
{
    struct vcpu *vcpu = m->vm.vcpu[index];
    enum vm_exit exit;

    do {
        __atomic_fetch_and(&vcpu->cpu.request, ~(X86_REQ_EXIT | X86_REQ_INIT | X86_REQ_SIPI),
                           __ATOMIC_SEQ_CST);
        exit = m->vm.engine->vcpu_run(vcpu);
    } while (exit == VM_EXIT_REQUEST || (exit == VM_EXIT_HALT && vcpu_runnable(vcpu)));
    return exit;
}
