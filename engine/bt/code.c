/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code cache's memory: one piece of it mapped twice, once writable and once
 * executable, so that no mapping is ever both. The executable mapping lies below
 * 2 GiB: jump tables hold 32-bit offsets, which LEA turns into addresses.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/bt/bt-internal.h"

#define HWCAP2_FSGSBASE BIT(1)
#define BT_LARGE_PAGE   MIB(2)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
/* arch_prctl()'s, younger than our headers. */
#define SHSTK_STATUS 0x5005
#define SHSTK_ON     BIT(0)

/* What is tried at the least where the host has limits (ulimit -v) and nobody said how much. */
#define CACHE_LEAST MIB(4)

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    __asm__("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(sub));
}

static bool host_has_avx(void)
{
    uint32_t r[4], low, high;

    cpuid(1, 0, r);
    if (!(r[2] & BIT(28)) || !(r[2] & BIT(27)))
        return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

static bool host_has_bmi2(void)
{
    uint32_t r[4];

    cpuid(7, 0, r);
    return r[1] & BIT(8);
}

/* The arithmetic flags after the shift, with all of them clear or set before. */
#define FLAGS_AFTER(shift, flags)                                                                            \
    ({                                                                                                       \
        uint64_t v_ = value, f_ = (flags);                                                                   \
        __asm__("push %0\n\tpopfq\n\t" shift "\n\tpushfq\n\tpop %0"                                          \
                : "+r"(f_), "+r"(v_)                                                                         \
                :                                                                                            \
                : "cc", "memory");                                                                           \
        f_;                                                                                                  \
    })
#define SAME_FLAGS(shift) (FLAGS_AFTER(shift, 0x2) == FLAGS_AFTER(shift, 0x8d7))

/* Do shifts leave no flag as it was? The manuals call OF and AF undefined. */
static bool host_shifts_make_flags(void)
{
    uint64_t value = 0x8000000180000001;
    bool same = true;

    for (unsigned i = 0; i < 64; i++) {
        value = value * 0x9e3779b97f4a7c15 + i;
        same = same && SAME_FLAGS("shl $1, %1") && SAME_FLAGS("shl $9, %1") && SAME_FLAGS("shr $1, %1") &&
               SAME_FLAGS("shr $9, %1") && SAME_FLAGS("sar $1, %1") && SAME_FLAGS("sar $9, %1") &&
               SAME_FLAGS("shll $9, %k1") && SAME_FLAGS("shrl $9, %k1") && SAME_FLAGS("sarl $9, %k1");
    }
    return same;
}

/* Room for the cache at an address where the host's large pages fit. 0 or a negative errno. */
static int make_room(struct bt_mapping *m, size_t size, int flags)
{
    void *room = mmap(NULL, size + BT_LARGE_PAGE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

    if (room == MAP_FAILED)
        return -errno;
    *m = (struct bt_mapping){.room = room, .size = size + BT_LARGE_PAGE};
    m->cache = (void *)ALIGN_UP((uintptr_t)room, BT_LARGE_PAGE);
    return 0;
}

static void unmap(struct bt_mapping m[2])
{
    for (unsigned i = 0; i < 2; i++) {
        if (m[i].room)
            munmap(m[i].room, m[i].size);
        m[i] = (struct bt_mapping){0};
    }
}

/*
 * The writable mapping and the executable one, or neither. 0 or a negative errno. mremap() of no bytes maps
 * shared memory once more. Memory without a file, as perf looks into /tmp/perf-PID.map for that only.
 */
static int map_twice(struct bt_mapping m[2], size_t size)
{
    int r = make_room(&m[0], size, 0);

    if (r == 0)
        r = make_room(&m[1], size, MAP_32BIT);
    if (r == 0 && (mmap(m[1].cache, size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
                        0) == MAP_FAILED ||
                   mremap(m[1].cache, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, m[0].cache) == MAP_FAILED ||
                   mprotect(m[0].cache, size, PROT_READ | PROT_WRITE) < 0))
        r = -errno;
    if (r < 0)
        unmap(m);
    return r;
}

static int no_memory(int error, struct error *err)
{
    return error_set(err, error,
                     "no executable memory below 2 GiB for translated code (mmap, mremap: %s): %s",
                     strerror(error),
                     error == ENOMEM ? "is there a limit (ulimit -v)? A smaller --code-cache needs less"
                                     : "is it forbidden here?");
}

static bool host_has_fsgsbase(void)
{
    return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
}

/* Translated code returns to where no CALL of the host's came from. */
static bool host_checks_returns(void)
{
    uint64_t features = 0;

    return syscall(SYS_arch_prctl, SHSTK_STATUS, &features) == 0 && features & SHSTK_ON;
}

int bt_code_probe(struct error *err)
{
    struct bt_mapping m[2] = {0};
    int r;

    if (host_checks_returns())
        return error_set(err, ENOTSUP,
                         "the processor's shadow stacks are on in this program: unset GLIBC_TUNABLES's "
                         "x86_shstk");
    if (!host_has_fsgsbase() && syscall(SYS_arch_prctl, ARCH_SET_GS, 0UL) < 0)
        return error_set(err, errno, "arch_prctl(ARCH_SET_GS) is forbidden here");
    r = map_twice(m, CACHE_LEAST);
    if (r < 0)
        return no_memory(-r, err);
    unmap(m);
    return 0;
}

int bt_code_init(struct bt_vm *bvm, size_t size, struct error *err)
{
    struct bt_code *c = &bvm->code;
    size_t wanted = size ? size : VM_CODE_CACHE_DEFAULT, least = size ? size : CACHE_LEAST;
    int r;

    *c = (struct bt_code){0};
    for (size = wanted; (r = map_twice(c->mapping, size)) < 0 && size > least; size /= 2)
        ;
    if (r < 0)
        return no_memory(-r, err);
    if (size < wanted)
        vm_log(bvm->vm, LOG_WARN,
               "the code cache is %zu MiB, not %zu: there is no more memory for it: is there a limit (ulimit "
               "-v)?",
               size >> 20, wanted >> 20);
    c->write = c->mapping[0].cache;
    c->exec = c->mapping[1].cache;
    c->size = size;
    bvm->avx = host_has_avx();
    bvm->bmi2 = host_has_bmi2();
    bvm->shifts_make_flags = host_shifts_make_flags();
    bvm->fsgsbase = host_has_fsgsbase();
    return 0;
}

void bt_code_finish(struct bt_vm *bvm)
{
    unmap(bvm->code.mapping);
    bvm->code = (struct bt_code){0};
}

void bt_code_want_large(const struct bt_vm *bvm, size_t from, size_t to)
{
    from = ALIGN_DOWN(from, BT_LARGE_PAGE);
    to = MIN(ALIGN_UP(to, BT_LARGE_PAGE), ALIGN_DOWN(bvm->code.size, BT_LARGE_PAGE));
    /* Unlike MADV_HUGEPAGE, that is done whatever the host's settings for shared memory say. */
    if (from < to)
        madvise(bvm->code.write + from, to - from, MADV_COLLAPSE);
}

void bt_set_gs(const struct bt_vm *bvm, struct bt_frame *frame)
{
    if (bvm->fsgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"(frame) : "memory");
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, frame);
}
