/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/board.h"

#include "core/device.h"
#include "dev/debug/debug.h"
#include "dev/fw/acpi.h"
#include "dev/fw/fw_cfg.h"
#include "dev/fw/smbios.h"
#include "dev/input/i8042.h"
#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"
#include "dev/irq/pic.h"
#include "dev/pci/host.h"
#include "dev/pci/ich9-lpc.h"
#include "dev/timer/hpet.h"
#include "dev/timer/pit.h"
#include "dev/timer/pm.h"
#include "dev/timer/rtc.h"
#include "dev/timer/tco.h"

#define SMBIOS_OFFSET 0x10000U /* the entry point is looked for from 0xf0000 on */

static int create_serial(struct board *board)
{
    for (unsigned i = 0; i < UART_PORTS; i++) {
        int r = board->config.serial[i] ? uart_create(board->vm, i, board->config.serial_dev[i]) : 0;

        if (r)
            return r;
    }
    return 0;
}

static int create_debug(struct board *board)
{
    const struct board_config *config = &board->config;
    int r = 0;

    if (config->debug_dev)
        r = debug_console_create(board->vm, config->debug_dev);
    if (!r && config->debug_exit_port)
        r = debug_exit_create(board->vm, config->debug_exit_port);
    if (!r && !config->no_pvpanic)
        r = pvpanic_create(board->vm);
    return r;
}

static int create_watchdog(struct board *board)
{
    int r = board->config.watchdog ? tco_create(board->vm, board->config.watchdog_seconds, &board->tco) : 0;

    if (board->tco)
        pm_set_watchdog(board->pm, board->tco);
    return r;
}

/* Controllers first: a saved state is loaded in this order, and devices' lines must find them ready. */
int board_create(struct vm *vm, const struct board_config *config, struct board *board, struct error *err)
{
    const char *what;
    struct pit *pit = NULL;
    struct rtc *rtc = NULL;
    int r;

    *board = (struct board){.vm = vm, .config = *config};
    if ((what = "the local APICs", r = lapic_create(vm)) || (what = "the 8259s", r = pic_create(vm)) ||
        (what = "the IO-APIC", r = ioapic_create(vm)) ||
        (what = "the PCI host bridge", r = pci_host_create(vm, &board->pci)) ||
        (what = "power management", r = pm_create(vm, &board->pm)) ||
        (what = "the watchdog", r = create_watchdog(board)) ||
        (what = "the ISA bridge", r = lpc_create(vm, board->pci, board->pm, &board->lpc)) ||
        (what = "the 8254", r = pit_create(vm, &pit)) || (what = "the clock", r = rtc_create(vm, &rtc)) ||
        (what = "the HPET", r = config->no_hpet ? 0 : hpet_create(vm, pit, rtc, &board->hpet)) ||
        (what = "the keyboard controller", r = config->no_i8042 ? 0 : i8042_create(vm, &board->i8042)) ||
        (what = "the serial ports", r = create_serial(board)) ||
        (what = "the firmware configuration", r = fw_cfg_create(vm, &board->fw_cfg)) ||
        (what = "the debug ports", r = create_debug(board)))
        return error_set(err, -r, "the board cannot have %s: %s", what,
                         r == -ENOMEM  ? "out of memory"
                         : r == -EBUSY ? "another device is at its address"
                                       : "internal error");
    return 0;
}

/* Tables reach guest RAM by way of a buffer, so that the engine hears of the store. */
static int write_tables(struct board *board, uint8_t *buf, uint64_t *rsdp, struct error *err)
{
    struct vm *vm = board->vm;
    struct acpi_tables tables;
    size_t length;
    int r;

    r = acpi_build(vm, board, buf, SMBIOS_OFFSET, BOARD_TABLES_BASE, &tables);
    if (!r)
        r = smbios_build(vm, buf + SMBIOS_OFFSET, BOARD_TABLES_SIZE - SMBIOS_OFFSET,
                         BOARD_TABLES_BASE + SMBIOS_OFFSET, &length);
    if (!r)
        r = mem_write(vm, BOARD_TABLES_BASE, buf, BOARD_TABLES_SIZE);
    if (r)
        return error_set(err, -r, "the firmware tables do not fit below 1 MiB");
    if (rsdp)
        *rsdp = tables.rsdp;
    return 0;
}

int board_direct_boot(struct board *board, uint64_t *rsdp, struct error *err)
{
    struct vm *vm = board->vm;
    uint8_t *buf;
    int r;

    pic_direct_boot(vm);
    lpc_direct_boot(board->lpc);
    r = pci_assign(board->pci);
    if (r)
        return error_set(err, -r, "the PCI devices' memory does not fit the windows for it");
    buf = vm_alloc(vm, BOARD_TABLES_SIZE);
    if (!buf)
        return error_set(err, ENOMEM, "out of memory for the firmware tables");
    r = write_tables(board, buf, rsdp, err);
    vm_free(vm, buf);
    return r;
}
