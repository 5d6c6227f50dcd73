/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where guest registers are in translated code. */
#ifndef ENGINE_BT_MAP_H
#define ENGINE_BT_MAP_H

#include "engine/bt/emit.h"

/* By enum x86_gpr; HOST_NONE: in frame.gpr. Compilers take R13 to R15 last. */
static const uint8_t bt_host_reg[16] = {
    [X86_RAX] = HOST_R15, [X86_RCX] = HOST_R14,  [X86_RDX] = HOST_RDX,  [X86_RBX] = HOST_RBX,
    [X86_RSP] = HOST_R13, [X86_RBP] = HOST_RBP,  [X86_RSI] = HOST_RSI,  [X86_RDI] = HOST_RDI,
    [X86_R8] = HOST_R8,   [X86_R9] = HOST_R9,    [X86_R10] = HOST_R10,  [X86_R11] = HOST_R11,
    [X86_R12] = HOST_R12, [X86_R13] = HOST_NONE, [X86_R14] = HOST_NONE, [X86_R15] = HOST_NONE,
};

#endif
