/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of functions, written by tools/hv-symbols into the image when it is linked
 * for the second time. In order of address, each: the distance to the one before (7 bits a byte,
 * lowest first, bit 7: more follow), how many characters its name shares with the one
 * before, how many more it has, these.
 */
#include "base/fmt.h"
#include "hv/panic.h"

#define NAME_MAX 64U

extern const uint8_t text_start[], text_end[], symbols_start[], symbols_end[];

const char *symbol_text(uint64_t address, char *buf, size_t size)
{
    char name[NAME_MAX] = "", found[NAME_MAX] = "";
    uint64_t at = (uint64_t)(uintptr_t)text_start, found_at = 0;
    const uint8_t *p = symbols_start;

    if (address < at || address >= (uint64_t)(uintptr_t)text_end)
        p = symbols_end;
    while (p < symbols_end) {
        unsigned shift = 0, shared, more;

        do
            at += (uint64_t)(*p & 0x7f) << shift;
        while (shift += 7, *p++ & 0x80);
        if (at > address)
            break;
        shared = *p++;
        more = *p++;
        for (unsigned i = 0; i < more; i++, p++) {
            if (shared + i < NAME_MAX - 1)
                name[shared + i] = (char)*p;
        }
        name[MIN(shared + more, NAME_MAX - 1)] = '\0';
        found_at = at;
        for (unsigned i = 0; i < NAME_MAX; i++)
            found[i] = name[i];
    }
    if (found_at)
        fmt_print(buf, size, "%s+0x%llx", found, (unsigned long long)(address - found_at));
    else
        fmt_print(buf, size, "0x%llx", (unsigned long long)address);
    return buf;
}
