/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "symbols/symbols.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX        (1ULL << 30)
#define NAME_MAX_LENGTH 512
#define REACH           (1ULL << 20)

static int add(struct symbols *s, uint64_t address, uint64_t size, const char *name, size_t length)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 1024;
        struct symbol *list = realloc(s->list, room * sizeof(*list));

        if (!list)
            return -ENOMEM;
        s->list = list;
        s->room = room;
    }
    s->list[s->count] = (struct symbol){.address = address, .size = size, .name = strndup(name, length)};
    if (!s->list[s->count].name)
        return -ENOMEM;
    s->count++;
    return 0;
}

/* ---- text: address, kind, name ---- */

static int parse_line(struct symbols *s, const char *line, const char *end, uint64_t bias)
{
    uint64_t address = 0;
    const char *at = line, *name;
    char kind;

    while (at < end && isxdigit((unsigned char)*at) && at - line < 16) {
        address = address << 4 | (uint64_t)(isdigit((unsigned char)*at) ? *at - '0' : (*at | 32) - 'a' + 10);
        at++;
    }
    if (at == line || end - at < 4 || at[0] != ' ' || at[2] != ' ')
        return 0;
    kind = (char)(at[1] | 32);
    name = at + 3;
    for (at = name; at < end && !isspace((unsigned char)*at); at++)
        ;
    /* Code, weak or not; without rights kallsyms has zeros. */
    if ((kind != 't' && kind != 'w') || at == name || at - name > NAME_MAX_LENGTH || !address)
        return 0;
    return add(s, address + bias, 0, name, (size_t)(at - name));
}

static int parse_text(struct symbols *s, const char *text, size_t size, uint64_t bias)
{
    const char *end = text + size;
    int r = 0;

    while (r == 0 && text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));

        stop = stop ? stop : end;
        r = parse_line(s, text, stop, bias);
        text = stop + 1;
    }
    return r;
}

/* ---- ELF ---- */

static bool fits(size_t size, uint64_t offset, uint64_t length)
{
    return offset <= size && length <= size - offset;
}

static int parse_table(struct symbols *s, const uint8_t *data, size_t size, const Elf64_Shdr *table,
                       const Elf64_Shdr *strings, uint64_t bias)
{
    int r = 0;

    if (!fits(size, table->sh_offset, table->sh_size) || !fits(size, strings->sh_offset, strings->sh_size))
        return 0;
    for (uint64_t at = 0; r == 0 && at + sizeof(Elf64_Sym) <= table->sh_size; at += sizeof(Elf64_Sym)) {
        const char *text = (const char *)data + strings->sh_offset;
        Elf64_Sym symbol;
        size_t length;

        memcpy(&symbol, data + table->sh_offset + at, sizeof(symbol));
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || !symbol.st_value ||
            symbol.st_name >= strings->sh_size)
            continue;
        length = strnlen(text + symbol.st_name, strings->sh_size - symbol.st_name);
        if (length && length <= NAME_MAX_LENGTH)
            r = add(s, symbol.st_value + bias, symbol.st_size, text + symbol.st_name, length);
    }
    return r;
}

static bool get_section(const uint8_t *data, size_t size, const Elf64_Ehdr *head, unsigned i,
                        Elf64_Shdr *section)
{
    if (i >= head->e_shnum || head->e_shentsize != sizeof(*section) || head->e_shoff > size ||
        !fits(size, head->e_shoff + i * sizeof(*section), sizeof(*section)))
        return false;
    memcpy(section, data + head->e_shoff + i * sizeof(*section), sizeof(*section));
    return true;
}

static int parse_elf(struct symbols *s, const uint8_t *data, size_t size, uint64_t bias)
{
    Elf64_Ehdr head;
    Elf64_Shdr section, strings;
    int r = 0;

    if (size < sizeof(head))
        return 0;
    memcpy(&head, data, sizeof(head));
    for (unsigned i = 0; r == 0 && get_section(data, size, &head, i, &section); i++) {
        if ((section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM) &&
            get_section(data, size, &head, section.sh_link, &strings))
            r = parse_table(s, data, size, &section, &strings, bias);
    }
    return r;
}

/* ---- all ---- */

static int compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;

    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return strcmp(x->name, y->name);
}

long symbols_parse(struct symbols *s, const void *data, size_t size, uint64_t bias)
{
    bool elf =
        size > EI_CLASS && !memcmp(data, ELFMAG, SELFMAG) && ((const uint8_t *)data)[EI_CLASS] == ELFCLASS64;
    size_t before = s->count;
    int r = elf ? parse_elf(s, data, size, bias) : parse_text(s, data, size, bias);

    if (s->count)
        qsort(s->list, s->count, sizeof(*s->list), compare);
    return r < 0 ? r : (long)(s->count - before);
}

static int read_all(FILE *f, char **data, size_t *size)
{
    size_t room = 0, n;

    do {
        char *more = *size == room ? realloc(*data, room = room ? 2 * room : 65536) : *data;

        if (!more)
            return -ENOMEM;
        *data = more;
        n = fread(*data + *size, 1, room - *size, f);
        *size += n;
    } while (n && *size < FILE_MAX);
    return ferror(f) ? -errno : n ? -EFBIG : 0;
}

int symbols_load(struct symbols *s, const char *path, uint64_t bias, struct error *err)
{
    FILE *f = fopen(path, "re");
    char *data = NULL;
    size_t size = 0;
    long n = f ? read_all(f, &data, &size) : -errno;

    if (f)
        fclose(f);
    n = n < 0 ? n : symbols_parse(s, data, size, bias);
    free(data);
    if (n < 0)
        return error_set(err, (int)-n, "%s: cannot be read: %s", path, strerror((int)-n));
    if (n == 0)
        return error_set(
            err, EINVAL,
            "%s: no symbols are in it: a System.map, root's copy of /proc/kallsyms or an ELF file "
            "that is not stripped has some",
            path);
    return 0;
}

void symbols_finish(struct symbols *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i].name);
    free(s->list);
    *s = (struct symbols){0};
}

const struct symbol *symbols_find(const struct symbols *s, uint64_t address)
{
    size_t low = 0, high = s->count;
    const struct symbol *last;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->list[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    last = &s->list[low - 1];
    return address - last->address < (last->size ? last->size : REACH) ? last : NULL;
}
