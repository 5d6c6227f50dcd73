/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /tmp/perf-PID.map, by which `perf report` names translated code: a line for each
 * block, with the guest's address and, where symbols are given, its function. What
 * is evicted leaves the file. It stays when the VM ends: perf reads it then.
 */
#ifndef VMM_PERF_MAP_H
#define VMM_PERF_MAP_H

#include "core/engine.h"

struct perf_map;

/* symbols: a file, or NULL. */
struct perf_map *perf_map_create(const char *symbols, struct error *err);
void perf_map_destroy(struct perf_map *map);
struct code_listener *perf_map_listener(struct perf_map *map);

#endif
