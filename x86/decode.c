/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/insn-table-internal.h"

const struct x86_row *x86_insn_row(uint16_t row)
{
    return &x86_insn_rows[row];
}
