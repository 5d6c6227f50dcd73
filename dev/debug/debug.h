/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports for people who debug guests: 0xe9 (a byte written appears at the debug
 * console, reads as 0xe9), isa-debug-exit (a write ends the VM with status
 * (value << 1) | 1), and pvpanic (the guest tells of its crash).
 */
#ifndef DEV_DEBUG_DEBUG_H
#define DEV_DEBUG_DEBUG_H

#include "core/chardev.h"
#include "core/vm.h"

#define DEBUG_PORT   0xe9U
#define PVPANIC_PORT 0x505U

int debug_console_create(struct vm *vm, struct chardev *chardev);
int debug_exit_create(struct vm *vm, uint16_t port);
int pvpanic_create(struct vm *vm);

#endif
