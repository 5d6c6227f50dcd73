/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the file: its sections, and their keys one line after the other. */
#include "config/hv-config.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "config/file.h"
#include "config/hv-config-internal.h"
#include "config/value.h"

enum section { SECTION_NONE, SECTION_OWN, SECTION_SWITCH, SECTION_NIC, SECTION_VM, SECTION_COUNT };

struct reading {
    struct hv_reporter to;
    struct hv_config *config;
    struct option_source source;
    struct option_list list[SECTION_COUNT];
    enum section section; /* SECTION_NONE: its lines are not looked at */
    bool sections_begun;
    void *object; /* the section's */
    unsigned *key_line;
    unsigned own_line[OPTION_MAX];
    unsigned section_line[SECTION_COUNT]; /* of [hypervisor] and [switch] */
    struct hv_vm *vm;                     /* the one being read */
    bool vm_wrong;
};

/* ---- reports ---- */

void hv_mistake(const struct hv_reporter *to, unsigned line, const char *vm, const struct error *err)
{
    char text[1024];
    struct hv_report report = {.line = line, .vm = vm, .text = text};
    size_t len = fmt_print(text, sizeof(text), "%.256s:", to->config->file);

    if (line)
        len += fmt_print(text + len, sizeof(text) - len, "%u:", line);
    fmt_print(text + len, sizeof(text) - len, " %s%s%s%s", vm ? "vm " : "", vm ? vm : "", vm ? ": " : "",
              err->text);
    to->config->mistakes++;
    to->fn(to->opaque, &report);
}

struct option_source hv_source(struct hv_config *config)
{
    return (struct option_source){.pool = &config->pool, .dashes = "", .between = " = "};
}

static void mistake(const struct reading *r, unsigned line, const struct error *err)
{
    hv_mistake(&r->to, line, r->vm ? r->vm->machine.name : NULL, err);
}

/* ---- tables ---- */

static int parse_speed(void *object, const struct option *option, const char *value,
                       const struct option_source *source, struct error *err)
{
    uint64_t v = 0;

    if (value_uint(value, 115200, &v) < 0 || v < 1200 || 115200 % v)
        return error_set(err, EINVAL, "speed = %s: not a serial port's: say 115200, 57600, 38400 or 9600",
                         value);
    ((struct hv_own_config *)object)->speed = v;
    return 0;
}

static int parse_vlan(void *object, const struct option *option, const char *value,
                      const struct option_source *source, struct error *err)
{
    return hv_port_vlan(&((struct hv_nic *)object)->port, value, err);
}

static int parse_vlans(void *object, const struct option *option, const char *value,
                       const struct option_source *source, struct error *err)
{
    return hv_port_vlans(&((struct hv_nic *)object)->port, value, source, err);
}

static const char *const serial_choices[] = {
    [HV_SERIAL_COM1] = "com1", [HV_SERIAL_COM2] = "com2", [HV_SERIAL_NONE] = "none", NULL};
static const char *const panic_choices[] = {[HV_PANIC_REBOOT] = "reboot", [HV_PANIC_HALT] = "halt", NULL};
static const char *const log_choices[] = {
    [HV_LOG_ERROR] = "error", [HV_LOG_WARN] = "warn", [HV_LOG_INFO] = "info", [HV_LOG_DEBUG] = "debug", NULL};

#define OWN(m) offsetof(struct hv_own_config, m)

static const struct option own_rows[] = {
    {.name = "console",
     .arg = "com1|com2|none",
     .help = "the serial port with the monitor and the VMs' consoles (default: com1)",
     .kind = OPTION_CHOICE,
     .offset = OWN(console),
     .choices = serial_choices},
    {.name = "speed",
     .arg = "N",
     .help = "its speed, bit/s (default: 115200)",
     .kind = OPTION_CUSTOM,
     .parse = parse_speed},
    {.name = "screen",
     .arg = "on|off",
     .help = "messages go to the screen, too (default: on)",
     .kind = OPTION_BOOL,
     .offset = OWN(screen)},
    {.name = "log",
     .arg = "LEVEL",
     .help = "error, warn, info, debug: which messages are shown (default: info)",
     .kind = OPTION_CHOICE,
     .offset = OWN(log),
     .choices = log_choices},
    {.name = "panic",
     .arg = "reboot|halt",
     .help = "what follows a failure of the hypervisor (default: reboot)",
     .kind = OPTION_CHOICE,
     .offset = OWN(panic),
     .choices = panic_choices},
    {.name = "panic-seconds",
     .arg = "SECONDS",
     .help = "how long its message stays before the reboot (default: 5)",
     .kind = OPTION_UINT,
     .offset = OWN(panic_seconds),
     .max = 3600},
    {.name = "watchdog",
     .arg = "SECONDS",
     .help = "a processor that does not come back for so long is a failure (default: 0, not watched)",
     .kind = OPTION_UINT,
     .offset = OWN(watchdog),
     .max = 3600},
};

static const struct option switch_rows[] = {
    {.name = "age",
     .arg = "SECONDS",
     .help = "after which a silent MAC address is forgotten, 10 to 86400 (default: 300)",
     .kind = OPTION_UINT,
     .offset = offsetof(struct hv_switch_config, age),
     .min = 10,
     .max = 86400},
};

static const struct option nic_rows[] = {
    {.name = "uplink",
     .arg = "on|off",
     .help = "is it a port of the switch? (default: on)",
     .kind = OPTION_BOOL,
     .offset = offsetof(struct hv_nic, uplink)},
    {.name = "vlan",
     .arg = "N",
     .help = "the VLAN of its untagged frames, 1 to 4094",
     .kind = OPTION_CUSTOM,
     .parse = parse_vlan},
    {.name = "trunk",
     .arg = "on|off",
     .help = "tagged frames pass, too (default: off)",
     .kind = OPTION_BOOL,
     .offset = offsetof(struct hv_nic, port.trunk)},
    {.name = "vlans",
     .arg = "N+N-N",
     .help = "a trunk's VLANs (default: all)",
     .kind = OPTION_CUSTOM,
     .parse = parse_vlans},
};

static const struct option_table own_table = {.rows = own_rows, .count = ARRAY_SIZE(own_rows)};
static const struct option_table switch_table = {.rows = switch_rows, .count = ARRAY_SIZE(switch_rows)};
static const struct option_table nic_table = {.rows = nic_rows, .count = ARRAY_SIZE(nic_rows)};

static const struct {
    const char *name, *form;
    const struct option_table *table;
} sections[SECTION_COUNT] = {
    [SECTION_NONE] = {NULL, NULL, NULL},
    [SECTION_OWN] = {"hypervisor", "[hypervisor]", &own_table},
    [SECTION_SWITCH] = {"switch", "[switch]", &switch_table},
    [SECTION_NIC] = {"nic", "[nic N]", &nic_table},
    [SECTION_VM] = {"vm", "[vm NAME]", &hv_vm_options},
};

const struct option_table *hv_config_table(const char *section)
{
    for (unsigned i = SECTION_OWN; i < SECTION_COUNT; i++) {
        if (text_equal(sections[i].name, section))
            return sections[i].table;
    }
    return NULL;
}

/* ---- the ends and beginnings of sections ---- */

static void end_vm(struct reading *r)
{
    struct hv_config *config = r->config;
    struct hv_vm *vm = r->vm;
    struct error err = {0};
    unsigned line;

    if (!r->vm_wrong && hv_vm_check(vm, &r->list[SECTION_VM], &r->source, &line, &err) < 0) {
        mistake(r, line, &err);
        r->vm_wrong = true;
    }
    if (r->vm_wrong) {
        config->left_out++;
    } else {
        if (!vm->console_count)
            vm->console[vm->console_count++] = (struct hv_vm_console){.kind = HV_CONSOLE_MONITOR};
        config->vm[config->vm_count++] = vm;
    }
    r->vm = NULL;
}

static void end_nic(struct reading *r)
{
    struct hv_nic *nic = r->object;
    struct error err = {0};

    if (hv_port_check(&nic->port, &err) < 0) {
        mistake(r, nic->line, &err);
        nic->port.vlans = NULL;
    }
}

static void end_section(struct reading *r)
{
    if (r->section == SECTION_VM)
        end_vm(r);
    else if (r->section == SECTION_NIC)
        end_nic(r);
    r->section = SECTION_NONE;
}

static bool name_is_good(const char *name)
{
    size_t len = 0;

    for (; name[len]; len++) {
        char c = name[len], lower = (char)(c | 0x20);

        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'z') && !(len && text_find("-_.", c)))
            return false;
    }
    return len >= 1 && len <= HV_MAX_NAME;
}

static int begin_vm(struct reading *r, const char *name, unsigned line, struct error *err)
{
    struct hv_config *config = r->config;
    struct hv_vm *vm;

    if (!name_is_good(name))
        return error_set(err, EINVAL,
                         "[vm %s]: a name is 1 to %d letters, digits, dots, dashes and underscores", name,
                         HV_MAX_NAME);
    for (unsigned i = 0; i < config->vm_count; i++) {
        if (text_equal(config->vm[i]->machine.name, name))
            return error_set(err, EINVAL, "[vm %s]: a VM of this name begins in line %u: choose another one",
                             name, config->vm[i]->line);
    }
    if (config->vm_count == HV_MAX_VMS)
        return error_set(err, EINVAL, "[vm %s]: there are %d VMs already, and no more can be", name,
                         HV_MAX_VMS);
    vm = config_alloc(&config->pool, sizeof(*vm));
    if (!vm)
        return error_set(err, ENOMEM, "out of memory");
    hv_vm_init(vm);
    vm->machine.name = name;
    vm->line = line;
    r->vm = vm;
    r->vm_wrong = false;
    r->object = vm;
    r->key_line = vm->key_line;
    return 0;
}

static int begin_nic(struct reading *r, const char *number, unsigned line, struct error *err)
{
    uint64_t n = 0;

    if (value_uint(number, HV_MAX_NICS - 1, &n) < 0)
        return error_set(err, EINVAL, "[nic %s]: the host's network cards are 0 to %d", number,
                         HV_MAX_NICS - 1);
    if (r->config->nic[n].line)
        return error_set(err, EINVAL, "[nic %s]: stands in line %u already: put its keys there", number,
                         r->config->nic[n].line);
    r->config->nic[n].line = line;
    r->object = &r->config->nic[n];
    return 0;
}

static int begin_single(struct reading *r, enum section section, const char *name, unsigned line,
                        struct error *err)
{
    if (*name)
        return error_set(err, EINVAL, "%s takes no name: remove '%s'", sections[section].form, name);
    if (r->section_line[section])
        return error_set(err, EINVAL, "%s stands in line %u already: put its keys there",
                         sections[section].form, r->section_line[section]);
    r->section_line[section] = line;
    r->object = section == SECTION_OWN ? (void *)&r->config->own : &r->config->net;
    return 0;
}

static const char *section_name(const void *list, size_t i)
{
    return sections[i].name;
}

static int no_section(const char *word, struct error *err)
{
    const char *near = nearest_name(word, section_name, NULL, SECTION_COUNT);

    for (unsigned i = SECTION_OWN; near && i < SECTION_COUNT; i++) {
        if (near == sections[i].name)
            return error_set(err, EINVAL, "there is no section [%s]: did you mean %s?", word,
                             sections[i].form);
    }
    return error_set(err, EINVAL,
                     "there is no section [%s]: there are [hypervisor], [switch], [nic N] and [vm NAME]",
                     word);
}

/* [ WORD NAME ] */
static int begin_section(struct reading *r, char *text, unsigned line, struct error *err)
{
    size_t len = text_length(text);
    char *word, *name;
    unsigned section = SECTION_OWN;
    int result;

    end_section(r);
    r->sections_begun = true;
    if (len < 2 || text[len - 1] != ']')
        return error_set(err, EINVAL, "%s: %s", text,
                         text_find(text, ']') ? "nothing can stand behind the ], a comment has its own line"
                                              : "a ] is missing at the end");
    text[len - 1] = 0;
    word = name = value_trim(text + 1);
    while (*name && *name != ' ' && *name != '\t')
        name++;
    if (*name)
        *name++ = 0;
    name = value_trim(name);
    while (section < SECTION_COUNT && !text_equal(sections[section].name, word))
        section++;
    if (section == SECTION_COUNT)
        return no_section(word, err);
    memset(r->own_line, 0, sizeof(r->own_line));
    r->key_line = r->own_line;
    if (section == SECTION_VM)
        result = begin_vm(r, name, line, err);
    else if (section == SECTION_NIC)
        result = begin_nic(r, name, line, err);
    else
        result = begin_single(r, section, name, line, err);
    if (result == 0)
        r->section = section;
    else if (section == SECTION_VM)
        r->config->left_out++;
    return result;
}

/* ---- lines ---- */

static int no_key(const struct reading *r, const char *key, struct error *err)
{
    const char *near = option_nearest(&r->list[r->section], key);

    return error_set(err, EINVAL, "there is no key '%s' in %s%s%s%s", key, sections[r->section].form,
                     near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* It is no part of the format, but others have it. */
static bool has_comment(const char *value)
{
    for (char last = 0; *value; last = *value++) {
        if ((*value == '#' || *value == ';') && (last == ' ' || last == '\t'))
            return true;
    }
    return false;
}

static int apply(struct reading *r, const struct config_line *line, struct error *err)
{
    const struct option_list *list = &r->list[r->section];
    size_t i = 0;
    int result;

    while (i < list->count && !text_equal(list->row[i]->name, line->key))
        i++;
    if (i == list->count)
        return no_key(r, line->key, err);
    if (r->vm && text_equal(line->key, "name"))
        return error_set(err, EINVAL, "'name': it stands in [vm %s]", r->vm->machine.name);
    if (r->key_line[i] && !list->row[i]->repeats)
        return error_set(err, EINVAL, "'%s' is given in line %u already: remove one of them", line->key,
                         r->key_line[i]);
    r->key_line[i] = line->number;
    r->source.line = line->number;
    result = option_apply(r->object, list->row[i], line->value, &r->source, err);
    if (result < 0 && has_comment(line->value))
        error_prefix(err, "a comment has its own line");
    return result;
}

/* -EINVAL: reported. */
static int read_line(struct reading *r, const struct config_line *line, struct error *err)
{
    if (line->section)
        return begin_section(r, line->section, line->number, err);
    if (r->section)
        return apply(r, line, err);
    if (r->sections_begun)
        return 0; /* of a section that was reported */
    return error_set(err, EINVAL, "'%s' stands before the first section: begin with [vm NAME]", line->key);
}

static int read_lines(struct reading *r, char *text)
{
    struct config_reader reader;
    struct config_line line;

    config_reader_init(&reader, text);
    for (;;) {
        struct error err = {0};
        int result = config_reader_next(&reader, &line, &err);

        if (result == 0)
            break;
        if (result > 0)
            result = read_line(r, &line, &err);
        else if (!r->section && r->sections_begun)
            continue;
        if (result == -ENOMEM)
            return result;
        if (result == 0)
            continue;
        mistake(r, reader.line, &err);
        r->vm_wrong = r->sections_begun = true;
        if (r->config->mistakes >= HV_MAX_MISTAKES) {
            err.code = 0;
            error_set(&err, E2BIG, "has %d mistakes until here: the rest is not read", HV_MAX_MISTAKES);
            hv_mistake(&r->to, reader.line, NULL, &err);
            break;
        }
    }
    end_section(r);
    return 0;
}

static int copy_text(struct hv_config *config, const struct hv_reporter *to, const char *text, size_t len,
                     char **copy)
{
    struct error err = {0};
    size_t n = 0;

    while (n < len && text[n])
        n++;
    if (len > CONFIG_FILE_MAX)
        error_set(&err, EFBIG, "is larger than 256 KiB: it is not a configuration");
    else if (n < len)
        error_set(&err, EINVAL, "holds binary data: it is not a configuration");
    if (err.code) {
        hv_mistake(to, 0, NULL, &err);
        len = 0;
    }
    *copy = config_copy(&config->pool, text, len);
    return *copy ? 0 : -ENOMEM;
}

int hv_config_read(struct hv_config *config, const char *file, const char *text, size_t len,
                   void *(*alloc)(size_t size), void (*free)(void *p), hv_report_fn *report, void *opaque)
{
    struct reading *r;
    char *copy;
    int result;

    *config =
        (struct hv_config){.own = {.speed = 115200, .screen = true, .panic_seconds = 5, .log = HV_LOG_INFO},
                           .net = {.age = 300},
                           .file = file};
    for (unsigned i = 0; i < HV_MAX_NICS; i++)
        config->nic[i].uplink = true;
    config_pool_init(&config->pool, alloc, free);
    r = config_alloc(&config->pool, sizeof(*r));
    if (!r)
        return -ENOMEM;
    *r = (struct reading){.to = {config, report, opaque}, .config = config, .source = hv_source(config)};
    for (unsigned i = SECTION_OWN; i < SECTION_COUNT; i++)
        option_list_make(&r->list[i], sections[i].table);
    result = copy_text(config, &r->to, text, len, &copy);
    result = result < 0 ? result : read_lines(r, copy);
    if (result < 0) {
        config->vm_count = 0; /* nobody has looked at them together */
        return result;
    }
    hv_cross_check(&r->to);
    return 0;
}

void hv_config_finish(struct hv_config *config)
{
    config_pool_finish(&config->pool);
    *config = (struct hv_config){0};
}

void hv_module_name(char *name, size_t size, const char *string)
{
    const char *begin, *end;

    while (*string == ' ')
        string++;
    begin = end = string;
    while (*end && *end != ' ') {
        if (*end++ == '/')
            begin = end;
    }
    fmt_print(name, size, "%.*s", (int)(end - begin), begin);
}
