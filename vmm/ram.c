/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

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

/*
 * Aligned, so that the host's large pages fit: they spare most of the host's TLB misses, which under another
 * hypervisor cost two walks each. What is left of the room on both sides stays without rights.
 */
int host_ram_init(struct host_ram *ram, uint64_t size, struct error *err)
{
    int r = check_host(size, err);
    void *base = MAP_FAILED;

    *ram = (struct host_ram){0};
    if (r < 0)
        return r;
    ram->room_size = size + 2 * LARGE_PAGE;
    ram->room = mmap(NULL, ram->room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram->room != MAP_FAILED)
        base = mmap((void *)(ALIGN_UP((uintptr_t)ram->room + 1, LARGE_PAGE)), size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (base == MAP_FAILED) {
        r = error_set(err, errno,
                      "cannot get %llu MiB for the guest's memory: %s: ask for less with --memory",
                      (unsigned long long)(size >> 20), strerror(errno));
        host_ram_finish(ram);
        return r;
    }
    ram->base = base;
    ram->size = size;
    madvise(base, size, MADV_DONTDUMP);
    madvise(base, size, MADV_HUGEPAGE);
    return 0;
}

void host_ram_finish(struct host_ram *ram)
{
    if (ram->room && ram->room != MAP_FAILED)
        munmap(ram->room, ram->room_size);
    *ram = (struct host_ram){0};
}

void host_ram_discard(void *opaque, uint8_t *host, uint64_t len)
{
    const struct host_ram *ram = opaque;

    base_assert(host >= (uint8_t *)ram->base &&
                range_inside((uint64_t)(host - (uint8_t *)ram->base), len, ram->size));
    /* Best effort: memory that stays is not wrong, only not saved. */
    madvise(host, len, MADV_DONTNEED);
}
