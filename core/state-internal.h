/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of the state stream (docs/formats/state-stream.md), shared by
 * core/state.c and core/vm-state.c.
 */
#ifndef CORE_STATE_INTERNAL_H
#define CORE_STATE_INTERNAL_H

#include "core/state.h"

#define STATE_MAGIC          "BATUTA-STATE\r\n\x1a"
#define STATE_MAGIC_SIZE     16
#define STATE_STREAM_VERSION 1
#define STATE_RECORD_SIZE    80

enum state_record_kind {
    STATE_RECORD_OBJECT = 1, /* body: fields */
    STATE_RECORD_RAM = 2,    /* body: u64 offset in RAM, then whole pages */
    STATE_RECORD_END = 3,    /* no body */
};

struct state_record {
    uint32_t kind;
    uint32_t version;
    uint64_t length;
    char name[32];
    char instance[32];
};

int state_record_begin(struct state_io *io, const struct state_record *r);
/* Copies text, cut to 31 bytes. */
void state_record_name(char out[32], const char *text);

#endif
