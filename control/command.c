/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands: finding them, checking and reading their arguments, running them. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "control/control-internal.h"

static void list_commands(struct control_call *call)
{
    const struct control_server *server = call->session->server;

    json_open(call->out, '[');
    json_open(call->out, '{');
    json_add_text(call->out, "name", "qmp_capabilities");
    json_close(call->out, '{');
    json_open(call->out, '{');
    json_add_text(call->out, "name", "query-commands");
    json_close(call->out, '{');
    for (size_t i = 0; server->tables[i]; i++) {
        for (const struct control_command *k = server->tables[i]; k->name; k++) {
            json_open(call->out, '{');
            json_add_text(call->out, "name", k->name);
            json_close(call->out, '{');
        }
    }
    json_close(call->out, '[');
}

static const struct control_command query_commands = {"query-commands", NULL, CONTROL_HOST, list_commands};

const struct control_command *control_find(const struct control_server *server, const char *name)
{
    if (text_equal(name, query_commands.name))
        return &query_commands;
    for (size_t i = 0; server->tables[i]; i++) {
        for (const struct control_command *k = server->tables[i]; k->name; k++) {
            if (text_equal(k->name, name))
                return k;
        }
    }
    return NULL;
}

/* ---- names ---- */

/* The next word of a list of names; false: there are no more. */
static bool next_word(const char **list, char *word, size_t size, bool *required)
{
    size_t len = 0;

    if (!*list || !**list)
        return false;
    *required = **list == '!';
    *list += *required;
    for (; **list && **list != ' '; ++*list) {
        if (len + 1 < size)
            word[len++] = **list;
    }
    word[len] = 0;
    *list += **list == ' ';
    return true;
}

static bool takes(const struct control_server *server, const struct control_command *command,
                  struct json name)
{
    const char *list = command->args;
    char word[64];
    bool required;

    if (command->scope != CONTROL_HOST && server->selector && json_is(name, server->selector))
        return true;
    while (next_word(&list, word, sizeof(word), &required)) {
        if (json_is(name, word))
            return true;
    }
    return false;
}

static int check_args(const struct control_server *server, const struct control_command *command,
                      struct json args, struct error *err)
{
    const char *list = command->args;
    struct json_iter iter;
    struct json name, value;
    char word[64], text[256];
    bool required;

    json_iter_init(&iter, args);
    while (json_next(&iter, &name, &value)) {
        if (takes(server, command, name))
            continue;
        json_text(name, text, sizeof(text));
        return error_set(err, EINVAL, "Parameter '%s' is unexpected", text);
    }
    while (next_word(&list, word, sizeof(word), &required)) {
        if (required && !json_member(args, word).text)
            return error_set(err, EINVAL, "Parameter '%s' is missing", word);
    }
    return 0;
}

/* ---- running ---- */

void control_run(struct control_server *server, struct control_session *session,
                 const struct control_command *command, struct json args, struct json_writer *out,
                 struct error *err)
{
    struct control_call call = {session, server->host, NULL, args, out, err};

    if (check_args(server, command, args, err) < 0)
        return;
    if (command->scope == CONTROL_HOST) {
        command->run(&call);
        return;
    }
    call.target = server->acquire(server, args, err);
    if (!call.target)
        return;
    if (command->scope == CONTROL_LIVE && !call.target->vm)
        error_set(err, EINVAL, "The guest is off");
    else
        command->run(&call);
    server->release(server, call.target);
}

/* ---- arguments ---- */

static bool wrong(struct control_call *call, const char *name, const char *expected)
{
    error_set(call->err, EINVAL, "Invalid parameter type for '%s', expected: %s", name, expected);
    return false;
}

bool control_arg_text(struct control_call *call, const char *name, char *buf, size_t size)
{
    struct json value = json_member(call->args, name);

    if (!value.text)
        return true;
    if (json_kind(value) != JSON_STRING)
        return wrong(call, name, "string");
    if (json_text(value, NULL, 0) >= size) {
        error_set(call->err, EINVAL, "Parameter '%s' is too long", name);
        return false;
    }
    json_text(value, buf, size);
    return true;
}

/* As C's constants: 0x and 0 say the base. */
static bool parse_number(const char *text, uint64_t *number)
{
    unsigned base = text[0] != '0' ? 10 : (text[1] | 0x20) == 'x' ? 16 : 8;
    uint64_t v = 0;

    text += base == 16 ? 2 : 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        char c = (char)(*text | 0x20);
        unsigned digit = *text >= '0' && *text <= '9' ? (unsigned)(*text - '0')
                         : c >= 'a' && c <= 'f'       ? (unsigned)(c - 'a') + 10
                                                      : 16;

        if (digit >= base || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *number = v;
    return true;
}

bool control_arg_number(struct control_call *call, const char *name, uint64_t *number)
{
    struct json value = json_member(call->args, name);
    char text[32];

    if (!value.text || json_uint(value, number))
        return true;
    if (json_kind(value) == JSON_STRING && json_text(value, text, sizeof(text)) < sizeof(text) &&
        parse_number(text, number))
        return true;
    return wrong(call, name, "a number, or one as a string");
}

bool control_arg_bool(struct control_call *call, const char *name, bool *truth)
{
    struct json value = json_member(call->args, name);

    if (!value.text || json_bool(value, truth))
        return true;
    return wrong(call, name, "true or false");
}
