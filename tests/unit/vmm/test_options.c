/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/boot.h"
#include "vmm/options.h"

#define MAX_WORDS 16

/* Splits at spaces; a '~' in a word stands for a space. */
static int split(char *text, char **argv)
{
    int argc = 0;

    for (char *word = strtok(text, " "); word && argc < MAX_WORDS; word = strtok(NULL, " ")) {
        for (char *p = word; *p; p++)
            *p = *p == '~' ? ' ' : *p;
        argv[argc++] = word;
    }
    return argc;
}

static int parse(struct run_options *o, const char *line, struct error *err)
{
    char *copy = strdup(line), *argv[MAX_WORDS + 1] = {0};
    int r;

    options_init(o);
    r = options_parse(o, split(copy, argv), argv, err);
    r = r < 0 ? r : options_check(o, err);
    free(copy);
    return r;
}

/* Each must be refused in one line that says what its second column has. */
static const struct {
    const char *line, *says;
} bad[] = {
    {"", "nothing to start"},
    {"--kernel", "a value is missing: --kernel FILE"},
    {"--kernel --append x", "a value is missing"},
    {"--kernel=", "empty"},
    {"--kernl k", "did you mean --kernel?"},
    {"--mem 1G", "did you mean --memory?"},
    {"--no-rebot", "did you mean --no-reboot?"},
    {"--zzzzzzzz", "see batuta run --help"},
    {"-kernel k", "two dashes"},
    {"-m 512", "two dashes"},
    {"--kernel k --memory 0", "must be 1M"},
    {"--kernel k --icount --cpus 2", "say --cpus 1"},
    {"--kernel k --icount --net user", "say --net none"},
    {"--kernel k --icount --engine kvm", "say --engine bt"},
    {"--kernel k --icount-seed x", "--icount-seed"},
    {"--kernel k --icount-seed 7", "is for --icount"},
    {"--kernel k --memory 12X", "not a size: say 512M or 2G"},
    {"--kernel k --memory -5", "not a size"},
    {"--kernel k --memory 1.5G", "not a size"},
    {"--kernel k --memory 99999999999999999999G", "must be 1M"},
    {"--kernel k --memory 99999T", "must be 1M"},
    {"--kernel k --memory 1536K", "whole number of MiB"},
    {"--kernel k --memory G", "not a size"},
    {"--kernel k --code-cache 0", "--code-cache 0: must be 1M to 512M"},
    {"--kernel k --code-cache 1023K", "must be 1M to 512M"},
    {"--kernel k --code-cache 513M", "must be 1M to 512M"},
    {"--kernel k --code-cache 99999999999999999999G", "must be 1M to 512M"},
    {"--kernel k --code-cache large", "not a size"},
    {"--kernel k --engine kvm --code-cache 64M", "only --engine bt"},
    {"--kernel k --engine interp --code-cache 64M", "only --engine bt"},
    {"--kernel k --cpus 0", "must be 1 to 64"},
    {"--kernel k --cpus 65", "must be 1 to 64"},
    {"--kernel k --cpus two", "not a number"},
    {"--kernel k --cpus 2x", "not a number"},
    {"--kernel k --cpus -1", "not a number"},
    {"--kernel k --cpu v4", "choose one of v2, v3, host"},
    {"--kernel k --cpu default", "choose one of v2, v3, host"},
    {"--kernel k --engine tcg", "choose one of auto, kvm, bt, interp"},
    {"--kernel k --kernel-format bzimage", "choose one of auto, linux"},
    {"--kernel k --disk ,ro", "names no file"},
    {"--kernel k --disk a,format=vmdk", "choose one of auto, raw"},
    {"--kernel k --disk a,fromat=raw", "did you mean 'format'?"},
    {"--kernel k --disk a,ro=off", "takes no value"},
    {"--kernel k --disk a,format=", "needs a value"},
    {"--kernel k --disk a,serial=123456789012345678901", "more than 20"},
    {"--kernel k --disk a --disk a", "given twice"},
    {"--kernel k --initrd ,cmdline=x", "names no file"},
    {"--kernel k --initrd a,args=x", "has no setting 'args'"},
    {"--kernel k --net bridge", "say user, tap=NAME or none"},
    {"--kernel k --net tap=", "say user, tap=NAME or none"},
    {"--kernel k --net tap=abcdefghijklmnop", "at most 15"},
    {"--kernel k --net user,hostfwd=2222", "as in tcp:2222-:22"},
    {"--kernel k --net user,hostfwd=tcp:0-:22", "as in tcp:2222-:22"},
    {"--kernel k --net user,hostfwd=tcp:70000-:22", "as in tcp:2222-:22"},
    {"--kernel k --net user,hostfwd=tcp:2222-:0", "as in tcp:2222-:22"},
    {"--kernel k --net user,hostfwd=tcp:2222-:", "as in tcp:2222-:22"},
    {"--kernel k --net user,hostfwd=sctp:2222-:22", "as in tcp:2222-:22"},
    {"--kernel k --net user,hostfwd=tcp:1.2.3.400:22-:22", "as in tcp:2222-:22"},
    {"--kernel k --net tap=t0,hostfwd=tcp:1-:1", "for --net user"},
    {"--kernel k --net user,mac=12", "not an address"},
    {"--kernel k --net user,mac=01:00:00:00:00:00", "multicast"},
    {"--kernel k --net user,mac=52:54:00:12:34:5g", "not an address"},
    {"--kernel k --console tty", "say stdio, pty"},
    {"--kernel k --console unix:", "a path is missing"},
    {"--kernel k --console file:", "a path is missing"},
    {"--kernel k --console stdio --console stdio", "once only"},
    {"--kernel k --debug-exit 0x10000", "must be 1 to 65535"},
    {"--kernel k --debug-exit 0", "must be 1 to 65535"},
    {"--kernel k --debug-exit f4", "not a number"},
    {"--kernel k --rng maybe", "say on or off"},
    {"--kernel k --snapshot=perhaps", "say on or off"},
    {"--kernel k --trace nothing", "lists them"},
    {"--kernel k --trace foo", "lists them"},
    {"--kernel k --trace mmmio", "did you mean 'mmio'?"},
    {"--kernel k --name ~", "without spaces"},
    {"--kernel k --name a/b", "without spaces and slashes"},
    {"--kernel k --save f", "belong together"},
    {"--kernel k --save-at-ns 5", "belong together"},
    {"/nonexistent/vm.conf", "cannot be opened"},
    {"a.conf b.conf", "only one description file"},
    {"--config a.conf b.conf", "only one description file"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct run_options o;
        struct error err = {0};
        int r = parse(&o, bad[i].line, &err);

        if (r >= 0 || !err.code || !strstr(err.text, bad[i].says) || strchr(err.text, '\n'))
            fail_msg("'%s': %d '%s', wanted '%s'", bad[i].line, r, err.text, bad[i].says);
        options_finish(&o);
    }
    assert_true(ARRAY_SIZE(bad) >= 40);
}

static void test_defaults(void **state)
{
    struct run_options o;
    struct error err = {0};

    (void)state;
    assert_int_equal(parse(&o, "--kernel k", &err), 0);
    assert_string_equal(o.machine.kernel, "k");
    assert_int_equal(o.machine.memory, MIB(512));
    assert_int_equal(o.machine.cpus, 1);
    assert_true(o.machine.rng && o.machine.balloon && !o.snapshot && !o.machine.no_reboot);
    assert_int_equal(o.disk_count + o.net_count + o.console_count, 0);
    options_finish(&o);
}

static void test_everything(void **state)
{
    struct run_options o;
    struct error err = {0};

    (void)state;
    assert_int_equal(
        parse(&o,
              "--kernel=k --initrd a --initrd b,cmdline=x~y,,z --append console=ttyS0~quiet --memory 2G "
              "--cpus 0x4 --engine interp",
              &err),
        0);
    assert_int_equal(o.machine.initrd_count, 2);
    assert_null(o.machine.initrd[0].cmdline);
    assert_string_equal(o.machine.initrd[1].path, "b");
    assert_string_equal(o.machine.initrd[1].cmdline, "x y,z");
    assert_string_equal(o.machine.append, "console=ttyS0 quiet");
    assert_int_equal(o.machine.memory, GIB(2));
    assert_int_equal(o.machine.cpus, 4);
    assert_int_equal(o.engine, ENGINE_INTERP);
    options_finish(&o);

    assert_int_equal(
        parse(&o,
              "--kernel k --disk d.img,format=raw,ro,serial=S1 --snapshot --net "
              "user,hostfwd=tcp:2222-:22,hostfwd=udp:127.0.0.1:53-10.0.2.9:5353 --console unix:/s "
              "--console pty --rng off",
              &err),
        0);
    assert_true(o.disk[0].read_only && o.disk[0].format == DISK_RAW && o.snapshot && !o.machine.rng);
    assert_string_equal(o.disk[0].serial, "S1");
    assert_int_equal(o.net[0].forward_count, 2);
    assert_string_equal(o.net[0].forward[0], "tcp:2222-:22");
    assert_string_equal(o.net[0].forward[1], "udp:127.0.0.1:53-10.0.2.9:5353");
    assert_int_equal(o.console[0].kind, CONSOLE_UNIX);
    assert_string_equal(o.console[0].path, "/s");
    options_finish(&o);
}

/* ---- description files ---- */

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static char folder[] = "/tmp/batuta-options-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/vm.conf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void test_file(void **state)
{
    static const char text[] = "# a machine\n"
                               "  kernel = vmlinuz  \r\n"
                               "; and more\n"
                               "append = \"console=ttyS0  a=b \"\n"
                               "\n"
                               "memory=1G\n"
                               "disk = /abs/disk.img,ro\n"
                               "disk = rel.img\n"
                               "net = user\n"
                               "snapshot = yes\n"
                               "rng = off";
    struct run_options o;
    struct error err = {0};
    char line[128], expected[128];

    (void)state;
    write_file(path, text, strlen(text));
    snprintf(line, sizeof(line), "--memory 64M %s --net none", path);
    assert_int_equal(parse(&o, line, &err), 0);
    snprintf(expected, sizeof(expected), "%s/vmlinuz", folder);
    assert_string_equal(o.machine.kernel, expected);
    assert_string_equal(o.machine.append, "console=ttyS0  a=b ");
    assert_int_equal(o.machine.memory, MIB(64)); /* the command line wins, wherever the file stands */
    assert_string_equal(o.disk[0].path, "/abs/disk.img");
    snprintf(expected, sizeof(expected), "%s/rel.img", folder);
    assert_string_equal(o.disk[1].path, expected);
    assert_true(o.snapshot && !o.machine.rng);
    assert_int_equal(o.net_count, 0);
    options_finish(&o);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *text, *says;
        size_t len;
    } files[] = {
        {"kernel = k\nmemroy = 1G\n", "vm.conf:2: there is no key 'memroy': did you mean 'memory'?", 0},
        {"kernel\n", "vm.conf:1: 'kernel' is not of the form", 0},
        {"[vm]\nkernel = k\n", "vm.conf:1: sections are not used", 0},
        {"kernel = \n", "vm.conf:1: --kernel: the value is empty", 0},
        {"kernel = k\nmemory = lots\n", "vm.conf:2: --memory lots: not a size", 0},
        {"config = other\n", "belongs on the command line", 0},
        {"help = on\n", "belongs on the command line", 0},
        {"\177GIF\0\0\0", "say --kernel", 7},
        {"memory = 1G\n", "nothing to start", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct run_options o;
        struct error err = {0};

        write_file(path, files[i].text, files[i].len ? files[i].len : strlen(files[i].text));
        if (parse(&o, path, &err) >= 0 || !strstr(err.text, files[i].says))
            fail_msg("file %zu: '%s', wanted '%s'", i, err.text, files[i].says);
        options_finish(&o);
    }
}

static void test_huge_file(void **state)
{
    size_t len = KIB(300);
    char *text = malloc(len);
    struct run_options o;
    struct error err = {0};

    (void)state;
    memset(text, '\n', len);
    write_file(path, text, len);
    assert_int_equal(parse(&o, path, &err), -EINVAL);
    options_finish(&o);
    free(text);
}

/* Every choice of --kernel-format is a protocol's name, in the protocols' order. */
/* A word that is a kernel by its content is started; the description file's kernel gives way to it. */
static void test_kernel_word(void **state)
{
    static const char elf[] = "\177ELF\2\1\1";
    static const char mark[] = "\xef\xbb\xbfkernel = vmlinuz\ncpus = 3\n";
    char linux_image[0x300] = {0}, a[96], b[96], line[256];
    struct run_options o;
    struct error err = {0};

    (void)state;
    memcpy(linux_image + 0x202, "HdrS", 4);
    snprintf(a, sizeof(a), "%s/a.elf", folder);
    snprintf(b, sizeof(b), "%s/b.vmlinuz", folder);
    write_file(a, elf, sizeof(elf));
    write_file(b, linux_image, sizeof(linux_image));
    write_file(path, mark, strlen(mark));

    assert_int_equal(parse(&o, a, &err), 0);
    assert_string_equal(o.machine.kernel, a);
    options_finish(&o);

    snprintf(line, sizeof(line), "%s %s --cpus 2", b, path);
    assert_int_equal(parse(&o, line, &err), 0);
    assert_string_equal(o.machine.kernel, b);
    assert_int_equal(o.machine.cpus, 2);
    options_finish(&o);

    snprintf(line, sizeof(line), "%s %s", a, b);
    assert_int_equal(parse(&o, line, &err), -EINVAL);
    assert_non_null(strstr(err.text, "only one kernel"));
    options_finish(&o);

    err = (struct error){0};
    assert_int_equal(parse(&o, path, &err), 0); /* with its mark of UTF-8 */
    assert_int_equal(o.machine.cpus, 3);
    options_finish(&o);
    unlink(a);
    unlink(b);
}

/* Asked for help, nothing that is wrong beside it matters. */
static void test_help(void **state)
{
    static const char *const lines[] = {"--help", "-h", "--memory x --help", "/nonexistent/vm.conf --help"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        char *copy = strdup(lines[i]), *argv[MAX_WORDS + 1] = {0};
        struct run_options o;
        struct error err = {0};

        options_init(&o);
        assert_int_equal(options_parse(&o, split(copy, argv), argv, &err), 0);
        assert_true(o.help);
        options_finish(&o);
        free(copy);
    }
}

static void test_format_names(void **state)
{
    (void)state;
    for (int i = 0; i < BOOT_PROTOCOL_COUNT; i++) {
        struct run_options o;
        struct error err = {0};
        char line[64];

        snprintf(line, sizeof(line), "--kernel k --kernel-format %s",
                 boot_protocol_name((enum boot_protocol)i));
        assert_int_equal(parse(&o, line, &err), 0);
        assert_int_equal(o.machine.kernel_format, i);
        options_finish(&o);
    }
}

static void test_texts(void **state)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    (void)state;
    options_print_help(f);
    options_print_completion(f);
    options_print_names(f);
    fclose(f);
    assert_non_null(strstr(text, "--debug-exit PORT"));
    assert_non_null(strstr(text, "complete -F _batuta batuta"));
    assert_null(strstr(text, "--save-at-ns"));
    free(text);
}

/* The manual names every option with its dashes escaped, at the start of an entry. */
static void test_manual(void **state)
{
    char *names = NULL, *manual = calloc(1, KIB(64)), *line, *rest;
    size_t len;
    FILE *out = open_memstream(&names, &len), *in = fopen(MANUAL, "r");

    (void)state;
    assert_non_null(in);
    assert_true(fread(manual, 1, KIB(64) - 1, in) > 0);
    fclose(in);
    options_print_names(out);
    fclose(out);
    rest = names;
    while ((line = strsep(&rest, "\n")) && *line) {
        char wanted[128], *p = wanted;

        line[strcspn(line, " ")] = 0;
        for (; *line; line++) {
            if (*line == '-')
                *p++ = '\\';
            *p++ = *line;
        }
        *p = 0;
        if (!strstr(manual, wanted))
            fail_msg("the manual lacks %s", wanted);
    }
    free(names);
    free(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),          cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),   cmocka_unit_test_setup_teardown(test_file, NULL, NULL),
        cmocka_unit_test(test_bad_files),    cmocka_unit_test(test_huge_file),
        cmocka_unit_test(test_format_names), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_manual),       cmocka_unit_test(test_kernel_word),
        cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
