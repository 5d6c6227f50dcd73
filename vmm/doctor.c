/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `batuta doctor`: what this machine offers to VMs; for what is missing, what that
 * costs and the mend. One row per capability.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/engines.h"
#include "vmm/vmm.h"

enum verdict { GOOD, POOR, MISSING };

struct finding {
    enum verdict verdict;
    char text[640];
    char cost[256]; /* empty if good */
    char mend[256];
};

static void say(struct finding *f, enum verdict verdict, const char *text, const char *cost, const char *mend)
{
    f->verdict = verdict;
    snprintf(f->text, sizeof(f->text), "%s", text);
    snprintf(f->cost, sizeof(f->cost), "%s", cost ? cost : "");
    snprintf(f->mend, sizeof(f->mend), "%s", mend ? mend : "");
}

/* Opens and closes. 0 or a negative errno. */
static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static const char *const NO_KVM =
    "guests run on batuta's own CPU engine, slower than on the machine's processor";

static void check_kvm(struct finding *f)
{
    uint64_t speed = 0;
    struct error err = {0};
    int r = try_open("/dev/kvm", O_RDWR);

    if (r == -EACCES || r == -EPERM) {
        say(f, MISSING, "/dev/kvm is there, but not for this user", NO_KVM,
            "sudo adduser $USER kvm, then log in again; in a container: its user needs the group, too");
        return;
    }
    if (r < 0) {
        say(f, MISSING, "there is no usable /dev/kvm", NO_KVM,
            "turn VT-x or AMD-V on in the firmware, or nested virtualization in the cloud; sudo modprobe -a "
            "kvm_intel kvm_amd; into a container: docker run --device /dev/kvm");
        return;
    }
    r = engine_kvm_speed(&speed, &err);
    if (r < 0) {
        say(f, MISSING, err.text, NO_KVM, "see the kernel's log for what KVM lacks");
        return;
    }
    snprintf(f->text, sizeof(f->text), "usable; %.*f million ring-0 instructions a second",
             speed < 10000000 ? 1 : 0, (double)speed / 1e6);
    if (speed >= ENGINE_KVM_WORTH)
        return;
    f->verdict = POOR;
    snprintf(f->cost, sizeof(f->cost),
             "this KVM emulates ring 0 and is slower than our own engine, which --engine auto takes instead");
    snprintf(f->mend, sizeof(f->mend),
             "a machine or cloud instance with VT-x, AMD-V or nested virtualization");
}

/* Which one --engine auto takes. After check_kvm(), which measures. */
static void check_engine(struct finding *f)
{
    struct error slower = {0}, err = {0};
    const struct engine_ops *engine = engine_choose(ENGINE_AUTO, false, &slower, &err);

    if (!engine) {
        say(f, MISSING, err.text, "no VM can start",
            "allow memfd_create and executable mappings of it, in the seccomp profile or the SELinux policy");
    } else if (slower.code) {
        snprintf(f->text, sizeof(f->text), "%s: bt, the translator, cannot run: %s", engine->name,
                 slower.text);
        f->verdict = POOR;
        snprintf(f->cost, sizeof(f->cost), "guests are interpreted: several times slower than translated");
        snprintf(
            f->mend, sizeof(f->mend),
            "allow what is missing, in the seccomp profile, the SELinux policy or the limits (ulimit -v)");
    } else {
        say(f, GOOD, engine->name, NULL, NULL);
    }
}

static void check_tun(struct finding *f)
{
    int r = try_open("/dev/net/tun", O_RDWR);

    if (r == 0)
        say(f, GOOD, "/dev/net/tun can be opened", NULL, NULL);
    else
        say(f, MISSING,
            r == -ENOENT ? "there is no /dev/net/tun" : "/dev/net/tun cannot be opened by this user",
            "no --net tap=NAME; --net user works, a little slower, without incoming connections but hostfwd",
            r == -ENOENT
                ? "sudo modprobe tun; into a container: docker run --device /dev/net/tun --cap-add NET_ADMIN"
                : "have root make the tap: ip tuntap add NAME mode tap user $USER");
}

#define THP "/sys/kernel/mm/transparent_hugepage/enabled"

/* It names all settings, with the present one in brackets. */
static void check_hugepages(struct finding *f)
{
    FILE *file = fopen(THP, "re");
    char text[64] = "";
    bool known = file && fgets(text, sizeof(text), file);

    if (file)
        fclose(file);
    if (strstr(text, "[always]") || strstr(text, "[madvise]"))
        say(f, GOOD, "for guest memory, on request", NULL, NULL);
    else
        say(f, POOR, known ? "this host gives none (" THP ")" : "the kernel has none",
            "guest memory lies in small pages: large programs run up to a third slower",
            "echo madvise | sudo tee " THP);
}

static void check_io_uring(struct finding *f)
{
    uint64_t params[15] = {0}; /* struct io_uring_params */
    long fd = syscall(SYS_io_uring_setup, 1, params);

    if (fd >= 0) {
        close((int)fd);
        say(f, GOOD, "available", NULL, NULL);
        return;
    }
    say(f, MISSING,
        errno == EPERM ? "forbidden here (a container's seccomp filter, or kernel.io_uring_disabled)"
                       : "the kernel has none",
        "disks use threads instead: slower with many requests in flight",
        errno == EPERM
            ? "allow io_uring in the container's seccomp profile; sysctl kernel.io_uring_disabled=0"
            : "Linux 5.1 or later");
}

static void check_memfd(struct finding *f)
{
    int fd = memfd_create("batuta-doctor", MFD_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        say(f, GOOD, "available", NULL, NULL);
    } else {
        say(f, MISSING, "memfd_create() is forbidden or missing",
            "no VM can start: host instructions that engines make lie in such memory",
            "Linux 3.17 or later; allow memfd_create in the container's seccomp profile");
    }
}

static void check_files(struct finding *f, const char *const *paths, const char *cost, const char *mend)
{
    for (size_t i = 0; paths[i]; i++) {
        if (access(paths[i], R_OK) == 0) {
            say(f, GOOD, "", NULL, NULL);
            snprintf(f->text, sizeof(f->text), "%s (not used yet)", paths[i]);
            return;
        }
    }
    say(f, MISSING, "not found", cost, mend);
}

static void check_seabios(struct finding *f)
{
    static const char *const paths[] = {"/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin",
                                        NULL};

    check_files(f, paths, "nothing yet: batuta starts kernels directly; booting disks by BIOS is to come",
                "sudo apt-get install seabios");
}

static void check_ovmf(struct finding *f)
{
    static const char *const paths[] = {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd",
                                        "/usr/share/ovmf/OVMF.fd", NULL};

    check_files(f, paths, "nothing yet: batuta starts kernels directly; booting disks by UEFI is to come",
                "sudo apt-get install ovmf");
}

/* The x86-64 psABI's levels. */
static void check_cpu(struct finding *f)
{
    unsigned a = 0, b = 0, c = 0, d = 0, b7 = 0, c81 = 0, unused;
    const unsigned v2 = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B;
    const unsigned v3 = bit_AVX | bit_F16C | bit_FMA | bit_MOVBE | bit_OSXSAVE;

    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid_count(7, 0, &unused, &b7, &unused, &unused);
    __get_cpuid(0x80000001, &unused, &unused, &c81, &unused);
    if ((c & v2) != v2)
        say(f, MISSING, "x86-64 (v1)",
            "no guest CPU level v2, the default: most current systems will not start",
            "a processor from 2009 or later");
    else if ((c & v3) != v3 || (b7 & (bit_AVX2 | bit_BMI | bit_BMI2)) != (bit_AVX2 | bit_BMI | bit_BMI2) ||
             !(c81 & bit_LZCNT))
        say(f, POOR, "x86-64-v2", "no --cpu v3: guests do without AVX2", "a processor from 2013 or later");
    else
        say(f, GOOD, "x86-64-v3", NULL, NULL);
}

#define FILES_WANTED 1024U

static void check_limits(struct finding *f)
{
    struct rlimit limit = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= FILES_WANTED) {
        say(f, GOOD, "", NULL, NULL);
        snprintf(f->text, sizeof(f->text), "%llu", (unsigned long long)limit.rlim_cur);
    } else {
        say(f, POOR, "low", "VMs with many disks and network cards may not start", "ulimit -n 4096");
    }
}

static const struct check {
    const char *name;
    const char *title;
    void (*run)(struct finding *finding);
} checks[] = {
    {"kvm", "KVM", check_kvm},
    {"engine", "CPU engine of --engine auto", check_engine},
    {"cpu", "CPU level", check_cpu},
    {"memfd", "anonymous memory files", check_memfd},
    {"io_uring", "io_uring", check_io_uring},
    {"tap", "tap networking", check_tun},
    {"hugepages", "transparent huge pages", check_hugepages},
    {"seabios", "SeaBIOS", check_seabios},
    {"ovmf", "OVMF", check_ovmf},
    {"files", "open files allowed", check_limits},
};

static const char *const verdicts[] = {[GOOD] = "ok", [POOR] = "poor", [MISSING] = "missing"};

static void put_json(struct json_writer *w, const struct check *check, const struct finding *f)
{
    json_open(w, '{');
    json_add_text(w, "name", check->name);
    json_add_text(w, "verdict", verdicts[f->verdict]);
    json_add_text(w, "text", f->text);
    if (f->verdict != GOOD) {
        json_add_text(w, "cost", f->cost);
        json_add_text(w, "mend", f->mend);
    }
    json_close(w, '{');
}

static void print(const struct check *check, const struct finding *f)
{
    printf("%-8s %s: %s\n", verdicts[f->verdict], check->title, f->text);
    if (f->verdict != GOOD)
        printf("           costs: %s\n           mend:  %s\n", f->cost, f->mend);
}

int doctor(int argc, char *const *argv)
{
    bool json = argc == 1 && !strcmp(argv[0], "--json"), fatal = false;
    struct plat memory = {&plat_linux_ops};
    struct json_writer w;
    int written;

    if (argc && !json) {
        fprintf(stderr, "batuta doctor: takes no '%s': only --json\n", argv[argc - 1]);
        return STATUS_USAGE;
    }
    json_writer_init(&w, &memory, KIB(64));
    w.pretty = true;
    json_open(&w, '[');
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        struct finding f = {0};

        checks[i].run(&f);
        fatal |= f.verdict == MISSING && (checks[i].run == check_memfd || checks[i].run == check_engine);
        if (json)
            put_json(&w, &checks[i], &f);
        else
            print(&checks[i], &f);
    }
    json_close(&w, '[');
    if (json)
        printf("%.*s\n", (int)w.len, w.text);
    json_writer_finish(&w);
    written = fflush(stdout);
    return fatal || written ? STATUS_ERROR : STATUS_OFF;
}
