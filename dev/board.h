/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board: every device of the PC but those on PCI slots, which the program adds
 * to board.pci (virtio). See core/memory.h for the memory map.
 *
 *   vm_init(), vm_engine_init()      RAM, vCPUs
 *   board_create()                   the devices, in power-on state
 *   … PCI functions …
 *   board_direct_boot()              without firmware: at start and after each reset
 *
 * Everything belongs to the VM, which destroys it in vm_finish().
 */
#ifndef DEV_BOARD_H
#define DEV_BOARD_H

#include "core/chardev.h"
#include "core/vm.h"
#include "dev/serial/uart16550.h"

struct board_config {
    bool serial[UART_PORTS];                /* COM1 to COM4 are there */
    struct chardev *serial_dev[UART_PORTS]; /* what they lead to; NULL: nothing */
    struct chardev *debug_dev;              /* port 0xe9 writes to it; NULL: no such port */
    uint16_t debug_exit_port;               /* isa-debug-exit; 0: none */
    bool no_hpet, no_i8042, no_pvpanic;
    bool watchdog;             /* dev/timer/tco.h */
    unsigned watchdog_seconds; /* it counts from power-on; 0: when the guest says so */
};

struct board {
    struct vm *vm;
    struct board_config config;
    struct pci_bus *pci;
    struct lpc *lpc;
    struct pm *pm;
    struct hpet *hpet;   /* NULL: none */
    struct i8042 *i8042; /* NULL: none */
    struct tco *tco;     /* NULL: none */
    struct fw_cfg *fw_cfg;
};

int board_create(struct vm *vm, const struct board_config *config, struct board *board, struct error *err);

/* Tables for direct boot, at 0xe0000 to 0xfffff: mark them reserved in the guest's memory map. */
#define BOARD_TABLES_BASE 0xe0000ULL
#define BOARD_TABLES_SIZE 0x20000ULL

/*
 * Does what firmware would have done: PCI addresses and interrupt routes, the
 * 8259s, ACPI and SMBIOS tables in RAM. Lock held, vCPUs not running; after every
 * vm_reset(). *rsdp is the address for the boot protocol (NULL: not wanted).
 */
int board_direct_boot(struct board *board, uint64_t *rsdp, struct error *err);

#endif
