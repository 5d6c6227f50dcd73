/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The UART, the keyboard controller, fw_cfg and the debug ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "dev/fw/fw_cfg.h"
#include "dev/input/i8042.h"
#include "tests/unit/dev/fixture.h"

/* ---- 16550A ---- */

#define COM1 0x3f8

static size_t receive(struct fixture *f, const char *text)
{
    return f->serial.receive(f->serial.device, (const uint8_t *)text, strlen(text));
}

static void uart_sends(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(inb(f, COM1 + 5), 0x60);
    outb(f, COM1 + 4, 8);
    outb(f, COM1 + 1, 2);
    assert_true(line_up(f, 4)); /* empty: THRE at once */
    assert_int_equal(inb(f, COM1 + 2), 2);
    assert_false(line_up(f, 4)); /* reading told it */
    assert_int_equal(inb(f, COM1 + 2), 1);
    outb(f, COM1, 'h');
    assert_true(line_up(f, 4));
    outb(f, COM1, 'i');
    assert_int_equal(f->output_len, 2);
    assert_memory_equal(f->output, "hi", 2);
    outb(f, COM1 + 4, 0); /* OUT2 gates the line */
    assert_false(line_up(f, 4));
}

static void uart_waits_for_a_slow_peer(void **state)
{
    struct fixture *f = *state;

    outb(f, COM1 + 2, 1);
    f->room = 3;
    for (unsigned i = 0; i < 10; i++)
        outb(f, COM1, (uint8_t)('0' + i));
    assert_int_equal(f->output_len, 3);
    assert_int_equal(inb(f, COM1 + 5) & 0x60, 0);
    f->room = 100;
    f->serial.writable(f->serial.device);
    assert_memory_equal(f->output, "0123456789", 10);
    assert_int_equal(inb(f, COM1 + 5) & 0x60, 0x60);
    f->serial.connected = false; /* nobody there: bytes go nowhere, and the guest does not hang */
    outb(f, COM1, 'x');
    assert_int_equal(inb(f, COM1 + 5) & 0x60, 0x60);
    assert_int_equal(f->output_len, 10);
}

static void uart_receives(void **state)
{
    struct fixture *f = *state;

    outb(f, COM1 + 4, 8);
    outb(f, COM1 + 1, 1);
    assert_int_equal(receive(f, "abc"), 1); /* without FIFO: one */
    assert_true(line_up(f, 4));
    assert_int_equal(inb(f, COM1 + 2), 4);
    assert_int_equal(inb(f, COM1), 'a');
    assert_false(line_up(f, 4));
    assert_int_equal(f->resumed, 1);
    outb(f, COM1 + 2, 0x81); /* FIFO, trigger at 8 */
    assert_int_equal(receive(f, "0123456"), 7);
    assert_int_equal(inb(f, COM1 + 2), 0xcc); /* time-out */
    assert_int_equal(receive(f, "789"), 3);
    assert_int_equal(inb(f, COM1 + 2), 0xc4);
    assert_int_equal(receive(f, "abcdefgh"), 6);
    for (unsigned i = 0; i < 16; i++) {
        assert_true(inb(f, COM1 + 5) & 1);
        assert_int_equal(inb(f, COM1), "0123456789abcdef"[i]);
    }
    assert_false(inb(f, COM1 + 5) & 1);
    assert_int_equal(inb(f, COM1), 0);
}

static void uart_loops_back(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(inb(f, COM1 + 6), 0xb0); /* somebody is there */
    outb(f, COM1 + 2, 1);
    outb(f, COM1 + 4, 0x1a); /* loop, OUT2, RTS */
    assert_int_equal(inb(f, COM1 + 6) & 0xf0, 0x90);
    outb(f, COM1, 'z');
    assert_int_equal(f->output_len, 0);
    assert_int_equal(inb(f, COM1), 'z');
    for (unsigned i = 0; i < 17; i++)
        outb(f, COM1, 'y');
    assert_true(inb(f, COM1 + 5) & 2); /* overrun */
    assert_false(inb(f, COM1 + 5) & 2);
    assert_int_equal(receive(f, "q"), 0);
    outb(f, COM1 + 4, 0);
    assert_true(f->resumed > 0);
}

static void uart_modem_status_and_registers(void **state)
{
    struct fixture *f = *state;

    outb(f, COM1 + 4, 8);
    outb(f, COM1 + 1, 8);
    f->serial.connected = false;
    f->serial.connection(f->serial.device, false);
    assert_true(line_up(f, 4));
    assert_int_equal(inb(f, COM1 + 2), 0);
    assert_int_equal(inb(f, COM1 + 6), 0x0b); /* CTS, DSR, DCD fell */
    assert_int_equal(inb(f, COM1 + 6), 0x00);
    assert_false(line_up(f, 4));
    outb(f, COM1 + 7, 0x5a);
    assert_int_equal(inb(f, COM1 + 7), 0x5a);
    outb(f, COM1 + 3, 0x83);
    outb(f, COM1, 0x34);
    outb(f, COM1 + 1, 0x12);
    assert_int_equal(inb(f, COM1), 0x34);
    assert_int_equal(inb(f, COM1 + 1), 0x12);
    outb(f, COM1 + 3, 3);
    assert_int_equal(inb(f, COM1 + 1), 8);
    outb(f, COM1 + 1, 0xff);
    assert_int_equal(inb(f, COM1 + 1), 0x0f);
    assert_int_equal(inb(f, 0x2f8 + 5), 0x60); /* the others are there */
    outb(f, 0x2e8, 'n');
}

/* ---- i8042 ---- */

static int ctl(struct fixture *f, uint8_t command)
{
    outb(f, 0x64, command);
    return inb(f, 0x64) & 1 ? inb(f, 0x60) : -1;
}

static int key_byte(struct fixture *f)
{
    return inb(f, 0x64) & 1 ? inb(f, 0x60) : -1;
}

static void i8042_controller(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ctl(f, 0xaa), 0x55);
    assert_int_equal(ctl(f, 0xab), 0x00);
    assert_int_equal(ctl(f, 0xa9), 0x00);
    assert_true(ctl(f, 0x20) & 0x20);
    assert_int_equal(ctl(f, 0xa8), -1);
    assert_false(ctl(f, 0x20) & 0x20);
    outb(f, 0x64, 0x60);
    outb(f, 0x60, 0x47);
    assert_int_equal(ctl(f, 0x20), 0x47);
    assert_int_equal(ctl(f, 0xd0) & 3, 3);
    outb(f, 0x64, 0xd3);
    outb(f, 0x60, 0x5a);
    assert_int_equal(inb(f, 0x64) & 0x21, 0x21); /* comes back as the mouse's */
    assert_int_equal(inb(f, 0x60), 0x5a);
    outb(f, 0x64, 0x65);
    outb(f, 0x60, 0x99);
    assert_int_equal(ctl(f, 0x25), 0x99);
    assert_int_equal(f->events[VM_EVENT_RESET], 0);
    outb(f, 0x64, 0xfe);
    assert_int_equal(f->events[VM_EVENT_RESET], 1);
}

/* The next byte, which must be the auxiliary port's; -1: none. */
static int mouse_byte(struct fixture *f)
{
    uint8_t status = inb(f, 0x64);

    if (!(status & 1))
        return -1;
    assert_true(status & 0x20);
    return inb(f, 0x60);
}

static void to_mouse(struct fixture *f, uint8_t byte)
{
    outb(f, 0x64, 0xd4);
    outb(f, 0x60, byte);
}

static void mouse_on_the_auxiliary_port(void **state)
{
    static const int status[] = {0xfa, 0x20, 2, 80, -1}, packet[] = {0x29, 5, 0xfd, -1};
    struct fixture *f = *state;

    outb(f, 0x64, 0x60);
    outb(f, 0x60, 0x03);
    to_mouse(f, 0xff);
    assert_true(line_up(f, 12));
    assert_false(line_up(f, 1));
    assert_int_equal(mouse_byte(f), 0xfa);
    assert_int_equal(mouse_byte(f), 0xaa);
    assert_int_equal(mouse_byte(f), 0x00);
    assert_false(line_up(f, 12));
    assert_false(ps2_mouse_move(f->board.i8042, 1, 1, 0)); /* not yet told to report */
    to_mouse(f, 0xf3);
    assert_int_equal(mouse_byte(f), 0xfa);
    to_mouse(f, 80);
    assert_int_equal(mouse_byte(f), 0xfa);
    to_mouse(f, 0xf4);
    assert_int_equal(mouse_byte(f), 0xfa);
    to_mouse(f, 0xe9);
    for (unsigned i = 0; i < ARRAY_SIZE(status); i++)
        assert_int_equal(mouse_byte(f), status[i]);
    assert_true(ps2_mouse_move(f->board.i8042, 5, -3, 1));
    for (unsigned i = 0; i < ARRAY_SIZE(packet); i++)
        assert_int_equal(mouse_byte(f), packet[i]);
    for (unsigned i = 0; i < 100; i++)
        (void)ps2_mouse_move(f->board.i8042, 1, 1, 0);
    assert_false(ps2_mouse_move(f->board.i8042, 1, 1, 0)); /* full */
    outb(f, 0x64, 0xa7);
    (void)inb(f, 0x60);
    assert_int_equal(mouse_byte(f), -1); /* the port is off */
}

static void keyboard_commands(void **state)
{
    struct fixture *f = *state;

    outb(f, 0x64, 0x60);
    outb(f, 0x60, 0x01); /* untranslated, interrupt */
    outb(f, 0x60, 0xf2);
    assert_true(line_up(f, 1));
    assert_int_equal(key_byte(f), 0xfa);
    assert_int_equal(key_byte(f), 0xab);
    assert_int_equal(key_byte(f), 0x83);
    assert_false(line_up(f, 1));
    outb(f, 0x60, 0xff);
    assert_int_equal(key_byte(f), 0xfa);
    assert_int_equal(key_byte(f), 0xaa);
    outb(f, 0x60, 0xed);
    assert_int_equal(key_byte(f), 0xfa);
    outb(f, 0x60, 0x02);
    assert_int_equal(key_byte(f), 0xfa);
    outb(f, 0x60, 0xf0);
    assert_int_equal(key_byte(f), 0xfa);
    outb(f, 0x60, 0x00);
    assert_int_equal(key_byte(f), 0xfa);
    assert_int_equal(key_byte(f), 0x02);
    outb(f, 0x60, 0xee);
    assert_int_equal(key_byte(f), 0xee);
    outb(f, 0x60, 0x01); /* no command */
    assert_int_equal(key_byte(f), 0xfe);
    outb(f, 0x60, 0xf5);
    assert_int_equal(key_byte(f), 0xfa);
    assert_false(ps2_key(f->board.i8042, 0x1c, true));
}

static void keys_are_translated(void **state)
{
    struct fixture *f = *state;

    assert_true(ps2_key(f->board.i8042, 0x1c, true)); /* A */
    assert_true(line_up(f, 1));
    assert_int_equal(key_byte(f), 0x1e);
    assert_true(ps2_key(f->board.i8042, 0x1c, false));
    assert_int_equal(key_byte(f), 0x9e);
    assert_true(ps2_key(f->board.i8042, 0xe075, false)); /* up */
    assert_int_equal(key_byte(f), 0xe0);
    assert_int_equal(key_byte(f), 0xc8);
    assert_true(ps2_key(f->board.i8042, 0x83, true)); /* F7 */
    assert_int_equal(key_byte(f), 0x41);
    assert_int_equal(key_byte(f), -1);
    outb(f, 0x64, 0xad);
    assert_true(ps2_key(f->board.i8042, 0x1c, true));
    assert_int_equal(key_byte(f), -1); /* held back */
    outb(f, 0x64, 0xae);
    assert_int_equal(key_byte(f), 0x1e);
    for (unsigned i = 0; i < 100; i++)
        (void)ps2_key(f->board.i8042, 0x1c, true);
    assert_false(ps2_key(f->board.i8042, 0x1c, true)); /* full */
}

/* ---- fw_cfg ---- */

static void select_key(struct fixture *f, uint16_t key)
{
    bus_write(&f->vm.pio, 0x510, key, 2);
}

static uint64_t fw_read(struct fixture *f, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)inb(f, 0x511) << (i * 8);
    return v;
}

static void fw_cfg_items(void **state)
{
    struct fixture *f = *state;

    select_key(f, 0);
    assert_int_equal(fw_read(f, 4), 0x554d4551); /* QEMU */
    assert_int_equal(fw_read(f, 4), 0);
    select_key(f, FW_CFG_ID);
    assert_int_equal(fw_read(f, 4), 3);
    select_key(f, FW_CFG_RAM_SIZE);
    assert_int_equal(fw_read(f, 8), FIXTURE_RAM);
    select_key(f, FW_CFG_NB_CPUS);
    assert_int_equal(fw_read(f, 2), 1);
    select_key(f, 0xffff);
    assert_int_equal(fw_read(f, 8), 0);
    select_key(f, 0x8003);
    assert_int_equal(fw_read(f, 8), 0);
    assert_int_equal(fw_cfg_add_integer(f->board.fw_cfg, FW_CFG_RAM_SIZE, 1, 4), -EEXIST);
}

static void fw_cfg_files(void **state)
{
    struct fixture *f = *state;
    char name[16];

    assert_int_equal(fw_cfg_add_file(f->board.fw_cfg, "opt/b", "bee", 3), 0);
    assert_int_equal(fw_cfg_add_file(f->board.fw_cfg, "opt/a", "aye!", 4), 0);
    assert_int_equal(fw_cfg_add_file(f->board.fw_cfg, "opt/a", "x", 1), -EEXIST);
    select_key(f, FW_CFG_FILE_DIR);
    assert_int_equal(__builtin_bswap32((uint32_t)fw_read(f, 4)), 2);
    assert_int_equal(__builtin_bswap32((uint32_t)fw_read(f, 4)), 4); /* sorted: opt/a */
    assert_int_equal(__builtin_bswap16((uint16_t)fw_read(f, 2)), 0x21);
    select_key(f, 0x20);
    assert_int_equal(fw_read(f, 4), 0x656562);
    for (unsigned i = 2; i < FW_CFG_FILES_MAX; i++) {
        snprintf(name, sizeof(name), "opt/%u", i);
        assert_int_equal(fw_cfg_add_file(f->board.fw_cfg, name, "", 1), 0);
    }
    assert_int_equal(fw_cfg_add_file(f->board.fw_cfg, "opt/more", "", 1), -ENOSPC);
}

static uint32_t dma(struct fixture *f, uint32_t control, uint32_t len, uint64_t to)
{
    uint8_t *request = f->ram + 0x1000;

    store_be32(request, control);
    store_be32(request + 4, len);
    store_be64(request + 8, to);
    outl(f, 0x514, 0);
    outl(f, 0x518, __builtin_bswap32(0x1000));
    return load_be32(request);
}

static void fw_cfg_dma(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(inl(f, 0x514), 0x554d4551);
    assert_int_equal(inl(f, 0x518), 0x47464320);
    memset(f->ram + 0x2000, 0xcc, 16);
    assert_int_equal(dma(f, (uint32_t)FW_CFG_SIGNATURE << 16 | 8 | 2, 8, 0x2000), 0);
    assert_memory_equal(f->ram + 0x2000, "QEMU\0\0\0\0\xcc", 9);
    assert_int_equal(dma(f, (uint32_t)FW_CFG_SIGNATURE << 16 | 8 | 4, 2, 0), 0); /* skip two */
    assert_int_equal(fw_read(f, 2), 0x554d);
    assert_int_equal(dma(f, 2, 8, FIXTURE_RAM - 4), 1); /* past RAM */
    assert_int_equal(dma(f, 2, 0xffffffff, 0x2000), 1);
    /* zeroes behind an item's end, but no more than that takes an instant */
    memset(f->ram + 0x100000, 0xcc, MIB(2));
    assert_int_equal(dma(f, 2, KIB(32), 0x100000), 0);
    assert_int_equal(f->ram[0x100000 + KIB(32) - 1], 0);
    assert_int_equal(f->ram[0x100000 + KIB(32)], 0xcc);
    assert_int_equal(dma(f, 2, MIB(2), 0x100000), 1);
    assert_int_equal(f->ram[0x100000 + KIB(32)], 0xcc);
    assert_int_equal(dma(f, 2, 8, ~0ULL - 3), 1);
    assert_int_equal(dma(f, 16, 8, 0x2000), 1); /* nothing is for writing */
    outl(f, 0x514, 0xffffffff);                 /* a request nowhere */
    outl(f, 0x518, 0xffffffff);
}

/* ---- debug ports ---- */

static void debug_ports(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(inb(f, 0xe9), 0xe9);
    outb(f, 0xe9, '!');
    assert_memory_equal(f->output, "!", 1);
    assert_int_equal(inb(f, 0x505), 3);
    outb(f, 0x505, 1);
    assert_int_equal(f->events[VM_EVENT_PANIC], 1);
    assert_int_equal(f->event_arg, 1);
    outb(f, 0x505, 0x80);
    assert_int_equal(f->events[VM_EVENT_PANIC], 1);
    outl(f, 0xf4, 0x10);
    assert_int_equal(f->events[VM_EVENT_DEBUG_EXIT], 1);
    assert_int_equal(f->events[VM_EVENT_SHUTDOWN], 1);
    /* One end is enough, whatever else a guest writes before it notices. */
    outl(f, 0xf4, 0x11);
    outb(f, 0x505, 1);
    assert_int_equal(f->events[VM_EVENT_DEBUG_EXIT], 1);
    assert_int_equal(f->events[VM_EVENT_PANIC], 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(uart_sends),
        T(uart_waits_for_a_slow_peer),
        T(uart_receives),
        T(uart_loops_back),
        T(uart_modem_status_and_registers),
        T(i8042_controller),
        T(mouse_on_the_auxiliary_port),
        T(keyboard_commands),
        T(keys_are_translated),
        T(fw_cfg_items),
        T(fw_cfg_files),
        T(fw_cfg_dma),
        T(debug_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
