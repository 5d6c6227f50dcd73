/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The KVM engine by its ops: what goes in comes out, pages are noted as dirty, split locks are exclusive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/state.h"
#include "core/vm.h"
#include "engine/kvm/kvm.h"
#include "tests/unit/fake-plat.h"
#include "x86/fpu.h"

#define RAM    MIB(4)
#define CODE   0x1000U
#define PORT   0x80U
#define ROUNDS 200U

struct bench {
    struct fake_plat plat;
    struct vm vm;
    struct io_region port;
    uint8_t *ram;
    unsigned ends; /* how many vCPUs are to write to the port before all leave */
};

/* The guest says that it is done. */
static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct bench *b = opaque;

    if (--b->ends == 0) {
        for (unsigned i = 0; i < b->vm.vcpu_count; i++)
            vcpu_request(b->vm.vcpu[i], X86_REQ_EXIT);
    }
}

static const struct io_ops port_ops = {.write = port_write};

static void bench_init(struct bench *b, unsigned vcpus)
{
    struct vm_config config = {.name = "test", .ram_size = RAM, .vcpus = vcpus};
    struct x86_cpuid_config cpuid = {.level = X86_CPU_V2, .vcpus = vcpus, .tsc_khz = 1000000};

    memset(b, 0, sizeof(*b));
    fake_plat_init(&b->plat);
    b->ram = aligned_alloc(4096, RAM);
    memset(b->ram, 0, RAM);
    config.ram = b->ram;
    assert_int_equal(vm_init(&b->vm, &b->plat.plat, &config, NULL), 0);
    assert_int_equal(x86_cpuid_build(&b->vm.cpuid, &cpuid, NULL), 0);
    assert_int_equal(vm_engine_init(&b->vm, &kvm_engine, NULL), 0);
    b->port = (struct io_region){.name = "end", .base = PORT, .size = 1, .ops = &port_ops, .opaque = b};
    assert_int_equal(bus_map(&b->vm.pio, &b->port), 0);
    vm_reset(&b->vm);
}

static void bench_finish(struct bench *b)
{
    vm_finish(&b->vm);
    assert_int_equal(b->plat.allocations, 0);
    free(b->ram);
}

static uint64_t pick(struct bench *b)
{
    uint64_t v;

    b->plat.plat.ops->random(&b->plat.plat, &v, sizeof(v));
    return v;
}

/* Any state of 64-bit code that a processor can be in. */
static void randomize(struct bench *b, struct x86_state *s)
{
    static const uint32_t code = X86_SEG_P | X86_SEG_S | X86_SEG_L | X86_SEG_G | 0xb;
    static const uint32_t data = X86_SEG_P | X86_SEG_S | X86_SEG_DB | X86_SEG_G | 3;

    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = pick(b);
        s->vec[i].q[0] = pick(b);
        s->vec[i].q[1] = pick(b);
    }
    s->rip = pick(b) >> 17;
    s->rflags = X86_FL_FIXED | (pick(b) & 0xcd5);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        s->seg[i] = (struct x86_segment){.selector = 0x10, .limit = 0xffffffff, .attr = data};
    s->seg[X86_CS] = (struct x86_segment){.selector = 8, .limit = 0xffffffff, .attr = code};
    s->seg[X86_FS].base = pick(b) >> 17;
    s->seg[X86_LDTR] = (struct x86_segment){.selector = 0x20, .limit = 0xff, .attr = X86_SEG_P | 2};
    s->seg[X86_TR] = (struct x86_segment){.selector = 0x30, .limit = 0x67, .attr = X86_SEG_P | 0xb};
    s->gdtr = (struct x86_table_reg){.base = pick(b) >> 17, .limit = (uint16_t)pick(b)};
    s->idtr = (struct x86_table_reg){.base = pick(b) >> 17, .limit = (uint16_t)pick(b)};
    s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE;
    s->cr2 = pick(b);
    s->cr3 = pick(b) & 0x3ff000;
    s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
    s->cr8 = pick(b) & 15;
    s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
    for (unsigned i = 0; i < 4; i++)
        s->dr[i] = pick(b) >> 17;
    s->star = pick(b);
    s->lstar = pick(b) >> 17;
    s->kernel_gs_base = pick(b) >> 17;
    s->sysenter_eip = pick(b) >> 17;
    s->x87.fcw = 0x37f & ~(uint16_t)(pick(b) & 0x3f);
    s->x87.st[2][3] = (uint8_t)pick(b);
    s->mxcsr = 0x1f80 | (uint32_t)(pick(b) & 0x6000);
    s->nmi_masked = pick(b) & 1;
    s->nmi_pending = pick(b) & 1;
    s->interrupt_pending = pick(b) & 1;
    s->interrupt_vector = s->interrupt_pending ? (uint8_t)(pick(b) | 0x20) : 0;
    s->exception_pending = !s->interrupt_pending && pick(b) & 1;
    s->exception_vector = s->exception_pending ? 14 : 0;
    s->exception_has_error = s->exception_pending;
    s->exception_error = s->exception_pending ? (uint32_t)(pick(b) & 7) : 0;
    s->activity = pick(b) & 1 ? X86_ACT_HALT : X86_ACT_RUN;
    s->mtrr_def_type = 0xc06;
    s->misc_enable = 1;
    s->kvm_wall_clock = 0x1234;
}

static void print_line(void *opaque, const char *line)
{
    fprintf(stderr, "%s%s\n", (const char *)opaque, line);
}

static void what_goes_in_comes_out(void **state)
{
    static struct bench b;
    static struct x86_state before;
    struct vcpu *vcpu;

    bench_init(&b, 1);
    vcpu = b.vm.vcpu[0];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct x86_state *s = &vcpu->cpu.s;

        randomize(&b, s);
        x86_state_changed(&vcpu->cpu);
        before = *s;
        assert_int_equal(kvm_engine.state_put(vcpu), 0);
        memset(s->gpr, 0xaa, sizeof(s->gpr));
        memset(s->seg, 0xaa, sizeof(s->seg));
        memset(s->vec, 0, sizeof(s->vec));
        memset(&s->x87, 0, sizeof(s->x87));
        memset(s->dr, 0, sizeof(s->dr));
        s->rip = s->cr2 = s->cr3 = s->lstar = s->star = s->kernel_gs_base = s->cr8 = s->efer = 0;
        s->nmi_masked = s->nmi_pending = s->interrupt_pending = s->exception_pending = false;
        s->activity = X86_ACT_SHUTDOWN;
        assert_int_equal(kvm_engine.state_get(vcpu), 0);
        before.tsc_offset = s->tsc_offset; /* time passes */
        before.dr[6] = s->dr[6];           /* fixed bits */
        before.dr[7] = s->dr[7];
        before.x87.ftw = s->x87.ftw;
        if (!state_equal(&x86_state_table, &before, s)) {
            state_dump(&x86_state_table, &before, print_line, "put ");
            state_dump(&x86_state_table, s, print_line, "got ");
            fail();
        }
    }
    bench_finish(&b);
}

static void lapic_comes_out(void **state)
{
    static struct bench b;
    struct lapic_image put = {.base = 0xfee00900}, got;

    bench_init(&b, 1);
    put.reg[0x08] = 0x30;
    put.reg[0x0d] = 0x5a000000;
    put.reg[0x0e] = 0xffffffff;
    put.reg[0x0f] = 0x1ff;
    put.reg[0x11] = 0x80;
    put.reg[0x22] = 0x10000;
    put.reg[0x32] = 0x10040;
    put.reg[0x38] = 1000000;
    put.reg[0x3e] = 0xb;
    assert_int_equal(kvm_engine.lapic_put(b.vm.vcpu[0], &put), 0);
    assert_int_equal(b.vm.vcpu[0]->cpu.s.cr8, 3);
    assert_int_equal(kvm_engine.lapic_get(b.vm.vcpu[0], &got), 0);
    assert_true(got.base == put.base);
    for (unsigned i = 0; i < 64; i++) {
        if (i != 0x03 && i != 0x0a && i != 0x39) /* version, PPR, current count */
            assert_int_equal(got.reg[i], put.reg[i]);
    }
    bench_finish(&b);
}

static void start_at(struct vcpu *vcpu, uint32_t rip)
{
    struct x86_state *s = &vcpu->cpu.s;

    s->seg[X86_CS].base = 0;
    s->seg[X86_CS].selector = 0;
    s->rip = rip;
    s->activity = X86_ACT_RUN;
    assert_int_equal(kvm_engine.state_put(vcpu), 0);
}

static bool is_dirty(const struct bench *b, uint64_t gpa)
{
    return b->vm.mem.dirty[gpa / MEM_PAGE / 64] >> (gpa / MEM_PAGE % 64) & 1;
}

static void pages_are_noted(void **state)
{
    /* mov byte [0x5000], 1; mov byte [0x9fff], 1; out PORT, al; jmp $ */
    static const uint8_t code[] = {0xc6, 0x06, 0x00, 0x50, 1,    0xc6, 0x06,
                                   0xff, 0x9f, 1,    0xe6, PORT, 0xeb, 0xfe};
    static struct bench b;

    bench_init(&b, 1);
    b.vm.mem.dirty = b.plat.plat.ops->alloc(&b.plat.plat, RAM / MEM_PAGE / 8);
    memcpy(b.ram + CODE, code, sizeof(code));
    assert_int_equal(kvm_engine.dirty_track(&b.vm, true), 0);
    assert_int_equal(kvm_engine.dirty_collect(&b.vm), 0);
    memset(b.vm.mem.dirty, 0, RAM / MEM_PAGE / 8);
    b.ends = 1;
    start_at(b.vm.vcpu[0], CODE);
    assert_int_equal(kvm_engine.vcpu_run(b.vm.vcpu[0]), VM_EXIT_REQUEST);
    assert_int_equal(kvm_engine.dirty_collect(&b.vm), 0);
    assert_true(is_dirty(&b, 0x5000) && is_dirty(&b, 0x9000));
    assert_false(is_dirty(&b, 0x6000) || is_dirty(&b, 0xa000) || is_dirty(&b, RAM - 1));
    memset(b.vm.mem.dirty, 0, RAM / MEM_PAGE / 8);
    assert_int_equal(kvm_engine.dirty_collect(&b.vm), 0);
    assert_false(is_dirty(&b, 0x5000));
    assert_int_equal(kvm_engine.dirty_track(&b.vm, false), 0);
    bench_finish(&b);
}

/* ---- alone ---- */

static struct bench shared;

static void *count_in_guest(void *opaque)
{
    kvm_engine.vcpu_run(opaque);
    return NULL;
}

/* While one vCPU is alone, another that counts all the time stands still, and goes on afterwards. */
static void alone_is_alone(void **state)
{
    /* again: inc dword [0x7000]; cmp dword [0x7004], 1; jne again; out PORT, al; jmp $ */
    static const uint8_t code[] = {0x66, 0xff, 0x06, 0x00, 0x70, 0x80, 0x3e, 0x04,
                                   0x70, 1,    0x75, 0xf4, 0xe6, PORT, 0xeb, 0xfe};
    volatile uint32_t *counter;
    pthread_t thread;
    unsigned moved = 0;

    bench_init(&shared, 2);
    counter = (volatile uint32_t *)(void *)(shared.ram + 0x7000);
    memcpy(shared.ram + CODE, code, sizeof(code));
    shared.ends = 1;
    start_at(shared.vm.vcpu[1], CODE);
    assert_int_equal(pthread_create(&thread, NULL, count_in_guest, shared.vm.vcpu[1]), 0);
    while (!*counter)
        usleep(100);
    for (unsigned i = 0; i < 100; i++) {
        uint32_t before, after;

        kvm_engine.exclusive(shared.vm.vcpu[0], true);
        before = *counter;
        usleep(200);
        after = *counter;
        kvm_engine.exclusive(shared.vm.vcpu[0], false);
        assert_int_equal(before, after);
        usleep(200);
        moved += *counter != after;
    }
    assert_true(moved > 50); /* it goes on in between */
    shared.ram[0x7004] = 1;
    pthread_join(thread, NULL);
    bench_finish(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(lapic_comes_out),
        cmocka_unit_test(pages_are_noted),
        cmocka_unit_test(alone_is_alone),
    };

    if (kvm_engine.probe(NULL) < 0)
        return 77; /* skipped: this machine has no KVM to try */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
