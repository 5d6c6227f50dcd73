/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bare VM for tests of CPU engines: RAM, no devices but a port that the test
 * answers, a stand-in for the local APICs, and guests in long mode (or 32- and
 * 16-bit code) from their first instruction on.
 *
 *   0x1000 page tables (the first 2 MiB by 4 KiB pages, the rest by 2 MiB ones; identity; and 2 MiB at 4 MiB
 *          once more at 32 MiB, where they have the TLB slots of the first 2 MiB)
 *   0x8000 GDT   0x9000 IDT   0xa000 a stub for each vector: r15 (edi in 32-bit code) = vector, HLT
 *   0xb000 IDT of 32-bit code
 *   0x10000 code  0x80000 data  0xf0000 stacks, downwards
 */
#ifndef TESTS_UNIT_INTERP_MACHINE_H
#define TESTS_UNIT_INTERP_MACHINE_H

#include <pthread.h>

#include "base/bytes.h"
#include "core/vm.h"
#include "tests/unit/fake-plat.h"

#define MACHINE_RAM    MIB(16)
#define MACHINE_ALIAS  0x8000000
#define MACHINE_PML4   0x1000
#define MACHINE_PT     0x4000
#define MACHINE_GDT    0x8000
#define MACHINE_IDT    0x9000
#define MACHINE_STUBS  0xa000
#define MACHINE_IDT32  0xb000
#define MACHINE_CODE   0x10000
#define MACHINE_DATA   0x80000
#define MACHINE_STACK  0xf0000

#define MACHINE_VECTOR 0x40 /* of machine_interrupt() */
#define MACHINE_PORT   0x100

struct machine {
    struct fake_plat plat;
    struct vm vm;
    uint8_t *ram;
    int pending[VM_MAX_VCPUS]; /* a vector waits at the vCPU; atomic */
    struct io_region port;
    void (*on_port)(struct machine *m, uint64_t value); /* a write to MACHINE_PORT */
};

void machine_init(struct machine *m, const struct engine_ops *engine, unsigned vcpus);
/* With this much room for translations. */
void machine_init_cache(struct machine *m, const struct engine_ops *engine, unsigned vcpus,
                        uint64_t code_cache);
/* One vCPU of this level, whose instructions are counted (core/icount.h). */
void machine_init_counted(struct machine *m, const struct engine_ops *engine, enum x86_cpu_level level);
void machine_finish(struct machine *m);

/* Puts bytes into RAM as a loader does, before the vCPUs have seen them. */
void machine_put(struct machine *m, uint64_t gpa, const void *bytes, size_t len);

/* Ready to run at rip, at CPL 0. mode: X86_MODE_64, or flat X86_MODE_32 without paging, or real mode
 * (X86_MODE_16). */
void machine_start(struct machine *m, unsigned vcpu, enum x86_mode mode, uint64_t rip);

/* Points the vector of the IDT to a handler. */
void machine_handler(struct machine *m, unsigned vector, uint64_t rip);

/* The interrupt controller has MACHINE_VECTOR for the vCPU. Any thread. */
void machine_interrupt(struct machine *m, unsigned vcpu);

/* Runs until HLT with nothing to wake for, or a triple fault; other requests are taken and ignored. */
enum vm_exit machine_run(struct machine *m, unsigned vcpu);

static inline struct x86_state *machine_state(struct machine *m, unsigned vcpu)
{
    return &m->vm.vcpu[vcpu]->cpu.s;
}

/* Guest code written as assembly: position-independent, copied by MACHINE_PUT(). */
#define GUEST(name, text)                                                                                    \
    extern const uint8_t name[], name##_end[];                                                               \
    __asm__(".pushsection .rodata\n.balign 64\n" #name ":\n" text "\n" #name "_end:\n.popsection\n")
#define MACHINE_PUT(m, gpa, name) machine_put(m, gpa, name, (size_t)(name##_end - name))

#endif
