/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the configuration's [hypervisor] says, carried out; the command line wins where it says it, too. */
#ifndef HV_SETTINGS_H
#define HV_SETTINGS_H

#include "config/hv-config.h"

/* Once, by the first thread. */
void settings_apply(const struct hv_own_config *own);

#endif
