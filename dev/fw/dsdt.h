/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The differentiated system description: the board's devices as AML. */
#ifndef DEV_FW_DSDT_H
#define DEV_FW_DSDT_H

#include "core/vm.h"
#include "dev/fw/aml.h"

struct board;

void dsdt_build(struct vm *vm, const struct board *board, struct aml *aml);

#endif
