/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of the host as a loader's sources. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tests/unit/fake-plat.h"
#include "vmm/boot-file.h"

#define RAM MIB(8)

/* A 32-bit ELF file with one segment at 1 MiB that holds one byte. */
static void make_elf(uint8_t image[4096], uint8_t byte)
{
    memset(image, 0, 4096);
    memcpy(image, "\177ELF\1\1", 6);
    store_le16(image + 16, 2);
    store_le16(image + 18, 3);
    store_le32(image + 24, 0x100000);
    store_le32(image + 28, 64);
    store_le16(image + 42, 32);
    store_le16(image + 44, 1);
    store_le32(image + 64, 1);
    store_le32(image + 68, 2048);
    store_le32(image + 76, 0x100000);
    store_le32(image + 80, 2048);
    store_le32(image + 84, 2048);
    image[2048] = byte;
}

struct fixture {
    struct fake_plat plat;
    struct vm vm;
    struct vcpu vcpu;
    uint8_t *ram;
    char path[32];
    int fd;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint8_t image[4096];

    fake_plat_init(&f->plat);
    f->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f->vm.mem.ram[0] = (struct mem_ram){.size = RAM, .host = f->ram};
    f->vm.mem.ram_count = 1;
    f->vm.mem.ram_size = f->vm.mem.ram_low = RAM;
    f->vm.vcpu[0] = &f->vcpu;
    f->vm.vcpu_count = 1;
    strcpy(f->path, "/tmp/batuta-boot-XXXXXX");
    f->fd = mkstemp(f->path);
    make_elf(image, 0x11);
    assert_int_equal(write(f->fd, image, sizeof(image)), sizeof(image));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->plat.allocations, 0);
    close(f->fd);
    unlink(f->path);
    munmap(f->ram, RAM);
    free(f);
    return 0;
}

static void test_bad_files(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path, *says;
    } files[] = {{"/nonexistent", "cannot be opened: No such file"},
                 {"/tmp", "is a directory"},
                 {"/dev/null", "is empty"}};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        const struct boot_module_config module = {.path = files[i].path};
        const struct boot_config kernel = {.kernel = files[i].path};
        const struct boot_config initrd = {.kernel = f->path, .modules = &module, .module_count = 1};
        struct boot *boot = NULL;

        for (unsigned j = 0; j < 2; j++) {
            struct error err = {0};

            assert_true(boot_open_files(&boot, &f->plat.plat, j ? &initrd : &kernel, &err) < 0);
            assert_null(boot);
            assert_non_null(strstr(err.text, files[i].says));
            assert_ptr_equal(strstr(err.text, files[i].path), err.text);
        }
    }
}

/* A reset sees what is in the file by then, or says what became of it. */
static void test_read_anew(void **state)
{
    struct fixture *f = *state;
    const struct boot_config config = {.kernel = f->path, .append = "a"};
    struct error err = {0};
    struct boot *boot = NULL;

    assert_int_equal(boot_open_files(&boot, &f->plat.plat, &config, &err), 0);
    assert_int_equal(boot_protocol(boot), BOOT_ELF);
    assert_int_equal(boot_load(boot, &f->vm, &err), 0);
    assert_int_equal(f->ram[0x100000], 0x11);
    assert_int_equal(pwrite(f->fd, "\x22", 1, 2048), 1);
    assert_int_equal(boot_load(boot, &f->vm, &err), 0);
    assert_int_equal(f->ram[0x100000], 0x22);
    assert_int_equal(ftruncate(f->fd, 1024), 0);
    assert_int_equal(boot_load(boot, &f->vm, &err), -EIO);
    assert_non_null(strstr(err.text, "became shorter while it was read"));
    boot_close(boot);
}

/* What can be read once only is kept. */
static void test_pipe(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct boot *boot = NULL;
    uint8_t image[4096];
    char path[32];
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    make_elf(image, 0x33);
    assert_int_equal(write(fd[1], image, sizeof(image)), sizeof(image));
    close(fd[1]);
    snprintf(path, sizeof(path), "/dev/fd/%d", fd[0]);
    assert_int_equal(boot_open_files(&boot, &f->plat.plat, &(struct boot_config){.kernel = path}, &err), 0);
    close(fd[0]);
    for (unsigned i = 0; i < 2; i++) {
        f->ram[0x100000] = 0;
        assert_int_equal(boot_load(boot, &f->vm, &err), 0);
        assert_int_equal(f->ram[0x100000], 0x33);
    }
    boot_close(boot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipe, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
