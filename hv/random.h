/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers for guests and for us: ChaCha20 (RFC 8439) under a key from RDSEED, RDRAND and the time that
 * things took, new for every request, so that what was handed out says nothing of what comes or was. */
#ifndef HV_RANDOM_H
#define HV_RANDOM_H

#include "base/base.h"

void random_init(void);
/* Any processor. */
void random_bytes(void *buf, size_t len);

#endif
