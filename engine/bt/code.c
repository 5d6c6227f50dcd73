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

/*
 * Both mappings, or neither. 0 or a negative errno. mremap() of no bytes maps shared memory once more. Memory
 * without a file, as perf looks into /tmp/perf-PID.map for that only.
 */
static int map_twice(size_t size, void **write, void **exec)
{
    void *x = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0), *w;
    int error;

    if (x == MAP_FAILED)
        return -errno;
    w = mremap(x, 0, size, MREMAP_MAYMOVE);
    if (w != MAP_FAILED && mprotect(w, size, PROT_READ | PROT_WRITE) == 0) {
        *write = w;
        *exec = x;
        return 0;
    }
    error = errno;
    if (w != MAP_FAILED)
        munmap(w, size);
    munmap(x, size);
    return -error;
}

static int no_memory(int error, struct error *err)
{
    return error_set(err, error,
                     "no executable memory below 2 GiB for translated code (mmap, mremap: %s): is it "
                     "forbidden here?",
                     strerror(error));
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
    void *w, *x;
    int r;

    if (host_checks_returns())
        return error_set(err, ENOTSUP,
                         "the processor's shadow stacks are on in this program: unset GLIBC_TUNABLES's "
                         "x86_shstk");
    if (!host_has_fsgsbase() && syscall(SYS_arch_prctl, ARCH_SET_GS, 0UL) < 0)
        return error_set(err, errno, "arch_prctl(ARCH_SET_GS) is forbidden here");
    r = map_twice(CACHE_LEAST, &w, &x);
    if (r < 0)
        return no_memory(-r, err);
    munmap(w, CACHE_LEAST);
    munmap(x, CACHE_LEAST);
    return 0;
}

int bt_code_init(struct bt_vm *bvm, size_t size, struct error *err)
{
    size_t least = size ? size : CACHE_LEAST;
    void *w, *x;
    int r;

    size = size ? size : VM_CODE_CACHE_DEFAULT;
    while ((r = map_twice(size, &w, &x)) < 0 && size > least)
        size /= 2;
    if (r < 0)
        return no_memory(-r, err);
    bvm->code = (struct bt_code){.write = w, .exec = x, .size = size};
    bvm->avx = host_has_avx();
    bvm->shifts_make_flags = host_shifts_make_flags();
    bvm->fsgsbase = host_has_fsgsbase();
    return 0;
}

void bt_code_finish(struct bt_vm *bvm)
{
    struct bt_code *c = &bvm->code;

    if (!c->write)
        return;
    munmap(c->write, c->size);
    munmap((void *)(uintptr_t)c->exec, c->size);
    c->write = NULL;
}

void bt_set_gs(const struct bt_vm *bvm, struct bt_frame *frame)
{
    if (bvm->fsgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"(frame) : "memory");
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, frame);
}
