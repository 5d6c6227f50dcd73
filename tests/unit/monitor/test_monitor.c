/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor of batuta-hv: VMs' lines on one terminal, and what its owner types. */
#include "tests/unit/monitor/talk.h"

/* ---- lines ---- */

static void test_lines(void **state)
{
    struct fixture *f = *state;

    write_text(f, WEB, "one\ntw");
    write_text(f, DB, "eins\r\n");
    write_text(f, WEB, "o\n\nthr");
    assert_string_equal(fixture_output(f, &f->terminal), "db| eins\r\nweb| one\r\nweb| two\r\nweb| \r\n");
    assert_int_equal(f->screened, 4);
    /* half a line waits for its end, but not forever */
    fixture_run(f, 400 * MS);
    write_text(f, WEB, "ee");
    fixture_run(f, 400 * MS);
    assert_string_equal(fixture_output(f, &f->terminal), "");
    fixture_run(f, 200 * MS);
    assert_string_equal(fixture_output(f, &f->terminal), "web| three\r\n");
    write_text(f, WEB, " and more\n");
    assert_string_equal(fixture_output(f, &f->terminal), "web|  and more\r\n");
}

static void test_harmless(void **state)
{
    static const struct {
        const char *written, *shown;
    } cases[] = {
        {"\033[1;31mred\033[0m\n", "web| red\r\n"},
        {"\033]0;title\aafter\n", "web| after\r\n"},
        {"\033]0;title\033\\after\n", "web| after\r\n"},
        {"\033P+q544e\033\\x\n", "web| x\r\n"},
        {"\033(Bcharset\033=\0337\n", "web| charset\r\n"},
        {"\033c\033[2J\033[H\033[?7hhome\n", "web| home\r\n"},
        {"\033[6n\033[5i\033#8\n", "web| \r\n"},
        {"\033[1;1\n2Htext\n", "web| \r\nweb| 2Htext\r\n"},
        {"\033\033[Ax\n", "web| x\r\n"},
        {"\x9b"
         "31mraw C1\n",
         "web| ?31mraw C1\r\n"},
        {"\xc2\x9b"
         "31mC1\n",
         "web| ?31mC1\r\n"},
        {"\rbatuta> \n", "web| batuta> \r\n"},
        {"nothing\rdb| a lie\n", "web| nothing\r\nweb| db| a lie\r\n"},
        {"a\r\r\n", "web| a\r\n"},
        {"abc\b\b\bdb| lie\n", "web| db| lie\r\n"},
        {"\b\b\b\b\b\b\bx\n", "web| x\r\n"},
        {"a\x01\x0b\x0c\x0e\x7f z\a\n", "web| a????? z\r\n"},
        {"a\tb\n", "web| a       b\r\n"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n", "web| \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\r\n"},
        {"\xc3\xa9\bx\xe2\x82\xac\b\n", "web| x\r\n"},
        {"\xc3(\xff\xfe\x80 \xed\xa0\x80\n", "web| ?(??? ?\r\n"},
        {"\xe2\x82\n", "web| \r\n"},
        {"\xe2\x82z\xf0\x9f\x98q\n", "web| ?z?q\r\n"},
        {"\xe2\x80\xae"
         "gnp\xe2\x80\xa8\xe2\x81\xa6\xe2\x80\x8f\n",
         "web| ?gnp???\r\n"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture *f = *state;

        write_text(f, WEB, cases[i].written);
        if (strcmp(fixture_output(f, &f->terminal), cases[i].shown)) {
            write_text(f, WEB, cases[i].written);
            fail_msg("case %zu shows '%s', not '%s'", i, fixture_output(f, &f->terminal), cases[i].shown);
        }
    }
}

/* A sequence that does not end swallows no more than a little; a line without an end is cut. */
static void test_endless(void **state)
{
    struct fixture *f = *state;
    char text[2000];

    memset(text, '5', sizeof(text));
    memcpy(text, "\033]", 2);
    fixture_write(f, WEB, text, 400);
    write_text(f, WEB, "\nnext\n");
    check_has(shown(f), "web| 5");
    memset(text, 'x', sizeof(text));
    fixture_write(f, WEB, text, sizeof(text));
    fixture_write(f, DB, "y\n", 2);
    for (const char *at = shown(f); *at;) {
        const char *end = strstr(at, "\r\n");

        assert_non_null(end);
        assert_true(!strncmp(at, "web| x", 6) || !strncmp(at, "db| y", 5));
        assert_true(end - at < 520);
        at = end + 2;
    }
}

/* Whatever two guests write: only lines with their names, and nothing that a terminal obeys. */
static void check_random_output(const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\r\n"), *at;

        assert_non_null(end);
        assert_true(!strncmp(text, "web| ", 5) || !strncmp(text, "db| ", 4));
        for (at = text; at < end;) {
            uint32_t letter = 0;
            unsigned n = utf8_letter(at, (size_t)(end - at), &letter);

            assert_true(n && letter >= 0x20 && letter != 0x7f && !(letter >= 0x80 && letter < 0xa0));
            at += n;
        }
        text = end + 2;
    }
}

static void test_random_output(void **state)
{
    static const char *const pieces[] = {
        "\033", "[",        "]",    "0;",       "m",      "\r", "\n", "\b", "web| ", "\xc2\x9b",
        "\x9b", "\xe2\x80", "\xae", "batuta> ", "\033[A", "P",  "\a", "\\", "a",     "\t"};
    struct fixture *f = *state;
    unsigned long seed = 42;

    for (int i = 0; i < 20000; i++) {
        char text[16];
        size_t len;

        seed = seed * 6364136223846793005 + 1442695040888963407;
        len = (size_t)snprintf(text, sizeof(text), "%s", pieces[(seed >> 33) % ARRAY_SIZE(pieces)]);
        if (!(seed >> 60))
            text[0] = (char)(seed >> 40);
        fixture_write(f, seed >> 50 & 1, text, len);
        if (!(i % 500)) {
            fixture_run(f, SECOND);
            check_random_output(fixture_output(f, &f->terminal));
        }
    }
}

/* ---- who waits for whom ---- */

static void test_flood(void **state)
{
    struct fixture *f = *state;
    size_t total = 0;
    const char *out;

    f->terminal.room = 0;
    for (int i = 0; i < 10000 && fixture_write(f, WEB, "flooooooooood\n", 14); i++)
        total += 14;
    assert_in_range(total, 8 << 10, 16 << 10);
    fixture_run(f, 100 * MS);
    assert_int_equal(f->device[WEB].writable, 0); /* it waits */
    write_text(f, DB, "here\n");
    f->terminal.room = 3000; /* a little is taken: the other's turn comes at once */
    out = shown(f);
    check_has(out, "db| here\r\n");
    f->terminal.room = ~(size_t)0;
    shown(f);
    assert_int_equal(f->device[WEB].writable, 1);
    assert_true(fixture_write(f, WEB, "on\n", 3));
    check_has(shown(f), "web| on\r\n");
    check_has_not(out, "not shown"); /* nothing was lost */
}

/* An endless writer gets so much of the terminal and no more. */
static void test_rate(void **state)
{
    struct fixture *f = *state;
    char text[1000];
    size_t before, len;

    memset(text, 'x', sizeof(text));
    text[99] = text[199] = text[499] = text[999] = '\n';
    for (int i = 0; i < 100; i++) {
        fixture_write(f, WEB, text, sizeof(text));
        fixture_run(f, 10 * MS);
    }
    before = f->terminal.len;
    for (int i = 0; i < 1000; i++) {
        fixture_write(f, WEB, text, sizeof(text));
        fixture_run(f, 1 * MS);
    }
    len = f->terminal.len - before;
    assert_in_range(len, 40 << 10, 60 << 10);
}

/* Who writes byte by byte wakes the monitor for the first, and then it comes by itself. */
static void test_few_wakes(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    fixture_run(f, SECOND);
    before = f->wakes;
    for (int i = 0; i < 1000; i++) {
        fixture_write(f, WEB, "x", 1);
        fixture_run(f, MS / 100);
    }
    assert_in_range(f->wakes - before, 1, 3);
}

/* A terminal that takes nothing any more: after a while nobody waits for it, and it is told later. */
static void test_stuck_terminal(void **state)
{
    struct fixture *f = *state;
    unsigned long total = 0;
    const char *out;

    f->terminal.room = 0;
    for (int i = 0; i < 3000; i++) {
        total += fixture_write(f, WEB, "0123456789abcde\n", 16) ? 16 : 0;
        fixture_run(f, MS);
    }
    assert_true(f->device[WEB].writable > 0);
    assert_true(total > 10 << 10);
    fixture_run(f, SECOND);
    write_text(f, WEB, "last\n");
    f->terminal.room = ~(size_t)0;
    f->terminal.chardev.writable(f->terminal.chardev.device);
    out = shown(f);
    check_has(out, "(web wrote ");
    check_has(out, " bytes that were not shown: log web)\r\n");
    write_text(f, WEB, "again\n");
    assert_string_equal(shown(f), "web| again\r\n");
}

static void test_own_log(void **state)
{
    struct fixture *f = *state;

    monitor_log(f->monitor, "[    1.000000] hello \033[31m\n", 26);
    write_text(f, WEB, "x\n");
    assert_string_equal(shown(f), "web| x\r\n[    1.000000] hello \r\n");
    f->terminal.room = 0;
    for (int i = 0; i < 10000; i++)
        monitor_log(f->monitor, "again\n", 6);
    f->terminal.room = ~(size_t)0;
    check_has(shown(f), "(the hypervisor's log has more than was shown: log)\r\n");
}

/* ---- the prompt ---- */

static void test_greeting(void **state)
{
    struct fixture *f = fixture_create(0);

    check_has(fixture_output(f, &f->terminal), "batuta-hv 1.2.3: press Enter for the monitor; \"help\"");
    write_text(f, WEB, "no prompt in a log that nobody reads\n");
    fixture_run(f, 100 * SECOND);
    check_has_not(fixture_output(f, &f->terminal), "batuta>");
    fixture_destroy(f);
}

static void test_prompt(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(type(f, "\r"), "batuta> \r\nbatuta> ");
    write_text(f, WEB, "a\nb\n");
    assert_string_equal(fixture_output(f, &f->terminal), "\r\033[Kweb| a\r\nweb| b\r\n");
    fixture_run(f, SECOND);
    assert_string_equal(fixture_output(f, &f->terminal), "batuta> ");
    assert_string_equal(type(f, "li"), "li");
    write_text(f, WEB, "c\n"); /* what is typed stays */
    fixture_run(f, MS);
    assert_string_equal(fixture_output(f, &f->terminal), "\r\033[Kweb| c\r\nbatuta> li");
    check_has(type(f, "st\r"), "VM     STATE");
    fixture_run(f, 100 * SECOND);
    fixture_output(f, &f->terminal);
    write_text(f, WEB, "gone for long\n");
    fixture_run(f, 10 * SECOND);
    assert_string_equal(fixture_output(f, &f->terminal), "\r\033[Kweb| gone for long\r\n");
}

static void test_editing(void **state)
{
    static const struct {
        const char *keys, *line;
    } cases[] = {
        {"xelp\033[H\033[3~h", "help"},
        {"lp\001he", "help"},
        {"help me\027\b", "help"},
        {"garbage\025help", "help"},
        {"\xc3\xa9help\033[1~\033[3~", "help"},
        {"h\xc3\xa9lp\033[D\033[D\b\033[Dhe\033[C\033[3~\033[Clp\b\b", "hehp"},
        {"hexlp\002\002\bl\013p", "help"},
        {"he\x7f\x7f\x7f\x7f"
         "help",
         "help"},
        {"\033[1;5C\033Oxhelp", "help"},
        {"something\003help", "help"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture *f = *state;
        char keys[128];

        snprintf(keys, sizeof(keys), "%s\r", cases[i].keys);
        if (!strcmp(cases[i].line, "help"))
            check_has(type(f, keys), "attach");
        else
            check_has(type(f, keys), "there is no command 'hehp'");
    }
    check_has(type(*state, "nothing\r"), "there is no command 'nothing': help lists them");
    check_has(type(*state, "\033[A\r"), "there is no command 'nothing'");
    check_has(type(*state, "\033[A\033[A\033[B\r"), "there is no command 'nothing'");
    check_has(type(*state, "\033[A\033[B\033[B\r"), "batuta> \r\nbatuta> ");
}

static void test_long_line(void **state)
{
    struct fixture *f = *state;
    char text[5000];

    memset(text, 'x', sizeof(text));
    fixture_type(f, &f->terminal, text, sizeof(text));
    check_has(fixture_output(f, &f->terminal), "\a");
    check_has(type(f, "\r"), "there is no command 'xxxx");
    for (int i = 0; i < 40; i++) { /* more than are remembered */
        snprintf(text, sizeof(text), "word%d\r", i);
        type(f, text);
    }
    for (int i = 0; i < 60; i++)
        type(f, "\033[A");
    check_has(type(f, "\r"), "'word24'");
}

static void test_completion(void **state)
{
    struct fixture *f = *state;

    check_has(type(f, "atta\tsp\t"), "batuta> attach spare ");
    assert_string_equal(type(f, "\t"), "");
    type(f, "\003");
    assert_string_equal(type(f, "re\t"), "re"); /* reboot, reset */
    assert_string_equal(type(f, "s\t"), "set ");
    assert_string_equal(type(f, "nobody\t"), "nobody");
    type(f, "\003");
}

/* ---- commands for people ---- */

static void test_tables(void **state)
{
    struct fixture *f = *state;

    type(f, "\r");
    assert_string_equal(
        type(f, "list\r"),
        "list\r\n"
        "VM     STATE    VCPUS   MEMORY       UP     RUN    WAIT  STARTS  WHY\r\n"
        "web    running      2  256 MiB  2:03:04  1.23 s  0.00 s       1  \r\n"
        "db     running      2  256 MiB  2:03:04  1.23 s  0.00 s       1  \r\n"
        "spare  off          2  256 MiB   0.00 s  1.23 s  0.00 s       1  its ?[31mkernel panicked\r\n"
        "batuta> ");
    assert_string_equal(type(f, "stats web\r"), "stats web\r\n"
                                                "vm                   web\r\n"
                                                "state                running\r\n"
                                                "memory               256 MiB\r\n"
                                                "memory-used          1000 KiB\r\n"
                                                "up                   2:03:04\r\n"
                                                "run                  1.23 s\r\n"
                                                "wait                 0.00 s\r\n"
                                                "starts               1\r\n"
                                                "console\r\n"
                                                "  written            0\r\n"
                                                "  not-shown          0\r\n"
                                                "VCPU  CPU     RUN    WAIT\r\n"
                                                "   0    0  0.00 s  0.00 s\r\n"
                                                "   1    1  1.00 s  0.00 s\r\n"
                                                "batuta> ");
    check_has(type(f, "host\r"), "  1        2  0.00 s  idle");
    check_has(type(f, "samples web\r"), "frames\r\n    0x0\r\n");
    check_has(type(f, "counters web\r"), "engine               fake");
}

static void test_life(void **state)
{
    struct fixture *f = *state;

    check_has(type(f, "start spare\r"), "ok\r\n");
    assert_int_equal(f->started, 1);
    assert_string_equal(f->append, "(none)");
    check_has(type(f, "start spare  console=ttyS0  a=\"b\" \r"), "ok\r\n");
    assert_string_equal(f->append, "console=ttyS0  a=\"b\"");
    f->refuse = "there is no memory";
    check_has(type(f, "start spare\r"), "start: there is no memory\r\n");
    check_has(type(f, "start nobody\r"), "start: There is no VM 'nobody': choose one of web, db, spare\r\n");
    check_has(type(f, "start\r"), "usage: start NAME [CMDLINE]\r\n");
    check_has(type(f, "reset a b\r"), "usage: reset NAME\r\n");
    check_has(type(f, "list web\r"), "usage: list\r\n");
    check_has(type(f, "stop web\r"), "ok\r\n");
    assert_int_equal(f->forced, 0);
    check_has(type(f, "  kill   web \r"), "ok\r\n");
    assert_int_equal(f->stopped, 2);
    assert_int_equal(f->forced, 1);
    check_has(type(f, "cont web\r"), "ok\r\n");
    assert_int_equal(f->vm[WEB].state, VM_RUNNING);
    assert_int_equal(f->vm[DB].state, VM_PAUSED);
    check_has(type(f, "pause web\r"), "ok\r\n");
    assert_int_equal(f->vm[WEB].state, VM_PAUSED);
    check_has(type(f, "reset web\r"), "ok\r\n");
    assert_true(f->vm[WEB].reset_requested);
    check_has(type(f, "reset spare\r"), "reset: The guest is off\r\n");
    assert_string_equal(type(f, "dump web\r"),
                        "dump web\r\n"
                        "vm                   web\r\n"
                        "vcpus\r\n"
                        "  registers\r\n"
                        "    rip              0x1000\r\n"
                        "    general\r\n"
                        "      rax 0x0  rbx 0x1\r\n"
                        "    code\r\n"
                        "      00  01  02  03  04  05  06  07  08  09  0a  0b  0c  0d  0e  0f  10  11\r\n"
                        "      12  13\r\n"
                        "batuta> ");
    check_has(type(f, "dump spare\r"), "dump: spare has not crashed, and it is off");
    type(f, "reboot\r");
    assert_int_equal(f->rebooted, 1);
    type(f, "poweroff\r");
    check_has(type(f, "quit\r"), "there is no command 'quit'"); /* who only wants to leave the prompt */
    assert_int_equal(f->machine, 2);
    assert_int_equal(f->rebooted, 1);
    check_has(type(f, "we\033]0;x\aird\r"), "there is no command");
}

static void test_log(void **state)
{
    struct fixture *f = *state;
    const char *out;
    char text[64];

    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "\033[32mline %d\033[0m\r\n", i);
        write_text(f, WEB, text);
        fixture_run(f, SECOND);
    }
    write_text(f, WEB, "partial");
    shown(f);
    out = type(f, "log web 2\r");
    check_has(out, "\r\nweb| line 99\r\nweb| partial\r\nbatuta> ");
    check_has_not(out, "line 98");
    out = type(f, "log web\r");
    check_has(out, "\r\nweb| line 61\r\n");
    check_has_not(out, "line 60\r");
    check_has(type(f, "log\r"), "\r\n[    0.000000] first\r\n[    1.000000] second\r\nbatuta> ");
    check_has(type(f, "log web many\r"), "Invalid parameter type for 'lines'");
    for (int i = 0; i < 5000; i++) { /* around the ring */
        snprintf(text, sizeof(text), "another line of the many that are written: %d\n", i);
        write_text(f, WEB, text);
        fixture_run(f, 10 * MS);
    }
    fixture_output(f, &f->terminal);
    out = type(f, "log web 3\r");
    check_has(out, "written: 4997\r\nweb| another line of the many that are written: 4998\r\n");
    check_has_not(out, "4996");
}

/* ---- attached ---- */

static void test_attach(void **state)
{
    struct fixture *f = *state;
    const char *out;

    write_text(f, WEB, "before\n");
    shown(f);
    check_has(type(f, "attach web\r"), "(the console of web: Ctrl-] leaves it)");
    write_text(f, WEB, "\033[31mas it is\a\r");
    write_text(f, DB, "unseen\n");
    assert_string_equal(fixture_output(f, &f->terminal), "\033[31mas it is\a\r");
    assert_string_equal(type(f, "ls\r\003\t"), "");
    assert_memory_equal(f->device[WEB].in, "ls\r\003\t", 5);
    assert_int_equal(f->device[DB].len, 0);
    out = type(f, "\x1d");
    check_has(out, "(left web; Ctrl-] again goes back and sends it Ctrl-])\r\n");
    check_has(out, "\033[!p"); /* the terminal is ours again */
    check_has(out, "(db wrote 7 bytes that were not shown: log db)\r\n");
    check_has(shown(f), "batuta> ");
    check_has(type(f, "list\r"), "spare");
    assert_int_equal(f->device[WEB].len, 5);
    write_text(f, WEB, "after\n");
    check_has(shown(f), "web| after\r\n");
    check_has(type(f, "attach spare\r"), "spare");
    type(f, "keys for nobody\x1d");
    check_has(type(f, "attach\r"), "usage: attach NAME");
    check_has(type(f, "attach x\r"), "There is no VM 'x'");
}

static void test_attach_again(void **state)
{
    struct fixture *f = *state;

    type(f, "attach web\r");
    check_has(type(f, "a\x1d\x1d"
                      "b"),
              "(the console of web");
    assert_int_equal(f->device[WEB].len, 3);
    assert_memory_equal(f->device[WEB].in,
                        "a\x1d"
                        "b",
                        3);
    type(f, "\x1d\x1d\x1d"
            "\r"); /* and left again: Enter is ours */
    assert_int_equal(f->device[WEB].len, 4);
    check_has(type(f, "\x1d"
                      "list\r"),
              "spare"); /* too late to go back */
}

/* A guest that does not read holds up its own keys only, and none is lost. */
static void test_guest_without_room(void **state)
{
    struct fixture *f = *state;
    char keys[1200];

    for (size_t i = 0; i < sizeof(keys); i++)
        keys[i] = (char)('a' + i % 26);
    type(f, "attach web\r");
    f->device[WEB].room = 10;
    fixture_type(f, &f->terminal, keys, sizeof(keys));
    assert_int_equal(f->device[WEB].len, 10);
    for (int i = 0; i < 300 && f->device[WEB].len < sizeof(keys); i++) {
        f->device[WEB].room = 7;
        f->device[WEB].chardev->ops->resume(f->device[WEB].chardev);
        fixture_run(f, MS);
    }
    assert_int_equal(f->device[WEB].len, sizeof(keys));
    assert_memory_equal(f->device[WEB].in, keys, sizeof(keys));
}

/* The VM ends and comes back while somebody is attached. */
static void test_attach_over_restart(void **state)
{
    struct fixture *f = *state;
    struct chardev old;

    type(f, "attach web\r");
    old = *f->device[WEB].chardev;
    monitor_console_close(f->monitor, WEB);
    type(f, "lost");
    assert_ptr_equal(monitor_console_open(f->monitor, WEB, &f->plat.plat), f->device[WEB].chardev);
    f->device[WEB].chardev->receive = old.receive;
    f->device[WEB].chardev->device = old.device;
    write_text(f, WEB, "login: ");
    check_has(type(f, "root\r"), "login: ");
    assert_memory_equal(f->device[WEB].in, "root\r", 5);
    assert_int_equal(f->device[WEB].len, 5);
}

/* ---- memory ---- */

static void test_no_memory(void **state)
{
    struct fixture *f = NULL;
    unsigned n;

    for (n = 1; !f; n++) {
        f = fixture_create(n);
        assert_true(n < 20);
    }
    assert_true(n > 5);
    for (n = 1; n < 20; n++) { /* and none later on */
        f->plat.fail_after = n;
        type(f, "list\r");
        type(f, "{\"execute\":\"batuta-list-vms\"}\r");
        f->plat.fail_after = n;
        fixture_connect(f, true);
        say(f, "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-commands\"}");
        fixture_connect(f, false);
        f->plat.fail_after = 0;
    }
    check_has(type(f, "list\r"), "spare");
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines),
        TEST(test_harmless),
        TEST(test_endless),
        TEST(test_random_output),
        TEST(test_flood),
        TEST(test_rate),
        TEST(test_few_wakes),
        TEST(test_stuck_terminal),
        TEST(test_own_log),
        cmocka_unit_test(test_greeting),
        TEST(test_prompt),
        TEST(test_editing),
        TEST(test_long_line),
        TEST(test_completion),
        TEST(test_tables),
        TEST(test_life),
        TEST(test_log),
        TEST(test_attach),
        TEST(test_attach_again),
        TEST(test_guest_without_room),
        TEST(test_attach_over_restart),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
