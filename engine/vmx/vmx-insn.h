/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The instructions of VT-x and a few others that only ring 0 has. Functions, so that
 * unit tests can put a VMCS of their own behind them.
 */
#ifndef ENGINE_VMX_VMX_INSN_H
#define ENGINE_VMX_VMX_INSN_H

#include "base/base.h"

/* Of the current VMCS. Fields that do not exist here read as 0. */
uint64_t vmcs_read(uint32_t field);
void vmcs_write(uint32_t field, uint64_t value);

/* Physical addresses of their regions; false: the processor refuses. */
bool vmx_on(uint64_t phys);
void vmx_off(void);
bool vmcs_load(uint64_t phys);
bool vmcs_clear(uint64_t phys);

/* What is cached of one EPT (0: of all); of all VPIDs. */
void vmx_invept(uint64_t ept_pointer);
void vmx_invvpid_all(void);

/*
 * Enters the guest of the current VMCS with gpr[] (all but RSP), and comes back with
 * them at its exit: 0; 1: the entry was refused and nothing has happened (the VMCS
 * has an error number, if it is one). enter.S.
 */
int vmx_enter(uint64_t gpr[16], bool launched, unsigned flags);
/* Where exits arrive; for the VMCS only. */
void vmx_exit_entry(void);

#endif
