/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done beside entering the guest and coming back, for C and the assembler: hw_cpu.enter_flags. */
#ifndef ENGINE_HW_ENTER_H
#define ENGINE_HW_ENTER_H

#define HW_ENTER_VERW 1
#define HW_ENTER_RSB  2

#endif
