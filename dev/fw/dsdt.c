/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/fw/dsdt.h"

#include "base/fmt.h"
#include "dev/board.h"
#include "dev/debug/debug.h"
#include "dev/fw/fw_cfg.h"
#include "dev/pci/pci.h"
#include "dev/timer/hpet.h"
#include "dev/timer/pm.h"

#define RESOURCES_MAX 256

/* A struct aml for resources, on the stack. */
#define RESOURCES(name)                                                                                      \
    uint8_t name##_bytes[RESOURCES_MAX];                                                                     \
    struct aml name = {.buf = name##_bytes, .size = sizeof(name##_bytes)}

static void sleep_states(struct aml *aml)
{
    size_t package;

    aml_name(aml, "\\_S5");
    package = aml_begin_package(aml, 4);
    aml_integer(aml, PM_S5_TYPE);
    aml_integer(aml, PM_S5_TYPE);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_end(aml, package);
}

/* The OS says whether it uses the 8259s (0) or the IO-APIC (1): _PRT answers accordingly. */
static void interrupt_model(struct aml *aml)
{
    size_t method;

    aml_name_integer(aml, "\\PICM", 0);
    method = aml_begin_method(aml, "\\_PIC", 1, false);
    aml_op(aml, AML_STORE);
    aml_op(aml, AML_ARG0);
    aml_path(aml, "\\PICM");
    aml_end(aml, method);
}

/* Name (path, Package () {Package () {slot, pin, 0, gsi}, …}) for 32 slots of four pins. */
static void routes(struct aml *aml, const char *path, bool ioapic)
{
    size_t all, one;

    aml_name(aml, path);
    all = aml_begin_package(aml, 128);
    for (unsigned i = 0; i < 128; i++) {
        unsigned pirq = pci_pirq(i / 4, i % 4 + 1);

        one = aml_begin_package(aml, 4);
        aml_integer(aml, (uint64_t)(i / 4) << 16 | 0xffff);
        aml_integer(aml, i % 4);
        aml_integer(aml, 0);
        aml_integer(aml, ioapic ? PCI_PIRQ_GSI + pirq : pci_pic_irq(pirq));
        aml_end(aml, one);
    }
    aml_end(aml, all);
}

static void pci_routing(struct aml *aml)
{
    size_t method, branch;

    routes(aml, "APRT", true);
    routes(aml, "PPRT", false);
    method = aml_begin_method(aml, "_PRT", 0, false);
    branch = aml_begin(aml, AML_IF);
    aml_path(aml, "\\PICM");
    aml_op(aml, AML_RETURN);
    aml_path(aml, "APRT");
    aml_end(aml, branch);
    aml_op(aml, AML_RETURN);
    aml_path(aml, "PPRT");
    aml_end(aml, method);
}

static void create_field(struct aml *aml, unsigned offset, const char *name)
{
    aml_op(aml, AML_CREATE_DWORD_FIELD);
    aml_op(aml, AML_ARG3);
    aml_integer(aml, offset);
    aml_path(aml, name);
}

/* _OSC (PCI Firmware 3.2 section 4.5): the OS gets what PCIe control it asks for; there is no firmware to
 * keep it. */
static void pci_osc(struct aml *aml)
{
    static const uint8_t uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
                                     0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};
    size_t method = aml_begin_method(aml, "_OSC", 4, true);
    size_t branch;

    create_field(aml, 0, "CDW1");
    branch = aml_begin(aml, AML_IF);
    aml_op(aml, AML_LEQUAL);
    aml_op(aml, AML_ARG0);
    aml_buffer(aml, uuid, sizeof(uuid));
    create_field(aml, 8, "CDW3");
    aml_op(aml, AML_AND);
    aml_path(aml, "CDW3");
    aml_integer(aml, 0x1f);
    aml_path(aml, "CDW3");
    aml_end(aml, branch);
    branch = aml_begin(aml, AML_ELSE);
    aml_op(aml, AML_OR); /* unrecognized UUID */
    aml_path(aml, "CDW1");
    aml_integer(aml, 4);
    aml_path(aml, "CDW1");
    aml_end(aml, branch);
    aml_op(aml, AML_RETURN);
    aml_op(aml, AML_ARG3);
    aml_end(aml, method);
}

static void pci_windows(struct aml *aml)
{
    RESOURCES(res);

    aml_word_bus(&res, 0, 255);
    aml_io(&res, 0xcf8, 8);
    aml_word_io(&res, 0, 0xcf7);
    aml_word_io(&res, 0xd00, 0xffff);
    aml_dword_memory(&res, (uint32_t)MEM_PCI32_BASE, (uint32_t)(MEM_PCI32_BASE + MEM_PCI32_SIZE - 1));
    aml_qword_memory(&res, MEM_PCI64_BASE, MEM_PCI64_BASE + MEM_PCI64_SIZE - 1);
    aml_crs(aml, &res);
}

/* A device that is described by its id and resources alone. */
static void plain_device(struct aml *aml, const char *name, const char *id, unsigned uid, struct aml *res)
{
    size_t device = aml_begin_path(aml, AML_DEVICE, name);

    aml_name_eisaid(aml, "_HID", id);
    aml_name_integer(aml, "_UID", uid);
    aml_crs(aml, res);
    aml_end(aml, device);
}

static void serial_ports(struct aml *aml, const struct board *board)
{
    for (unsigned i = 0; i < UART_PORTS; i++) {
        char name[5];
        RESOURCES(res);

        if (!board->config.serial[i])
            continue;
        fmt_print(name, sizeof(name), "COM%u", i + 1);
        aml_io(&res, uart_location[i].port, 8);
        aml_irq(&res, uart_location[i].irq);
        plain_device(aml, name, "PNP0501", i + 1, &res);
    }
}

static void rtc(struct aml *aml)
{
    RESOURCES(res);

    aml_io(&res, 0x70, 4);
    aml_irq(&res, 8);
    plain_device(aml, "RTC", "PNP0B00", 0, &res);
}

static void keyboard(struct aml *aml)
{
    RESOURCES(res);

    aml_io(&res, 0x60, 1);
    aml_io(&res, 0x64, 1);
    aml_irq(&res, 1);
    plain_device(aml, "KBD", "PNP0303", 0, &res);
}

static void mouse(struct aml *aml)
{
    RESOURCES(res);

    aml_irq(&res, 12);
    plain_device(aml, "MOU", "PNP0F13", 0, &res);
}

static void isa_bridge(struct aml *aml, const struct board *board)
{
    size_t device = aml_begin_path(aml, AML_DEVICE, "ISA");

    aml_name_integer(aml, "_ADR", 0x001f0000);
    serial_ports(aml, board);
    rtc(aml);
    if (board->i8042) {
        keyboard(aml);
        mouse(aml);
    }
    aml_end(aml, device);
}

static void pci_root(struct aml *aml, const struct board *board)
{
    size_t device = aml_begin_path(aml, AML_DEVICE, "PCI0");

    aml_name_eisaid(aml, "_HID", "PNP0A08");
    aml_name_eisaid(aml, "_CID", "PNP0A03");
    aml_name_integer(aml, "_SEG", 0);
    aml_name_integer(aml, "_BBN", 0);
    aml_name_integer(aml, "_UID", 0);
    pci_windows(aml);
    pci_osc(aml);
    pci_routing(aml);
    isa_bridge(aml, board);
    aml_end(aml, device);
}

/* What the chipset decodes beside devices: the OS keeps off, and trusts MCFG for it. The MADT tells of the
 * APICs. */
static void motherboard(struct aml *aml)
{
    RESOURCES(res);

    aml_memory32(&res, (uint32_t)MEM_ECAM_BASE, (uint32_t)MEM_ECAM_SIZE, true);
    aml_io(&res, 0x20, 2);
    aml_io(&res, 0x40, 4);
    aml_io(&res, 0x61, 1);
    aml_io(&res, 0x92, 1);
    aml_io(&res, 0xa0, 2);
    aml_io(&res, 0x4d0, 2);
    aml_io(&res, PM_BASE, PM_SIZE);
    plain_device(aml, "MBRD", "PNP0C02", 0, &res);
}

static void hpet(struct aml *aml)
{
    RESOURCES(res);

    aml_memory32(&res, (uint32_t)HPET_BASE, HPET_SIZE, true);
    plain_device(aml, "HPET", "PNP0103", 0, &res);
}

/* Devices of virtual machines, known to guests by these ids. */
static void virtual_device(struct aml *aml, const char *name, const char *id, uint16_t port, uint8_t len)
{
    size_t device = aml_begin_path(aml, AML_DEVICE, name);
    RESOURCES(res);

    aml_name_string(aml, "_HID", id);
    aml_name_integer(aml, "_STA", 15);
    aml_io(&res, port, len);
    aml_crs(aml, &res);
    aml_end(aml, device);
}

static void processors(struct vm *vm, struct aml *aml)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        char name[5];
        size_t device;

        fmt_print(name, sizeof(name), "C%03u", i);
        device = aml_begin_path(aml, AML_DEVICE, name);
        aml_name_string(aml, "_HID", "ACPI0007");
        aml_name_integer(aml, "_UID", i);
        aml_end(aml, device);
    }
}

void dsdt_build(struct vm *vm, const struct board *board, struct aml *aml)
{
    size_t scope;

    sleep_states(aml);
    interrupt_model(aml);
    scope = aml_begin_path(aml, AML_SCOPE, "\\_SB");
    processors(vm, aml);
    pci_root(aml, board);
    motherboard(aml);
    if (board->hpet)
        hpet(aml);
    if (!board->config.no_pvpanic)
        virtual_device(aml, "PEVT", "QEMU0001", PVPANIC_PORT, 1);
    if (board->fw_cfg)
        virtual_device(aml, "FWCF", "QEMU0002", FW_CFG_PORT, 12);
    aml_end(aml, scope);
}
