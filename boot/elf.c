/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF executables for x86, 32- and 64-bit (System V ABI; gABI chapters 4 and 5). */
#include "base/bytes.h"
#include "base/checked.h"
#include "boot/boot-internal.h"

enum { EM_386 = 3, EM_X86_64 = 62, ET_EXEC = 2, ET_DYN = 3, PT_LOAD = 1, PT_NOTE = 4 };
enum { SHT_NULL = 0, SHT_NOBITS = 8, SHF_ALLOC = 2 };

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define NOTES_MAX                KIB(64)
#define SECTIONS_MAX             512

bool elf_probe(const uint8_t *head, size_t len)
{
    return len >= 20 && !memcmp(head, "\177ELF", 4) && (head[4] == 1 || head[4] == 2) && head[5] == 1;
}

static int parse_header(const struct boot_source *image, struct elf_file *elf, uint64_t *phoff,
                        unsigned *phnum, unsigned *phentsize, struct error *err)
{
    uint8_t h[64] = {0};
    int r = boot_source_read(image, 0, h, MIN(image->size, sizeof(h)), err);
    unsigned type;

    if (r < 0)
        return r;
    if (!elf_probe(h, sizeof(h)))
        return error_set(err, EINVAL, "%s: is not a little-endian ELF file", image->name);
    elf->is64 = h[4] == 2;
    if (image->size < (elf->is64 ? 64U : 52U))
        return error_set(err, EINVAL, "%s: is truncated: its ELF header is not whole", image->name);
    type = load_le16(h + 16);
    elf->machine = load_le16(h + 18);
    if (elf->machine != EM_386 && elf->machine != EM_X86_64)
        return error_set(err, EINVAL, "%s: is an ELF file for another processor (machine %u), not for x86",
                         image->name, elf->machine);
    if (type != ET_EXEC && type != ET_DYN)
        return error_set(err, EINVAL, "%s: is an ELF file of type %u, not an executable: link it first",
                         image->name, type);
    elf->entry = elf->is64 ? load_le64(h + 24) : load_le32(h + 24);
    *phoff = elf->is64 ? load_le64(h + 32) : load_le32(h + 28);
    elf->shoff = elf->is64 ? load_le64(h + 40) : load_le32(h + 32);
    *phentsize = load_le16(h + (elf->is64 ? 54 : 42));
    *phnum = load_le16(h + (elf->is64 ? 56 : 44));
    elf->shentsize = load_le16(h + (elf->is64 ? 58 : 46));
    elf->shnum = load_le16(h + (elf->is64 ? 60 : 48));
    elf->shstrndx = load_le16(h + (elf->is64 ? 62 : 50));
    return 0;
}

static void decode_segment(bool is64, const uint8_t *p, struct elf_segment *s)
{
    if (is64)
        *s = (struct elf_segment){.offset = load_le64(p + 8),
                                  .vaddr = load_le64(p + 16),
                                  .paddr = load_le64(p + 24),
                                  .filesz = load_le64(p + 32),
                                  .memsz = load_le64(p + 40)};
    else
        *s = (struct elf_segment){.offset = load_le32(p + 4),
                                  .vaddr = load_le32(p + 8),
                                  .paddr = load_le32(p + 12),
                                  .filesz = load_le32(p + 16),
                                  .memsz = load_le32(p + 20)};
}

static int add_segment(const struct boot_source *image, struct elf_file *elf, const uint8_t *p,
                       struct error *err)
{
    struct elf_segment s;
    uint32_t type = load_le32(p);

    if (type != PT_LOAD && type != PT_NOTE)
        return 0;
    decode_segment(elf->is64, p, &s);
    if (!range_inside(s.offset, s.filesz, image->size))
        return error_set(err, EINVAL, "%s: is truncated: a segment ends beyond the file's end", image->name);
    if (type == PT_NOTE) {
        elf->note[elf->note_count++] = s;
        return 0;
    }
    if (s.filesz > s.memsz)
        return error_set(err, EINVAL, "%s: is corrupt: a segment is larger in the file than in memory",
                         image->name);
    if (s.memsz)
        elf->load[elf->load_count++] = s;
    return 0;
}

int elf_parse(const struct boot_source *image, struct elf_file *elf, struct error *err)
{
    unsigned phnum = 0, phentsize = 0;
    uint64_t phoff = 0;
    int r;

    memset(elf, 0, sizeof(*elf));
    r = parse_header(image, elf, &phoff, &phnum, &phentsize, err);
    if (r < 0)
        return r;
    if (phnum == 0 || phnum > ELF_MAX_SEGMENTS)
        return error_set(err, EINVAL, "%s: has %u program headers; 1 to %d can be loaded", image->name, phnum,
                         ELF_MAX_SEGMENTS);
    if (phentsize != (elf->is64 ? 56 : 32))
        return error_set(err, EINVAL, "%s: is corrupt: program headers of %u bytes", image->name, phentsize);
    for (unsigned i = 0; i < phnum; i++) {
        uint8_t p[56] = {0};
        uint64_t at;

        if (!add_fits(phoff, (uint64_t)i * phentsize, &at))
            return error_set(err, EINVAL, "%s: is corrupt: its program headers lie nowhere", image->name);
        r = boot_source_read(image, at, p, phentsize, err);
        if (r == 0)
            r = add_segment(image, elf, p, err);
        if (r < 0)
            return r;
    }
    if (!elf->load_count)
        return error_set(err, EINVAL, "%s: has no segment to load", image->name);
    return 0;
}

int elf_load(struct boot_load *load, const struct elf_file *elf)
{
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct elf_segment *s = &elf->load[i];
        int r;

        if (boot_claimed(load, s->paddr, s->memsz))
            return error_set(load->err, EINVAL, "%s: is corrupt: its segment at 0x%llx lies over another one",
                             load->boot->kernel.name, (unsigned long long)s->paddr);
        r = boot_claim(load, s->paddr, s->memsz, "a segment");
        if (r == 0)
            r = boot_put_file(load, s->paddr, &load->boot->kernel, s->offset, s->filesz);
        if (r < 0)
            return r;
        boot_put_zero(load, s->paddr + s->filesz, s->memsz - s->filesz);
    }
    return 0;
}

/*
 * Kernels linked high are entered low: an entry that is a virtual address of a
 * segment becomes the physical one, unless it is a physical one already.
 */
uint64_t elf_entry_physical(const struct elf_file *elf)
{
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct elf_segment *s = &elf->load[i];

        if (elf->entry - s->paddr < s->memsz)
            return elf->entry;
    }
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct elf_segment *s = &elf->load[i];

        if (elf->entry - s->vaddr < s->memsz)
            return elf->entry - s->vaddr + s->paddr;
    }
    return elf->entry;
}

/* One note of a segment's bytes: name and descriptor are padded to 4 bytes each. */
static int find_note(const uint8_t *buf, uint64_t len, uint32_t *entry)
{
    uint64_t at = 0;

    while (range_inside(at, 12, len)) {
        uint64_t name = load_le32(buf + at), desc = load_le32(buf + at + 4);
        uint32_t type = load_le32(buf + at + 8);
        uint64_t name_at = at + 12, desc_at = name_at + ALIGN_UP(name, 4ULL);

        if (!range_inside(desc_at, desc, len) || desc_at < name_at)
            return -ENOENT;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && name == 4 && !memcmp(buf + name_at, "Xen", 4) && desc >= 4) {
            *entry = load_le32(buf + desc_at);
            return 0;
        }
        at = desc_at + ALIGN_UP(desc, 4ULL);
    }
    return -ENOENT;
}

int elf_pvh_entry(const struct boot *boot, const struct elf_file *elf, uint32_t *entry)
{
    int r = -ENOENT;

    for (unsigned i = 0; i < elf->note_count && r == -ENOENT; i++) {
        uint64_t len = MIN(elf->note[i].filesz, NOTES_MAX);
        uint8_t *buf = boot_alloc(boot, len ? len : 1);

        if (!buf)
            return -ENOMEM;
        if (boot_source_read(&boot->kernel, elf->note[i].offset, buf, len, NULL) == 0)
            r = find_note(buf, len, entry);
        boot_free(boot, buf);
    }
    return r;
}

/* One section that no segment holds gets a place; its header gets the address. */
static int place_section(struct boot_load *load, const struct elf_file *elf, uint8_t *sh)
{
    uint32_t type = load_le32(sh + 4);
    uint64_t flags = elf->is64 ? load_le64(sh + 8) : load_le32(sh + 8);
    uint64_t offset = elf->is64 ? load_le64(sh + 24) : load_le32(sh + 16);
    uint64_t size = elf->is64 ? load_le64(sh + 32) : load_le32(sh + 20);
    uint64_t gpa;
    int r;

    if (type == SHT_NULL || type == SHT_NOBITS || flags & SHF_ALLOC || !size)
        return 0;
    if (!range_inside(offset, size, load->boot->kernel.size))
        return error_set(load->err, EINVAL, "%s: is truncated: a section ends beyond the file's end",
                         load->boot->kernel.name);
    r = boot_place(load, size, 16, MIB(1), MEM_LOW_MAX, false, "the kernel's symbols", &gpa);
    if (r == 0)
        r = boot_put_file(load, gpa, &load->boot->kernel, offset, size);
    if (r < 0)
        return r;
    if (elf->is64)
        store_le64(sh + 16, gpa);
    else
        store_le32(sh + 12, (uint32_t)gpa);
    return 0;
}

/* Debug information is of no use to a kernel that has no symbols to it, but GRUB hands everything on, and so
 * do we. */
int elf_load_sections(struct boot_load *load, const struct elf_file *elf, uint8_t **table)
{
    uint64_t size = (uint64_t)elf->shnum * elf->shentsize;
    uint8_t *t;
    int r;

    *table = NULL;
    if (!elf->shnum || !elf->shoff || elf->shnum > SECTIONS_MAX || elf->shentsize != (elf->is64 ? 64 : 40))
        return 0;
    t = boot_alloc(load->boot, size);
    if (!t)
        return error_set(load->err, ENOMEM, "out of memory");
    r = boot_source_read(&load->boot->kernel, elf->shoff, t, size, load->err);
    for (unsigned i = 0; r == 0 && i < elf->shnum; i++)
        r = place_section(load, elf, t + (size_t)i * elf->shentsize);
    if (r < 0) {
        boot_free(load->boot, t);
        return r;
    }
    *table = t;
    return 0;
}
