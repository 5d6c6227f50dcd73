/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values that only the hypervisor's configuration has. */
#include "base/bytes.h"
#include "base/text.h"
#include "config/hv-config-internal.h"

#define RANGES_MAX 256 /* more is nonsense, and would take its time */

/* Up to nine digits. False: there are none, or more. */
static bool number(const char **text, uint64_t *value)
{
    const char *p = *text;
    uint64_t v = 0;

    while (*p >= '0' && *p <= '9' && p - *text < 10)
        v = v * 10 + (uint64_t)(*p++ - '0');
    if (p == *text || p - *text > 9)
        return false;
    *text = p;
    *value = v;
    return true;
}

int hv_percent(const char *text, uint64_t *thousandths)
{
    uint64_t whole, tenths = 0;

    if (!number(&text, &whole))
        return -EINVAL;
    if (text[0] == '.' && text[1] >= '0' && text[1] <= '9') {
        tenths = (uint64_t)(text[1] - '0');
        text += 2;
    }
    if (!text_equal(text, "%"))
        return -EINVAL;
    *thousandths = whole * 10 + tenths;
    return 0;
}

static bool duration(const char **text, uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    uint64_t v;

    if (!number(text, &v))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (text_begins(*text, units[i].name)) {
            *text += text_length(units[i].name);
            *ns = v * units[i].ns; /* nine digits of seconds fit */
            return true;
        }
    }
    return false;
}

int hv_budget(const char *text, uint64_t *budget, uint64_t *period)
{
    uint64_t b, p;

    if (!duration(&text, &b) || *text++ != '/' || !duration(&text, &p) || *text)
        return -EINVAL;
    *budget = b;
    *period = p;
    return 0;
}

int hv_ranges(const char *text, char separator, unsigned limit, uint8_t *bits)
{
    uint64_t first, last;
    unsigned count = 0;

    do {
        if (!number(&text, &first) || ++count > RANGES_MAX)
            return -EINVAL;
        last = first;
        if (*text == '-' && (text++, !number(&text, &last)))
            return -EINVAL;
        if (last < first)
            return -EINVAL;
        if (last >= limit)
            return -ERANGE;
        for (uint64_t i = first; i <= last; i++)
            bits[i / 8] |= (uint8_t)BIT(i % 8);
    } while (*text == separator && text++);
    return *text ? -EINVAL : 0;
}

int hv_ipv4(const char *text, uint32_t *address)
{
    uint32_t a = 0;
    uint64_t v;

    for (unsigned i = 0; i < 4; i++) {
        if (!number(&text, &v) || v > 255 || *text != (i < 3 ? '.' : 0))
            return -EINVAL;
        text += i < 3;
        a = a << 8 | (uint32_t)v;
    }
    *address = a;
    return 0;
}

/* Up to four hexadecimal digits. */
static bool hex_group(const char **text, unsigned *value)
{
    unsigned n = 0, v = 0;

    for (; n < 5; n++, ++*text) {
        char c = **text, lower = (char)(c | 0x20);

        if (c >= '0' && c <= '9')
            v = v << 4 | (unsigned)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v << 4 | (unsigned)(lower - 'a' + 10);
        else
            break;
    }
    *value = v;
    return n >= 1 && n <= 4;
}

/* RFC 4291, 2.2, forms 1 and 2: groups of hexadecimal digits, and :: once for those that are zero. */
int hv_ipv6(const char *text, uint8_t address[16])
{
    enum { NO_GAP = 9 };
    unsigned group[8], count = 0, gap = NO_GAP, v;

    if (text_begins(text, "::")) {
        gap = 0;
        text += 2;
    }
    while (*text) {
        if (count == 8 || !hex_group(&text, &v))
            return -EINVAL;
        group[count++] = v;
        if (text_begins(text, "::") && gap == NO_GAP) {
            gap = count;
            text += 2;
        } else if (*text && (*text++ != ':' || !*text)) {
            return -EINVAL;
        }
    }
    if (gap == NO_GAP ? count != 8 : count > 7)
        return -EINVAL;
    memset(address, 0, 16);
    for (unsigned i = 0; i < count; i++)
        store_be16(address + 2 * (i < gap ? i : i + 8 - count), (uint16_t)group[i]);
    return 0;
}
