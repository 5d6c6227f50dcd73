/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS 3.0 entry point and structures (DMTF DSP0134): firmware, system, chassis, processors, memory. */
#ifndef DEV_FW_SMBIOS_H
#define DEV_FW_SMBIOS_H

#include "core/vm.h"

/*
 * Writes the entry point and, behind it, the structures to buf, which the caller
 * copies to gpa_base (a multiple of 16 in 0xf0000..0xfffff). *length: what was written. -ENOSPC: buf is too
 * small.
 */
int smbios_build(struct vm *vm, uint8_t *buf, size_t size, uint64_t gpa_base, size_t *length);

#endif
