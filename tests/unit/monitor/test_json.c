/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor of batuta-hv: JSON commands, typed on the terminal and on the management port. */
#include "tests/unit/monitor/talk.h"

static void test_json_line(void **state)
{
    struct fixture *f = *state;

    check_has(
        type(f, "{\"execute\":\"query-status\",\"arguments\":{\"vm\":\"db\"},\"id\":1}\r"),
        "{\"return\":{\"running\":false,\"singlestep\":false,\"status\":\"paused\"},\"id\":1}\r\nbatuta> ");
    check_has(type(f, "{\"execute\":\r"), "Invalid JSON syntax");
    check_has(type(f, "{\"execute\":\"query-status\"}\r"), "Parameter 'vm' is missing");
    check_has(type(f, "{\"execute\":\"query-status\"} trailing\r"), "Invalid JSON syntax");
    check_has(type(f, "list\r"), "spare");
    check_has(type(f, "{\"execute\":\"batuta-console-attach\",\"arguments\":{\"vm\":\"web\"}}\r"),
              "{\"return\":{}}");
    type(f, "x");
    assert_int_equal(f->device[WEB].len, 1);
}

static void test_management(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(say(f, "{\"execute\":\"qmp_capabilities\"}"), ""); /* nobody is there */
    fixture_connect(f, true);
    check_has(fixture_output(f, &f->management), "{\"QMP\":{\"version\":{\"qemu\":{\"major\":1,");
    check_has(say(f, "{\"execute\":\"batuta-list-vms\"}"), "Expecting capabilities negotiation");
    assert_string_equal(say(f, "{\"execute\":\"qmp_capabilities\"}"), "{\"return\":{}}\r\n");
    check_has(say(f, "{\"execute\":\"batuta-list-vms\"}"),
              "{\"return\":[{\"vm\":\"web\",\"state\":\"running\",");
    check_has(say(f, "{\"execute\":\"batuta-stop\",\"arguments\":{\"vm\":\"web\",\"force\":1}}"),
              "true or false");
    check_has(say(f, "{\"execute\":\"batuta-stop\",\"arguments\":{\"vm\":7}}"), "expected: string");
    check_has(say(f, "{\"execute\":\"stop\",\"arguments\":{\"vm\":\"nobody\"}}"), "There is no VM 'nobody'");
    check_has(say(f, "{\"execute\":\"batuta-log\",\"arguments\":{\"lines\":1}}"),
              "{\"lines\":[\"[    1.000000] second\"]}");
    check_has(say(f, "{\"execute\":\"query-commands\"}"), "\"system_powerdown\"");
    monitor_event(f->monitor, DB, VM_EVENT_RESET, 1);
    check_has(say(f, ""), "\"event\":\"RESET\",\"data\":{\"vm\":\"db\",\"guest\":true,");
    for (int i = 0; i < 70; i++)
        monitor_event(f->monitor, WEB, VM_EVENT_STOP, 0);
    check_has(say(f, ""), "\"event\":\"BATUTA_EVENTS_LOST\",\"data\":{\"count\":69}}");
    /* another client begins anew */
    say(f, "{\"execute\":");
    fixture_connect(f, false);
    monitor_event(f->monitor, DB, VM_EVENT_STOP, 0);
    fixture_run(f, SECOND);
    fixture_connect(f, true);
    check_has(say(f, "{\"execute\":\"batuta-list-vms\"}"), "Expecting capabilities negotiation");
    check_has_not(f->terminal.out, "QMP");
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned n = 0;

    for (; (text = strstr(text, part)); text++)
        n++;
    return n;
}

/* One VM's events without end are told ten times a second; nobody else's are lost or late for them. */
static void test_event_flood(void **state)
{
    struct fixture *f = *state;
    unsigned steps = 0, panics = 0, others = 0;
    const char *out;

    fixture_connect(f, true);
    say(f, "{\"execute\":\"qmp_capabilities\"}");
    for (unsigned ms = 0; ms < 3000; ms++) {
        for (unsigned i = 0; i < 100; i++)
            monitor_event(f->monitor, WEB, VM_EVENT_PANIC, 2);
        if (ms % 500 == 0)
            monitor_event(f->monitor, DB, VM_EVENT_RESET, 1);
        f->until = 0;
        for (unsigned more = 0; f->until <= f->now && more < 10; more++, steps++)
            f->until = monitor_step(f->monitor, f->now);
        f->now += MS;
        out = f->management.out;
        panics += count_of(out, "GUEST_PANICKED") + count_of(out, "GUEST_CRASHLOADED");
        others += count_of(out, "\"RESET\"");
        assert_true(ms % 500 || strstr(out, "\"RESET\""));
        f->management.len = f->management.out[0] = 0;
    }
    assert_in_range(panics, 20, 45);
    assert_int_equal(others, 6);
    assert_in_range(steps, 3000, 4000);
    /* The last of several kinds is how things are. */
    fixture_run(f, SECOND);
    fixture_output(f, &f->management);
    monitor_event(f->monitor, DB, VM_EVENT_STOP, 0);
    monitor_event(f->monitor, DB, VM_EVENT_RESUME, 0);
    monitor_event(f->monitor, DB, VM_EVENT_STOP, 0);
    out = fixture_output(f, &f->management);
    assert_true(strstr(out, "\"STOP\"") > strstr(out, "\"RESUME\""));
}

static void count_run(void *opaque)
{
    (*(unsigned *)opaque)++;
}

/* The console is closed and open again before the VM's thread came to what was left for it to do. */
static void test_console_reopened(void **state)
{
    struct fixture *f = *state;
    static unsigned ran;
    struct plat_work behind = {.fn = count_run, .opaque = &ran};

    f->device[WEB].chardev->ops->resume(f->device[WEB].chardev);
    f->plat.plat.ops->defer(&f->plat.plat, &behind);
    monitor_console_close(f->monitor, WEB);
    f->device[WEB].chardev = monitor_console_open(f->monitor, WEB, &f->plat.plat);
    f->device[WEB].chardev->ops->resume(f->device[WEB].chardev);
    fake_plat_run_work(&f->plat);
    assert_int_equal(ran, 1);
}

static void test_management_attach(void **state)
{
    struct fixture *f = *state;
    const char *out;

    fixture_connect(f, true);
    say(f, "{\"execute\":\"qmp_capabilities\"}");
    write_text(f, WEB, "earlier\n");
    shown(f);
    assert_string_equal(say(f, "{\"execute\":\"batuta-console-attach\",\"arguments\":{\"vm\":\"web\"}}ls\r"),
                        "{\"return\":{}}\r\n");
    assert_memory_equal(f->device[WEB].in, "ls\r", 3);
    write_text(f, WEB, "a\033[1m\n");
    monitor_event(f->monitor, WEB, VM_EVENT_STOP, 0);
    assert_string_equal(say(f, ""), "a\033[1m\n"); /* no events within the bytes */
    assert_string_equal(shown(f), "web| a\r\n");   /* the terminal goes on */
    out = say(f, "\x1d{\"execute\":\"query-name\",\"arguments\":{\"vm\":\"web\"}}");
    assert_string_equal(out, "\r\n{\"return\":{\"name\":\"web\"}}\r\n");
    say(f, "{\"execute\":\"batuta-console-attach\",\"arguments\":{\"vm\":\"web\"}}");
    fixture_connect(f, false); /* takes it off */
    write_text(f, WEB, "b\n");
    fixture_connect(f, true);
    out = say(f, "");
    check_has(out, "QMP");
    check_has_not(out, "b\n");
}

/* Who asks and does not read is cut off, and may come back. */
static void test_deaf_client(void **state)
{
    struct fixture *f = *state;

    fixture_connect(f, true);
    say(f, "{\"execute\":\"qmp_capabilities\"}");
    f->management.room = 0;
    for (int i = 0; i < 8000; i++)
        fixture_type(f, &f->management, "{\"execute\":\"query-commands\"}", 28);
    f->management.room = ~(size_t)0;
    fixture_output(f, &f->management);
    assert_string_equal(say(f, "{\"execute\":\"query-commands\"}"), "");
    check_has(type(f, "list\r"), "spare"); /* the other port does not care */
    fixture_connect(f, false);
    fixture_connect(f, true);
    check_has(say(f, "{\"execute\":\"qmp_capabilities\"}"), "{\"return\":{}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json_line),        TEST(test_management),        TEST(test_event_flood),
        TEST(test_console_reopened), TEST(test_management_attach), TEST(test_deaf_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
