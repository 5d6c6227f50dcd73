/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast this machine's KVM was when it was measured last, so that --engine auto
 * need not measure at each start. The file $XDG_CACHE_HOME/batuta/kvm-speed (or
 * ~/.cache/batuta/kvm-speed) names what it was measured on: this boot, kernel,
 * processor and /dev/kvm. A file that is anything else is as good as none.
 */
#ifndef VMM_KVM_SPEED_H
#define VMM_KVM_SPEED_H

#include "base/base.h"

/* False: not measured yet on what this machine is now. */
bool kvm_speed_recall(uint64_t *instructions_per_second);
/* Where it cannot be written, it will be measured again. */
void kvm_speed_remember(uint64_t instructions_per_second);

#endif
