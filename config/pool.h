/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for what a description says: taken in pieces, given back as a whole. Its
 * alloc() and free() are the program's own, as malloc() and free() in a hosted one.
 */
#ifndef CONFIG_POOL_H
#define CONFIG_POOL_H

#include "base/error.h"

struct config_chunk;

struct config_pool {
    void *(*alloc)(size_t size);
    void (*free)(void *p);
    struct config_chunk *chunks;
};

void config_pool_init(struct config_pool *pool, void *(*alloc)(size_t size), void (*free)(void *p));
void config_pool_finish(struct config_pool *pool);

/* Zeroed, aligned to 16 bytes. NULL: no memory. */
void *config_alloc(struct config_pool *pool, size_t size);
/* The first len bytes of a text, or their copy with an end. NULL: no memory. */
char *config_copy(struct config_pool *pool, const char *text, size_t len);
/* The same of a whole text, and the error is set. */
int config_text(struct config_pool *pool, const char **slot, const char *text, struct error *err);

#endif
