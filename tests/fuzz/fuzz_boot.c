/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel images are hostile. The first byte's low half names the protocol (0:
 * detect it), its high half a magic to put in so that the loader behind it is
 * reached; the rest is the image. Loading must end in success or one error, writing to RAM only, and
 * a second time (a reset) with the same result.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "tests/unit/boot/memory.h"
#include "tests/unit/fake-plat.h"

#define RAM MIB(8)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Guest RAM between two pages that nobody may touch. */
static uint8_t *make_ram(void)
{
    uint8_t *all =
        mmap(NULL, RAM + 2 * MEM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (all == MAP_FAILED || mprotect(all + MEM_PAGE, RAM, PROT_READ | PROT_WRITE) < 0)
        abort();
    return all + MEM_PAGE;
}

static void make_vm(struct vm *vm, struct vcpu *vcpu, uint8_t *ram)
{
    memset(vm, 0, sizeof(*vm));
    memset(vcpu, 0, sizeof(*vcpu));
    vm->mem.ram[0] = (struct mem_ram){.size = RAM, .host = ram};
    vm->mem.ram_count = 1;
    vm->mem.ram_size = vm->mem.ram_low = RAM;
    vm->vcpu[0] = vcpu;
    vm->vcpu_count = 1;
}

/* Random bytes hardly ever have a magic: give the image one, by `kind`. */
static void repair(uint8_t *image, size_t len, unsigned kind)
{
    size_t at = len > 16 ? (0x400 + image[len - 1] * 8U) % (len - 16) & ~7U : 0;

    if (kind == 1 && len >= 0x290) {
        store_le16(image + 0x1fe, 0xaa55);
        store_le32(image + 0x202, 0x53726448);
        image[0x211] |= 1;
        image[0x207] = 2;
    } else if (kind == 2 && len > at + 16) {
        store_le32(image + at, 0x1badb002);
        store_le32(image + at + 8, -(0x1badb002 + load_le32(image + at + 4)));
    } else if (kind == 3 && len > at + 16) {
        store_le32(image + at, 0xe85250d6);
        store_le32(image + at + 4, 0);
        store_le32(image + at + 12, -(0xe85250d6 + load_le32(image + at + 8)));
    }
}

static int load_once(struct boot *boot, struct vm *vm)
{
    struct error err = {0};
    int r = boot_load(boot, vm, &err);

    if ((r < 0) != (err.code != 0) || strchr(err.text, '\n'))
        abort();
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm *vm = malloc(sizeof(*vm));
    struct vcpu *vcpu = malloc(sizeof(*vcpu));
    struct fake_plat plat;
    struct boot *boot = NULL;
    struct error err = {0};
    uint8_t *ram, *image;
    unsigned choice;

    if (size < 2) {
        free(vm);
        free(vcpu);
        return 0;
    }
    choice = data[0] & 15;
    image = malloc(size - 1); /* of its exact size, for the sanitizer */
    memcpy(image, data + 1, size - 1);
    repair(image, size - 1, data[0] >> 4);
    ram = make_ram();
    make_vm(vm, vcpu, ram);
    fake_plat_init(&plat);
    if (boot_open_memory(&boot, &plat.plat,
                         choice < BOOT_PROTOCOL_COUNT ? (enum boot_protocol)choice : BOOT_AUTO, image,
                         size - 1, "module", 6, "command line", &err) == 0) {
        boot_reserve(boot, RAM - 0x10000, 0x10000, BOOT_MEM_ACPI);
        if (load_once(boot, vm) != load_once(boot, vm))
            abort();
    } else if (!err.code) {
        abort();
    }
    boot_close(boot);
    if (plat.allocations)
        abort();
    munmap(ram - MEM_PAGE, RAM + 2 * MEM_PAGE);
    free(image);
    free(vm);
    free(vcpu);
    return 0;
}
