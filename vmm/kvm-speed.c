/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/kvm-speed.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TEXT_MAX 1024U

/* $XDG_CACHE_HOME/batuta, made if it is not there. The specification wants relative paths ignored. */
static bool cache_folder(char path[PATH_MAX])
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;

    if (xdg && *xdg == '/')
        n = snprintf(path, PATH_MAX, "%s/batuta", xdg);
    else if (home && *home == '/')
        n = snprintf(path, PATH_MAX, "%s/.cache/batuta", home);
    else
        return false;
    return n > 0 && n < PATH_MAX;
}

static void make_folders(char *path)
{
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    mkdir(path, 0700);
}

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return strlen(text) == (size_t)n;
}

static void processor(char name[64])
{
    unsigned regs[12] = {0}, a = 0, b, c, d;

    __get_cpuid(1, &a, &b, &c, &d);
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &regs[i * 4], &regs[i * 4 + 1], &regs[i * 4 + 2], &regs[i * 4 + 3]);
    snprintf(name, 64, "%x %.48s", a, (const char *)regs);
}

/* What a measurement is true for; the speed follows. */
static bool describe(char *text, size_t size)
{
    char boot[64], cpu[64];
    struct utsname kernel;
    struct stat dev;
    int n;

    if (!read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) || uname(&kernel) < 0 ||
        stat("/dev/kvm", &dev) < 0)
        return false;
    boot[strcspn(boot, "\n")] = '\0';
    processor(cpu);
    n = snprintf(text, size, "batuta kvm-speed 1\nboot %s\nkernel %s %s\nprocessor %s\ndevice %llu\nspeed ",
                 boot, kernel.release, kernel.version, cpu, (unsigned long long)dev.st_ino);
    return n > 0 && (size_t)n < size;
}

bool kvm_speed_recall(uint64_t *instructions_per_second)
{
    char path[PATH_MAX], file[PATH_MAX + 16], expected[TEXT_MAX], text[TEXT_MAX];
    unsigned long long speed;
    char end;

    if (!cache_folder(path) || !describe(expected, sizeof(expected)))
        return false;
    snprintf(file, sizeof(file), "%s/kvm-speed", path);
    if (!read_text(file, text, sizeof(text)) || strncmp(text, expected, strlen(expected)))
        return false;
    /* The line's end shows that it is whole. */
    if (sscanf(text + strlen(expected), "%19llu%c", &speed, &end) != 2 || end != '\n')
        return false;
    *instructions_per_second = speed;
    return true;
}

void kvm_speed_remember(uint64_t instructions_per_second)
{
    char path[PATH_MAX], file[PATH_MAX + 16], temporary[PATH_MAX + 32], text[TEXT_MAX + 32];
    size_t len;
    bool written;
    int fd;

    if (!cache_folder(path) || !describe(text, TEXT_MAX))
        return;
    len = strlen(text);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "%llu\n",
                            (unsigned long long)instructions_per_second);
    make_folders(path);
    snprintf(file, sizeof(file), "%s/kvm-speed", path);
    snprintf(temporary, sizeof(temporary), "%s.XXXXXX", file);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return;
    written = write(fd, text, len) == (ssize_t)len;
    written = close(fd) == 0 && written;
    if (!written || rename(temporary, file) < 0)
        unlink(temporary);
}
