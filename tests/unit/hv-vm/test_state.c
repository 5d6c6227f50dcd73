/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the hosted program saves, the machine as batuta-hv composes it loads, and the guest goes on to the end
 * that it would have had. Arguments: the hosted program, `batuta`, the guest (tests/guest/state),
 * docs/formats/state-stream.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "core/device.h"
#include "core/state-internal.h"
#include "dev/virtio/pci.h"
#include "engine/interp/interp.h"
#include "tests/unit/hv-vm/host.h"

#define PASSED    0x21 /* what the guest ends with */
#define DISK_SIZE KIB(256)
#define SECONDS   100 /* that a guest may take, on a loaded machine, under a sanitizer */

static const char *program, *front, *kernel_path, *document_path;
static char folder[] = "/tmp/batuta-hv-state-XXXXXX";

/* ---- files ---- */

struct bytes {
    uint8_t *data;
    size_t size;
};

static const char *path_of(const char *name)
{
    static char path[4][64];
    static unsigned next;

    next = (next + 1) % 4;
    snprintf(path[next], sizeof(path[0]), "%s/%s", folder, name);
    return path[next];
}

static struct bytes read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct bytes b = {0};
    long size;

    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    b.data = calloc(1, (size_t)size + 1);
    b.size = fread(b.data, 1, (size_t)size, file);
    assert_int_equal(b.size, size);
    fclose(file);
    return b;
}

/* ---- the hosted program ---- */

#define MAX_WORDS 48
#define STOPPED   68 /* its exit status after "quit" */

struct hosted {
    const char *append; /* the guest's words; "net" and "smp" bring their devices */
    bool count;         /* virtual time is the number of instructions */
    const char
        *at; /* saved there: after so many instructions if they count, or about so many ns; NULL: not */
    const char *more[8];
};

struct words {
    const char *word[MAX_WORDS];
    unsigned count;
    char disk[96], console[96];
};

static void add(struct words *w, const char *const *words)
{
    for (; *words; words++) {
        assert_true(w->count < MAX_WORDS - 1);
        w->word[w->count++] = *words;
    }
}

#define ADD(w, ...) add(w, (const char *const[]){__VA_ARGS__, NULL})

static bool says(const char *append, const char *word)
{
    return strstr(append, word);
}

static void command_line(const struct hosted *h, struct words *w)
{
    memset(w, 0, sizeof(*w));
    snprintf(w->disk, sizeof(w->disk), "%s,format=raw", path_of("disk"));
    snprintf(w->console, sizeof(w->console), "file:%s", path_of("console"));
    ADD(w, program, "--kernel", kernel_path, "--append", h->append, "--debug-exit", "0xf4", "--memory", "64M",
        "--engine", "interp", "--disk", w->disk, "--console", w->console, "--cpus",
        says(h->append, "smp") ? "2" : "1");
    if (says(h->append, "net"))
        ADD(w, "--net", "user");
    if (h->count)
        ADD(w, "--icount");
    if (h->count && h->at) {
        ADD(w, "--control", path_of("control"));
        if (strcmp(h->at, "0"))
            ADD(w, "--stop-at", h->at);
        else
            ADD(w, "--paused");
    } else if (h->at) {
        ADD(w, "--save", path_of("state"), "--save-at-ns", h->at);
    }
    add(w, h->more);
}

/* False: it does not listen yet, or answers something else. */
static bool ctl(const char *command, const char *expected)
{
    char line[512], answer[512] = "";
    FILE *pipe;

    snprintf(line, sizeof(line), "%s ctl %s %s 2>&1", front, path_of("control"), command);
    pipe = popen(line, "r");
    assert_non_null(pipe);
    answer[fread(answer, 1, sizeof(answer) - 1, pipe)] = '\0';
    pclose(pipe);
    return strstr(answer, expected);
}

static void save_where_it_stops(void)
{
    char command[96];

    for (unsigned i = 0; !ctl("query-status", "\"paused\""); i++) {
        assert_true(i < SECONDS * 50);
        usleep(20000);
    }
    snprintf(command, sizeof(command), "x-batuta-save file=%s", path_of("state"));
    assert_true(ctl(command, ""));
    assert_true(ctl("quit", ""));
}

static void make_disk(void)
{
    FILE *file = fopen(path_of("disk"), "wb");

    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), DISK_SIZE), 0);
    fclose(file);
}

/* Its exit status, 0 if it was saved; files console, disk and state are new. */
static int run_hosted(const struct hosted *h)
{
    struct words words;
    pid_t child;
    int status;

    unlink(path_of("console"));
    unlink(path_of("state"));
    make_disk();
    command_line(h, &words);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        execv(program, (char *const *)words.word);
        _exit(127);
    }
    if (h->count && h->at)
        save_where_it_stops();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return h->count && h->at && WEXITSTATUS(status) == STOPPED ? 0 : WEXITSTATUS(status);
}

/* On a host that is late, the guest may have come to its end before: then once more. */
static struct bytes save_hosted(const struct hosted *h)
{
    unsigned tries = h->count ? 1 : 20;
    int status;

    do
        status = run_hosted(h);
    while (status == PASSED && --tries);
    assert_int_equal(status, 0);
    return read_file(path_of("state"));
}

/* ---- batuta-hv's VM ---- */

static struct bytes kernel, disk;

static void hv_make(const char *append, const char *more)
{
    char text[512];
    struct error err = {0};

    snprintf(text, sizeof(text),
             "[vm guest]\nkernel = state.elf\nappend = \"%s\"\nmemory = 64M\ncpus = %u\ndisk = module:disk\n"
             "debug-exit = 0xf4\n%s%s",
             append, says(append, "smp") ? 2 : 1,
             says(append, "net") ? "net = switch,mac=52:54:00:12:34:56\n" : "", more);
    host_init(text, &interp_engine);
    kernel = read_file(kernel_path);
    disk = read_file(path_of("disk"));
    host_module("state.elf", kernel.data, kernel.size);
    host_module("disk", disk.data, disk.size);
    if (guest_build(&host.guest, &err) < 0)
        fail_msg("%s", err.text);
}

static void hv_end(void)
{
    host_finish();
    free(kernel.data);
    free(disk.data);
}

struct stream {
    struct state_io io;
    struct bytes bytes;
    size_t at;
};

static int get(struct state_io *io, void *buf, size_t len)
{
    struct stream *s = container_of(io, struct stream, io);

    if (len > s->bytes.size - s->at)
        return -EPIPE;
    memcpy(buf, s->bytes.data + s->at, len);
    s->at += len;
    return 0;
}

static int put(struct state_io *io, void *buf, size_t len)
{
    struct stream *s = container_of(io, struct stream, io);

    s->bytes.data = realloc(s->bytes.data, s->bytes.size + len);
    memcpy(s->bytes.data + s->bytes.size, buf, len);
    s->bytes.size += len;
    return 0;
}

static int hv_load(struct bytes state, struct error *err)
{
    struct stream s = {.io = {get}, .bytes = state};
    int r;

    vm_lock(&host.guest.vm);
    r = vm_load(&host.guest.vm, &s.io, err);
    vm_unlock(&host.guest.vm);
    return r;
}

static struct bytes hv_save(void)
{
    struct stream s = {.io = {put}};
    struct error err = {0};

    vm_lock(&host.guest.vm);
    if (vm_save(&host.guest.vm, &s.io, &err) < 0)
        fail_msg("%s", err.text);
    vm_unlock(&host.guest.vm);
    return s.bytes;
}

/* ---- the network's other end ---- */

static struct switch_port wire;
static unsigned asked;

/* All that the guest sends is one question. Its lock is held: the answer waits until it is not. */
static void wire_transmit(struct switch_port *port, const struct frame *frame, int tag)
{
    asked++;
}

static void wire_answers(void)
{
    static const uint8_t answer[60] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x55, 10,   0,    2,  2, 8, 6,
                                       0,    1,    8, 0,    6,    4,    0,    2,    0x52, 0x55, 10, 0, 2, 2,
                                       10,   0,    2, 2,    0x52, 0x54, 0,    0x12, 0x34, 0x56, 10, 0, 2, 15};
    const struct net_vec vec = {answer, sizeof(answer)};

    for (; asked; asked--)
        switch_input(&wire, &vec, 1, false);
}

static void wire_plug(void)
{
    struct switch_config config = {.name = "wire", .guard = {.address = {0x52, 0x55, 10, 0, 2, 2}}};
    struct error err = {0};

    memset(&wire, 0, sizeof(wire));
    asked = 0;
    if (switch_uplink_add(&host.hv.net, &wire, &config, wire_transmit, &err) < 0)
        fail_msg("%s", err.text);
    host.idle = wire_answers;
}

/* ---- it goes on ---- */

static void goes_on(const char *append, bool count, const char *const *instants)
{
    struct hosted h = {.append = append, .count = count};
    struct bytes whole;

    assert_int_equal(run_hosted(&h), PASSED);
    whole = read_file(path_of("console"));
    for (; *instants; instants++) {
        struct error err = {0};
        struct bytes state, again, said;
        char together[sizeof(host.said)];

        h.at = *instants;
        state = save_hosted(&h);
        said = read_file(path_of("console"));
        hv_make(append, "");
        if (hv_load(state, &err) < 0)
            fail_msg("saved at %s: %s", *instants, err.text);
        /* Nothing was lost or changed on the way in. */
        again = hv_save();
        assert_int_equal(again.size, state.size);
        assert_memory_equal(again.data, state.data, state.size);
        if (says(append, "net"))
            wire_plug();
        if (!host_run(SECONDS))
            fail_msg("saved at %s, it does not come to its end; it said: %s", *instants, host.said);
        snprintf(together, sizeof(together), "%s%s", (const char *)said.data, host.said);
        assert_string_equal(together, (const char *)whole.data);
        assert_int_equal(host.last_event, VM_EVENT_DEBUG_EXIT);
        assert_int_equal(host.last_arg, PASSED);
        /* Where it was saved makes a difference: this was no run from the beginning, nor only the end. */
        if (count)
            assert_true(host.said_len && said.size);
        hv_end();
        free(state.data);
        free(again.data);
        free(said.data);
    }
    free(whole.data);
}

/* Each instant is the same instruction in every run. */
static void counted(void **unused)
{
    goes_on("state", true, (const char *const[]){"40000", "123456", "234567", "310000", NULL});
}

/* Two processors that interrupt each other, and a network; when the instants are is up to the host. */
static void with_processors_and_network(void **unused)
{
    goes_on("net smp state", false, (const char *const[]){"25000000", "60000000", NULL});
}

/* ---- what differs ---- */

/*
 * Devices that only one of the two programs gives its VMs, whatever their descriptions say. Whoever changes
 * this changes docs/formats/state-stream.md, too.
 */
static const char *const hosted_only[] = {"debug-console", "console0"};
static const char *const hv_only[] = {"tco"};

struct section {
    char name[32], instance[32];
    uint32_t version;
    struct bytes body;
};

#define MAX_SECTIONS 64

struct sections {
    struct section s[MAX_SECTIONS];
    unsigned count;
};

static void take_apart(struct bytes state, struct sections *out)
{
    size_t at = STATE_MAGIC_SIZE + 4;

    out->count = 0;
    while (load_le32(state.data + at) != STATE_RECORD_END) {
        struct section *s = &out->s[out->count];
        size_t length = load_le64(state.data + at + 8);

        assert_true(at + STATE_RECORD_SIZE + length < state.size);
        if (load_le32(state.data + at) == STATE_RECORD_OBJECT) {
            assert_true(out->count++ < MAX_SECTIONS);
            s->version = load_le32(state.data + at + 4);
            memcpy(s->name, state.data + at + 16, 32);
            memcpy(s->instance, state.data + at + 48, 32);
            s->body = (struct bytes){state.data + at + STATE_RECORD_SIZE, length};
        }
        at += STATE_RECORD_SIZE + length;
    }
}

static const struct section *find(const struct sections *in, const struct section *like)
{
    for (unsigned i = 0; i < in->count; i++) {
        if (!strcmp(in->s[i].name, like->name) && !strcmp(in->s[i].instance, like->instance))
            return &in->s[i];
    }
    return NULL;
}

static bool listed(const char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i], word))
            return true;
    }
    return false;
}

/* Each of `a` is in `b` with the same table, or is one of the n listed ones, all of which there are. */
static void must_be_in(const struct sections *a, const struct sections *b, const char *const *list, size_t n)
{
    unsigned lacking = 0;

    for (unsigned i = 0; i < a->count; i++) {
        const struct section *other = find(b, &a->s[i]);

        if (!other && !listed(list, n, a->s[i].instance))
            fail_msg("%s %s is in one program's VMs only, and not listed", a->s[i].name, a->s[i].instance);
        lacking += !other;
        if (other)
            assert_int_equal(other->version, a->s[i].version);
    }
    assert_int_equal(lacking, n);
}

/* A VM with everything that its program has to give, as it is when it is switched on. */
static void everything(struct bytes *hosted, struct bytes *hv)
{
    const struct hosted h = {
        .append = "net smp state", .at = "1", .more = {"--debugcon", "/dev/null", "--console", "none"}};

    *hosted = save_hosted(&h);
    hv_make(h.append, "watchdog = 10\n");
    *hv = hv_save();
}

static void the_same_devices(void **unused)
{
    struct bytes hosted, hv, document = read_file(document_path);
    struct sections a, b;

    everything(&hosted, &hv);
    take_apart(hosted, &a);
    take_apart(hv, &b);
    must_be_in(&a, &b, hosted_only, ARRAY_SIZE(hosted_only));
    must_be_in(&b, &a, hv_only, ARRAY_SIZE(hv_only));
    for (size_t i = 0; i < ARRAY_SIZE(hosted_only) + ARRAY_SIZE(hv_only); i++) {
        char word[40];

        snprintf(word, sizeof(word), "`%s`",
                 i < ARRAY_SIZE(hosted_only) ? hosted_only[i] : hv_only[i - ARRAY_SIZE(hosted_only)]);
        if (!strstr((const char *)document.data, word))
            fail_msg("%s does not tell of %s", document_path, word);
    }
    hv_end();
    free(hosted.data);
    free(hv.data);
    free(document.data);
}

/* Switched on, each device is in the same state, byte for byte, but for what is listed. */
static void the_same_power_on(void **unused)
{
    /* Its date is that of --icount. */
    static const char *const differ[] = {"machine", "mc146818"};
    const struct hosted h = {.append = "state", .count = true, .at = "0"};
    struct bytes hosted, hv;
    struct sections a, b;
    unsigned same = 0;

    hosted = save_hosted(&h);
    hv_make(h.append, "");
    hv = hv_save();
    take_apart(hosted, &a);
    take_apart(hv, &b);
    must_be_in(&a, &b, NULL, 0);
    must_be_in(&b, &a, NULL, 0);
    for (unsigned i = 0; i < a.count; i++) {
        const struct section *other = find(&b, &a.s[i]);
        bool equal = other->body.size == a.s[i].body.size &&
                     !memcmp(other->body.data, a.s[i].body.data, other->body.size);

        same += equal;
        if (!equal && !listed(differ, ARRAY_SIZE(differ), a.s[i].name))
            fail_msg("%s %s differs when it is switched on", a.s[i].name, a.s[i].instance);
    }
    assert_true(same >= 15);
    hv_end();
    free(hosted.data);
    free(hv.data);
}

/* The other program's own devices are refused with their name; nothing is left out silently. */
static void refused(void **unused)
{
    const struct hosted more = {.append = "state", .count = true, .at = "0", .more = {"--console", "none"}};
    const struct hosted plain = {.append = "state", .count = true, .at = "0"};
    struct error err = {0};
    struct bytes state;

    state = save_hosted(&more);
    hv_make("state", "");
    assert_int_equal(hv_load(state, &err), -ENODEV);
    assert_non_null(strstr(err.text, "console0"));
    hv_end();
    free(state.data);

    err = (struct error){0};
    state = save_hosted(&plain);
    hv_make("state", "watchdog = 10\n");
    assert_int_equal(hv_load(state, &err), -EINVAL);
    assert_non_null(strstr(err.text, "lacks"));
    hv_end();
    free(state.data);
}

/* What CPUID says differs by what is told of time only: the guest may have looked before it was saved. */
static void the_same_processor(void **unused)
{
    struct x86_cpuid_config config = {.level = X86_CPU_V2, .vcpus = 1, .tsc_khz = HOST_TSC_KHZ};
    struct x86_cpuid_model *hosted = calloc(1, sizeof(*hosted));
    const struct x86_cpuid_model *hv;
    struct error err = {0};
    unsigned differences = 0;

    hv_make("state", "cpu = v2\n");
    hv = &host.guest.vm.cpuid;
    if (x86_cpuid_build(hosted, &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(hv->count, hosted->count);
    for (unsigned i = 0; i < hv->count; i++) {
        struct x86_cpuid_leaf leaf = hosted->leaf[i];

        if (!memcmp(&leaf, &hv->leaf[i], sizeof(leaf)))
            continue;
        differences++;
        assert_int_equal(leaf.leaf, 0x40000001);
        leaf.eax |= BIT(5); /* steal time */
        assert_memory_equal(&leaf, &hv->leaf[i], sizeof(leaf));
    }
    assert_int_equal(differences, 1);
    assert_memory_equal(hosted->features, hv->features, sizeof(hv->features));
    hv_end();
    free(hosted);
}

static int make_folder(void **unused)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **unused)
{
    char command[80];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted),          cmocka_unit_test(with_processors_and_network),
        cmocka_unit_test(the_same_devices), cmocka_unit_test(the_same_power_on),
        cmocka_unit_test(refused),          cmocka_unit_test(the_same_processor),
    };

    if (argc != 5) {
        fprintf(stderr, "usage: %s BATUTA-VMM BATUTA GUEST.elf STATE-STREAM.md\n", argv[0]);
        return 2;
    }
    program = argv[1];
    front = argv[2];
    kernel_path = argv[3];
    document_path = argv[4];
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
