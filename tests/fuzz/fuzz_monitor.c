/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes from two guests, from the terminal and the management port, in any order:
 * each pair of input bytes is what is done and with what. Where nobody is attached, what
 * the terminal gets is lines with the guests' names, and nothing else that a terminal
 * obeys than what the monitor itself writes.
 */
#include <string.h>

#include "control/json.h"
#include "tests/unit/monitor/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Guests only: each line has a name. */
static void check_lines(const char *text, const char *end)
{
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));

        base_assert(newline && newline > text && newline[-1] == '\r');
        base_assert(!strncmp(text, "web| ", 5) || !strncmp(text, "db| ", 4));
        for (const char *at = text; at < newline - 1;) {
            uint32_t letter = 0;
            unsigned n = utf8_letter(at, (size_t)(newline - 1 - at), &letter);

            base_assert(n && letter >= 0x20 && !(letter >= 0x7f && letter < 0xa0));
            at += n;
        }
        text = newline + 1;
    }
}

static void act(struct fixture *f, uint8_t what, uint8_t byte, bool *typed)
{
    static const char *const words[] = {
        "list\r",
        "attach web\r",
        "log db 5\r",
        "\x1d",
        "help\r",
        "stats web\r",
        "pause db\r",
        "cont db\r",
        "{\"execute\":\"query-status\",\"arguments\":{\"vm\":\"web\"}}",
        "{\"execute\":\"qmp_capabilities\"}",
        "{\"execute\":\"batuta-console-attach\",\"arguments\":{\"vm\":\"db\"}}",
        "\r",
        "\t",
        "\033[A",
        "\003",
        "{",
    };
    const char *word = words[byte % ARRAY_SIZE(words)];

    switch (what % 8) {
    case 0:
    case 1:
        fixture_write(f, what % 8, &byte, 1);
        break;
    case 2:
        *typed = true;
        fixture_type(f, &f->terminal, &byte, 1);
        break;
    case 3:
        *typed = true;
        fixture_type(f, &f->terminal, word, strlen(word));
        break;
    case 4:
        fixture_type(f, &f->management, word, strlen(word));
        break;
    case 5:
        fixture_connect(f, byte & 1);
        break;
    case 6:
        f->terminal.room = byte & 1 ? ~(size_t)0 : byte;
        f->management.room = byte & 2 ? ~(size_t)0 : byte;
        break;
    default:
        fixture_run(f, (uint64_t)byte * 20000000);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = fixture_create(0);
    bool typed = false;

    f->terminal.len = 0;
    for (size_t i = 0; i + 1 < size; i += 2)
        act(f, data[i], data[i + 1], &typed);
    f->terminal.room = ~(size_t)0;
    fixture_run(f, 10000000000);
    if (!typed && !memmem(f->terminal.out, f->terminal.len, "not shown", 9))
        check_lines(f->terminal.out, f->terminal.out + f->terminal.len);
    fixture_destroy(f);
    return 0;
}
