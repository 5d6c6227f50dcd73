/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images as byte ranges, wherever they are. */
#include "base/bytes.h"
#include "base/checked.h"
#include "boot/boot-internal.h"

static int memory_read(const struct boot_source *source, uint64_t offset, void *buf, uint64_t len,
                       struct error *err)
{
    memcpy(buf, (const uint8_t *)source->data + offset, len);
    return 0;
}

struct boot_source boot_source_memory(const char *name, const void *data, uint64_t size)
{
    static const struct boot_source_ops ops = {.read = memory_read};

    return (struct boot_source){.name = name, .size = size, .ops = &ops, .data = data};
}

char *boot_text_copy(const struct boot *boot, const char *text)
{
    size_t size = text_length(text) + 1;
    char *copy = boot_alloc(boot, size);

    return copy ? memcpy(copy, text, size) : NULL;
}

int boot_source_take(const struct boot *boot, struct boot_source *own, const struct boot_source *source,
                     struct error *err)
{
    int r = 0;

    *own = *source;
    own->name = boot_text_copy(boot, source->name);
    if (!own->name)
        r = error_set(err, ENOMEM, "out of memory");
    else if (!own->size)
        r = error_set(err, EINVAL, "%s: is empty", own->name);
    if (r < 0)
        boot_source_close(boot, own);
    return r;
}

void boot_source_close(const struct boot *boot, struct boot_source *source)
{
    if (source->ops && source->ops->close)
        source->ops->close(source);
    boot_free(boot, (void *)(uintptr_t)source->name);
    *source = (struct boot_source){0};
}

int boot_source_read(const struct boot_source *source, uint64_t offset, void *buf, uint64_t len,
                     struct error *err)
{
    if (!range_inside(offset, len, source->size))
        return error_set(err, EINVAL, "%s: is truncated: %llu bytes at offset %llu are missing", source->name,
                         (unsigned long long)len, (unsigned long long)offset);
    return source->ops->read(source, offset, buf, len, err);
}
