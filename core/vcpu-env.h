/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What x86/ sees of the machine: struct x86_env over the core's memory, buses,
 * clock, MSRs and local APICs. Every engine that lets x86/ execute instructions,
 * be it one now and then, puts it into x86_cpu.env.
 */
#ifndef CORE_VCPU_ENV_H
#define CORE_VCPU_ENV_H

#include "x86/cpu.h"

extern const struct x86_env vcpu_env;

#endif
