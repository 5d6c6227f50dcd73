/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code cache's memory: one memfd mapped twice, once writable and once
 * executable, so that no page is ever both. The executable mapping lies below
 * 2 GiB: jump tables hold 32-bit offsets, which LEA turns into addresses.
 */
#include <asm/prctl.h>
#include <errno.h>
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

/* The cache's memory once more, at an address where the host's large pages fit. */
static void *map_cache(struct bt_mapping *m, int fd, size_t size, int rights, int flags)
{
    void *p;

    m->size = size + BT_LARGE_PAGE;
    m->room = mmap(NULL, m->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    if (m->room == MAP_FAILED) {
        m->room = NULL;
        return NULL;
    }
    p = mmap((void *)ALIGN_UP((uintptr_t)m->room, BT_LARGE_PAGE), size, rights, MAP_SHARED | MAP_FIXED, fd,
             0);
    return p == MAP_FAILED ? NULL : p;
}

int bt_code_init(struct bt_vm *bvm, size_t size, struct error *err)
{
    struct bt_code *c = &bvm->code;
    int fd = memfd_create("batuta-code", MFD_CLOEXEC);

    *c = (struct bt_code){.size = size};
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
        c->write = map_cache(&c->mapping[0], fd, size, PROT_READ | PROT_WRITE, 0);
        c->exec = map_cache(&c->mapping[1], fd, size, PROT_READ | PROT_EXEC, MAP_32BIT);
    }
    if (!c->write || !c->exec) {
        int error = errno;

        bt_code_finish(bvm);
        if (fd >= 0)
            close(fd);
        return error_set(
            err, error,
            "no executable memory for translated code (memfd_create, mmap): is it forbidden here?");
    }
    close(fd);
    bvm->avx = host_has_avx();
    bvm->shifts_make_flags = host_shifts_make_flags();
    bvm->fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
    return 0;
}

void bt_code_finish(struct bt_vm *bvm)
{
    struct bt_code *c = &bvm->code;

    for (unsigned i = 0; i < ARRAY_SIZE(c->mapping); i++) {
        if (c->mapping[i].room)
            munmap(c->mapping[i].room, c->mapping[i].size);
    }
    *c = (struct bt_code){0};
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
