/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a guest's frames libslirp gets to see: only whole, plain packets of the
 * protocols that it serves. Its reassembly of IP fragments in particular can be made
 * to corrupt memory (found by our own random frames, with 4.7.0), and a guest must
 * never reach it. The price: datagrams above the MTU do not get out in user mode.
 */
#ifndef NET_GATE_H
#define NET_GATE_H

#include "base/base.h"

/* How many bytes of the frame to pass on, padding cut off; 0: drop it. */
size_t gate_check(const uint8_t *frame, size_t len, bool ipv6);

#endif
