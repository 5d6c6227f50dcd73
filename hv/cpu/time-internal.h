/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between time.c and timer.c. */
#ifndef HV_CPU_TIME_INTERNAL_H
#define HV_CPU_TIME_INTERNAL_H

#include "base/base.h"

/* Of the local APIC's timer, at least 1; as many as fit, if they do not. */
uint32_t time_to_apic_ticks(uint64_t ns);

#endif
