/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device (QEMU docs/specs/fw_cfg: the interface that
 * SeaBIOS, OVMF and Linux know): items by number, files by name, read through
 * ports 0x510 and 0x511 or by DMA through 0x514.
 */
#ifndef DEV_FW_FW_CFG_H
#define DEV_FW_FW_CFG_H

#include "core/vm.h"

#define FW_CFG_PORT 0x510U

/* Items of the interface's own numbering */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
};

#define FW_CFG_FILES_MAX 32U
#define FW_CFG_NAME_MAX  56U

struct fw_cfg;

int fw_cfg_create(struct vm *vm, struct fw_cfg **out);
/* data stays the caller's and outlives the VM. -ENOSPC: no room; -EEXIST: taken. */
int fw_cfg_add_item(struct fw_cfg *fw, uint16_t key, const void *data, size_t len);
/* The data is copied into the device: 2, 4 or 8 bytes, little-endian. */
int fw_cfg_add_integer(struct fw_cfg *fw, uint16_t key, uint64_t value, unsigned size);
/* name: up to 55 characters, "etc/…" or "opt/…". */
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len);

#endif
