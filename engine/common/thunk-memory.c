/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/common/thunk-memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int thunk_memory_init(struct x86_thunks *thunks)
{
    size_t size = X86_THUNKS_CODE_SIZE;
    void *w = MAP_FAILED, *x = MAP_FAILED;
    int fd = memfd_create("batuta-thunks", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) == 0) {
        w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        x = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    close(fd);
    if (w == MAP_FAILED || x == MAP_FAILED) {
        int error = errno;

        if (w != MAP_FAILED)
            munmap(w, size);
        if (x != MAP_FAILED)
            munmap(x, size);
        return -error;
    }
    x86_thunks_init(thunks, w, x, size);
    return 0;
}

void thunk_memory_finish(struct x86_thunks *thunks)
{
    if (!thunks || !thunks->write_map)
        return;
    munmap(thunks->write_map, thunks->size);
    munmap((void *)thunks->exec_map, thunks->size);
    thunks->write_map = NULL;
}
