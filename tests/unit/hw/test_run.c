/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop around guest code, with a processor that plays a script: what goes in and
 * when, what an exit cut short, and why the vCPU comes out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/vcpu-env.h"
#include "engine/hw/hw.h"
#include "tests/unit/fake-plat.h"
#include "tests/unit/hw/fake-metal.h"

#define RAM    MIB(2)
#define CODE   0x1000
#define VECTOR 0x51

struct fixture;
typedef void exit_fn(struct fixture *f);

struct entry {
    bool event;
    enum hw_event kind;
    uint8_t vector;
    uint32_t error;
    bool window, nmi_window;
};

struct fixture {
    struct fake_plat fake;
    struct vm vm;
    struct engine_ops engine;
    struct hw_vm hw;
    struct hw_format format;
    struct hw_cpu cpu;
    struct hw_vcpu v;
    uint8_t *ram;

    exit_fn *script[16]; /* what each entry ends in */
    struct entry entry[16], next;
    unsigned entries;
    unsigned loads, unloads;
    int irq; /* the local APIC's vector, -1: none */
};

static struct fixture *current;

/* ---- the processor ---- */

static void run_guest(struct hw_vcpu *v)
{
    struct fixture *f = current;

    hw_guest_enter(v);
    assert_non_null(v->cpu);
    assert_int_equal(v->fpu, HW_FPU_REGISTERS);
    v->changed = 0;
    v->flush = false;
    assert_true(f->entries < ARRAY_SIZE(f->entry));
    f->entry[f->entries] = f->next;
    f->next.event = false;
    hw_guest_leave(v);
    assert_non_null(f->script[f->entries]);
    f->script[f->entries++](f);
}

static void fetch(struct hw_vcpu *v, uint32_t parts)
{
    assert_non_null(v->cpu);
}

static void inject(struct hw_vcpu *v, enum hw_event event, uint8_t vector, bool has_error, uint32_t error)
{
    struct fixture *f = current;

    assert_false(f->next.event);
    f->next = (struct entry){.event = true, .kind = event, .vector = vector, .error = has_error ? error : 0};
}

static void window(struct hw_vcpu *v, bool interrupt, bool nmi)
{
    current->next.window = interrupt;
    current->next.nmi_window = nmi;
}

static void load(struct hw_vcpu *v, bool moved)
{
    current->loads++;
}

static void unload(struct hw_vcpu *v)
{
    current->unloads++;
}

static const struct hw_ops ops = {
    .enter = run_guest, .fetch = fetch, .inject = inject, .window = window, .load = load, .unload = unload};

/* ---- the local APIC ---- */

static bool pending(struct vcpu *vcpu)
{
    return current->irq >= 0;
}

static int acknowledge(struct vcpu *vcpu)
{
    int irq = current->irq;

    current->irq = -1;
    return irq;
}

static uint64_t cr8_read(struct vcpu *vcpu)
{
    return 0;
}

static bool msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    *value = 0x900;
    return msr == X86_MSR_APIC_BASE;
}

static const struct lapic_ops lapic = {
    .pending = pending, .acknowledge = acknowledge, .cr8_read = cr8_read, .msr_read = msr_read};

/* ---- the VM: 64-bit-sized nothing, in flat 32-bit code without paging ---- */

static struct x86_state *state_of(struct fixture *f)
{
    return &f->vm.vcpu[0]->cpu.s;
}

static void start(struct fixture *f)
{
    struct x86_cpu *cpu = &f->vm.vcpu[0]->cpu;

    x86_reset(cpu, false);
    for (unsigned i = X86_ES; i <= X86_GS; i++)
        cpu->s.seg[i] = (struct x86_segment){.limit = ~0U, .attr = i == X86_CS ? 0xc09b : 0xc093};
    cpu->s.cr0 = X86_CR0_PE | X86_CR0_ET;
    cpu->s.rip = CODE;
    cpu->s.gpr[X86_RSP] = 0x8000;
    hw_state_put(f->vm.vcpu[0]);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct x86_cpuid_config cpuid = {
        .level = X86_CPU_V2, .vcpus = 1, .tsc_khz = 1000000, .software_engine = true};
    struct vm_config config = {.name = "test", .ram_size = RAM, .vcpus = 1};

    current = f;
    fake_metal = (struct fake_metal){.piece = MEM_PAGE, .cpu.engine_data = &f->cpu};
    fake_plat_init(&f->fake);
    f->ram = config.ram = aligned_alloc(4096, RAM);
    memset(f->ram, 0x90, RAM); /* NOP */
    assert_int_equal(vm_init(&f->vm, &f->fake.plat, &config, NULL), 0);
    assert_int_equal(x86_cpuid_build(&f->vm.cpuid, &cpuid, NULL), 0);
    f->engine = (struct engine_ops){.name = "script", .exclusive = hw_exclusive};
    assert_int_equal(vm_engine_init(&f->vm, &f->engine, NULL), 0);
    f->vm.irqs.lapic = &lapic;
    f->vm.engine_data = &f->hw;
    f->format = (struct hw_format){.table = 7, .leaf = 7, .large = true};
    assert_int_equal(hw_vm_init(&f->hw, &f->vm, &f->format, NULL), 0);
    f->vm.vcpu[0]->engine_data = &f->v;
    assert_int_equal(hw_vcpu_init(&f->v, f->vm.vcpu[0], &ops, NULL), 0);
    f->cpu.tlb = calloc(1, sizeof(*f->cpu.tlb));
    f->cpu.tag_next = 1;
    f->cpu.tag_round = 1;
    f->cpu.tag_max = 3;
    f->irq = -1;
    f->vm.state = VM_RUNNING;
    start(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->loads, f->unloads);
    hw_vcpu_finish(&f->v);
    hw_vm_finish(&f->hw);
    f->vm.vcpu[0]->engine_data = f->vm.engine_data = NULL;
    vm_finish(&f->vm);
    assert_int_equal(f->fake.allocations, 0);
    free(f->cpu.tlb);
    free(f->ram);
    free(f);
    return 0;
}

/* ---- exits ---- */

static void exit_stop(struct fixture *f)
{
    vcpu_request(f->vm.vcpu[0], X86_REQ_EXIT);
}

static void exit_nothing(struct fixture *f)
{
}

static void exit_halt(struct fixture *f)
{
    hw_halt(&f->v, state_of(f)->rip + 1);
}

static void exit_window(struct fixture *f)
{
    state_of(f)->rflags |= X86_FL_IF;
    state_of(f)->shadow = 0;
    hw_window(&f->v);
}

static void run(struct fixture *f, enum vm_exit want)
{
    assert_int_equal(hw_vcpu_run(f->vm.vcpu[0]), want);
    assert_null(f->v.cpu);
    assert_int_equal(f->v.known, HW_ALL);
}

static void interrupt(struct fixture *f)
{
    f->irq = VECTOR;
    vcpu_request(f->vm.vcpu[0], X86_REQ_INTERRUPT);
}

static void assert_entry(const struct fixture *f, unsigned n, enum hw_event kind, uint8_t vector)
{
    assert_true(f->entry[n].event);
    assert_int_equal(f->entry[n].kind, kind);
    assert_int_equal(f->entry[n].vector, vector);
}

/* ---- tests ---- */

static void test_request(void **state)
{
    struct fixture *f = *state;

    f->script[0] = exit_nothing;
    f->script[1] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_int_equal(f->entries, 2);
    assert_false(f->entry[0].event);
    assert_true(state_of(f)->rip == CODE);
    /* A request that is there already: no guest code at all. */
    run(f, VM_EXIT_REQUEST);
    assert_int_equal(f->entries, 2);
}

static void test_interrupt(void **state)
{
    struct fixture *f = *state;

    interrupt(f);
    state_of(f)->rflags |= X86_FL_IF;
    f->script[0] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_entry(f, 0, HW_INTERRUPT, VECTOR);
    assert_int_equal(f->irq, -1);
}

/* Interrupts are off. */
static void test_interrupt_window(void **state)
{
    struct fixture *f = *state;

    interrupt(f);
    f->script[0] = exit_window;
    f->script[1] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_false(f->entry[0].event);
    assert_true(f->entry[0].window);
    assert_entry(f, 1, HW_INTERRUPT, VECTOR);
    assert_false(f->entry[1].nmi_window);
    assert_false(f->entry[1].window);
}

/* STI's shadow lies over the next instruction, be it a HLT: that one comes first. */
static void test_interrupt_shadow(void **state)
{
    static const uint8_t code[] = {0x90, 0xf4};
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(code); i++) {
        f->entries = 0;
        f->vm.vcpu[0]->cpu.request = 0;
        f->ram[CODE] = code[i];
        state_of(f)->rip = CODE;
        state_of(f)->rflags = X86_FL_FIXED | X86_FL_IF;
        state_of(f)->shadow = X86_SHADOW_STI;
        interrupt(f);
        f->script[0] = exit_stop;
        run(f, VM_EXIT_REQUEST);
        assert_entry(f, 0, HW_INTERRUPT, VECTOR);
        assert_int_equal(state_of(f)->rip, CODE + 1);
        assert_int_equal(state_of(f)->activity, X86_ACT_RUN);
    }
}

static void test_nmi_first(void **state)
{
    struct fixture *f = *state;

    interrupt(f);
    state_of(f)->rflags |= X86_FL_IF;
    vcpu_request(f->vm.vcpu[0], X86_REQ_NMI);
    f->script[0] = exit_nothing;
    f->script[1] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_entry(f, 0, HW_NMI, X86_NMI);
    assert_true(state_of(f)->nmi_masked);
    assert_entry(f, 1, HW_INTERRUPT, VECTOR);
}

static void exit_second_nmi(struct fixture *f)
{
    vcpu_request(f->vm.vcpu[0], X86_REQ_NMI);
}

static void exit_iret(struct fixture *f)
{
    state_of(f)->nmi_masked = false;
    f->v.look = true;
}

static void test_nmi_masked(void **state)
{
    struct fixture *f = *state;

    vcpu_request(f->vm.vcpu[0], X86_REQ_NMI);
    f->script[0] = exit_second_nmi;
    f->script[1] = exit_iret;
    f->script[2] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_entry(f, 0, HW_NMI, X86_NMI);
    assert_false(f->entry[1].event);
    assert_true(f->entry[1].nmi_window);
    assert_entry(f, 2, HW_NMI, X86_NMI);
}

/* MOV SS shields one instruction from an NMI: that one is interpreted. */
static void test_nmi_shadow(void **state)
{
    struct fixture *f = *state;

    state_of(f)->shadow = X86_SHADOW_SS;
    vcpu_request(f->vm.vcpu[0], X86_REQ_NMI);
    f->script[0] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_entry(f, 0, HW_NMI, X86_NMI);
    assert_int_equal(state_of(f)->rip, CODE + 1);
    assert_int_equal(f->v.count[HW_N_STEPS], 1);
}

static void exit_string(struct fixture *f)
{
    fake_metal.must_yield = true;
    hw_step(&f->v);
}

/* REP OUTS by software: what else the processor has to do is not kept waiting for all of it. */
static void test_string_yields(void **state)
{
    static const uint8_t rep_outsb[] = {0xf3, 0x6e};
    struct fixture *f = *state;

    memcpy(f->ram + CODE, rep_outsb, sizeof(rep_outsb));
    state_of(f)->gpr[X86_RCX] = 100;
    state_of(f)->gpr[X86_RSI] = 0x3000;
    state_of(f)->gpr[X86_RDX] = 0x80;
    f->script[0] = exit_string;
    f->script[1] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_int_equal(state_of(f)->gpr[X86_RCX], 99);
    assert_int_equal(state_of(f)->gpr[X86_RSI], 0x3001);
    assert_true(state_of(f)->rip == CODE);
    assert_int_equal(fake_metal.yields, 1);
}

static unsigned wakes;

/* Another thread that ran here meanwhile has woken a third one at its end: that sends no interrupt. */
static void wake_one_here(struct vcpu *vcpu)
{
    if (wakes) {
        wakes--;
        fake_metal.must_yield = true;
    }
}

static void exit_wanted_elsewhere(struct fixture *f)
{
    hw_external(&f->v);
}

static void exit_unwanted(struct fixture *f)
{
    assert_false(fake_metal.must_yield); /* at the entry: or only the guest's next exit would tell */
    exit_stop(f);
}

static void test_yields_again(void **state)
{
    struct fixture *f = *state;

    wakes = 2;
    fake_metal.on_yield = wake_one_here;
    f->script[0] = exit_wanted_elsewhere;
    f->script[1] = exit_unwanted;
    run(f, VM_EXIT_REQUEST);
    assert_int_equal(fake_metal.yields, 3);
    fake_metal.on_yield = NULL;
}

static void exit_cut_short(struct fixture *f)
{
    hw_requeue(&f->v, HW_INTERRUPT, VECTOR, false, 0);
    hw_nested_fault(&f->v, 0x5000, true, true);
}

static void exit_nmi_cut_short(struct fixture *f)
{
    hw_requeue(&f->v, HW_NMI, X86_NMI, false, 0);
    hw_nested_fault(&f->v, 0x6000, true, true);
}

static void exit_fault_cut_short(struct fixture *f)
{
    hw_requeue(&f->v, HW_EXCEPTION, X86_PF, true, 6);
    hw_nested_fault(&f->v, 0x7000, true, true);
}

/* The handler's stack was not mapped yet: the same event goes in again, though interrupts are off. */
static void test_cut_short(void **state)
{
    struct fixture *f = *state;

    f->script[0] = exit_cut_short;
    f->script[1] = exit_nmi_cut_short;
    f->script[2] = exit_fault_cut_short;
    f->script[3] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_entry(f, 1, HW_INTERRUPT, VECTOR);
    assert_entry(f, 2, HW_NMI, X86_NMI);
    assert_entry(f, 3, HW_EXCEPTION, X86_PF);
    assert_int_equal(f->entry[3].error, 6);
    assert_int_equal(f->v.count[HW_N_PAGES], 3);
    assert_int_equal(f->v.count[HW_N_STEPS], 0);
}

static void exit_cut_short_by_device(struct fixture *f)
{
    hw_requeue(&f->v, HW_EXCEPTION, X86_GP, true, 0);
    hw_nested_fault(&f->v, 0xfee00000, true, true);
}

/* The handler's stack is no memory: software delivers, and what it cannot is a triple fault. */
static void test_cut_short_by_device(void **state)
{
    struct fixture *f = *state;

    state_of(f)->idtr.limit = 0;
    f->script[0] = exit_cut_short_by_device;
    run(f, VM_EXIT_SHUTDOWN);
    assert_int_equal(f->entries, 1);
}

static void test_halt(void **state)
{
    struct fixture *f = *state;

    state_of(f)->rflags |= X86_FL_IF;
    f->script[0] = exit_halt;
    run(f, VM_EXIT_HALT);
    assert_int_equal(state_of(f)->activity, X86_ACT_HALT);
    assert_int_equal(state_of(f)->rip, CODE + 1);
    assert_false(vcpu_runnable(f->vm.vcpu[0]));
    interrupt(f);
    assert_true(vcpu_runnable(f->vm.vcpu[0]));
    f->script[1] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_entry(f, 1, HW_INTERRUPT, VECTOR);
    assert_int_equal(state_of(f)->activity, X86_ACT_RUN);
}

static void exit_halt_with_interrupt(struct fixture *f)
{
    interrupt(f);
    exit_halt(f);
}

/* STI; HLT with an interrupt that came meanwhile: no sleep. */
static void test_halt_and_interrupt(void **state)
{
    struct fixture *f = *state;

    state_of(f)->rflags |= X86_FL_IF;
    f->script[0] = exit_halt_with_interrupt;
    f->script[1] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_entry(f, 1, HW_INTERRUPT, VECTOR);
}

static void exit_cpuid(struct fixture *f)
{
    state_of(f)->gpr[X86_RAX] = 0;
    hw_cpuid(&f->v, 0); /* a processor that does not tell where the next instruction is */
}

static void test_length(void **state)
{
    static const struct {
        uint8_t code[6];
        uint8_t length;
    } forms[] = {{{0x0f, 0xa2}, 2}, {{0x66, 0x2e, 0x0f, 0xa2}, 4}, {{0xf3, 0xf2, 0x66, 0x67, 0x0f, 0xa2}, 6}};
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        f->vm.vcpu[0]->cpu.request = 0;
        f->entries = 0;
        memcpy(f->ram + 0x1ffe, forms[i].code, sizeof(forms[i].code)); /* over two pages */
        state_of(f)->rip = 0x1ffe;
        state_of(f)->rflags = X86_FL_FIXED | X86_FL_RF;
        f->script[0] = exit_cpuid;
        f->script[1] = exit_stop;
        run(f, VM_EXIT_REQUEST);
        assert_int_equal(state_of(f)->rip, 0x1ffe + forms[i].length);
        assert_int_equal(state_of(f)->rflags, X86_FL_FIXED);
        assert_int_equal(state_of(f)->gpr[X86_RBX], f->vm.cpuid.leaf[0].ebx);
    }
}

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x1122334455667788ULL >> (offset * 8);
}

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    uint64_t *seen = opaque;

    seen[0] = offset;
    seen[1] = value;
    seen[2] = size;
}

static void exit_device_read(struct fixture *f)
{
    hw_nested_fault(&f->v, 0xd0000001, false, true);
}

static void exit_device_write(struct fixture *f)
{
    hw_nested_fault(&f->v, 0xd0000002, true, true);
}

/* MOVs of all sorts; the registers of which are known, and others that must be interpreted. */
static void test_device(void **state)
{
    static const struct io_ops device = {.read = device_read, .write = device_write, .max_size = 8};
    static const struct {
        uint8_t code[8];
        bool write;
        uint64_t rax, seen;
        unsigned size, steps;
    } c[] = {
        {{0x8a, 0x05, 0x01, 0, 0, 0xd0}, false, 0xffffffffffffff77, 0, 0, 0}, /* mov al, [d0000001] */
        {{0x66, 0x8b, 0x05, 0x01, 0, 0, 0xd0}, false, 0xffffffffffff6677, 0, 0, 0},
        {{0x8b, 0x05, 0x01, 0, 0, 0xd0}, false, 0x44556677, 0, 0, 0},
        {{0xa1, 0x01, 0, 0, 0xd0}, false, 0x44556677, 0, 0, 0},
        {{0x8a, 0x25, 0x01, 0, 0, 0xd0}, false, 0xffffffffffff77fe, 0, 0, 1}, /* mov ah */
        {{0x0f, 0xb6, 0x05, 0x01, 0, 0, 0xd0}, false, 0x77, 0, 0, 1},         /* movzx */
        {{0x89, 0x05, 0x02, 0, 0, 0xd0}, true, ~1ULL, 0xfffffffe, 4, 0},
        {{0x88, 0x05, 0x02, 0, 0, 0xd0}, true, ~1ULL, 0xfe, 1, 0},
        {{0xc6, 0x05, 0x02, 0, 0, 0xd0, 0x5a}, true, ~1ULL, 0x5a, 1, 0},
        {{0x80, 0x0d, 0x02, 0, 0, 0xd0, 0x99}, true, ~1ULL, 0xff, 1, 1}, /* or byte, of 66 */
    };
    struct fixture *f = *state;
    uint64_t seen[3];
    struct io_region region = {
        .name = "device", .base = 0xd0000000, .size = 16, .ops = &device, .opaque = seen};

    assert_int_equal(bus_map(&f->vm.mmio, &region), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
        uint64_t steps = f->v.count[HW_N_STEPS];
        struct x86_insn insn;

        memset(seen, 0, sizeof(seen));
        assert_int_equal(x86_decode(c[i].code, 8, X86_MODE_32, &insn), 0);
        f->vm.vcpu[0]->cpu.request = 0;
        f->entries = 0;
        memcpy(f->ram + CODE, c[i].code, sizeof(c[i].code));
        state_of(f)->rip = CODE;
        state_of(f)->gpr[X86_RAX] = ~1ULL;
        f->script[0] = c[i].write ? exit_device_write : exit_device_read;
        f->script[1] = exit_stop;
        run(f, VM_EXIT_REQUEST);
        assert_int_equal(state_of(f)->rip, CODE + insn.length);
        assert_int_equal(state_of(f)->gpr[X86_RAX], c[i].rax);
        assert_int_equal(f->v.count[HW_N_STEPS] - steps, c[i].steps);
        if (!c[i].write)
            continue;
        assert_int_equal(seen[0], 2);
        assert_int_equal(seen[1], c[i].seen);
        assert_int_equal(seen[2], c[i].size);
    }
    bus_unmap(&f->vm.mmio, &region);
}

static void exit_second_page(struct fixture *f)
{
    hw_nested_fault(&f->v, 0xd0000000, true, true);
}

/* A store over two pages, of which the second is a device's; and one to the beginning of that. */
static void test_device_over_pages(void **state)
{
    static const struct io_ops device = {.read = device_read, .write = device_write, .max_size = 8};
    static const uint8_t code[][6] = {{0x89, 0x05, 0xfe, 0xff, 0xff, 0xcf}, {0x89, 0x05, 0, 0, 0, 0xd0}};
    struct fixture *f = *state;
    uint64_t seen[3];
    struct io_region region = {
        .name = "device", .base = 0xd0000000, .size = 16, .ops = &device, .opaque = seen};

    assert_int_equal(bus_map(&f->vm.mmio, &region), 0);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t steps = f->v.count[HW_N_STEPS];

        f->vm.vcpu[0]->cpu.request = 0;
        f->entries = 0;
        memcpy(f->ram + CODE, code[i], sizeof(code[i]));
        state_of(f)->rip = CODE;
        state_of(f)->gpr[X86_RAX] = 0x44332211;
        f->script[0] = exit_second_page;
        f->script[1] = exit_stop;
        run(f, VM_EXIT_REQUEST);
        assert_int_equal(f->v.count[HW_N_STEPS] - steps, i ? 0 : 1);
        assert_int_equal(seen[0] + seen[2], i ? 4 : 2); /* the device's two bytes, or all four */
        assert_int_equal(seen[1] >> 8 * (seen[2] - 1), 0x44);
    }
    bus_unmap(&f->vm.mmio, &region);
}

static void exit_external(struct fixture *f)
{
    hw_external(&f->v);
}

/* What the guest has in vector registers outlives the processor's being given away. */
static void on_yield(struct vcpu *vcpu)
{
    assert_null(current->v.cpu);
    assert_int_equal(current->v.fpu, HW_FPU_AREA);
    __asm__ volatile("pxor %%xmm3, %%xmm3" ::: "memory");
    current->cpu.fpu_owner = NULL; /* as another vCPU would */
}

static void test_yield(void **state)
{
    struct fixture *f = *state;

    fake_metal.on_yield = on_yield;
    state_of(f)->vec[3].q[0] = 0x123456789abcdef0;
    state_of(f)->mxcsr = 0x1f80;
    f->script[0] = exit_external;
    f->script[1] = exit_stop;
    run(f, VM_EXIT_REQUEST);
    assert_int_equal(fake_metal.yields, 1);
    assert_int_equal(f->loads, 2);
    hw_state_get(f->vm.vcpu[0]);
    assert_int_equal(state_of(f)->vec[3].q[0], 0x123456789abcdef0);
}

/* A tag for each, none used twice before all were dropped. */
static void test_tags(void **state)
{
    struct fixture *f = *state;

    f->v.cpu = &f->cpu;
    for (unsigned i = 1; i <= 3; i++) {
        assert_false(hw_tag(&f->v));
        assert_int_equal(f->v.tag, i);
    }
    assert_true(hw_tag(&f->v));
    assert_int_equal(f->v.tag, 1);
    assert_int_equal(f->v.tag_round, 2);
    f->v.cpu = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt_shadow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nmi_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nmi_masked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nmi_shadow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_short_by_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_halt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_halt_and_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_over_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yield, setup, teardown),
        cmocka_unit_test_setup_teardown(test_string_yields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yields_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tags, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
