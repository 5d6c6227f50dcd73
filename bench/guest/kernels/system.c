/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel does for programs: the cost is in entering it, in page tables and in switching between
 * processes. */
#include "kernels.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that ends with its parent. */
static pid_t start_child(void)
{
    pid_t parent = getpid(), child = fork();

    must(child >= 0, "fork");
    if (child == 0) {
        must(!prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

static uint64_t null_call_round(void)
{
    uint64_t sum = 0;
    long parent = syscall(SYS_getppid);

    for (unsigned i = 0; i < 1000; i++)
        sum += syscall(SYS_getppid) == parent;
    return sum;
}

static uint64_t fork_exec_round(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < 4; i++) {
        int status = 1;
        pid_t child = fork();

        must(child >= 0, "fork");
        if (child == 0) {
            execl("/proc/self/exe", "kernels", "--exit", (char *)NULL);
            _exit(127);
        }
        must(waitpid(child, &status, 0) == child, "waitpid");
        sum += status == 0;
    }
    return sum;
}

/* A byte goes to another process and comes back. */

static int to_child[2], from_child[2];

static void pipe_prepare(void)
{
    char byte;

    must(!pipe(to_child) && !pipe(from_child), "pipe");
    if (start_child())
        return;
    while (read(to_child[0], &byte, 1) == 1) {
        byte++;
        if (write(from_child[1], &byte, 1) != 1)
            break;
    }
    _exit(0);
}

static uint64_t pipe_round(void)
{
    char byte = 0;

    for (unsigned i = 0; i < 100; i++) {
        must(write(to_child[1], &byte, 1) == 1, "write to the pipe");
        must(read(from_child[0], &byte, 1) == 1, "read from the pipe");
    }
    return (uint64_t)byte;
}

/* Two processes wake each other by a futex: two context switches a turn, and little else. */

static uint32_t *turn;

static void pass_turn(uint32_t mine)
{
    while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != mine)
        syscall(SYS_futex, turn, FUTEX_WAIT, !mine, NULL, NULL, 0);
    __atomic_store_n(turn, !mine, __ATOMIC_RELEASE);
    syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void switch_prepare(void)
{
    turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(turn != MAP_FAILED, "mmap");
    if (start_child())
        return;
    for (;;)
        pass_turn(1);
}

static uint64_t switch_round(void)
{
    for (unsigned i = 0; i < 100; i++)
        pass_turn(0);
    return 1;
}

/* 1,024 pages come into being. */
static uint64_t page_fault_round(void)
{
    size_t size = 4u << 20;
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t sum = 0;

    must(p != MAP_FAILED, "mmap");
    must(!madvise(p, size, MADV_NOHUGEPAGE), "madvise");
    for (size_t at = 0; at < size; at += 4096)
        sum += ++p[at];
    must(!munmap(p, size), "munmap");
    return sum;
}

static uint64_t map_round(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < 100; i++) {
        uint8_t *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        must(p != MAP_FAILED, "mmap");
        p[4096] = 1;
        sum += p[4096];
        must(!munmap(p, 16384), "munmap");
    }
    return sum;
}

static void file_prepare(void)
{
    must(!chdir("/dev/shm"), "/dev/shm");
}

static uint64_t file_round(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < 25; i++) {
        char name[32];
        struct stat st;
        int fd;

        snprintf(name, sizeof(name), "bench-%u-%d", i, getpid());
        fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        must(fd >= 0 && write(fd, name, sizeof(name)) == sizeof(name) && !close(fd), name);
        must(!stat(name, &st) && !unlink(name), name);
        sum += (uint64_t)st.st_size;
    }
    return sum;
}

const struct kernel system_kernels[] = {
    {"system", "null-call", NULL, NULL, null_call_round},
    {"system", "fork-exec", NULL, NULL, fork_exec_round},
    {"system", "pipe", NULL, pipe_prepare, pipe_round},
    {"system", "switch", NULL, switch_prepare, switch_round},
    {"system", "page-fault", NULL, NULL, page_fault_round},
    {"system", "mmap", NULL, NULL, map_round},
    {"system", "file", NULL, file_prepare, file_round},
    {NULL, NULL, NULL, NULL, NULL},
};
