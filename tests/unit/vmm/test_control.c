/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's protocol, spoken over socket pairs. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/control.h"
#include "vmm/loop.h"
#include "vmm/plat-linux.h"

struct fixture {
    struct loop *loop;
    struct plat plat;
    struct control *control;
    struct loop_timer stop;
    int fd;
    char buf[65536];
};

static void cmd_echo(struct control_call *call)
{
    json_put_value(call->out, json_member(call->args, "value"));
}

static void cmd_fail(struct control_call *call)
{
    json_put_text(call->out, "not to be seen");
    error_set(call->err, EINVAL, "it failed");
}

static void cmd_nothing(struct control_call *call)
{
}

static void cmd_large(struct control_call *call)
{
    char *text = malloc(MIB(1));

    memset(text, 'x', MIB(1));
    json_put_bytes(call->out, text, MIB(1));
    free(text);
}

static const struct control_command commands[] = {
    {"echo", "!value other", CONTROL_HOST, cmd_echo},
    {"fail", NULL, CONTROL_HOST, cmd_fail},
    {"nothing", NULL, CONTROL_HOST, cmd_nothing},
    {"large", NULL, CONTROL_HOST, cmd_large},
    {NULL, NULL, CONTROL_HOST, NULL},
};
static const struct control_command *const tables[] = {commands, NULL};

static void quit(void *opaque)
{
    loop_quit(opaque);
}

/* Lets the loop work for some milliseconds. */
static void work(struct fixture *f)
{
    loop_timer_set(f->loop, &f->stop, loop_now(f->loop) + 3000000);
    loop_run(f->loop);
    loop_resume(f->loop);
}

/* What the server sent since the last time. */
static const char *answer(struct fixture *f)
{
    ssize_t n;

    work(f);
    n = recv(f->fd, f->buf, sizeof(f->buf) - 1, MSG_DONTWAIT);
    f->buf[n > 0 ? n : 0] = 0;
    return f->buf;
}

static const char *say_bytes(struct fixture *f, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(f->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n <= 0) {
            work(f);
            if (n < 0 && errno != EAGAIN)
                break;
            continue;
        }
        text += n;
        len -= (size_t)n;
    }
    return answer(f);
}

static const char *say(struct fixture *f, const char *text)
{
    return say_bytes(f, text, strlen(text));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    int pair[2];

    f->loop = loop_create(&err);
    f->stop = (struct loop_timer){.fn = quit, .opaque = f->loop};
    f->plat.ops = &plat_linux_ops;
    f->control =
        control_create(&(struct control_config){.loop = f->loop, .plat = &f->plat, .commands = tables}, &err);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->fd = pair[0];
    assert_int_equal(control_adopt(f->control, pair[1]), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    control_destroy(f->control);
    loop_destroy(f->loop);
    close(f->fd);
    free(f);
    return 0;
}

static void negotiate(struct fixture *f)
{
    assert_non_null(strstr(answer(f), "{\"QMP\":{\"version\":{\"qemu\":{"));
    assert_string_equal(say(f, "{\"execute\":\"qmp_capabilities\"}\n"), "{\"return\":{}}\r\n");
}

static void test_negotiation(void **state)
{
    struct fixture *f = *state;

    assert_non_null(strstr(answer(f), "\"capabilities\":[]}}\r\n"));
    assert_non_null(strstr(say(f, "{\"execute\":\"nothing\"}"), "Expecting capabilities negotiation"));
    assert_non_null(strstr(f->buf, "CommandNotFound"));
    assert_string_equal(say(f, "{ \"execute\": \"qmp_capabilities\", \"id\": [1] }"),
                        "{\"return\":{},\"id\":[1]}\r\n");
    assert_non_null(strstr(say(f, "{\"execute\":\"qmp_capabilities\"}"), "already complete"));
}

static void test_commands(void **state)
{
    struct fixture *f = *state;

    negotiate(f);
    assert_string_equal(say(f, "{\"execute\":\"nothing\",\"id\":\"a\"}"), "{\"return\":{},\"id\":\"a\"}\r\n");
    assert_string_equal(say(f, "{\"execute\":\"echo\",\"arguments\":{\"value\":{\"a\":\"}\\\"{\"}}}"),
                        "{\"return\":{\"a\":\"}\\\"{\"}}\r\n");
    assert_string_equal(say(f, "{\"execute\":\"fail\",\"id\":7}"),
                        "{\"error\":{\"class\":\"GenericError\",\"desc\":\"it failed\"},\"id\":7}\r\n");
    assert_non_null(strstr(say(f, "{\"execute\":\"gone\"}"), "\"CommandNotFound\""));
    assert_non_null(strstr(say(f, "{\"execute\":\"query-commands\"}"), "{\"name\":\"echo\"}"));
    /* several in one piece, one in several */
    assert_string_equal(say(f, "{\"execute\":\"nothing\"}{\"execute\":\"nothing\"}\r\n"),
                        "{\"return\":{}}\r\n{\"return\":{}}\r\n");
    assert_string_equal(say(f, "{\"exec"), "");
    assert_string_equal(say(f, "ute\":\"nothing\"}"), "{\"return\":{}}\r\n");
}

static void test_bad_input(void **state)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"hello\n", "Invalid JSON syntax"},
        {"{]\n", "Invalid JSON syntax"},
        {"{\"execute\":}\n", "Invalid JSON syntax"},
        {"[1,2]\n", "Invalid JSON syntax"},
        {"{}", "lacks member 'execute'"},
        {"{\"execute\":5}", "must be a string"},
        {"{\"execute\":\"nothing\",\"arguments\":[]}", "must be an object"},
        {"{\"execute\":\"nothing\",\"extra\":1}", "'extra' is unexpected"},
        {"{\"execute\":\"nothing\",\"arguments\":{\"x\":1}}", "'x' is unexpected"},
        {"{\"execute\":\"echo\"}", "'value' is missing"},
        {"{\"execute\":\"echo\",\"arguments\":{\"value\":1,\"valu\":1}}", "'valu' is unexpected"},
        {"{\"execute\":\"\"}", "CommandNotFound"},
        {"{\"execute\":\"exec-oob\"}", "CommandNotFound"},
    };
    struct fixture *f = *state;

    negotiate(f);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *got = say(f, bad[i].line);

        if (!strstr(got, "\"error\"") || !strstr(got, bad[i].says))
            fail_msg("'%s' gave '%s'", bad[i].line, got);
    }
    assert_string_equal(say(f, "{\"execute\":\"nothing\"}"), "{\"return\":{}}\r\n"); /* it lives */
}

/* An answer that quotes what was asked cuts it off, maybe in the middle of a letter. */
static void test_long_names(void **state)
{
    struct fixture *f = *state;
    char text[512];

    negotiate(f);
    for (unsigned n = 90; n < 110; n++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "{\"execute\":\"%*s", (int)n, "");

        snprintf(text + len, sizeof(text) - len, "\xc3\xa9\xc3\xa9\"}");
        assert_non_null(strstr(say(f, text), "has not been found"));
        snprintf(text + len, sizeof(text) - len, "\",\"%*s\xc3\xa9\xc3\xa9\":1}", (int)n, "");
        assert_non_null(strstr(say(f, text), "is unexpected"));
    }
}

static void test_floods(void **state)
{
    struct fixture *f = *state;
    size_t len = JSON_MAX_TEXT * 2;
    char *text = malloc(len);
    const char *said;

    negotiate(f);
    memset(text, '[', len); /* garbage without an end */
    assert_non_null(strstr(say_bytes(f, text, len), "Invalid JSON"));
    memset(text, '{', len); /* too deep */
    assert_non_null(strstr(say_bytes(f, text, len), "Invalid JSON"));
    memset(text, 'a', len); /* too long */
    memcpy(text, "{\"execute\":\"", 12);
    assert_non_null(strstr(say_bytes(f, text, len), "Invalid JSON"));
    say(f, "\n");
    memset(text, ' ', len);
    say_bytes(f, text, len);
    say(f, "\n");
    said = say(f, "{\"execute\":\"nothing\"}");
    for (unsigned i = 0; i < 1000 && !*said; i++) /* it reads the blanks first, under a sanitizer slowly */
        said = answer(f);
    assert_non_null(strstr(said, "{\"return\":{}}\r\n"));
    free(text);
}

/* A client that asks and never reads is dropped before it eats our memory. */
static void test_deaf_client(void **state)
{
    struct fixture *f = *state;
    char byte;
    bool dropped = false;

    negotiate(f);
    for (int i = 0; i < 20 && !dropped; i++) {
        dropped =
            send(f->fd, "{\"execute\":\"large\"}", 19, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE;
        work(f);
    }
    assert_true(dropped);
    while (recv(f->fd, &byte, 1, MSG_DONTWAIT) > 0) {
    }
}

static void test_events(void **state)
{
    struct fixture *f = *state;

    answer(f);
    control_event(f->control, VM_EVENT_STOP, 0, NULL); /* not negotiated: not told */
    assert_string_equal(answer(f), "");
    say(f, "{\"execute\":\"qmp_capabilities\"}");
    control_event(f->control, VM_EVENT_SHUTDOWN, VM_SHUTDOWN_GUEST, NULL);
    assert_non_null(strstr(
        answer(f), "\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-shutdown\"}}\r\n"));
    assert_int_equal(strncmp(f->buf, "{\"timestamp\":{\"seconds\":", 23), 0);
}

static void test_two_clients(void **state)
{
    struct fixture *f = *state;
    int pair[2], first = f->fd;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(control_adopt(f->control, pair[1]), 0);
    negotiate(f);
    f->fd = pair[0];
    negotiate(f);
    control_event(f->control, VM_EVENT_RESET, 1, NULL);
    assert_non_null(strstr(answer(f), "RESET"));
    close(f->fd); /* one leaves, the other stays */
    f->fd = first;
    assert_non_null(strstr(answer(f), "RESET"));
    assert_string_equal(say(f, "{\"execute\":\"nothing\"}"), "{\"return\":{}}\r\n");
}

/* A client that comes while no descriptor is left is served later, and the loop does not spin meanwhile. */
static void test_no_descriptors(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct rlimit old, none;
    clock_t before;
    struct error err = {0};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), first = f->fd, free_fd = dup(fd);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/batuta-test-control-%d", (int)getpid());
    assert_int_equal(control_listen(f->control, addr.sun_path, &err), 0);
    close(free_fd);
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &none);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    before = clock();
    for (int i = 0; i < 50; i++)
        work(f);
    assert_true(clock() - before < CLOCKS_PER_SEC / 10);
    f->fd = fd;
    assert_string_equal(answer(f), "");
    setrlimit(RLIMIT_NOFILE, &old);
    for (int i = 0; i < 500 && !*answer(f); i++) {
    }
    assert_non_null(strstr(f->buf, "\"QMP\""));
    close(fd);
    f->fd = first;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_negotiation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_floods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deaf_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
