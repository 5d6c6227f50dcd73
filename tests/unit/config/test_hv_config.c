/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor's configuration: what becomes of right and wrong files. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fmt.h"
#include "config/hv-config.h"

struct said {
    char text[80][512];
    unsigned count;
};

static void keep(void *opaque, const struct hv_report *report)
{
    struct said *said = opaque;

    assert_true(strlen(report->text) < sizeof(said->text[0]));
    assert_null(strchr(report->text, '\n'));
    assert_true(said->count < ARRAY_SIZE(said->text));
    strcpy(said->text[said->count++], report->text);
}

/* From memory of its exact size, for the sanitizer. */
static void read_text(struct hv_config *config, struct said *said, const char *text)
{
    size_t len = strlen(text);
    char *exact = malloc(len ? len : 1);

    memcpy(exact, text, len);
    said->count = 0;
    assert_int_equal(hv_config_read(config, "hv.conf", exact, len, malloc, free, keep, said), 0);
    assert_int_equal(config->mistakes, said->count);
    free(exact); /* nothing points there */
}

static char *load(const char *path)
{
    char *text = calloc(1, KIB(64));
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_true(fread(text, 1, KIB(64) - 1, f) > 0);
    fclose(f);
    return text;
}

static void test_demo(void **state)
{
    char *text = load(TOP "/examples/hv/demo.conf");
    struct hv_config config;
    struct said said;

    (void)state;
    read_text(&config, &said, text);
    assert_int_equal(said.count, 0);
    assert_int_equal(config.vm_count, 3);
    assert_string_equal(config.vm[0]->machine.kernel, "vmlinuz");
    assert_string_equal(config.vm[1]->machine.name, "blue");
    assert_int_equal(config.vm[2]->machine.memory, MIB(8));
    assert_int_equal(config.vm[2]->cap, 250);
    hv_config_finish(&config);
    free(text);
}

static void test_defaults(void **state)
{
    struct hv_config config;
    struct said said;
    const struct hv_vm *vm;

    (void)state;
    read_text(&config, &said, "[vm a]\nkernel=k");
    assert_int_equal(said.count, 0);
    assert_int_equal(config.vm_count, 1);
    vm = config.vm[0];
    assert_int_equal(vm->machine.memory, MIB(512));
    assert_int_equal(vm->machine.cpus, 1);
    assert_true(vm->machine.rng && vm->machine.balloon && vm->autostart);
    assert_int_equal(vm->shares, 100);
    assert_int_equal(vm->console_count, 1);
    assert_int_equal(vm->console[0].kind, HV_CONSOLE_MONITOR);
    assert_int_equal(vm->restart, HV_RESTART_ON_CRASH);
    assert_int_equal(vm->restart_max, 5);
    assert_int_equal(vm->restart_seconds, 60);
    assert_true(vm->cap == 0 && vm->reservation == 0 && vm->affinity == 0 && vm->budget == 0);
    assert_int_equal(config.own.speed, 115200);
    assert_int_equal(config.own.panic, HV_PANIC_REBOOT);
    assert_int_equal(config.own.log, HV_LOG_INFO);
    assert_true(config.own.screen && config.nic[7].uplink && !config.nic[7].line);
    assert_int_equal(config.net.age, 300);
    hv_config_finish(&config);
}

static const char everything[] =
    "[hypervisor]\n"
    "console = com2\nspeed = 9600\nscreen = off\nlog = debug\npanic = halt\n"
    "panic-seconds = 0\nwatchdog = 30\n"
    "[switch]\nage = 10\n"
    "[nic 3]\nuplink = off\nvlan = 7\ntrunk = on\nvlans = 1+8-9\n"
    "[ vm  all.1 ]\n"
    "kernel = k\nkernel-format = pvh\ninitrd = i\ninitrd = m,cmdline=a,,b\n"
    "append = \" x \"\nmemory = 2G\ncpus = 4\ncpu = v3\nrng = off\nballoon = no\n"
    "debug-exit = 0xf4\nno-reboot = on\n"
    "disk = module:d,ro\ndisk = ramdisk:64M,serial=S\ndisk = virtio:2,offset=1G,size=1M\ndisk = "
    "virtio:2,offset=1025M\n"
    "net = switch,vlan=4094,trunk,vlans=4094,mac=52:54:00:00:00:01,ip=10.1.2.3,"
    "ip=10.1.2.4,ip=FD00::1:2,any-mac,router,dhcp-server,flood=9\n"
    "net = switch\nnet = none\nconsole = none\n"
    "shares = 10000\nreservation = 12.5%\ncap = 200%\naffinity = 0,2-3,63\n"
    "restart = always,max=3,within=10\nwatchdog = 60\nautostart = off\n"
    "[vm rt]\nkernel = k\nrealtime = 2ms/10ms\n";

static void test_everything(void **state)
{
    struct hv_config config;
    struct said said;
    const struct hv_vm *vm;

    (void)state;
    read_text(&config, &said, everything);
    assert_int_equal(said.count, 0);
    assert_int_equal(config.vm_count, 2);
    assert_true(config.own.console == HV_SERIAL_COM2 && config.own.speed == 9600 && !config.own.screen);
    assert_true(config.own.log == HV_LOG_DEBUG && config.own.panic == HV_PANIC_HALT);
    assert_true(config.own.panic_seconds == 0 && config.own.watchdog == 30 && config.net.age == 10);
    assert_true(!config.nic[3].uplink && config.nic[3].port.vlan == 7 && config.nic[3].port.trunk);
    assert_true(config.nic[3].port.vlans[0] == 2 && config.nic[3].port.vlans[1] == 3);
    vm = config.vm[0];
    assert_string_equal(vm->machine.name, "all.1");
    assert_int_equal(vm->machine.initrd_count, 2);
    assert_string_equal(vm->machine.initrd[1].cmdline, "a,b");
    assert_string_equal(vm->machine.append, " x ");
    assert_true(vm->machine.memory == GIB(2) && vm->machine.cpus == 4 && vm->machine.cpu == CPU_V3);
    assert_true(!vm->machine.rng && !vm->machine.balloon && vm->machine.no_reboot);
    assert_int_equal(vm->machine.debug_exit, 0xf4);
    assert_int_equal(vm->disk_count, 4);
    assert_true(vm->disk[2].offset == GIB(1) && vm->disk[2].size == MIB(1));
    assert_true(vm->disk[3].offset == MIB(1025) && vm->disk[3].size == 0);
    assert_true(vm->disk[0].kind == HV_DISK_MODULE && vm->disk[0].read_only);
    assert_true(vm->disk[1].kind == HV_DISK_RAMDISK && vm->disk[1].size == MIB(64));
    assert_string_equal(vm->disk[1].serial, "S");
    assert_true(vm->disk[2].kind == HV_DISK_VIRTIO && vm->disk[2].index == 2 && !vm->disk[2].read_only);
    assert_int_equal(vm->net_count, 2);
    assert_true(vm->net[0].port.vlan == 4094 && vm->net[0].port.trunk && vm->net[0].any_mac);
    assert_true(vm->net[0].router && vm->net[0].dhcp_server && vm->net[0].flood == 9);
    assert_int_equal(vm->net[0].port.vlans[4094 / 8], 1 << 4094 % 8);
    assert_true(vm->net[0].ip_count == 2 && vm->net[0].ip[1] == 0x0a010204);
    assert_int_equal(vm->net[0].ip6_count, 1);
    assert_memory_equal(vm->net[0].ip6[0], "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\1\0\2", 16);
    assert_true(vm->net[1].has_mac && vm->net[1].mac[0] == 0x52 && !vm->net[1].ip_count);
    assert_true(vm->console_count == 1 && vm->console[0].kind == HV_CONSOLE_NONE);
    assert_true(vm->shares == 10000 && vm->reservation == 125 && vm->cap == 2000);
    assert_true(vm->affinity == (BIT64(63) | 0xd));
    assert_true(vm->restart == HV_RESTART_ALWAYS && vm->restart_max == 3 && vm->restart_seconds == 10);
    assert_true(vm->watchdog == 60 && !vm->autostart);
    assert_true(config.vm[1]->budget == 2000000 && config.vm[1]->period == 10000000);
    hv_config_finish(&config);
}

/* Wrong VMs are left out, each with its line; what is around them stays. */
static void test_others_stay(void **state)
{
    struct hv_config config;
    struct said said;

    (void)state;
    read_text(&config, &said,
              "[vm a]\nkernel = k\n[vm b]\nkernel = k\nmemory = 12X\n[vm c]\nkernel = k\n[vn d]\nkernel = k\n"
              "[hypervisor]\npanic = never\nlog = warn\n[vm a]\nkernel = k\n[vm e]\nkernel = k\n");
    assert_int_equal(said.count, 4);
    assert_string_equal(said.text[0], "hv.conf:5: vm b: memory = 12X: not a size: say 512M or 2G");
    assert_string_equal(said.text[1], "hv.conf:8: there is no section [vn]: did you mean [vm NAME]?");
    assert_string_equal(said.text[2], "hv.conf:11: panic: there is no 'never': choose one of reboot, halt");
    assert_string_equal(said.text[3],
                        "hv.conf:13: [vm a]: a VM of this name begins in line 1: choose another one");
    assert_int_equal(config.vm_count, 3);
    assert_string_equal(config.vm[2]->machine.name, "e");
    assert_int_equal(config.left_out, 2);
    assert_int_equal(config.own.log, HV_LOG_WARN);
    assert_int_equal(config.own.panic, HV_PANIC_REBOOT);
    hv_config_finish(&config);
}

static void test_bounds(void **state)
{
    char *text = calloc(1, KIB(64));
    struct hv_config config;
    struct said said;
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < HV_MAX_VMS + 1; i++)
        len += fmt_print(text + len, KIB(64) - len, "[vm v%u]\nkernel = k\n", i);
    read_text(&config, &said, text);
    assert_int_equal(config.vm_count, HV_MAX_VMS);
    assert_int_equal(said.count, 1);
    assert_string_equal(said.text[0], "hv.conf:129: [vm v64]: there are 64 VMs already, and no more can be");
    hv_config_finish(&config);

    len = fmt_print(text, KIB(64), "[vm good]\nkernel = k\n[switch]\n");
    for (unsigned i = 0; i < 1000; i++)
        len += fmt_print(text + len, KIB(64) - len, "wrong %u\n", i);
    fmt_print(text + len, KIB(64) - len, "[vm late]\nkernel = k\n");
    read_text(&config, &said, text);
    assert_int_equal(said.count, HV_MAX_MISTAKES + 1);
    assert_string_equal(said.text[HV_MAX_MISTAKES],
                        "hv.conf:67: has 64 mistakes until here: the rest is not read");
    assert_int_equal(config.vm_count, 1);
    hv_config_finish(&config);
    free(text);
}

static void test_not_text(void **state)
{
    struct hv_config config;
    struct said said = {.count = 0};
    char *large = malloc(KIB(256) + 1);

    (void)state;
    assert_int_equal(hv_config_read(&config, "x", "[vm a]\n\0kernel=k", 16, malloc, free, keep, &said), 0);
    assert_int_equal(config.vm_count, 0);
    assert_string_equal(said.text[0], "x: holds binary data: it is not a configuration");
    hv_config_finish(&config);
    memset(large, '#', KIB(256) + 1);
    said.count = 0;
    assert_int_equal(hv_config_read(&config, "x", large, KIB(256) + 1, malloc, free, keep, &said), 0);
    assert_string_equal(said.text[0], "x: is larger than 256 KiB: it is not a configuration");
    hv_config_finish(&config);
    said.count = 0;
    assert_int_equal(hv_config_read(&config, "x", large, KIB(256), malloc, free, keep, &said), 0);
    assert_string_equal(said.text[0], "x: describes no VM: add a section [vm NAME]");
    hv_config_finish(&config);
    free(large);
}

/* ---- memory ---- */

static unsigned fail_after, living;

static void *failing_alloc(size_t size)
{
    if (!fail_after || !--fail_after)
        return NULL;
    living++;
    return malloc(size);
}

static void counting_free(void *p)
{
    living -= p != NULL;
    free(p);
}

static void test_no_memory(void **state)
{
    struct hv_config config;
    struct said said = {.count = 0};
    unsigned n = 1;
    int r;

    (void)state;
    do {
        fail_after = n++;
        said.count = 0;
        r = hv_config_read(&config, "x", everything, strlen(everything), failing_alloc, counting_free, keep,
                           &said);
        hv_config_finish(&config);
        assert_int_equal(living, 0);
    } while (r == -ENOMEM);
    assert_int_equal(r, 0);
    assert_int_equal(said.count, 0);
    assert_true(n > 4);
}

/* ---- several VMs ---- */

static void test_macs(void **state)
{
    char text[1024];
    struct hv_config config;
    struct said said;
    uint8_t made[6];

    (void)state;
    read_text(&config, &said,
              "[vm a]\nkernel = k\nnet = switch\nnet = switch\n[vm b]\nkernel = k\nnet = switch\n");
    assert_int_equal(said.count, 0);
    memcpy(made, config.vm[0]->net[0].mac, 6);
    assert_memory_equal(made, "\x52\x54\x00", 3);
    assert_memory_not_equal(made, config.vm[0]->net[1].mac, 6);
    assert_memory_not_equal(made, config.vm[1]->net[0].mac, 6);
    hv_config_finish(&config);
    /* The same from another file; and another one if somebody has it. */
    read_text(&config, &said, "[vm z]\nkernel = k\nnet = switch\n[vm a]\nkernel = k\nnet = switch\n");
    assert_memory_equal(made, config.vm[1]->net[0].mac, 6);
    hv_config_finish(&config);
    snprintf(text, sizeof(text),
             "[vm a]\nkernel = k\nnet = switch\n[vm b]\nkernel = k\nnet = "
             "switch,mac=%02x:%02x:%02x:%02x:%02x:%02x\n",
             made[0], made[1], made[2], made[3], made[4], made[5]);
    read_text(&config, &said, text);
    assert_int_equal(said.count, 0);
    assert_memory_equal(made, config.vm[1]->net[0].mac, 6);
    assert_memory_not_equal(made, config.vm[0]->net[0].mac, 6);
    hv_config_finish(&config);
}

/* ---- against a machine ---- */

static const struct hv_module modules[] = {{"vmlinuz", 100}, {"initrd.gz", 100}, {"empty", 0}};

static void check(const char *text, const struct hv_machine *machine, struct said *said, unsigned vms)
{
    struct hv_config config;

    read_text(&config, said, text);
    assert_int_equal(said->count, 0);
    hv_config_check(&config, machine, keep, said);
    assert_int_equal(config.vm_count, vms);
    assert_int_equal(config.mistakes, said->count);
    hv_config_finish(&config);
}

static void test_machine(void **state)
{
    const struct hv_machine machine = {.memory = MIB(1024),
                                       .processors = 2,
                                       .modules = modules,
                                       .module_count = ARRAY_SIZE(modules),
                                       .modules_known = true,
                                       .disks = 1,
                                       .nics = 1,
                                       .devices_known = true};
    const struct hv_machine unknown = {0};
    const char text[] = "[vm a]\nkernel = vmlinuz\nmemory = 512M\nreservation = 100%\n"
                        "[vm b]\nkernel = vmlinux\n"
                        "[vm c]\nkernel = vmlinuz\ninitrd = other\nmemory = 1M\n"
                        "[vm d]\nkernel = empty\nmemory = 1M\n"
                        "[vm e]\nkernel = vmlinuz\nmemory = 1M\ndisk = virtio:0\ndisk = virtio:1\n"
                        "[vm f]\nkernel = vmlinuz\nmemory = 1M\naffinity = 1-2\n"
                        "[vm g]\nkernel = vmlinuz\nmemory = 1M\nrealtime = 5ms/10ms\n"
                        "[vm h]\nkernel = vmlinuz\nmemory = 1M\nreservation = 50.1%\n"
                        "[vm i]\nkernel = vmlinuz\nmemory = 256M\ndisk = ramdisk:300M\n"
                        "[vm j]\nkernel = vmlinuz\nmemory = 1000M\nautostart = off\n"
                        "[vm k]\nkernel = vmlinuz\nmemory = 1024M\nautostart = off\n"
                        "[nic 0]\n[nic 1]\n";
    static const char *const lines[] = {
        "hv.conf:6: vm b: kernel = vmlinux: there is no boot module of this name: did you mean 'vmlinuz'?",
        "hv.conf:9: vm c: initrd = other: there is no boot module of this name: have the boot loader load it",
        "hv.conf:12: vm d: kernel = empty: the boot module is empty",
        "hv.conf:18: vm e: disk = virtio:1: the machine has 1 such disks, counted from 0",
        "hv.conf:22: vm f: affinity: names processor 2, the machine has 0 to 1",
        "hv.conf:30: vm h: reservation: promises 50.1% of a processor; of the 190.0% that can be promised "
        "160.0% are "
        "taken: promise less",
        "hv.conf:33: vm i: memory: 562 MiB are needed, with RAM disks and tables; of 1024 MiB for VMs 504 "
        "are "
        "left: give it less, or autostart = off to another one",
        "hv.conf:41: vm k: memory: 1031 MiB are needed, with RAM disks and tables; of 1024 MiB for VMs 1024 "
        "are "
        "left: give it less, or autostart = off to another one",
        "hv.conf:44: [nic 1]: the machine has 1 network cards, counted from 0",
    };
    struct said said;

    (void)state;
    check(text, &machine, &said, 3);
    for (unsigned i = 0; i < said.count && i < ARRAY_SIZE(lines); i++)
        assert_string_equal(said.text[i], lines[i]);
    assert_int_equal(said.count, ARRAY_SIZE(lines));
    check(text, &unknown, &said, 11);
    assert_int_equal(said.count, 0);
}

static uint64_t size_of_module(const void *opaque, const char *name)
{
    return *name == 'm' ? MIB(512) : 0;
}

/* All that a VM can have its devices take is in what it is promised: or they could leave it none to go on. */
static void test_memory_of_devices(void **state)
{
    static const struct {
        const char *line;
        uint64_t least, most;
    } cases[] = {
        {"rng = off", 0, 0},
        {"net = switch", KIB(560), MIB(1)},
        {"disk = virtio:0", KIB(1600), MIB(2)},
        {"disk = module:m,ro", KIB(1600), MIB(4)},
        {"disk = module:m", MIB(512 + 2), MIB(512 + 4)},
        {"disk = module:m\ndisk = ramdisk:512M", 2 * MIB(512 + 2), 2 * MIB(512 + 4)},
    };
    uint64_t alone = 0;
    struct said said;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct hv_config config;
        uint64_t need;
        char text[128];

        snprintf(text, sizeof(text), "[vm a]\nkernel = k\nmemory = 64M\n%s\n", cases[i].line);
        read_text(&config, &said, text);
        assert_int_equal(said.count, 0);
        need = hv_vm_memory(config.vm[0], size_of_module, NULL);
        alone = i ? alone : need;
        assert_in_range(need - alone, cases[i].least, cases[i].most);
        hv_config_finish(&config);
    }
}

static void test_module_names(void **state)
{
    static const char *const names[][2] = {{"vmlinuz", "vmlinuz"}, {"/boot/vmlinuz quiet", "vmlinuz"},
                                           {"  a/b/c d/e", "c"},   {"", ""},
                                           {"dir/", ""},           {"0123456789012345", "0123456"}};
    char name[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        hv_module_name(name, sizeof(name), names[i][0]);
        assert_string_equal(name, names[i][1]);
    }
}

static void test_ipv6(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: it is none */
    } cases[] = {
        {"2001:db8:0:1:2:3:4:5", "\x20\x01\x0d\xb8\0\0\0\1\0\2\0\3\0\4\0\5"},
        {"fe80::", "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0"},
        {"2001::8", "\x20\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x08"},
        {"2001:2:3:4:5:6:7::", "\x20\1\0\2\0\3\0\4\0\5\0\6\0\7\0\0"},
        {"0100::2:3:4:5:6:7", "\1\0\0\0\0\2\0\3\0\4\0\5\0\6\0\7"},
        {"2001:2:3:4:5:6:7", NULL},
        {"2001:2:3:4:5:6:7:8:9", NULL},
        {"2001:2:3:4:5:6:7:8::", NULL},
        {"2001:2::3:4:5:6:7:8", NULL},
        {"2001::2::3", NULL},
        {"2001:::2", NULL},
        {"12345::", NULL},
        {"2001:", NULL},
        {"2001::2:", NULL},
        {":1", NULL},
        {"g::", NULL},
        {"2001:2:3:4:5:6:7: ", NULL},
        {"::1", NULL},     /* loopback */
        {"::", NULL},      /* nobody */
        {"ff02::1", NULL}, /* multicast */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[128];
        struct hv_config config;
        struct said said;

        snprintf(text, sizeof(text), "[vm a]\nkernel = k\nnet = switch,ip=%s", cases[i].text);
        read_text(&config, &said, text);
        if (said.count != !cases[i].bytes)
            fail_msg("%s: %u mistakes", cases[i].text, said.count);
        if (cases[i].bytes)
            assert_memory_equal(config.vm[0]->net[0].ip6[0], cases[i].bytes, 16);
        hv_config_finish(&config);
    }
}

/* docs/formats/hv-file.md names every key, and its example is right. */
static void test_manual(void **state)
{
    static const char *const sections[] = {"hypervisor", "switch", "nic", "vm"};
    char *text = load(TOP "/docs/formats/hv-file.md"), *example = calloc(1, KIB(64)), *rest = text, *line;
    struct hv_config config;
    struct said said;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        const struct option_table *table = hv_config_table(sections[i]);

        assert_non_null(table);
        for (const struct option_table *t = table; t; t = t->base) {
            for (size_t j = 0; j < t->count; j++) {
                char wanted[64];

                snprintf(wanted, sizeof(wanted), "`%s`", t->rows[j].name);
                if (!strstr(text, wanted))
                    fail_msg("hv-file.md says nothing of %s in [%s]", wanted, sections[i]);
            }
        }
    }
    assert_null(hv_config_table("nothing"));
    while ((line = strsep(&rest, "\n")) && strncmp(line, "## ", 3)) {
        if (!strncmp(line, "    ", 4))
            strcat(strcat(example, line + 4), "\n");
    }
    read_text(&config, &said, example);
    assert_int_equal(said.count, 0);
    assert_int_equal(config.vm_count, 2);
    hv_config_finish(&config);
    free(text);
    free(example);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),         cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),   cmocka_unit_test(test_others_stay),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_not_text),
        cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_macs),
        cmocka_unit_test(test_machine),      cmocka_unit_test(test_memory_of_devices),
        cmocka_unit_test(test_module_names), cmocka_unit_test(test_manual),
        cmocka_unit_test(test_ipv6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
