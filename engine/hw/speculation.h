/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between a guest and what the processor does ahead of time: from what a
 * processor says of itself to what is done around guest code. Pure, tested on the host.
 * docs/hv-engines.md says what is left open.
 */
#ifndef ENGINE_HW_SPECULATION_H
#define ENGINE_HW_SPECULATION_H

#include "base/base.h"

struct hw_facts {
    bool intel;          /* else: AMD, or somebody who says of himself what AMD's do */
    bool emulated;       /* no processor, and nothing ahead of time */
    uint32_t leaf7_edx;  /* CPUID 7 */
    uint32_t leaf7_2;    /* 7.2, EDX */
    uint32_t leaf21_eax; /* 80000021 */
    uint32_t leaf21_ecx;
    uint64_t arch_capabilities; /* the MSR; 0: there is none */
};

struct hw_speculation {
    bool flush_l1d;     /* when a vCPU comes to the processor, others having been there (L1TF) */
    bool verw;          /* at each entry (MDS and what came after it, TSA) */
    bool fill_rsb;      /* at each exit, before the first RET */
    bool auto_ibrs;     /* EFER's */
    bool split_code;    /* nested pages of code are small (CVE-2018-12207) */
    uint64_t spec_ctrl; /* the hypervisor's own; a guest's is added while it runs */
    bool wants_retpolines;
    bool wants_siblings; /* threads of a core tell each other's secrets */
};

void hw_facts_read(struct hw_facts *facts);
void hw_speculation_choose(struct hw_speculation *s, const struct hw_facts *facts);

#endif
