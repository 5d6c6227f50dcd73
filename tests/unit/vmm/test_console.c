/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/console.h"
#include "vmm/loop.h"

/* ---- the escape key ---- */

static void feed(const char *keys, char *sent, enum escape_action *last)
{
    struct escape escape = {0};
    size_t n = 0;

    *last = ESCAPE_NONE;
    for (; *keys; keys++) {
        enum escape_action action;
        uint8_t out;

        if (escape_key(&escape, (uint8_t)*keys, &out, &action))
            sent[n++] = (char)out;
        else if (action != ESCAPE_NONE)
            *last = action;
    }
    sent[n] = 0;
}

static void test_escape(void **state)
{
    static const struct {
        const char *keys, *sent;
        enum escape_action action;
    } cases[] = {
        {"hello", "hello", ESCAPE_NONE},     {"a\x1dq", "a", ESCAPE_QUIT},
        {"\x1dpb", "b", ESCAPE_POWER},       {"\x1dR", "", ESCAPE_RESET},
        {"\x1ds", "", ESCAPE_STATUS},        {"\x1d?", "", ESCAPE_HELP},
        {"\x1d\x1dq", "\x1dq", ESCAPE_NONE}, {"\x1d", "", ESCAPE_NONE},
        {"\x1dzq", "q", ESCAPE_HELP},        {"\x1d\x1d\x1dq", "\x1d", ESCAPE_QUIT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum escape_action action;
        char sent[32];

        feed(cases[i].keys, sent, &action);
        assert_string_equal(sent, cases[i].sent);
        assert_int_equal(action, cases[i].action);
    }
}

/* ---- a device that takes a few bytes at a time ---- */

struct device {
    struct loop *loop;
    struct chardev *chardev;
    uint8_t got[8192];
    size_t len, room;
    size_t quit_at;
    unsigned connected, writable;
};

static size_t receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct device *d = opaque;
    size_t n = MIN(len, d->room);

    memcpy(d->got + d->len, buf, n);
    d->len += n;
    d->room -= n;
    if (d->len >= d->quit_at)
        loop_quit(d->loop);
    return n;
}

static void writable(void *opaque)
{
    struct device *d = opaque;

    d->writable++;
    loop_quit(d->loop);
}

static void connection(void *opaque, bool connected)
{
    struct device *d = opaque;

    d->connected += connected;
    loop_quit(d->loop);
}

static void plug(struct device *d, struct loop *loop, struct chardev *c)
{
    d->loop = loop;
    d->chardev = c;
    d->room = sizeof(d->got);
    d->quit_at = SIZE_MAX;
    c->receive = receive;
    c->writable = writable;
    c->connection = connection;
    c->device = d;
}

static void lost(void *opaque, const char *why)
{
    *(bool *)opaque = true;
}

static void run(struct loop *loop)
{
    loop_resume(loop); /* a device may have asked for the end before it began */
    alarm(10);         /* a hang is a failure */
    loop_run(loop);
    alarm(0);
}

static int dial(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(addr.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void test_unix(void **state)
{
    struct error err = {0};
    struct loop *loop = loop_create(&err);
    struct console_host host = {.loop = loop};
    char path[] = "/tmp/batuta-console-XXXXXX";
    struct device d = {0};
    struct chardev *c;
    struct stat st;
    int fd = mkstemp(path);
    char buf[16];

    (void)state;
    close(fd);
    /* what is not a socket is not ours to replace */
    assert_null(console_unix_create(&host, path, &err));
    assert_non_null(strstr(err.text, "is not a socket"));
    unlink(path);
    err.code = 0;
    c = console_unix_create(&host, path, &err);
    assert_non_null(c);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_null(console_unix_create(&host, path, &err));
    assert_non_null(strstr(err.text, "is in use"));

    plug(&d, loop, c);
    run(loop); /* the second one's question whether we live was a client, too */
    run(loop);
    assert_false(c->connected);
    d.connected = 0;
    assert_int_equal(c->ops->write(c, (const uint8_t *)"lost", 4), 4); /* nobody there: no hang */
    fd = dial(path);
    run(loop);
    assert_int_equal(d.connected, 1);
    assert_int_equal(c->ops->write(c, (const uint8_t *)"hi", 2), 2);
    assert_int_equal(read(fd, buf, sizeof(buf)), 2);

    /* the device takes two of five bytes, then the rest */
    d.room = 2;
    d.quit_at = 2;
    assert_int_equal(write(fd, "12345", 5), 5);
    run(loop);
    assert_int_equal(d.len, 2);
    d.room = 100;
    c->ops->resume(c);
    assert_int_equal(d.len, 5);
    assert_memory_equal(d.got, "12345", 5);

    close(fd);
    d.connected = 0;
    run(loop); /* tells of the end */
    assert_false(c->connected);
    fd = dial(path);
    run(loop);
    assert_int_equal(d.connected, 1);
    close(fd);
    console_close(c);
    assert_int_equal(access(path, F_OK), -1);
    loop_destroy(loop);
}

/* A slow reader: the device is told when there is room again. */
static void test_backpressure(void **state)
{
    struct error err = {0};
    struct loop *loop = loop_create(&err);
    struct console_host host = {.loop = loop};
    char path[64];
    uint8_t *block = calloc(1, 65536);
    struct device d = {0};
    struct chardev *c;
    size_t total = 0, n;
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/batuta-slow-%d", getpid());
    c = console_unix_create(&host, path, &err);
    assert_non_null(c);
    plug(&d, loop, c);
    fd = dial(path);
    run(loop);
    do {
        n = c->ops->write(c, block, 65536);
        total += n;
        assert_true(total < MIB(64));
    } while (n == 65536);
    assert_int_equal(d.writable, 0);
    while (total) {
        ssize_t got = read(fd, block, MIN(total, 65536U));

        assert_true(got > 0);
        total -= (size_t)got;
    }
    run(loop);
    assert_int_equal(d.writable, 1);
    close(fd);
    console_close(c);
    loop_destroy(loop);
    free(block);
}

static void test_pty(void **state)
{
    struct error err = {0};
    struct loop *loop = loop_create(&err);
    struct console_host host = {.loop = loop};
    struct device d = {0};
    struct chardev *c;
    char path[128], buf[8];
    uint8_t *block = calloc(1, 65536);
    int fd;

    (void)state;
    c = console_pty_create(&host, path, sizeof(path), &err);
    assert_non_null(c);
    plug(&d, loop, c);
    fd = open(path, O_RDWR | O_NOCTTY);
    assert_true(fd >= 0);
    assert_int_equal(c->ops->write(c, (const uint8_t *)"ok", 2), 2);
    assert_int_equal(read(fd, buf, 2), 2);
    d.quit_at = 3;
    assert_int_equal(write(fd, "abc", 3), 3);
    run(loop);
    assert_memory_equal(d.got, "abc", 3);
    close(fd);
    /* nobody reads: what does not fit is dropped, the guest goes on */
    for (int i = 0; i < 64; i++)
        assert_int_equal(c->ops->write(c, block, 65536), 65536);
    console_close(c);
    loop_destroy(loop);
    free(block);
}

static void test_file(void **state)
{
    struct error err = {0};
    struct loop *loop = loop_create(&err);
    bool gone = false;
    struct console_host host = {.loop = loop, .lost = lost, .opaque = &gone};
    struct chardev *c = console_file_create(&host, "/dev/full", &err);

    (void)state;
    assert_non_null(c);
    assert_int_equal(c->ops->write(c, (const uint8_t *)"x", 1), 1);
    assert_true(gone); /* told once, and the guest does not hang */
    assert_int_equal(c->ops->write(c, (const uint8_t *)"x", 1), 1);
    console_close(c);
    assert_null(console_file_create(&host, "/nonexistent/x", &err));
    assert_non_null(strstr(err.text, "/nonexistent/x"));
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape), cmocka_unit_test(test_unix), cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_pty),    cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
