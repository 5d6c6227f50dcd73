/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fmt.h"

struct out {
    char *buf;
    size_t size;
    size_t len;
};

struct spec {
    bool zero;
    bool left;
    unsigned width;
    int precision;  /* -1: none */
    unsigned bytes; /* of the integer argument */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_padded(struct out *o, const struct spec *s, const char *text, size_t n)
{
    size_t pad = s->width > n ? s->width - n : 0;

    if (!s->left) {
        char fill = s->zero ? '0' : ' ';
        if (s->zero && n && *text == '-') {
            put(o, *text++);
            n--;
        }
        for (; pad; pad--)
            put(o, fill);
    }
    for (; n; n--)
        put(o, *text++);
    for (; pad; pad--)
        put(o, ' ');
}

static void put_number(struct out *o, const struct spec *s, uint64_t v, unsigned radix, bool upper,
                       bool negative)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    size_t at = sizeof(text);

    do {
        text[--at] = digits[v % radix];
        v /= radix;
    } while (v);
    if (negative)
        text[--at] = '-';
    put_padded(o, s, text + at, sizeof(text) - at);
}

static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
    *s = (struct spec){.precision = -1, .bytes = sizeof(int)};
    for (;; f++) {
        if (*f == '0')
            s->zero = true;
        else if (*f == '-')
            s->left = true;
        else if (*f != '#' && *f != '+' && *f != ' ')
            break;
    }
    for (; *f >= '0' && *f <= '9'; f++)
        s->width = s->width * 10 + (unsigned)(*f - '0');
    if (*f == '.') {
        f++;
        s->precision = 0;
        if (*f == '*') {
            s->precision = va_arg(*ap, int);
            f++;
        }
        for (; *f >= '0' && *f <= '9'; f++)
            s->precision = s->precision * 10 + (*f - '0');
    }
    for (;; f++) {
        if (*f == 'l' || *f == 'z' || *f == 'j')
            s->bytes = 8;
        else if (*f != 'h')
            break;
    }
    return f;
}

static void put_string(struct out *o, struct spec *s, const char *text)
{
    size_t n = 0;

    if (!text)
        text = "(null)";
    while ((s->precision < 0 || n < (size_t)s->precision) && text[n])
        n++;
    s->zero = false;
    put_padded(o, s, text, n);
}

static void put_conversion(struct out *o, struct spec *s, char conversion, va_list *ap)
{
    switch (conversion) {
    case 'd':
    case 'i': {
        int64_t v = s->bytes == 8 ? va_arg(*ap, int64_t) : va_arg(*ap, int);
        put_number(o, s, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, false, v < 0);
        break;
    }
    case 'u':
    case 'x':
    case 'X': {
        uint64_t v = s->bytes == 8 ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned);
        put_number(o, s, v, conversion == 'u' ? 10 : 16, conversion == 'X', false);
        break;
    }
    case 'p':
        put(o, '0');
        put(o, 'x');
        put_number(o, s, (uintptr_t)va_arg(*ap, void *), 16, false, false);
        break;
    case 'c':
        put(o, (char)va_arg(*ap, int));
        break;
    case 's':
        put_string(o, s, va_arg(*ap, const char *));
        break;
    default:
        put(o, conversion);
        break;
    }
}

size_t fmt_vprint(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = {.buf = buf, .size = size};
    va_list ap;

    va_copy(ap, args);
    while (*fmt) {
        struct spec s;

        if (*fmt != '%') {
            put(&o, *fmt++);
            continue;
        }
        fmt = parse_spec(fmt + 1, &s, &ap);
        if (!*fmt)
            break;
        put_conversion(&o, &s, *fmt++, &ap);
    }
    va_end(ap);
    if (size)
        buf[o.len < size ? o.len : size - 1] = '\0';
    return o.len;
}

size_t fmt_print(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = fmt_vprint(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
