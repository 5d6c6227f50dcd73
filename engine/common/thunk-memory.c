/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/common/thunk-memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void unmap(void *map)
{
    if (map != MAP_FAILED)
        munmap(map, X86_THUNKS_CODE_SIZE);
}

/* Both mappings, or neither. */
static int map_twice(void **write, void **exec, struct error *err)
{
    void *w = MAP_FAILED, *x = MAP_FAILED;
    int fd = memfd_create("batuta-thunks", MFD_CLOEXEC), error;

    if (fd >= 0 && ftruncate(fd, X86_THUNKS_CODE_SIZE) == 0) {
        w = mmap(NULL, X86_THUNKS_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (w != MAP_FAILED)
            x = mmap(NULL, X86_THUNKS_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    error = errno;
    if (fd >= 0)
        close(fd);
    if (x == MAP_FAILED) {
        unmap(w);
        return error_set(err, error,
                         "no executable memory for vector instructions (memfd_create, mmap: %s): is it "
                         "forbidden here?",
                         strerror(error));
    }
    *write = w;
    *exec = x;
    return 0;
}

int thunk_memory_probe(struct error *err)
{
    void *w, *x;
    int r = map_twice(&w, &x, err);

    if (r == 0) {
        unmap(w);
        unmap(x);
    }
    return r;
}

int thunk_memory_init(struct x86_thunks *thunks, struct error *err)
{
    void *w, *x;
    int r = map_twice(&w, &x, err);

    if (r == 0)
        x86_thunks_init(thunks, w, x, X86_THUNKS_CODE_SIZE);
    return r;
}

void thunk_memory_finish(struct x86_thunks *thunks)
{
    if (!thunks || !thunks->write_map)
        return;
    munmap(thunks->write_map, thunks->size);
    munmap((void *)thunks->exec_map, thunks->size);
    thunks->write_map = NULL;
}
