/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screen as a teletype: VGA text, or a linear framebuffer with the font of
 * hv/font.c. Nothing is ever read back from video memory, which is slow: the text is kept
 * here, and what changed is drawn.
 */
#include "base/bytes.h"
#include "hv/boot/boot-info.h"
#include "hv/console.h"
#include "hv/font.h"
#include "hv/mem/map.h"
#include "hv/mem/page.h"

#define SCREEN_COLUMNS 100U
#define SCREEN_ROWS    40U

static struct {
    uint8_t *memory; /* NULL: no screen */
    bool hidden;
    unsigned columns, rows, x, y;
    char text[SCREEN_ROWS][SCREEN_COLUMNS];
} screen;

static void draw_pixels(unsigned x, unsigned y, char c)
{
    const struct boot_screen *s = &boot_info.screen;
    unsigned bytes = s->bpp / 8;

    for (unsigned row = 0; row < FONT_HEIGHT; row++) {
        uint8_t *line =
            screen.memory + (size_t)(y * FONT_HEIGHT + row) * s->pitch + (size_t)x * FONT_WIDTH * bytes;
        uint8_t bits = font_row(c, row);

        for (unsigned i = 0; i < FONT_WIDTH; i++)
            memset(line + i * bytes, bits >> (FONT_WIDTH - 1 - i) & 1 ? 0xc0 : 0, bytes);
    }
}

static void draw(unsigned x, unsigned y)
{
    char c = screen.text[y][x];

    if (boot_info.screen.kind == BOOT_SCREEN_TEXT)
        store_le16(screen.memory + y * boot_info.screen.pitch + x * 2, (uint16_t)(0x0700 | (uint8_t)c));
    else
        draw_pixels(x, y, c);
}

static void put(unsigned x, unsigned y, char c)
{
    if (screen.text[y][x] == c)
        return;
    screen.text[y][x] = c;
    draw(x, y);
}

void console_remap(void)
{
    const struct boot_screen *s = &boot_info.screen;
    bool text = s->kind == BOOT_SCREEN_TEXT;

    if (s->kind == BOOT_SCREEN_NONE || !s->height || !s->width)
        return;
    screen.memory = map_framebuffer(s->phys, (uint64_t)s->pitch * s->height);
    screen.columns = MIN(SCREEN_COLUMNS, text ? s->width : s->width / FONT_WIDTH);
    screen.rows = MIN(SCREEN_ROWS, text ? s->height : s->height / FONT_HEIGHT);
    if (!screen.columns || !screen.rows)
        screen.memory = NULL;
    if (!screen.memory)
        return;
    if (!text)
        memset(screen.memory, 0, (size_t)s->pitch * s->height);
    for (unsigned y = 0; y < screen.rows; y++) {
        for (unsigned x = 0; x < screen.columns; x++)
            put(x, y, ' ');
    }
}

static void new_line(void)
{
    screen.x = 0;
    if (++screen.y < screen.rows)
        return;
    screen.y = screen.rows - 1;
    for (unsigned y = 0; y + 1 < screen.rows; y++) {
        for (unsigned x = 0; x < screen.columns; x++)
            put(x, y, screen.text[y + 1][x]);
    }
    for (unsigned x = 0; x < screen.columns; x++)
        put(x, screen.y, ' ');
}

void screen_enable(bool on)
{
    screen.hidden = !on;
}

void screen_write(const char *text, size_t len)
{
    if (!screen.memory || screen.hidden)
        return;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            new_line();
        } else if (text[i] >= ' ' && text[i] < 127) {
            if (screen.x == screen.columns)
                new_line();
            put(screen.x++, screen.y, text[i]);
        }
    }
}
