/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux's x86 boot protocol (Documentation/arch/x86/boot.rst): a bzImage is a
 * real-mode part with the setup header, which we only read, and a protected-mode
 * part, entered 0x200 bytes past its start in long mode (protocol 2.12 and
 * later), or at its start in 32-bit mode (older and 32-bit kernels).
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "boot/boot-internal.h"

/* Offsets in the image's first sectors, and in the zero page (boot_params). */
enum {
    HDR_START = 0x1f1,
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4,
    HDR_VID_MODE = 0x1fa,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP_LEN = 0x201,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_LOADER_TYPE = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_CMDLINE_PTR = 0x228,
    HDR_INITRD_MAX = 0x22c,
    HDR_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_END_MAX = 0x290,

    ZP_RSDP = 0x70,
    ZP_E820_COUNT = 0x1e8,
    ZP_E820 = 0x2d0,
    ZP_E820_MAX = 128,
    ZP_SIZE = 0x1000,
};

#define MAGIC_HDRS       0x53726448U
#define LOADED_HIGH      BIT(0)
#define XLF_KERNEL_64    BIT(0)
#define LOADER_UNDEFINED 0xff
#define OLD_CMDLINE_SIZE 255U
#define OLD_INITRD_MAX   0x37ffffffU
#define DEFAULT_LOAD     0x100000ULL

struct linux_kernel {
    uint8_t header[ZP_SIZE]; /* the image's first page */
    unsigned version;
    uint64_t setup_size; /* of the real-mode part: where the kernel begins in the file */
    uint64_t size;       /* of the protected-mode part */
    uint64_t address, init_size;
    bool entry64;
};

bool linux_probe(const uint8_t *head, size_t len)
{
    return len >= HDR_MAGIC + 4 && load_le16(head + HDR_BOOT_FLAG) == 0xaa55 &&
           load_le32(head + HDR_MAGIC) == MAGIC_HDRS;
}

static int parse_header(struct boot_load *load, struct linux_kernel *k)
{
    const struct boot_source *image = &load->boot->kernel;
    unsigned sects;
    int r = boot_source_read(image, 0, k->header, MIN(image->size, (uint64_t)ZP_SIZE), load->err);

    if (r < 0)
        return r;
    if (image->size < HDR_END_MAX || !linux_probe(k->header, ZP_SIZE))
        return error_set(load->err, EINVAL, "%s: is truncated: Linux's setup header is not whole",
                         image->name);
    k->version = load_le16(k->header + HDR_VERSION);
    if (k->version < 0x206)
        return error_set(load->err, ENOTSUP,
                         "%s: its boot protocol is %u.%02u; at least 2.06 (Linux 2.6.22) is needed",
                         image->name, k->version >> 8, k->version & 0xff);
    if (!(k->header[HDR_LOADFLAGS] & LOADED_HIGH))
        return error_set(load->err, ENOTSUP, "%s: is a zImage; build a bzImage", image->name);
    sects = k->header[HDR_SETUP_SECTS] ? k->header[HDR_SETUP_SECTS] : 4;
    k->setup_size = (sects + 1) * 512;
    if (image->size <= k->setup_size)
        return error_set(load->err, EINVAL, "%s: is truncated: it ends in its setup code", image->name);
    k->size = image->size - k->setup_size;
    if (k->size < (uint64_t)load_le32(k->header + HDR_SYSSIZE) * 16 - 15 &&
        load_le32(k->header + HDR_SYSSIZE))
        return error_set(
            load->err, EINVAL, "%s: is truncated: %llu bytes, its header says %llu", image->name,
            (unsigned long long)image->size,
            (unsigned long long)(k->setup_size + (uint64_t)load_le32(k->header + HDR_SYSSIZE) * 16));
    k->entry64 = k->version >= 0x20c && load_le16(k->header + HDR_XLOADFLAGS) & XLF_KERNEL_64;
    return 0;
}

static int load_kernel(struct boot_load *load, struct linux_kernel *k)
{
    int r;

    k->address = DEFAULT_LOAD;
    k->init_size = k->size;
    if (k->version >= 0x20a) {
        if (k->header[HDR_RELOCATABLE])
            k->address = load_le64(k->header + HDR_PREF_ADDRESS);
        k->init_size = MAX(k->size, load_le32(k->header + HDR_INIT_SIZE));
    }
    if (k->address < DEFAULT_LOAD || k->address >= MEM_LOW_MAX)
        return error_set(load->err, EINVAL, "%s: wants to be loaded at 0x%llx, outside of 1 MiB to 2 GiB",
                         load->boot->kernel.name, (unsigned long long)k->address);
    r = boot_claim(load, k->address, k->init_size, "the kernel");
    if (r == 0)
        r = boot_put_file(load, k->address, &load->boot->kernel, k->setup_size, k->size);
    return r;
}

static int put_cmdline(struct boot_load *load, struct linux_kernel *k)
{
    const char *text = load->boot->append;
    uint64_t max = load_le32(k->header + HDR_CMDLINE_SIZE), gpa;
    int r;

    if (!max)
        max = OLD_CMDLINE_SIZE;
    if (text_length(text) > max)
        return error_set(load->err, E2BIG,
                         "--append: the command line has %llu characters, this kernel takes %llu",
                         (unsigned long long)text_length(text), (unsigned long long)max);
    r = boot_put_string(load, text, &gpa);
    if (r == 0)
        store_le32(k->header + HDR_CMDLINE_PTR, (uint32_t)gpa);
    return r;
}

/* Several archives make one initrd, each padded to 4 bytes, as Linux concatenates them. */
static int put_initrd(struct boot_load *load, struct linux_kernel *k)
{
    const struct boot *boot = load->boot;
    uint64_t total = 0, high = load_le32(k->header + HDR_INITRD_MAX), gpa, at;
    int r;

    for (unsigned i = 0; i < boot->module_count; i++) {
        total = ALIGN_UP(total, 4ULL);
        if (!add_fits(total, boot->modules[i].image.size, &total) || total > UINT32_MAX)
            return error_set(load->err, EFBIG, "%s: is too large for an initrd", boot->modules[i].image.name);
    }
    if (!total)
        return 0;
    high = MIN((high ? high : OLD_INITRD_MAX) + 1, MEM_LOW_MAX);
    r = boot_place(load, total, MEM_PAGE, DEFAULT_LOAD, high, true, "the initrd", &gpa);
    if (r < 0)
        return r;
    at = gpa;
    for (unsigned i = 0; i < boot->module_count; i++) {
        const struct boot_source *image = &boot->modules[i].image;
        uint64_t start = ALIGN_UP(at, 4ULL);

        boot_put_zero(load, at, start - at);
        r = boot_put_file(load, start, image, 0, image->size);
        if (r < 0)
            return r;
        at = start + image->size;
    }
    store_le32(k->header + HDR_RAMDISK_IMAGE, (uint32_t)gpa);
    store_le32(k->header + HDR_RAMDISK_SIZE, (uint32_t)total);
    return 0;
}

static void put_e820(const struct boot_load *load, uint8_t *zero_page)
{
    unsigned n = MIN(load->map_count, (unsigned)ZP_E820_MAX);

    for (unsigned i = 0; i < n; i++) {
        uint8_t *e = zero_page + ZP_E820 + i * 20;

        store_le64(e, load->map[i].gpa);
        store_le64(e + 8, load->map[i].size);
        store_le32(e + 16, load->map[i].type);
    }
    zero_page[ZP_E820_COUNT] = (uint8_t)n;
}

static int put_zero_page(struct boot_load *load, const struct linux_kernel *k, uint64_t *gpa)
{
    uint8_t page[ZP_SIZE] = {0};
    size_t end = MIN(HDR_MAGIC + (size_t)k->header[HDR_JUMP_LEN], (size_t)HDR_END_MAX);
    int r = boot_place(load, ZP_SIZE, MEM_PAGE, 0x1000, MEM_LOW_MAX, false, "the boot parameters", gpa);

    if (r < 0)
        return r;
    memcpy(page + HDR_START, k->header + HDR_START, end - HDR_START);
    page[HDR_LOADER_TYPE] = LOADER_UNDEFINED;
    store_le16(page + HDR_VID_MODE, 0xffff);
    store_le32(page + HDR_CODE32_START, (uint32_t)k->address);
    store_le64(page + ZP_RSDP, load->boot->rsdp);
    put_e820(load, page);
    boot_put(load, *gpa, page, sizeof(page));
    return 0;
}

static int load_all(struct boot_load *load, struct linux_kernel *k)
{
    uint64_t zero_page;
    int r = parse_header(load, k);

    r = r < 0 ? r : load_kernel(load, k);
    r = r < 0 ? r : put_cmdline(load, k);
    r = r < 0 ? r : put_initrd(load, k);
    r = r < 0 ? r : put_zero_page(load, k, &zero_page);
    if (r < 0)
        return r;
    load->entry.long_mode = k->entry64;
    load->entry.rip = k->address + (k->entry64 ? 0x200 : 0);
    load->entry.rsi = zero_page;
    return 0;
}

int linux_load(struct boot_load *load)
{
    struct linux_kernel *k = boot_alloc(load->boot, sizeof(*k));
    int r = k ? load_all(load, k) : error_set(load->err, ENOMEM, "out of memory");

    boot_free(load->boot, k);
    return r;
}
