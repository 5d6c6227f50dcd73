/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaders on images made here, and on their mutilations. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tests/unit/boot/memory.h"
#include "tests/unit/fake-plat.h"

#define RAM       MIB(64)
#define IMAGE_MAX KIB(128)

/* Enough of a VM to load into: RAM, and one vCPU. */
struct fixture {
    struct fake_plat plat;
    struct vm vm;
    struct vcpu vcpu;
    uint8_t *ram;
    uint8_t image[IMAGE_MAX];
    size_t len;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    fake_plat_init(&f->plat);
    f->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f->vm.mem.ram[0] = (struct mem_ram){.size = RAM, .host = f->ram};
    f->vm.mem.ram_count = 1;
    f->vm.mem.ram_size = f->vm.mem.ram_low = RAM;
    f->vm.vcpu[0] = &f->vcpu;
    f->vm.vcpu_count = 1;
    f->vm.cpuid.phys_bits = 40;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->plat.allocations, 0);
    munmap(f->ram, RAM);
    free(f);
    return 0;
}

static int load_with(struct fixture *f, enum boot_protocol protocol, const char *module, const char *append,
                     enum boot_protocol *found)
{
    struct boot *boot = NULL;
    int r;

    f->err = (struct error){0};
    r = boot_open_memory(&boot, &f->plat.plat, protocol, f->image, f->len, module,
                         module ? strlen(module) : 0, append, &f->err);
    if (r == 0 && found)
        *found = boot_protocol(boot);
    r = r < 0 ? r : boot_load(boot, &f->vm, &f->err);
    boot_close(boot);
    return r;
}

static int load(struct fixture *f, enum boot_protocol *found)
{
    return load_with(f, BOOT_AUTO, "initrd", "a=b", found);
}

/* ---- Linux ---- */

#define SETUP_SIZE 1024U

static void make_linux(struct fixture *f)
{
    uint8_t *h = f->image;

    memset(f->image, 0, sizeof(f->image));
    h[0x1f1] = 1; /* setup sectors */
    store_le32(h + 0x1f4, 0x1000 / 16);
    store_le16(h + 0x1fe, 0xaa55);
    h[0x201] = 0x6a;
    store_le32(h + 0x202, 0x53726448);
    store_le16(h + 0x206, 0x20f);
    h[0x211] = 1;
    store_le32(h + 0x22c, 0x7fffffff);
    h[0x234] = 1;
    store_le16(h + 0x236, 1);
    store_le32(h + 0x238, 2047);
    store_le64(h + 0x258, 0x1000000);
    store_le32(h + 0x260, 0x100000);
    memset(h + SETUP_SIZE, 0x90, 0x1000);
    f->len = SETUP_SIZE + 0x1000;
}

static void test_linux(void **state)
{
    struct fixture *f = *state;
    const struct x86_state *s = &f->vcpu.cpu.s;
    enum boot_protocol found = BOOT_AUTO;
    const uint8_t *zero_page;

    make_linux(f);
    assert_int_equal(load(f, &found), 0);
    assert_int_equal(found, BOOT_LINUX);
    assert_int_equal(s->rip, 0x1000200);
    assert_int_equal(f->ram[0x1000000], 0x90);
    assert_true(s->cr0 & X86_CR0_PG && s->cr4 & X86_CR4_PAE && s->efer & X86_EFER_LMA);
    assert_true(s->seg[X86_CS].attr & X86_SEG_L);
    zero_page = f->ram + s->gpr[X86_RSI];
    assert_string_equal((const char *)f->ram + load_le32(zero_page + 0x228), "a=b");
    assert_memory_equal(f->ram + load_le32(zero_page + 0x218), "initrd", 6);
    assert_int_equal(load_le32(zero_page + 0x21c), 6);
    assert_int_equal(zero_page[0x210], 0xff);
    assert_true(zero_page[0x1e8] >= 4);
    /* identity: the page tables lead the kernel's address to itself */
    assert_int_equal(load_le64(f->ram + s->cr3) & 0xfff, 3);
    assert_int_equal(s->mtrr_def_type, 0xc06);
}

static void test_linux_32(void **state)
{
    struct fixture *f = *state;

    make_linux(f);
    store_le16(f->image + 0x236, 0);
    assert_int_equal(load(f, NULL), 0);
    assert_int_equal(f->vcpu.cpu.s.rip, 0x1000000);
    assert_false(f->vcpu.cpu.s.cr0 & X86_CR0_PG);
}

static void test_linux_reload(void **state)
{
    struct fixture *f = *state;
    struct boot *boot;

    make_linux(f);
    assert_int_equal(
        boot_open_memory(&boot, &f->plat.plat, BOOT_AUTO, f->image, f->len, NULL, 0, "", &f->err), 0);
    assert_int_equal(boot_load(boot, &f->vm, &f->err), 0);
    memset(f->ram, 0xff, MIB(32));
    memset(&f->vcpu.cpu.s, 0xff, sizeof(f->vcpu.cpu.s));
    assert_int_equal(boot_load(boot, &f->vm, &f->err), 0);
    assert_int_equal(f->ram[0x1000000], 0x90);
    assert_int_equal(f->vcpu.cpu.s.rip, 0x1000200);
    assert_int_equal(f->vcpu.cpu.s.activity, X86_ACT_RUN);
    boot_close(boot);
}

/* The error must name the file and say this. */
static void refuse(struct fixture *f, const char *says)
{
    int r = load(f, NULL);

    if (r >= 0 || !strstr(f->err.text, says))
        fail_msg("got %d '%s', wanted '%s'", r, f->err.text, says);
}

static void test_linux_bad(void **state)
{
    struct fixture *f = *state;
    char *line = malloc(4000);

    make_linux(f);
    f->len = 0x230;
    refuse(f, "truncated");
    make_linux(f);
    f->len = SETUP_SIZE + 0x800;
    refuse(f, "truncated");
    make_linux(f);
    f->len = SETUP_SIZE;
    refuse(f, "ends in its setup code");
    make_linux(f);
    store_le16(f->image + 0x206, 0x204);
    refuse(f, "boot protocol is 2.04");
    make_linux(f);
    f->image[0x211] = 0;
    refuse(f, "zImage");
    make_linux(f);
    store_le64(f->image + 0x258, 0x10000000000);
    refuse(f, "outside of");
    make_linux(f);
    store_le32(f->image + 0x260, 0x7f000000);
    refuse(f, "--memory");
    make_linux(f);
    memset(line, 'x', 3999);
    line[3999] = 0;
    assert_true(load_with(f, BOOT_AUTO, NULL, line, NULL) < 0);
    assert_non_null(strstr(f->err.text, "this kernel takes 2047"));
    free(line);
    make_linux(f);
    assert_true(load_with(f, BOOT_ELF, NULL, "", NULL) < 0);
    assert_non_null(strstr(f->err.text, "is not an ELF file"));
}

/* ---- ELF, multiboot ---- */

struct elf_plan {
    bool is64;
    uint64_t paddr, vaddr, entry;
    uint16_t machine;
};

/* One loadable segment of a page at file offset 0x1000, twice as large in memory. */
static void make_elf(struct fixture *f, struct elf_plan p)
{
    uint8_t *h = f->image, *ph = h + 64;

    memset(f->image, 0, sizeof(f->image));
    memcpy(h, "\177ELF", 4);
    h[4] = p.is64 ? 2 : 1;
    h[5] = h[6] = 1;
    store_le16(h + 16, 2);
    store_le16(h + 18, p.machine ? p.machine : p.is64 ? 62 : 3);
    if (p.is64) {
        store_le64(h + 24, p.entry);
        store_le64(h + 32, 64);
        store_le16(h + 54, 56);
        store_le16(h + 56, 1);
        store_le32(ph, 1);
        store_le64(ph + 8, 0x1000);
        store_le64(ph + 16, p.vaddr);
        store_le64(ph + 24, p.paddr);
        store_le64(ph + 32, 0x1000);
        store_le64(ph + 40, 0x2000);
    } else {
        store_le32(h + 24, (uint32_t)p.entry);
        store_le32(h + 28, 64);
        store_le16(h + 42, 32);
        store_le16(h + 44, 1);
        store_le32(ph, 1);
        store_le32(ph + 4, 0x1000);
        store_le32(ph + 8, (uint32_t)p.vaddr);
        store_le32(ph + 12, (uint32_t)p.paddr);
        store_le32(ph + 16, 0x1000);
        store_le32(ph + 20, 0x2000);
    }
    memset(h + 0x1000, 0xab, 0x1000);
    f->len = 0x2000;
}

static const struct elf_plan elf32 = {.paddr = 0x100000, .vaddr = 0x100000, .entry = 0x100010};
static const struct elf_plan elf64 = {
    .is64 = true, .paddr = 0x200000, .vaddr = 0xffffffff80200000, .entry = 0xffffffff80200020};

static void test_plain_elf(void **state)
{
    struct fixture *f = *state;
    const struct x86_state *s = &f->vcpu.cpu.s;
    enum boot_protocol found = BOOT_AUTO;

    make_elf(f, elf32);
    assert_int_equal(load(f, &found), 0);
    assert_int_equal(found, BOOT_ELF);
    assert_int_equal(s->rip, 0x100010);
    assert_false(s->efer & X86_EFER_LMA);
    assert_true(s->seg[X86_CS].attr & X86_SEG_DB);
    assert_int_equal(load_le32(f->ram + s->gpr[X86_RBX]), 0x336ec578);

    make_elf(f, elf64);
    assert_int_equal(load(f, &found), 0);
    assert_int_equal(s->rip, 0x200020); /* linked high, entered low */
    assert_true(s->efer & X86_EFER_LMA);
    assert_int_equal(s->gpr[X86_RDI], s->gpr[X86_RBX]);
    assert_int_equal(f->ram[0x200fff], 0xab);
    assert_int_equal(f->ram[0x201000], 0);
}

static void test_pvh(void **state)
{
    struct fixture *f = *state;
    enum boot_protocol found = BOOT_AUTO;
    const uint8_t *start, *map;
    uint8_t *ph, *note;

    make_elf(f, elf64);
    store_le16(f->image + 56, 2);
    ph = f->image + 64 + 56;
    note = f->image + 0x1800;
    store_le32(ph, 4);
    store_le64(ph + 8, 0x1800);
    store_le64(ph + 32, 12 + 4 + 8);
    store_le32(note, 4);
    store_le32(note + 4, 8);
    store_le32(note + 8, 18);
    memcpy(note + 12, "Xen", 4);
    store_le64(note + 16, 0x200100);
    assert_int_equal(load(f, &found), 0);
    assert_int_equal(found, BOOT_PVH);
    assert_int_equal(f->vcpu.cpu.s.rip, 0x200100);
    assert_false(f->vcpu.cpu.s.cr0 & X86_CR0_PG);
    start = f->ram + f->vcpu.cpu.s.gpr[X86_RBX];
    assert_int_equal(load_le32(start), 0x336ec578);
    assert_int_equal(load_le32(start + 12), 1);
    assert_memory_equal(f->ram + load_le64(f->ram + load_le64(start + 16)), "initrd", 6);
    assert_string_equal((const char *)f->ram + load_le64(start + 24), "a=b");
    map = f->ram + load_le64(start + 40);
    assert_int_equal(load_le64(map), 0);
    assert_int_equal(load_le32(map + 16), BOOT_MEM_RAM);
    assert_true(load_le32(start + 48) >= 4);
}

static void put_mb1_header(uint8_t *h, uint32_t flags)
{
    store_le32(h, 0x1badb002);
    store_le32(h + 4, flags);
    store_le32(h + 8, -(0x1badb002 + flags));
}

static void test_multiboot1(void **state)
{
    struct fixture *f = *state;
    enum boot_protocol found = BOOT_AUTO;
    const uint8_t *info, *module;

    for (int wide = 0; wide < 2; wide++) {
        make_elf(f, wide ? elf64 : elf32);
        put_mb1_header(f->image + 0x1100, 3);
        assert_int_equal(load(f, &found), 0);
        assert_int_equal(found, BOOT_MULTIBOOT1);
        assert_int_equal(f->vcpu.cpu.s.gpr[X86_RAX], 0x2badb002);
        assert_false(f->vcpu.cpu.s.cr0 & X86_CR0_PG);
        assert_int_equal(f->vcpu.cpu.s.rip, wide ? 0x200020 : 0x100010);
        info = f->ram + f->vcpu.cpu.s.gpr[X86_RBX];
        assert_int_equal(load_le32(info) & (BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9)),
                         BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9));
        assert_string_equal((const char *)f->ram + load_le32(info + 16), "a=b");
        assert_int_equal(load_le32(info + 8), (RAM - MIB(1)) / 1024);
        assert_int_equal(load_le32(info + 20), 1);
        module = f->ram + load_le32(info + 24);
        assert_int_equal(load_le32(module) % 4096, 0);
        assert_memory_equal(f->ram + load_le32(module), "initrd", 6);
        assert_int_equal(load_le32(module + 4) - load_le32(module), 6);
        assert_string_equal((const char *)f->ram + load_le32(module + 8), "module");
        assert_string_equal((const char *)f->ram + load_le32(info + 64), "batuta");
    }
}

static void make_kludge(struct fixture *f)
{
    memset(f->image, 0, sizeof(f->image));
    put_mb1_header(f->image + 0x40, 3 | BIT(16));
    store_le32(f->image + 0x40 + 12, 0x100040);
    store_le32(f->image + 0x40 + 16, 0x100000);
    store_le32(f->image + 0x40 + 20, 0x101000);
    store_le32(f->image + 0x40 + 24, 0x103000);
    store_le32(f->image + 0x40 + 28, 0x100080);
    f->image[0x80] = 0xf4;
    f->len = 0x1000;
}

static void test_kludge(void **state)
{
    struct fixture *f = *state;

    make_kludge(f);
    assert_int_equal(load(f, NULL), 0);
    assert_int_equal(f->vcpu.cpu.s.rip, 0x100080);
    assert_int_equal(f->ram[0x100080], 0xf4);
    make_kludge(f);
    f->len = 0x800;
    refuse(f, "truncated");
    make_kludge(f);
    store_le32(f->image + 0x40 + 12, 0x200000);
    refuse(f, "contradict");
    make_kludge(f);
    store_le32(f->image + 0x40 + 20, 0x1000);
    refuse(f, "out of order");
    make_kludge(f);
    store_le32(f->image + 0x40 + 24, 0x100800);
    refuse(f, "out of order");
    make_kludge(f);
    store_le32(f->image + 0x40 + 24, 0xf0000000);
    refuse(f, "does not have");
    make_kludge(f);
    put_mb1_header(f->image + 0x40, BIT(16) | BIT(5));
    refuse(f, "requires features");
}

/* A multiboot 2 header at the segment's start, with an optional further tag. */
static void put_mb2_header(uint8_t *h, uint16_t type, uint16_t flags, uint32_t size)
{
    uint32_t len = 16 + (type ? ALIGN_UP(size, 8U) : 0) + 8;

    store_le32(h, 0xe85250d6);
    store_le32(h + 4, 0);
    store_le32(h + 8, len);
    store_le32(h + 12, -(0xe85250d6 + len));
    if (type) {
        store_le16(h + 16, type);
        store_le16(h + 18, flags);
        store_le32(h + 20, size);
    }
    store_le16(h + len - 8, 0);
    store_le32(h + len - 4, 8);
}

/* The information's tag of a type, or NULL. */
static const uint8_t *find_tag(const uint8_t *info, uint32_t type)
{
    uint32_t total = load_le32(info);

    for (uint32_t at = 8; at < total; at += ALIGN_UP(load_le32(info + at + 4), 8U)) {
        if (load_le32(info + at) == type)
            return info + at;
    }
    return NULL;
}

static void test_multiboot2(void **state)
{
    struct fixture *f = *state;
    enum boot_protocol found = BOOT_AUTO;
    const uint8_t *info, *tag;

    make_elf(f, elf64);
    memset(f->image + 0x1000, 0, 0x100);
    put_mb2_header(f->image + 0x1000, 3, 0, 12);
    store_le32(f->image + 0x1000 + 24, 0x200040);
    assert_int_equal(load(f, &found), 0);
    assert_int_equal(found, BOOT_MULTIBOOT2);
    assert_int_equal(f->vcpu.cpu.s.gpr[X86_RAX], 0x36d76289);
    assert_int_equal(f->vcpu.cpu.s.rip, 0x200040); /* the entry tag wins */
    info = f->ram + f->vcpu.cpu.s.gpr[X86_RBX];
    assert_string_equal((const char *)find_tag(info, 1) + 8, "a=b");
    assert_string_equal((const char *)find_tag(info, 2) + 8, "batuta");
    tag = find_tag(info, 3);
    assert_memory_equal(f->ram + load_le32(tag + 8), "initrd", 6);
    assert_string_equal((const char *)tag + 16, "module");
    tag = find_tag(info, 6);
    assert_int_equal(load_le32(tag + 8), 24);
    assert_non_null(find_tag(info, 4));
    assert_non_null(find_tag(info, 0));
    assert_null(find_tag(info, 14)); /* no ACPI here */

    put_mb2_header(f->image + 0x1000, 99, 0, 8);
    refuse(f, "not in the specification");
    put_mb2_header(f->image + 0x1000, 99, 1, 8); /* optional */
    assert_int_equal(load(f, NULL), 0);
    put_mb2_header(f->image + 0x1000, 1, 0, 12);
    store_le32(f->image + 0x1000 + 24, 77);
    refuse(f, "information of type 77");
    put_mb2_header(f->image + 0x1000, 2, 0, 8);
    refuse(f, "too short");
    put_mb2_header(f->image + 0x1000, 5, 1, 8);
    store_le32(f->image + 0x1000 + 20, 0xfffffff8);
    refuse(f, "do not end");
}

static void test_elf_bad(void **state)
{
    struct fixture *f = *state;
    struct elf_plan p = elf32;

    make_elf(f, elf32);
    f->len = 0x1800;
    refuse(f, "truncated");
    make_elf(f, elf32);
    f->len = 40;
    refuse(f, "truncated");
    p.machine = 40;
    make_elf(f, p);
    refuse(f, "another processor");
    make_elf(f, elf32);
    store_le16(f->image + 16, 1);
    refuse(f, "link it first");
    make_elf(f, elf32);
    store_le16(f->image + 44, 0);
    refuse(f, "program headers");
    make_elf(f, elf32);
    store_le16(f->image + 44, 0xffff);
    refuse(f, "program headers");
    make_elf(f, elf64);
    store_le64(f->image + 32, UINT64_MAX - 8);
    refuse(f, "truncated");
    make_elf(f, elf32);
    store_le32(f->image + 64 + 20, 0x10);
    refuse(f, "larger in the file");
    make_elf(f, elf64);
    store_le64(f->image + 64 + 24, UINT64_MAX - 0x100);
    refuse(f, "wraps around");
    make_elf(f, elf32);
    store_le32(f->image + 64 + 12, 0xa0000);
    refuse(f, "does not have");
    make_elf(f, elf32);
    store_le32(f->image + 64 + 20, 0x7fffffff);
    refuse(f, "does not have");
}

static void test_not_a_kernel(void **state)
{
    struct fixture *f = *state;

    memset(f->image, 0, 4096);
    f->len = 4096;
    refuse(f, "is not a kernel");
    memcpy(f->image, "\x1f\x8b", 2);
    refuse(f, "gunzip");
    memcpy(f->image, "QFI\xfb", 4);
    refuse(f, "--disk");
    f->len = 1;
    refuse(f, "is not a kernel");
}

/* Whatever allocation fails: an error, and nothing is left. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    struct boot *boot;
    unsigned n = 0;
    int r;

    make_linux(f);
    do {
        boot = NULL;
        f->err = (struct error){0};
        f->plat.fail_after = ++n;
        r = boot_open_memory(&boot, &f->plat.plat, BOOT_AUTO, f->image, f->len, "initrd", 6, "", &f->err);
        r = r < 0 ? r : boot_load(boot, &f->vm, &f->err);
        boot_close(boot);
        assert_int_equal(f->plat.allocations, 0);
        assert_int_equal(r, -f->err.code);
    } while (r == -ENOMEM);
    assert_int_equal(r, 0);
    assert_true(n > 8);
    f->plat.fail_after = 0;
}

static void test_empty(void **state)
{
    struct fixture *f = *state;

    f->len = 0;
    refuse(f, "kernel: is empty");
    make_linux(f);
    assert_int_equal(load_with(f, BOOT_AUTO, "", "", NULL), -EINVAL);
    assert_string_equal(f->err.text, "module: is empty");
}

/* A reserved piece (ACPI tables) is told to the guest and never used. */
static void test_reserved(void **state)
{
    struct fixture *f = *state;
    struct boot *boot;
    const uint8_t *zero_page;
    bool told = false;

    make_linux(f);
    assert_int_equal(
        boot_open_memory(&boot, &f->plat.plat, BOOT_AUTO, f->image, f->len, "initrd", 6, "", &f->err), 0);
    assert_int_equal(boot_reserve(boot, RAM - 0x10000, 0x10000, BOOT_MEM_ACPI), 0);
    boot_set_rsdp(boot, 0xe0000);
    assert_int_equal(boot_load(boot, &f->vm, &f->err), 0);
    zero_page = f->ram + f->vcpu.cpu.s.gpr[X86_RSI];
    assert_true(load_le32(zero_page + 0x218) < RAM - 0x10000);
    assert_int_equal(load_le64(zero_page + 0x70), 0xe0000);
    for (unsigned i = 0; i < zero_page[0x1e8]; i++) {
        const uint8_t *e = zero_page + 0x2d0 + i * 20;

        told |= load_le64(e) == RAM - 0x10000 && load_le64(e + 8) == 0x10000 &&
                load_le32(e + 16) == BOOT_MEM_ACPI;
    }
    assert_true(told);
    boot_close(boot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_linux, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linux_32, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linux_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linux_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_elf, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pvh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_multiboot1, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kludge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_multiboot2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elf_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_a_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reserved, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
