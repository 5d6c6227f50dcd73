/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/boot/boot.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "vmm/boot/boot-internal.h"

/* In the order of probing: a multiboot header may sit in an ELF file, and a bzImage is never one. */
static const struct {
    enum boot_protocol protocol;
    const char *name;
    const char *wants; /* for "is not …" */
    bool (*probe)(const uint8_t *head, size_t len);
    int (*load)(struct boot_load *load);
} protocols[] = {
    {BOOT_LINUX, "linux", "a Linux bzImage", linux_probe, linux_load},
    {BOOT_MULTIBOOT2, "multiboot2", "a multiboot 2 kernel", multiboot2_probe, multiboot2_load},
    {BOOT_MULTIBOOT1, "multiboot1", "a multiboot 1 kernel", multiboot1_probe, multiboot1_load},
    {BOOT_PVH, "pvh", "a PVH kernel", NULL, pvh_load}, /* needs the notes: see detect() */
    {BOOT_ELF, "elf", "an ELF file", elf_probe, plain_elf_load},
};

static const char *const protocol_names[BOOT_PROTOCOL_COUNT] = {
    [BOOT_AUTO] = "auto",
    [BOOT_LINUX] = "linux",
    [BOOT_MULTIBOOT1] = "multiboot1",
    [BOOT_MULTIBOOT2] = "multiboot2",
    [BOOT_PVH] = "pvh",
    [BOOT_ELF] = "elf",
};

const char *boot_protocol_name(enum boot_protocol protocol)
{
    return protocol_names[protocol];
}

enum boot_protocol boot_protocol(const struct boot *boot)
{
    return boot->protocol;
}

static bool is_pvh(const struct boot_image *image, const uint8_t *head, size_t len)
{
    struct elf_file *elf;
    uint32_t entry;
    bool yes;

    if (!elf_probe(head, len))
        return false;
    elf = calloc(1, sizeof(*elf));
    yes = elf && elf_parse(image, elf, NULL) == 0 && elf_pvh_entry(image, elf, &entry) == 0;
    free(elf);
    return yes;
}

static bool probe_one(unsigned i, const struct boot_image *image, const uint8_t *head, size_t len)
{
    if (protocols[i].protocol == BOOT_PVH)
        return is_pvh(image, head, len);
    return protocols[i].probe(head, len);
}

/* What people mistake for a kernel, and what to say. */
static const char *hint(const uint8_t *head, size_t len)
{
    static const struct {
        const char *magic;
        size_t len;
        const char *text;
    } known[] = {
        {"\x1f\x8b", 2, "it is gzip-compressed: gunzip it first, or take the bzImage (vmlinuz)"},
        {"\xfd"
         "7zXZ",
         5, "it is xz-compressed: decompress it first"},
        {"\x28\xb5\x2f\xfd", 4, "it is zstd-compressed: decompress it first"},
        {"QFI\xfb", 4, "it is a qcow2 disk image: use --disk"},
        {"070701", 6, "it is a cpio archive: use --initrd"},
        {"#!", 2, "it is a script"},
        {"MZ", 2, "it is a DOS or EFI program without Linux's boot header"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
        if (len >= known[i].len && !memcmp(head, known[i].magic, known[i].len))
            return known[i].text;
    }
    return "batuta boots Linux bzImage, multiboot 1 and 2, PVH, and plain ELF files for x86";
}

static int detect(struct boot *boot, struct error *err)
{
    size_t len = MIN(boot->kernel.size, BOOT_PROBE_SIZE);
    uint8_t *head = calloc(1, BOOT_PROBE_SIZE);
    int r;

    if (!head)
        return error_set(err, ENOMEM, "out of memory");
    r = boot_image_read(&boot->kernel, 0, head, len, err);
    for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(protocols); i++) {
        if (boot->protocol != BOOT_AUTO && boot->protocol != protocols[i].protocol)
            continue;
        if (probe_one(i, &boot->kernel, head, len)) {
            boot->protocol = protocols[i].protocol;
            break;
        }
        if (boot->protocol != BOOT_AUTO)
            r = error_set(err, EINVAL, "%s: is not %s: leave --kernel-format out to have it recognised",
                          boot->kernel.path, protocols[i].wants);
    }
    if (r == 0 && boot->protocol == BOOT_AUTO)
        r = error_set(err, EINVAL, "%s: is not a kernel: %s", boot->kernel.path, hint(head, len));
    free(head);
    return r;
}

static int open_modules(struct boot *boot, const struct boot_config *config, struct error *err)
{
    if (config->module_count > BOOT_MAX_MODULES)
        return error_set(err, E2BIG, "%u initrds or modules: at most %d", config->module_count,
                         BOOT_MAX_MODULES);
    boot->modules = calloc(config->module_count ? config->module_count : 1, sizeof(*boot->modules));
    if (!boot->modules)
        return error_set(err, ENOMEM, "out of memory");
    for (unsigned i = 0; i < config->module_count; i++) {
        const struct boot_module_config *m = &config->modules[i];
        int r = boot_image_open(&boot->modules[i].image, m->path, err);

        if (r < 0)
            return r;
        boot->module_count++;
        boot->modules[i].cmdline = strdup(m->cmdline ? m->cmdline : m->path);
        if (!boot->modules[i].cmdline)
            return error_set(err, ENOMEM, "out of memory");
    }
    return 0;
}

int boot_open(struct boot **out, const struct boot_config *config, struct error *err)
{
    struct boot *boot = calloc(1, sizeof(*boot));
    int r;

    if (!boot)
        return error_set(err, ENOMEM, "out of memory");
    boot->protocol = config->protocol;
    boot->kernel.fd = -1;
    boot->append = strdup(config->append ? config->append : "");
    r = boot->append ? boot_image_open(&boot->kernel, config->kernel, err)
                     : error_set(err, ENOMEM, "out of memory");
    if (r == 0)
        r = detect(boot, err);
    if (r == 0)
        r = open_modules(boot, config, err);
    if (r < 0) {
        boot_close(boot);
        return r;
    }
    *out = boot;
    return 0;
}

int boot_open_memory(struct boot **out, enum boot_protocol protocol, const void *kernel, size_t len,
                     const void *module, size_t module_len, const char *append, struct error *err)
{
    struct boot *boot = calloc(1, sizeof(*boot));
    int r;

    if (!boot)
        return error_set(err, ENOMEM, "out of memory");
    boot->protocol = protocol;
    boot->kernel = (struct boot_image){.path = strdup("kernel"), .fd = -1, .data = kernel, .size = len};
    boot->append = strdup(append);
    boot->modules = calloc(1, sizeof(*boot->modules));
    r = boot->kernel.path && boot->append && boot->modules ? 0 : error_set(err, ENOMEM, "out of memory");
    if (r == 0 && module) {
        boot->modules[0].image =
            (struct boot_image){.path = strdup("module"), .fd = -1, .data = module, .size = module_len};
        boot->modules[0].cmdline = strdup("module");
        boot->module_count = 1;
    }
    if (r == 0)
        r = detect(boot, err);
    if (r < 0) {
        boot_close(boot);
        return r;
    }
    *out = boot;
    return 0;
}

void boot_close(struct boot *boot)
{
    if (!boot)
        return;
    for (unsigned i = 0; i < boot->module_count; i++) {
        boot_image_close(&boot->modules[i].image);
        free(boot->modules[i].cmdline);
    }
    free(boot->modules);
    boot_image_close(&boot->kernel);
    free(boot->append);
    free(boot);
}

int boot_reserve(struct boot *boot, uint64_t gpa, uint64_t size, enum boot_memory_type type)
{
    uint64_t end;

    if (boot->reserved_count == BOOT_MAX_RESERVED || !size || !add_fits(gpa, size, &end))
        return -EINVAL;
    boot->reserved[boot->reserved_count++] = (struct boot_range){gpa, size, type};
    return 0;
}

void boot_set_rsdp(struct boot *boot, uint64_t gpa)
{
    boot->rsdp = gpa;
}

void boot_ram_used(struct boot *boot)
{
    boot->loaded_once = true;
}

/* What BIOS leaves in its data area, for kernels that look: the EBDA's segment and the KiB of low memory. */
static void put_bios_data(struct boot_load *load)
{
    uint8_t word[2];

    if (boot_claimed(load, 0x400, 0x100))
        return;
    store_le16(word, 0x9fc0);
    boot_put(load, 0x40e, word, 2);
    store_le16(word, 639);
    boot_put(load, 0x413, word, 2);
}

int boot_load(struct boot *boot, struct vm *vm, struct error *err)
{
    struct boot_load *load = calloc(1, sizeof(*load));
    int r;

    if (!load)
        return error_set(err, ENOMEM, "out of memory");
    load->boot = boot;
    load->vm = vm;
    load->err = err;
    r = boot_map_build(load);
    for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(protocols); i++) {
        if (protocols[i].protocol == boot->protocol)
            r = protocols[i].load(load);
    }
    if (r == 0)
        r = boot_cpu_prepare(load);
    if (r == 0) {
        put_bios_data(load);
        boot_cpu_apply(load);
    }
    boot->loaded_once = true;
    free(load);
    return r;
}
