/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the loader's last jump to the first thread. */
#ifndef HV_START_H
#define HV_START_H

#include "base/base.h"

/* Called by hv/boot/entry.S; delta: how far the loader moved the image. */
_Noreturn void hv_start(uint32_t magic, uint64_t info, uint64_t delta);

/* Fills the page allocator, and makes our page tables. */
void memory_init(void);

/* The first thread, with all processors up: hv/main.c. */
void hv_main(void *arg);

#endif
