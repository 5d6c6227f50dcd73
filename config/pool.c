/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/pool.h"

#include "base/bytes.h"
#include "base/text.h"

#define CHUNK KIB(4)

struct config_chunk {
    struct config_chunk *next;
    size_t size, used;
    _Alignas(16) uint8_t bytes[];
};

void config_pool_init(struct config_pool *pool, void *(*alloc)(size_t size), void (*free)(void *p))
{
    *pool = (struct config_pool){.alloc = alloc, .free = free};
}

void config_pool_finish(struct config_pool *pool)
{
    struct config_chunk *next;

    for (struct config_chunk *c = pool->chunks; c; c = next) {
        next = c->next;
        pool->free(c);
    }
    pool->chunks = NULL;
}

void *config_alloc(struct config_pool *pool, size_t size)
{
    struct config_chunk *c = pool->chunks;
    void *p;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = ALIGN_UP(MAX(size, (size_t)1), (size_t)16);
    if (!c || size > c->size - c->used) {
        size_t room = MAX(size, (size_t)(CHUNK - sizeof(*c)));

        c = pool->alloc(sizeof(*c) + room);
        if (!c)
            return NULL;
        *c = (struct config_chunk){.next = pool->chunks, .size = room};
        pool->chunks = c;
    }
    p = c->bytes + c->used;
    c->used += size;
    return memset(p, 0, size);
}

char *config_copy(struct config_pool *pool, const char *text, size_t len)
{
    char *copy = config_alloc(pool, len + 1);

    return copy && len ? memcpy(copy, text, len) : copy;
}

int config_text(struct config_pool *pool, const char **slot, const char *text, struct error *err)
{
    char *copy = config_copy(pool, text, text_length(text));

    if (!copy)
        return error_set(err, ENOMEM, "out of memory");
    *slot = copy;
    return 0;
}
