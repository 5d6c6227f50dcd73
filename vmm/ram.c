/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/checked.h"
#include "vmm/plat-linux.h"

/* A guest that is larger than the machine would be killed when it uses its memory: say so now. */
static int check_host(uint64_t size, struct error *err)
{
    struct sysinfo info;
    uint64_t total;

    if (sysinfo(&info) < 0)
        return 0;
    total = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
    if (size <= total)
        return 0;
    return error_set(err, ENOMEM, "--memory: %llu MiB is more than this machine has (%llu MiB with swap)",
                     (unsigned long long)(size >> 20), (unsigned long long)(total >> 20));
}

int host_ram_init(struct host_ram *ram, uint64_t size, struct error *err)
{
    int r = check_host(size, err);

    *ram = (struct host_ram){.fd = -1, .base = MAP_FAILED, .size = size};
    if (r < 0)
        return r;
    ram->fd = memfd_create("batuta-ram", MFD_CLOEXEC);
    if (ram->fd < 0)
        return error_set(err, errno, "cannot make the guest's memory: %s", strerror(errno));
    if (ftruncate(ram->fd, (off_t)size) == 0)
        ram->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ram->fd, 0);
    if (ram->base == MAP_FAILED) {
        r = error_set(err, errno,
                      "cannot get %llu MiB for the guest's memory: %s: ask for less with --memory",
                      (unsigned long long)(size >> 20), strerror(errno));
        host_ram_finish(ram);
        return r;
    }
    madvise(ram->base, size, MADV_DONTDUMP);
    return 0;
}

void host_ram_finish(struct host_ram *ram)
{
    if (ram->base && ram->base != MAP_FAILED)
        munmap(ram->base, ram->size);
    if (ram->base && ram->fd >= 0)
        close(ram->fd);
    *ram = (struct host_ram){.fd = -1};
}

void host_ram_discard(void *opaque, uint8_t *host, uint64_t len)
{
    const struct host_ram *ram = opaque;

    base_assert(host >= (uint8_t *)ram->base &&
                range_inside((uint64_t)(host - (uint8_t *)ram->base), len, ram->size));
    /* Best effort: memory that stays is not wrong, only not saved. */
    madvise(host, len, MADV_REMOVE);
}
