/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pair of 8259A interrupt controllers (Intel 8259A data sheet) with the edge
 * and level control registers of the EISA and ICH chipsets (ports 0x4d0, 0x4d1).
 */
#ifndef DEV_IRQ_PIC_H
#define DEV_IRQ_PIC_H

#include "core/vm.h"

/* Creates it, maps its ports, and fills vm->irqs.pic and .pic_acknowledge. 0 or a negative errno. */
int pic_create(struct vm *vm);
/* As firmware leaves it: vectors 8 and 0x70, all masked; inputs 9, 10, 11 by level (SCI, PIRQs). */
void pic_direct_boot(struct vm *vm);

#endif
