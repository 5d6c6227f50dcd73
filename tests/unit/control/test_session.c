/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The protocol without a transport, and the commands that every VM has. The socket's own tests are vmm's. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/control.h"
#include "core/blk.h"
#include "tests/unit/fake-plat.h"

#define RAM MIB(1)

struct fixture {
    struct fake_plat plat;
    struct vm vm;
    uint8_t *ram;
    struct control_server server;
    struct control_session session;
    struct control_target target[2]; /* of which the second is off */
    unsigned acquired, pressed;
    bool started;
    char out[1 << 17];
    size_t len;
};

static void counters(struct vcpu *vcpu, bool of_vm, engine_counter_fn *tell, void *opaque)
{
    static const char group[] = "run"; /* the same words at other addresses */

    if (of_vm)
        tell(opaque, "cache", "size", 4096);
    tell(opaque, vcpu->index ? "run" : group, "exits", 10 + vcpu->index);
    tell(opaque, "cache", "misses", 1);
    if (vcpu->index)
        tell(opaque, "run", "late", UINT64_MAX);
}

static const struct engine_ops engine = {.name = "fake", .counters = counters};

static struct fixture *of_target(struct control_target *t)
{
    return container_of(t - (t->vm ? 0 : 1), struct fixture, target[0]);
}

static bool started(struct control_target *t)
{
    return of_target(t)->started;
}

static void powerdown(struct control_target *t)
{
    of_target(t)->pressed++;
}

static bool disk(struct control_target *t, unsigned i, struct control_disk *disk)
{
    static const struct blk_ops ops = {.name = "raw"};
    static const struct blk blk = {.ops = &ops, .size = 4096, .read_only = true};

    *disk = (struct control_disk){.file = "a\xff.img", .blk = i == 1 ? &blk : NULL};
    return i < 3;
}

static const struct control_target_ops target_ops = {started, powerdown, NULL, disk};

static struct control_target *acquire(struct control_server *server, struct json args, struct error *err)
{
    struct fixture *f = container_of(server, struct fixture, server);

    for (unsigned i = 0; i < 2; i++) {
        if (json_is(json_member(args, "vm"), f->target[i].name)) {
            f->acquired++;
            return &f->target[i];
        }
    }
    error_set(err, ENOENT, "which VM?");
    return NULL;
}

static void release(struct control_server *server, struct control_target *target)
{
    container_of(server, struct fixture, server)->acquired--;
}

/* ---- commands of the test's own ---- */

static void cmd_arguments(struct control_call *call)
{
    uint64_t number = 99;
    char text[8] = "none";
    bool truth = true;

    if (!control_arg_number(call, "number", &number) || !control_arg_text(call, "text", text, sizeof(text)) ||
        !control_arg_bool(call, "truth", &truth))
        return;
    json_open(call->out, '[');
    json_put_uint(call->out, number);
    json_put_text(call->out, text);
    json_put_bool(call->out, truth);
    json_close(call->out, '[');
}

static void cmd_endless(struct control_call *call)
{
    json_open(call->out, '[');
    while (!call->out->failed)
        json_put_uint(call->out, 1);
    json_close(call->out, '[');
}

static void cmd_leave(struct control_call *call)
{
    call->session->closed = true;
}

static const struct control_command commands[] = {
    {"arguments", "number text truth", CONTROL_HOST, cmd_arguments},
    {"endless", NULL, CONTROL_HOST, cmd_endless},
    {"leave", NULL, CONTROL_HOST, cmd_leave},
    {NULL, NULL, CONTROL_HOST, NULL},
};
static const struct control_command *const tables[] = {control_vm_commands, commands, NULL};

/* ---- the fixture ---- */

static void send(struct control_session *session, const char *text, size_t len)
{
    struct fixture *f = container_of(session, struct fixture, session);

    assert_true(f->len + len < sizeof(f->out));
    memcpy(f->out + f->len, text, len);
    f->len += len;
    f->out[f->len] = 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    fake_plat_init(&f->plat);
    f->plat.realtime = 1700000000123456789;
    f->ram = calloc(1, RAM);
    assert_int_equal(vm_init(&f->vm, &f->plat.plat,
                             &(struct vm_config){.name = "web", .ram_size = RAM, .vcpus = 2, .ram = f->ram},
                             &err),
                     0);
    assert_int_equal(vm_engine_init(&f->vm, &engine, &err), 0);
    f->vm.vcpu[0]->parked = f->vm.vcpu[1]->parked = true;
    vm_lock(&f->vm);
    f->target[0] = (struct control_target){"web", &f->vm, &target_ops};
    f->target[1] = (struct control_target){"db", NULL, &target_ops};
    f->server = (struct control_server){
        .plat = &f->plat.plat,
        .tables = tables,
        .version = {1, 2, 3},
        .package = "test",
        .host = f,
        .acquire = acquire,
        .release = release,
        .selector = "vm",
    };
    control_session_init(&f->session, &f->server);
    f->session.send = send;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->acquired, 0);
    control_session_finish(&f->session);
    vm_unlock(&f->vm);
    vm_finish(&f->vm);
    assert_int_equal(f->plat.allocations, 0);
    free(f->ram);
    free(f);
    return 0;
}

static const char *say(struct fixture *f, const char *text)
{
    f->len = 0;
    f->out[0] = 0;
    assert_int_equal(control_session_input(&f->session, text, strlen(text)), 0);
    return f->out;
}

/* The command's result, or its error's text. */
static const char *ask(struct fixture *f, const char *name, const char *args)
{
    char text[512], *start;

    f->session.lenient = true;
    snprintf(text, sizeof(text), "{\"execute\":\"%s\",\"arguments\":%s}", name, args);
    say(f, text);
    start = strstr(f->out, "{\"return\":");
    if (start) {
        start += strlen("{\"return\":");
        start[strlen(start) - strlen("}\r\n")] = 0;
        return start;
    }
    start = strstr(f->out, "\"desc\":\"");
    assert_non_null(start);
    start += strlen("\"desc\":\"");
    *strchr(start, '"') = 0;
    return start;
}

/* ---- the protocol ---- */

static void test_greeting(void **state)
{
    struct fixture *f = *state;

    control_session_greet(&f->session);
    assert_string_equal(f->out, "{\"QMP\":{\"version\":{\"qemu\":{\"major\":1,\"minor\":2,\"micro\":3},"
                                "\"package\":\"test\"},\"capabilities\":[]}}\r\n");
    assert_non_null(strstr(say(f, "{\"execute\":\"query-commands\"}"), "Expecting capabilities"));
    assert_non_null(strstr(say(f, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"),
                           "not available"));
    assert_string_equal(say(f, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[ ]}}"),
                        "{\"return\":{}}\r\n");
    assert_non_null(strstr(say(f, "{\"execute\":\"query-commands\"}"), "{\"name\":\"system_reset\"}"));
}

/* However the bytes come, the answers are the same; ids come back as they were. */
static void test_pieces(void **state)
{
    static const char text[] =
        "{\"execute\":\"qmp_capabilities\"}\n nonsense }\n"
        "{ \"execute\" : \"query-version\" , \"id\" : { \"a\" : [ 1 , \"x y\\n\" ] } }{]"
        "{\"id\":18446744073709551615,\"execute\":\"gone\"}";
    struct fixture *f = *state;
    char *whole;

    whole = strdup(say(f, text));
    assert_non_null(strstr(whole, "\"package\":\"test\"},\"id\":{\"a\":[1,\"x y\\n\"]}}\r\n"));
    assert_non_null(strstr(whole, "has not been found\"},\"id\":18446744073709551615}\r\n"));
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        control_session_finish(&f->session);
        control_session_init(&f->session, &f->server);
        f->session.send = send;
        f->len = 0;
        for (size_t at = 0; at < sizeof(text) - 1; at += piece)
            control_session_input(&f->session, text + at, MIN(piece, sizeof(text) - 1 - at));
        assert_string_equal(f->out, whole);
    }
    free(whole);
}

/* Wherever memory ends, the session says so or can be closed; nothing leaks. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    char text[9000];
    bool done = false;

    memset(text, ' ', sizeof(text));
    memcpy(text, "{\"execute\":\"query-commands\",\"arguments\":{", 41);
    memcpy(text + sizeof(text) - 3, "}}\n", 3);
    f->session.lenient = true;
    for (unsigned n = 1; !done; n++) {
        control_session_finish(&f->session);
        control_session_init(&f->session, &f->server);
        f->session.send = send;
        f->session.lenient = true;
        f->len = 0;
        f->plat.fail_after = n;
        if (control_session_input(&f->session, text, sizeof(text)) == 0)
            done = strstr(f->out, "\"return\"") != NULL && f->plat.fail_after;
        assert_true(n < 50);
    }
    f->plat.fail_after = 0;
}

static void test_endless_answer(void **state)
{
    assert_string_equal(ask(*state, "endless", "{}"), "The answer is too long, or there is no memory for it");
    assert_string_equal(ask(*state, "arguments", "{}"), "[99,\"none\",true]");
}

/* What comes after the object that closed the session is nobody's. */
static void test_closed(void **state)
{
    struct fixture *f = *state;

    f->session.lenient = true;
    assert_string_equal(say(f, "{\"execute\":\"leave\"}{\"execute\":\"query-version\"}"), "");
    assert_string_equal(say(f, "{\"execute\":\"query-version\"}"), "");
}

static void test_events(void **state)
{
    struct fixture *f = *state;
    struct json_writer w;

    assert_false(control_vm_event(&f->server, &w, NULL, VM_EVENT_ERROR, 0, NULL));
    assert_true(control_vm_event(&f->server, &w, NULL, VM_EVENT_STOP, 0, NULL));
    control_session_event(&f->session, &w);
    assert_int_equal(f->len, 0); /* not negotiated */
    f->session.negotiated = true;
    control_session_event(&f->session, &w);
    assert_string_equal(f->out, "{\"timestamp\":{\"seconds\":1700000000,\"microseconds\":123456},"
                                "\"event\":\"STOP\"}\r\n");
    json_writer_finish(&w);
    f->len = 0;
    assert_true(control_vm_event(&f->server, &w, NULL, VM_EVENT_WATCHDOG, 0, NULL));
    control_session_event(&f->session, &w);
    assert_non_null(strstr(f->out, "\"event\":\"WATCHDOG\",\"data\":{\"action\":\"reset\"}}\r\n"));
    json_writer_finish(&w);
    f->len = 0;
    assert_true(control_vm_event(&f->server, &w, "web", VM_EVENT_SHUTDOWN, VM_SHUTDOWN_HOST, "why"));
    control_session_event(&f->session, &w);
    assert_non_null(strstr(
        f->out, "\"event\":\"SHUTDOWN\",\"data\":{\"vm\":\"web\",\"guest\":false,\"reason\":\"why\"}}"));
    json_writer_finish(&w);
}

/* ---- commands ---- */

static void test_arguments(void **state)
{
    static const struct {
        const char *args, *result;
    } cases[] = {
        {"{\"number\":18446744073709551615}", "[18446744073709551615,\"none\",true]"},
        {"{\"number\":\"0xfFffffffffffffff\"}", "[18446744073709551615,\"none\",true]"},
        {"{\"number\":\"010\",\"text\":\"\\u00e9\",\"truth\":false}", "[8,\"\xc3\xa9\",false]"},
        {"{\"text\":\"1234567\"}", "[99,\"1234567\",true]"},
        {"{\"text\":\"12345678\"}", "Parameter 'text' is too long"},
        {"{\"text\":null}", "Invalid parameter type for 'text', expected: string"},
        {"{\"truth\":1}", "Invalid parameter type for 'truth', expected: true or false"},
        {"{\"number\":-1}", "Invalid parameter type for 'number', expected: a number, or one as a string"},
        {"{\"number\":1.5}", "Invalid parameter type for 'number', expected: a number, or one as a string"},
        {"{\"number\":\"\"}", "Invalid parameter type for 'number', expected: a number, or one as a string"},
        {"{\"number\":\"0x\"}",
         "Invalid parameter type for 'number', expected: a number, or one as a string"},
        {"{\"number\":\"08\"}",
         "Invalid parameter type for 'number', expected: a number, or one as a string"},
        {"{\"number\":\"0x10000000000000000\"}",
         "Invalid parameter type for 'number', expected: a number, or one as a string"},
        {"{\"vm\":\"web\"}", "Parameter 'vm' is unexpected"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(ask(*state, "arguments", cases[i].args), cases[i].result);
}

static void test_which_vm(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(ask(f, "query-status", "{}"), "which VM?");
    assert_string_equal(ask(f, "query-status", "{\"vm\":\"mail\"}"), "which VM?");
    assert_string_equal(ask(f, "query-status", "{\"vm\":5}"), "which VM?");
    assert_string_equal(ask(f, "query-status", "{\"vm\":\"web\",\"x\":1}"), "Parameter 'x' is unexpected");
    assert_string_equal(ask(f, "query-name", "{\"vm\":\"db\"}"), "{\"name\":\"db\"}");
    assert_string_equal(ask(f, "query-status", "{\"vm\":\"db\"}"),
                        "{\"running\":false,\"singlestep\":false,\"status\":\"shutdown\"}");
    for (const struct control_command *k = control_vm_commands; k->name; k++) {
        if (k->scope == CONTROL_LIVE)
            assert_string_equal(ask(f, k->name, "{\"vm\":\"db\"}"), "The guest is off");
    }
}

static void test_life(void **state)
{
    static const char web[] = "{\"vm\":\"web\"}";
    struct fixture *f = *state;

    assert_non_null(strstr(ask(f, "query-status", web), "\"prelaunch\""));
    f->started = true;
    assert_non_null(strstr(ask(f, "query-status", web), "\"paused\""));
    assert_string_equal(ask(f, "cont", web), "{}");
    assert_int_equal(f->vm.state, VM_RUNNING);
    assert_non_null(strstr(ask(f, "query-status", web), "\"running\":true,"));
    assert_string_equal(ask(f, "stop", web), "{}");
    assert_int_equal(f->vm.state, VM_PAUSED);
    assert_string_equal(ask(f, "system_reset", web), "{}");
    assert_true(f->vm.reset_requested);
    assert_string_equal(ask(f, "system_powerdown", web), "{}");
    assert_int_equal(f->pressed, 1);
    assert_string_equal(ask(f, "quit", web), "{}");
    assert_int_equal(f->vm.state, VM_SHUTDOWN);
    assert_string_equal(ask(f, "cont", web), "The guest is off");
    assert_string_equal(ask(f, "system_powerdown", web), "{}");
    assert_int_equal(f->pressed, 1);
}

static void test_questions(void **state)
{
    static const char web[] = "{\"vm\":\"web\"}";
    struct fixture *f = *state;

    assert_string_equal(ask(f, "query-batuta-counters", web),
                        "{\"engine\":\"fake\",\"counters\":{\"cache\":{\"size\":4096,\"misses\":2},"
                        "\"run\":{\"exits\":21,\"late\":9223372036854775807}}}");
    assert_non_null(strstr(ask(f, "query-batuta-samples", web), "{\"cpu-index\":1,\"halted\":"));
    f->vm.vcpu[1]->cpu.s.gpr[X86_RBX] = 0xfedcba9876543210;
    assert_non_null(strstr(ask(f, "query-batuta-registers", web), "\"rbx\":\"0xfedcba9876543210\""));
    assert_non_null(strstr(ask(f, "query-cpus-fast", web), "\"qom-path\":\"/machine/cpu[1]\""));
    assert_string_equal(ask(f, "query-block", web),
                        "[{\"device\":\"disk1\",\"qdev\":\"disk1\",\"removable\":false,\"locked\":false,"
                        "\"type\":\"unknown\",\"inserted\":{\"file\":\"a?.img\",\"ro\":true,\"drv\":\"raw\","
                        "\"encrypted\":false,\"image\":{\"filename\":\"a?.img\",\"format\":\"raw\","
                        "\"virtual-size\":4096}}}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_greeting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_endless_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which_vm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_questions, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
