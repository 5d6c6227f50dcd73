/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/perf-map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "symbols/symbols.h"

struct entry {
    uintptr_t code;
    size_t size;
    uint64_t rip;
    const char *name; /* NULL: of the guest at rip */
};

/* One engine uses it, with its lock held. */
struct perf_map {
    struct code_listener listener;
    struct symbols symbols;
    FILE *file;
    struct entry *list;
    size_t count, room;
};

static void write_entry(struct perf_map *map, const struct entry *e)
{
    const struct symbol *s = symbols_find(&map->symbols, e->rip);

    if (e->name)
        fprintf(map->file, "%lx %zx batuta: %s\n", (unsigned long)e->code, e->size, e->name);
    else if (s)
        fprintf(map->file, "%lx %zx guest: %s+0x%llx\n", (unsigned long)e->code, e->size, s->name,
                (unsigned long long)(e->rip - s->address));
    else
        fprintf(map->file, "%lx %zx guest: 0x%llx\n", (unsigned long)e->code, e->size,
                (unsigned long long)e->rip);
}

/* Without memory for it, a block has no name. Each is in the file at once: the VM may be killed. */
static void made(struct code_listener *listener, const void *code, size_t size, bool guest, uint64_t rip,
                 const char *name)
{
    struct perf_map *map = container_of(listener, struct perf_map, listener);
    struct entry e = {(uintptr_t)code, size, rip, guest ? NULL : name};

    if (map->count == map->room) {
        size_t room = map->room ? 2 * map->room : 4096;
        struct entry *list = realloc(map->list, room * sizeof(*list));

        if (!list)
            return;
        map->list = list;
        map->room = room;
    }
    map->list[map->count++] = e;
    write_entry(map, &e);
    fflush(map->file);
}

static void gone(struct code_listener *listener, const void *code, size_t size)
{
    struct perf_map *map = container_of(listener, struct perf_map, listener);
    size_t kept = 0;

    for (size_t i = 0; i < map->count; i++) {
        if (map->list[i].code - (uintptr_t)code >= size)
            map->list[kept++] = map->list[i];
    }
    if (kept == map->count)
        return;
    map->count = kept;
    rewind(map->file);
    if (ftruncate(fileno(map->file), 0) < 0)
        return;
    for (size_t i = 0; i < kept; i++)
        write_entry(map, &map->list[i]);
    fflush(map->file);
}

/* /tmp is everybody's: the file is ours and new, or there is none. */
static FILE *open_map(struct error *err)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
    unlink(path); /* of an earlier process of this number */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_set(err, errno, "--perf-map: %s cannot be made: %s", path, strerror(errno));
        return NULL;
    }
    return fdopen(fd, "w");
}

struct perf_map *perf_map_create(const char *symbols, struct error *err)
{
    struct perf_map *map = calloc(1, sizeof(*map));

    if (!map) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    map->listener = (struct code_listener){.made = made, .gone = gone};
    if (symbols && symbols_load(&map->symbols, symbols, 0, err) < 0) {
        error_prefix(err, "--guest-symbols");
        perf_map_destroy(map);
        return NULL;
    }
    map->file = open_map(err);
    if (!map->file) {
        perf_map_destroy(map);
        return NULL;
    }
    return map;
}

void perf_map_destroy(struct perf_map *map)
{
    if (!map)
        return;
    if (map->file)
        fclose(map->file);
    symbols_finish(&map->symbols);
    free(map->list);
    free(map);
}

struct code_listener *perf_map_listener(struct perf_map *map)
{
    return &map->listener;
}
