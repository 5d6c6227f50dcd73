/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector and x87 semantics where the differential test cannot look: other modes
 * than 64 bits, devices and split pages, CR4, the store of thunks itself, and
 * images for other engines. Arithmetic is tests/diff's matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/x86-exec/flat-cpu.h"
#include "x86/fpu.h"
#include "x86/thunk.h"

#define DATA 0x40000U

static struct flat_cpu f;
static struct x86_thunks thunks;
static void *maps[2];

static void setup_with(size_t size)
{
    int fd = memfd_create("thunks", MFD_CLOEXEC);

    assert_true(fd >= 0 && !ftruncate(fd, (off_t)size));
    maps[0] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    maps[1] = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    assert_true(maps[0] != MAP_FAILED && maps[1] != MAP_FAILED);
    flat_init(&f, NULL);
    x86_thunks_init(&thunks, maps[0], maps[1], size);
    f.cpu.thunks = &thunks;
    f.cpu.s.gpr[X86_RBX] = DATA;
}

static int setup(void **state)
{
    setup_with(X86_THUNKS_CODE_SIZE);
    return 0;
}

static int teardown(void **state)
{
    munmap(maps[0], thunks.size);
    munmap(maps[1], thunks.size);
    flat_finish(&f);
    return 0;
}

static uint64_t xmm(unsigned n)
{
    return load_le64(f.cpu.s.vec[n].b);
}

static void test_pack_and_unpack(void **state)
{
    static struct x86_state a, b;
    static uint8_t image[X86_XSAVE_SIZE], again[X86_XSAVE_SIZE];

    memset(a.vec, 0x5a, sizeof(a.vec));
    for (unsigned i = 0; i < 8; i++)
        memset(a.x87.st[i], (int)i + 1, 10);
    a.x87.fcw = 0x27f;
    a.x87.fsw = 0x3800;
    a.x87.ftw = 0x81;
    a.x87.fop = 0x123;
    a.x87.fip = 0x123456789abc;
    a.x87.fdp = 0xfedcba987654;
    a.mxcsr = 0x9fc0;
    x86_xsave_pack(&a, image, 7);
    assert_int_equal(load_le64(image + X86_XSAVE_HEADER), 7);
    x86_xsave_unpack(&b, image, 7);
    x86_xsave_pack(&b, again, 7);
    assert_memory_equal(image, again, sizeof(image));
    assert_memory_equal(&a.x87, &b.x87, sizeof(a.x87));

    /* What the image does not have becomes initial, what is not asked for stays. */
    store_le64(image + X86_XSAVE_HEADER, 0);
    x86_xsave_unpack(&b, image, X86_XCR0_AVX | X86_XCR0_X87);
    assert_int_equal(b.x87.fcw, X86_FCW_INIT);
    assert_int_equal(load_le64(b.vec[3].b), 0x5a5a5a5a5a5a5a5a);
    assert_int_equal(load_le64(b.vec[3].b + 16), 0);
}

static void test_top_rotates(void **state)
{
    struct x86_x87 x87 = {.fsw = 3 << X86_FSW_TOP_SHIFT};

    for (unsigned i = 0; i < 8; i++)
        x87.st[i][0] = (uint8_t)((3 + i) & 7); /* each holds the number of its physical register */
    x86_x87_set_top(&x87, 6);
    assert_int_equal(x86_x87_top(&x87), 6);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(x87.st[i][0], (6 + i) & 7);
}

/* MM7 is the physical register 7, whatever TOP was; its exponent becomes all ones. */
static void test_mmx_enters(void **state)
{
    f.cpu.s.x87.fsw = 5 << X86_FSW_TOP_SHIFT;
    store_le64(f.cpu.s.x87.st[2], 0x1111111111111111);           /* physical 7 */
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0xfc, 0xff), X86_NEXT); /* paddb mm7, mm7 */
    assert_int_equal(x86_x87_top(&f.cpu.s.x87), 0);
    assert_int_equal(f.cpu.s.x87.ftw, 0xff);
    assert_int_equal(load_le64(f.cpu.s.x87.st[7]), 0x2222222222222222);
    assert_int_equal(load_le16(f.cpu.s.x87.st[7] + 8), 0xffff);
}

static void test_mmx_waits(void **state)
{
    f.cpu.s.x87.fcw = 0x37e;
    f.cpu.s.x87.fsw = X86_FSW_IE | X86_FSW_ES | X86_FSW_B;
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0xfc, 0xff), X86_FAULT);
    assert_int_equal(f.cpu.fault.vector, X86_MF);
    assert_int_equal(FLAT_EXEC(&f, 0xd9, 0xe8), X86_FAULT); /* fld1 */
    assert_int_equal(f.cpu.fault.vector, X86_MF);
    assert_int_equal(FLAT_EXEC(&f, 0xdf, 0xe0), X86_NEXT); /* fnstsw ax does not wait */
    assert_int_equal(f.cpu.s.gpr[X86_RAX] & 0xffff, 0x8081);
    assert_int_equal(FLAT_EXEC(&f, 0xdb, 0xe2), X86_NEXT); /* fnclex */
    assert_int_equal(FLAT_EXEC(&f, 0xd9, 0xe8), X86_NEXT);
}

/* 1.0 / 0.0 with divide by zero unmasked: #XM, or #UD for a system that does not know it. */
static void test_osxmmexcpt(void **state)
{
    store_le64(f.cpu.s.vec[0].b, 0x3ff0000000000000);
    f.cpu.s.mxcsr = X86_MXCSR_INIT & ~(X86_MXCSR_ZE << X86_MXCSR_MASK_SHIFT);
    assert_int_equal(FLAT_EXEC(&f, 0xf2, 0x0f, 0x5e, 0xc1), X86_FAULT); /* divsd xmm0, xmm1 */
    assert_int_equal(f.cpu.fault.vector, X86_XM);
    assert_int_equal(f.cpu.s.mxcsr & X86_MXCSR_FLAGS, X86_MXCSR_ZE);
    assert_int_equal(xmm(0), 0x3ff0000000000000);
    f.cpu.s.cr4 &= ~(uint64_t)X86_CR4_OSXMMEXCPT;
    assert_int_equal(FLAT_EXEC(&f, 0xf2, 0x0f, 0x5e, 0xc1), X86_FAULT);
    assert_int_equal(f.cpu.fault.vector, X86_UD);
}

/* A device is read and written through the bounce buffer, a split page on both sides. */
static void test_device_and_split(void **state)
{
    f.cpu.s.gpr[X86_RBX] = FLAT_MMIO + 0x10;
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0x10, 0x03), X86_NEXT); /* movups xmm0, [rbx] */
    assert_int_equal(xmm(0), 0x9796959493929190);
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0x11, 0x03), X86_NEXT);
    assert_true(f.mmio_writes > 0);

    f.cpu.s.gpr[X86_RBX] = DATA + 0xffb;
    store_le64(f.cpu.s.vec[1].b, 0x1122334455667788);
    store_le64(f.cpu.s.vec[1].b + 8, 0x99aabbccddeeff00);
    flat_page(&f, DATA + 0x1000, DATA + 0x5000, FLAT_RW);
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0x11, 0x0b), X86_NEXT); /* movups [rbx], xmm1 */
    assert_int_equal(load_le64(f.ram + DATA + 0xffb) & 0xffffffffff, 0x4455667788);
    assert_int_equal(load_le64(f.ram + DATA + 0x5000), 0xccddeeff00112233);
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0x10, 0x13), X86_NEXT); /* movups xmm2, [rbx] */
    assert_memory_equal(f.cpu.s.vec[1].b, f.cpu.s.vec[2].b, 16);

    /* The second page is not there: nothing is written. */
    flat_page(&f, DATA + 0x1000, 0, 0);
    memset(f.ram + DATA + 0xff0, 0, 16);
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0x11, 0x0b), X86_FAULT);
    assert_int_equal(f.cpu.fault.vector, X86_PF);
    assert_int_equal(load_le64(f.ram + DATA + 0xff8), 0);
}

/* A page whose stores are watched is told of them. */
static void test_store_is_told(void **state)
{
    f.slow_page = DATA;
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0x29, 0x03), X86_NEXT); /* movaps [rbx], xmm0 */
    assert_true(f.stored_calls > 0);
}

/* Outside of 64-bit mode there are eight registers, and VEX.W does not widen general ones. */
static void test_32_bits(void **state)
{
    flat_mode(&f, X86_MODE_32, 0);
    memset(f.ram + DATA, 0xcc, 512);
    memset(f.cpu.s.vec, 0x77, sizeof(f.cpu.s.vec));
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0xae, 0x03), X86_NEXT); /* fxsave [ebx] */
    assert_int_equal(f.ram[DATA + 160 + 127], 0x77);
    assert_int_equal(f.ram[DATA + 160 + 128], 0xcc);
    if (__builtin_cpu_supports("avx")) {
        f.cpu.s.gpr[X86_RAX] = 0xffffffff00000005;
        assert_int_equal(FLAT_EXEC(&f, 0xc4, 0xe1, 0xfb, 0x2a, 0xc8),
                         X86_NEXT); /* vcvtsi2sd xmm1, xmm0, eax; W=1 */
        assert_int_equal(xmm(1), 0x4014000000000000);
        f.cpu.s.vec[9].b[0] = 1;
        assert_int_equal(FLAT_EXEC(&f, 0xc5, 0xfc, 0x77), X86_NEXT); /* vzeroall */
        assert_int_equal(xmm(7), 0);
        assert_int_equal(f.cpu.s.vec[9].b[0], 1);
    }
}

/* FNSTENV's four forms (SDM 1 8.1.10). */
static void test_environments(void **state)
{
    struct x86_x87 *x87 = &f.cpu.s.x87;

    *x87 = (struct x86_x87){.fcw = 0x37f, .fsw = 0x1000, .fop = 0x5ab, .fip = 0x54321, .fdp = 0x98765};
    assert_int_equal(FLAT_EXEC(&f, 0xd9, 0x33), X86_NEXT); /* fnstenv [rbx] */
    assert_int_equal(load_le32(f.ram + DATA + 8), 0xffffffff);
    assert_int_equal(load_le32(f.ram + DATA + 12), 0x54321);
    assert_int_equal(load_le32(f.ram + DATA + 16), 0x5ab0000);
    assert_int_equal(load_le32(f.ram + DATA + 20), 0x98765);

    flat_mode(&f, X86_MODE_16, 0);
    f.cpu.s.gpr[X86_RBX] = 0x4000;
    f.ram[0x400e] = 0xcc;
    assert_int_equal(FLAT_EXEC(&f, 0xd9, 0x37), X86_NEXT); /* fnstenv [bx], 14 bytes */
    assert_int_equal(load_le16(f.ram + 0x4006), 0x4321);
    assert_int_equal(load_le16(f.ram + 0x4008), 0); /* CS is not kept */
    assert_int_equal(f.ram[0x400e], 0xcc);

    f.cpu.s.cr0 = X86_CR0_ET | X86_CR0_NE;
    f.cpu.s.efer = 0;
    x86_state_changed(&f.cpu);
    assert_int_equal(FLAT_EXEC(&f, 0xd9, 0x37), X86_NEXT);
    assert_int_equal(load_le16(f.ram + 0x4008), 0x55ab);
    assert_int_equal(load_le16(f.ram + 0x400c), 0x9000);
    x87->fip = x87->fdp = x87->fop = 0;
    x86_x87_set_top(x87, 0);
    assert_int_equal(FLAT_EXEC(&f, 0xd9, 0x27), X86_NEXT); /* fldenv [bx] */
    assert_int_equal(x87->fip, 0x54321);
    assert_int_equal(x87->fdp, 0x98765);
    assert_int_equal(x87->fop, 0x5ab);
    assert_int_equal(x86_x87_top(x87), 2);
}

/* XSAVEC leaves out what is initial, and XRSTOR takes the compacted form. */
static void test_compaction(void **state)
{
    f.cpu.s.gpr[X86_RAX] = 7;
    f.cpu.s.gpr[X86_RDX] = 0;
    memset(f.ram + DATA, 0xcc, X86_XSAVE_SIZE);
    x86_fpu_init(&f.cpu.s, 7);
    f.cpu.s.vec[2].b[20] = 0x42;
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0xc7, 0x23), X86_NEXT); /* xsavec [rbx] */
    assert_int_equal(load_le64(f.ram + DATA + 512), X86_XCR0_AVX);
    assert_int_equal(load_le64(f.ram + DATA + 520), BIT64(63) | 7);
    assert_int_equal(f.ram[DATA], 0xcc);
    assert_int_equal(f.ram[DATA + 576 + 36], 0x42);
    f.cpu.s.vec[2].b[20] = 0;
    f.cpu.s.vec[2].b[0] = 1;
    f.cpu.s.mxcsr = 0x1fa0;
    memset(f.ram + DATA + 528, 0, 48);
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0xae, 0x2b), X86_NEXT); /* xrstor [rbx] */
    assert_int_equal(f.cpu.s.vec[2].b[20], 0x42);
    assert_int_equal(f.cpu.s.vec[2].b[0], 0);
    assert_int_equal(f.cpu.s.mxcsr, X86_MXCSR_INIT);
    f.ram[DATA + 530] = 1; /* reserved in the header */
    assert_int_equal(FLAT_EXEC(&f, 0x0f, 0xae, 0x2b), X86_FAULT);
    assert_int_equal(f.cpu.fault.vector, X86_GP);
}

/* More thunks than there is room for: all are dropped, the generation says so, and nothing else changes. */
static void test_thunks_run_out(void **state)
{
    teardown(NULL);
    setup_with(KIB(4));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned imm = 0; imm < 256; imm++) {
            store_le64(f.cpu.s.vec[1].b, 0x0000000400000003);
            store_le64(f.cpu.s.vec[1].b + 8, 0x0000000600000005);
            assert_int_equal(FLAT_EXEC(&f, 0x66, 0x0f, 0x70, 0xc1, (uint8_t)imm),
                             X86_NEXT); /* pshufd xmm0, xmm1 */
            assert_int_equal(load_le32(f.cpu.s.vec[0].b), 3 + (imm & 3));
            assert_int_equal(load_le32(f.cpu.s.vec[0].b + 12), 3 + (imm >> 6));
            assert_true(thunks.used <= thunks.size);
        }
    assert_true(thunks.generation > 3);
    const struct x86_thunk *a = x86_thunk_get(&f.cpu, &f.insn);
    assert_ptr_equal(a, x86_thunk_get(&f.cpu, &f.insn));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pack_and_unpack), TEST(test_top_rotates),    TEST(test_mmx_enters),
        TEST(test_mmx_waits),       TEST(test_osxmmexcpt),     TEST(test_device_and_split),
        TEST(test_store_is_told),   TEST(test_32_bits),        TEST(test_environments),
        TEST(test_compaction),      TEST(test_thunks_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
