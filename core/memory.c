/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/memory.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "core/vm.h"

const struct mem_ram *mem_find(const struct vm *vm, uint64_t gpa)
{
    for (unsigned i = 0; i < vm->mem.ram_count; i++) {
        const struct mem_ram *r = &vm->mem.ram[i];
        if (gpa - r->gpa < r->size)
            return r;
    }
    return NULL;
}

/* How many bytes from gpa on belong to r alone: a ROM in front may cut RAM short. */
static uint64_t piece_length(const struct vm *vm, const struct mem_ram *r, uint64_t gpa)
{
    uint64_t len = r->size - (gpa - r->gpa);

    for (const struct mem_ram *o = vm->mem.ram; o < r; o++) {
        if (o->gpa > gpa && o->gpa - gpa < len)
            len = o->gpa - gpa;
    }
    return len;
}

void *mem_span(struct vm *vm, uint64_t gpa, uint64_t len, bool write)
{
    const struct mem_ram *r = mem_find(vm, gpa);

    if (!r || (write && r->rom) || len > piece_length(vm, r, gpa))
        return NULL;
    return r->host + (gpa - r->gpa);
}

static void mark_dirty(struct memory *mem, const struct mem_ram *r, uint64_t gpa, uint64_t len)
{
    uint64_t first = (r->offset + (gpa - r->gpa)) / MEM_PAGE;
    uint64_t last = (r->offset + (gpa - r->gpa) + len - 1) / MEM_PAGE;

    for (uint64_t p = first; p <= last; p++)
        __atomic_fetch_or(&mem->dirty[p / 64], BIT64(p % 64), __ATOMIC_RELAXED);
}

void mem_written(struct vm *vm, uint64_t gpa, uint64_t len)
{
    if (!len)
        return;
    if (vm->mem.dirty) {
        const struct mem_ram *r = mem_find(vm, gpa);
        if (r && !r->rom && range_inside(gpa - r->gpa, len, r->size))
            mark_dirty(&vm->mem, r, gpa, len);
    }
    if (vm->engine && vm->engine->memory_written)
        vm->engine->memory_written(vm, gpa, len);
}

/* Is all of [gpa, gpa + len) RAM? */
static bool all_ram(struct vm *vm, uint64_t gpa, uint64_t len, bool write)
{
    while (len) {
        const struct mem_ram *r = mem_find(vm, gpa);
        uint64_t n;

        if (!r || (write && r->rom))
            return false;
        n = MIN(len, piece_length(vm, r, gpa));
        gpa += n;
        len -= n;
    }
    return true;
}

int mem_read(struct vm *vm, uint64_t gpa, void *buf, uint64_t len)
{
    uint8_t *out = buf;

    if (!all_ram(vm, gpa, len, false))
        return -EFAULT;
    while (len) {
        const struct mem_ram *r = mem_find(vm, gpa);
        uint64_t n = MIN(len, piece_length(vm, r, gpa));

        memcpy(out, r->host + (gpa - r->gpa), n);
        out += n;
        gpa += n;
        len -= n;
    }
    return 0;
}

int mem_write(struct vm *vm, uint64_t gpa, const void *buf, uint64_t len)
{
    const uint8_t *in = buf;

    if (!all_ram(vm, gpa, len, true))
        return -EFAULT;
    while (len) {
        const struct mem_ram *r = mem_find(vm, gpa);
        uint64_t n = MIN(len, piece_length(vm, r, gpa));

        memcpy(r->host + (gpa - r->gpa), in, n);
        mem_written(vm, gpa, n);
        in += n;
        gpa += n;
        len -= n;
    }
    return 0;
}

int mem_add_rom(struct vm *vm, uint64_t gpa, uint8_t *host, uint64_t size)
{
    struct memory *mem = &vm->mem;

    if (mem->ram_count == MEM_MAX_RAM)
        return -ENOSPC;
    for (unsigned i = mem->ram_count; i; i--)
        mem->ram[i] = mem->ram[i - 1];
    mem->ram[0] = (struct mem_ram){.gpa = gpa, .size = size, .host = host, .rom = true};
    mem->ram_count++;
    return 0;
}
