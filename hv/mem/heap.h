/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small pieces of memory, zeroed, aligned to 64 bytes (to 4096 from that size on), charged to an account. */
#ifndef HV_MEM_HEAP_H
#define HV_MEM_HEAP_H

#include "hv/mem/page.h"

/* Physically contiguous, whatever its size. NULL: none left, or the account's limit. Any processor. */
void *heap_alloc(size_t size, struct memory_account *account);
/* To the account that it was charged to; NULL is harmless. */
void heap_free(void *p);
/* Gives back the few empty pages that are kept for the next allocation: before an account ends. */
void heap_trim(struct memory_account *account);

#endif
