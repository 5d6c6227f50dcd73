/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/value.h"

#include "base/checked.h"
#include "base/fmt.h"
#include "base/text.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* -1: not a digit of the base. */
static int digit(char c, unsigned base)
{
    if (is_digit(c))
        return c - '0';
    c = to_lower(c);
    return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What digits there are. False: too many of them. */
static bool digits(const char **text, unsigned base, uint64_t *value)
{
    bool fits = true;
    uint64_t v = 0;
    int d;

    while ((d = digit(**text, base)) >= 0) {
        fits = fits && mul_fits(v, base, &v) && add_fits(v, (unsigned)d, &v);
        ++*text;
    }
    *value = v;
    return fits;
}

int value_uint(const char *text, uint64_t max, uint64_t *value)
{
    bool hex = text[0] == '0' && to_lower(text[1]) == 'x', fits;
    uint64_t v;

    text += hex ? 2 : 0;
    if (digit(*text, hex ? 16 : 10) < 0)
        return -EINVAL;
    fits = digits(&text, hex ? 16 : 10, &v);
    if (*text)
        return -EINVAL;
    if (!fits || v > max)
        return -ERANGE;
    *value = v;
    return 0;
}

int value_size(const char *text, uint64_t *value)
{
    uint64_t unit = MIB(1), v;

    if (!is_digit(*text))
        return -EINVAL;
    if (!digits(&text, 10, &v))
        return -ERANGE;
    switch (to_lower(*text)) {
    case 'k':
        unit = KIB(1);
        break;
    case '\0':
    case 'm':
        break;
    case 'g':
        unit = GIB(1);
        break;
    case 't':
        unit = GIB(1024);
        break;
    default:
        return -EINVAL;
    }
    text += *text ? 1 : 0;
    if (*text && !text_equal(text, "iB") && !text_equal(text, "B"))
        return -EINVAL;
    if (!mul_fits(v, unit, &v))
        return -ERANGE;
    *value = v;
    return 0;
}

static bool same_word(const char *a, const char *b)
{
    while (*a && to_lower(*a) == to_lower(*b)) {
        a++;
        b++;
    }
    return to_lower(*a) == to_lower(*b);
}

int value_bool(const char *text, bool *value)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (same_word(text, words[i])) {
            *value = i & 1;
            return 0;
        }
    }
    return -EINVAL;
}

static void list_choices(const char *const *choices, char *buf, size_t size)
{
    size_t len = 0;

    buf[0] = 0;
    for (size_t i = 0; choices[i]; i++) {
        size_t n = fmt_print(buf + len, size - len, "%s%s", i ? ", " : "", choices[i]);

        if (n >= size - len)
            return;
        len += n;
    }
}

int value_choice(const char *what, const char *text, const char *const *choices, struct error *err)
{
    char all[256];

    for (int i = 0; choices[i]; i++) {
        if (text_equal(choices[i], text))
            return i;
    }
    list_choices(choices, all, sizeof(all));
    error_set(err, EINVAL, "%s: there is no '%s': choose one of %s", what, text, all);
    return -1;
}

int value_mac(const char *text, uint8_t mac[6], struct error *err)
{
    uint8_t bytes[6];

    for (unsigned i = 0; i < 6; i++) {
        int high = digit(text[3 * i], 16), low = high < 0 ? -1 : digit(text[3 * i + 1], 16);

        if (low < 0 || text[3 * i + 2] != (i < 5 ? ':' : 0))
            return error_set(err, EINVAL, "mac=%s: not an address like 52:54:00:12:34:56", text);
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (bytes[0] & 1)
        return error_set(err, EINVAL, "mac=%s: is a multicast address: make its first byte even", text);
    for (unsigned i = 0; i < 6; i++)
        mac[i] = bytes[i];
    return 0;
}

/* Levenshtein's distance, for short words. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = text_length(b);

    if (n >= ARRAY_SIZE(row) || text_length(a) >= ARRAY_SIZE(row))
        return UINT32_MAX;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned old = row[j], swap = diagonal + (a[i - 1] != b[j - 1]);

            row[j] = MIN(swap, MIN(row[j - 1], old) + 1);
            diagonal = old;
        }
    }
    return row[n];
}

const char *nearest_name(const char *word, const char *(*name)(const void *list, size_t i), const void *list,
                         size_t count)
{
    size_t len = text_length(word);
    const char *best = NULL;
    unsigned best_distance = 3;

    for (size_t i = 0; i < count; i++) {
        const char *n = name(list, i);
        unsigned d = n ? distance(word, n) : UINT32_MAX;

        /* The beginning of a longer name counts as near: --mem, --no-re. */
        if (n && len >= 3 && text_begins(n, word))
            d = 1;
        if (d < best_distance && 2 * (size_t)d <= len) {
            best = n;
            best_distance = d;
        }
    }
    return best;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *value_trim(char *text)
{
    char *end = text + text_length(text);

    while (is_space(*text))
        text++;
    while (end > text && is_space(end[-1]))
        *--end = 0;
    return text;
}
