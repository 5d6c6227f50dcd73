/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/unix-listener.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_NS 200000000ULL /* accept() without descriptors or memory to spare: try again then */

/* Does somebody answer at this address? */
static bool is_alive(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive;

    if (fd < 0)
        return true;
    /* EAGAIN: alive, and its queue of clients is full. */
    alive = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno != ECONNREFUSED;
    close(fd);
    return alive;
}

/* A socket that its owner left behind when it was killed. Anything else at that path is not ours to remove.
 */
static int clear_stale(const struct sockaddr_un *addr, struct error *err)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, EEXIST, "%s: exists and is not a socket: choose another path, or remove it",
                         addr->sun_path);
    if (is_alive(addr))
        return error_set(err, EADDRINUSE, "%s: is in use by another program: choose another path",
                         addr->sun_path);
    unlink(addr->sun_path);
    return 0;
}

/*
 * Two that start at once could both find a dead socket, and the second remove what
 * the first has put in its place: the folder is locked meanwhile. Whoever holds that
 * lock for longer than a start takes is not one of us, and not waited for.
 */
static int lock_folder(const char *path)
{
    char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    int fd;

    if (slash)
        slash[1] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    for (int i = 0; fd >= 0 && i < 200 && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
        usleep(5000);
    return fd;
}

static int bind_and_listen(const struct sockaddr_un *addr, struct error *err)
{
    mode_t mask;
    int fd, r;

    r = clear_stale(addr, err);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(err, errno, "cannot make a socket: %s", strerror(errno));
    /* The mode must be right from the start: a chmod() afterwards would leave a gap. */
    mask = umask(0177);
    r = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
    umask(mask);
    if (r < 0 || listen(fd, 16) < 0) {
        r = error_set(err, errno, "%s: cannot listen there: %s", addr->sun_path, strerror(errno));
        close(fd);
        return r;
    }
    return fd;
}

static int listen_at(const char *path, struct error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int lock, fd;

    if (strlen(path) >= sizeof(addr.sun_path))
        return error_set(err, ENAMETOOLONG, "%s: a socket's path has at most %zu characters", path,
                         sizeof(addr.sun_path) - 1);
    strcpy(addr.sun_path, path);
    lock = lock_folder(path);
    fd = bind_and_listen(&addr, err);
    if (lock >= 0)
        close(lock);
    return fd;
}

static void update(struct unix_listener *l)
{
    loop_change(l->loop, &l->fd, l->paused || l->retry.deadline ? 0 : LOOP_READ);
}

static void retry(void *opaque)
{
    update(opaque);
}

static void on_event(void *opaque, unsigned events)
{
    struct unix_listener *l = opaque;
    int fd = accept4(l->fd.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        l->accepted(l->opaque, fd);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* The client stays in the queue, and so would the event. */
        loop_timer_set(l->loop, &l->retry, loop_now(l->loop) + RETRY_NS);
        update(l);
    }
}

int unix_listener_open(struct unix_listener *l, struct loop *loop, const char *path, struct error *err)
{
    int fd, r;

    l->loop = loop;
    l->retry = (struct loop_timer){.fn = retry, .opaque = l};
    l->path = strdup(path);
    if (!l->path)
        return error_set(err, ENOMEM, "out of memory");
    fd = listen_at(path, err);
    if (fd < 0) {
        free(l->path);
        l->path = NULL;
        return fd;
    }
    l->fd = (struct loop_fd){.fd = fd, .events = LOOP_READ, .fn = on_event, .opaque = l};
    r = loop_watch(loop, &l->fd);
    if (r < 0) {
        unix_listener_close(l);
        return error_set(err, -r, "%s: %s", path, strerror(-r));
    }
    return 0;
}

void unix_listener_pause(struct unix_listener *l, bool pause)
{
    l->paused = pause;
    if (l->path)
        update(l);
}

void unix_listener_close(struct unix_listener *l)
{
    if (!l->path)
        return;
    loop_timer_clear(l->loop, &l->retry);
    loop_unwatch(l->loop, &l->fd);
    close(l->fd.fd);
    unlink(l->path);
    free(l->path);
    l->path = NULL;
}
