/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/boot.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "boot/boot-internal.h"

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

static bool is_pvh(const struct boot *boot, const uint8_t *head, size_t len)
{
    struct elf_file *elf;
    uint32_t entry;
    bool yes;

    if (!elf_probe(head, len))
        return false;
    elf = boot_alloc(boot, sizeof(*elf));
    yes = elf && elf_parse(&boot->kernel, elf, NULL) == 0 && elf_pvh_entry(boot, elf, &entry) == 0;
    boot_free(boot, elf);
    return yes;
}

static bool probe_one(const struct boot *boot, unsigned i, const uint8_t *head, size_t len)
{
    if (protocols[i].protocol == BOOT_PVH)
        return is_pvh(boot, head, len);
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
    size_t len = MIN(boot->kernel.size, (uint64_t)BOOT_PROBE_SIZE);
    uint8_t *head = boot_alloc(boot, BOOT_PROBE_SIZE);
    int r;

    if (!head)
        return error_set(err, ENOMEM, "out of memory");
    r = boot_source_read(&boot->kernel, 0, head, len, err);
    for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(protocols); i++) {
        if (boot->protocol != BOOT_AUTO && boot->protocol != protocols[i].protocol)
            continue;
        if (probe_one(boot, i, head, len)) {
            boot->protocol = protocols[i].protocol;
            break;
        }
        if (boot->protocol != BOOT_AUTO)
            r = error_set(err, EINVAL, "%s: is not %s: leave --kernel-format out to have it recognised",
                          boot->kernel.name, protocols[i].wants);
    }
    if (r == 0 && boot->protocol == BOOT_AUTO)
        r = error_set(err, EINVAL, "%s: is not a kernel: %s", boot->kernel.name, hint(head, len));
    boot_free(boot, head);
    return r;
}

int boot_open(struct boot **out, struct plat *plat, enum boot_protocol protocol,
              const struct boot_source *kernel, const char *append, struct error *err)
{
    const struct boot none = {.plat = plat};
    struct boot *boot = boot_alloc(&none, sizeof(*boot));
    struct boot_source unused = *kernel;
    int r;

    if (!boot) {
        if (unused.ops->close)
            unused.ops->close(&unused);
        return error_set(err, ENOMEM, "out of memory");
    }
    boot->plat = plat;
    boot->protocol = protocol;
    r = boot_source_take(boot, &boot->kernel, kernel, err);
    boot->append = boot_text_copy(boot, append ? append : "");
    if (r == 0 && !boot->append)
        r = error_set(err, ENOMEM, "out of memory");
    r = r < 0 ? r : detect(boot, err);
    if (r < 0) {
        boot_close(boot);
        return r;
    }
    *out = boot;
    return 0;
}

int boot_add_module(struct boot *boot, const struct boot_source *module, const char *cmdline,
                    struct error *err)
{
    struct boot_source own;
    char *text;
    int r = boot_source_take(boot, &own, module, err);

    if (r < 0)
        return r;
    text = boot_text_copy(boot, cmdline ? cmdline : own.name);
    if (!text)
        r = error_set(err, ENOMEM, "out of memory");
    else if (boot->module_count == BOOT_MAX_MODULES)
        r = error_set(err, E2BIG, "%s: more than %d initrds or modules", own.name, BOOT_MAX_MODULES);
    if (r < 0) {
        boot_free(boot, text);
        boot_source_close(boot, &own);
        return r;
    }
    boot->modules[boot->module_count++] = (struct boot_module){.image = own, .cmdline = text};
    return 0;
}

void boot_close(struct boot *boot)
{
    struct plat *plat;

    if (!boot)
        return;
    for (unsigned i = 0; i < boot->module_count; i++) {
        boot_source_close(boot, &boot->modules[i].image);
        boot_free(boot, boot->modules[i].cmdline);
    }
    boot_source_close(boot, &boot->kernel);
    boot_free(boot, boot->append);
    plat = boot->plat;
    plat->ops->free(plat, boot);
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
    struct boot_load *load = boot_alloc(boot, sizeof(*load));
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
    boot_free(boot, load);
    return r;
}
