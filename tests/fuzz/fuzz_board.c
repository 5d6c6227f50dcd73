/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile guest against the whole board: the input is a program of port and MMIO
 * accesses, MSR accesses, steps of time, and bytes from the far ends, eight bytes
 * an instruction. Addresses lean towards where devices are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "dev/input/i8042.h"
#include "dev/timer/pm.h"
#include "tests/unit/dev/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t ports[] = {
    0x20,  0x21,  0xa0,  0xa1, 0x4d0, 0x4d1, 0x40,  0x43,  0x61,  0x60,  0x64,  0x70,  0x72,  0x92,
    0xcf8, 0xcf9, 0xcfc, 0xe9, 0xf4,  0x505, 0x510, 0x514, 0x600, 0x620, 0x3f8, 0x2f8, 0x3e8, 0x2e8,
};

static const uint64_t windows[] = {
    0xfec00000, 0xfed00000, 0xfed00100, 0xfee00000, 0xfee00300, 0xe0000000, 0xe00f8000, 0x80000000, 0,
};

static const uint32_t msrs[] = {0x1b, 0x6e0, 0x800, 0x830, 0x838, 0x83f};

static void step(struct fixture *f, const uint8_t *op)
{
    struct vcpu *vcpu = f->vm.vcpu[op[0] >> 6 & 1];
    unsigned size = 1U << (op[0] >> 4 & 3);
    uint16_t port = (uint16_t)(ports[op[1] % ARRAY_SIZE(ports)] + (op[2] & 7));
    uint64_t gpa = windows[op[1] % ARRAY_SIZE(windows)] + load_le16(op + 2) % 0x1000;
    uint64_t value = load_le32(op + 4);
    uint64_t out;

    switch (op[0] & 15) {
    case 0 ... 3:
        vcpu_pio_write(vcpu, port, value, MIN(size, 4U));
        break;
    case 4:
        (void)vcpu_pio_read(vcpu, port, MIN(size, 4U));
        break;
    case 5 ... 7:
        vcpu_mmio_write(vcpu, gpa, value | value << 32, size);
        break;
    case 8:
        (void)vcpu_mmio_read(vcpu, gpa, size);
        break;
    case 9:
        (void)f->vm.irqs.lapic->msr_write(vcpu, msrs[op[1] % ARRAY_SIZE(msrs)] + (op[2] & 15), value);
        break;
    case 10:
        (void)f->vm.irqs.lapic->msr_read(vcpu, msrs[op[1] % ARRAY_SIZE(msrs)] + (op[2] & 15), &out);
        break;
    case 11:
        if (f->vm.irqs.lapic->pending(vcpu))
            (void)f->vm.irqs.lapic->acknowledge(vcpu);
        break;
    case 12:
        f->plat.now += value >> (op[1] & 31);
        clock_run(&f->vm);
        break;
    case 13:
        f->room = op[1] & 15;
        f->output_len = 0;
        if (f->serial.writable)
            f->serial.writable(f->serial.device);
        if (f->serial.receive)
            (void)f->serial.receive(f->serial.device, op + 1, 7);
        break;
    case 14:
        (void)ps2_key(f->board.i8042, load_le16(op + 1), op[3] & 1);
        break;
    default:
        pm_power_button(&f->vm);
        f->vm.irqs.lapic->cr8_write(vcpu, op[1]);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = calloc(1, sizeof(*f));

    fixture_init(f, 2);
    for (size_t at = 0; at + 8 <= size; at += 8) {
        step(f, data + at);
        if (f->vm.reset_requested)
            vm_reset(&f->vm);
        f->vm.state = VM_RUNNING;
        clock_start(&f->vm);
    }
    fixture_finish(f);
    free(f);
    return 0;
}
