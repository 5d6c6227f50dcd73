/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define MAX_THREADS 4U
#define STACK_SIZE  KIB(256)

struct queue {
    struct blk_req *head, **tail;
};

struct workers {
    int event_fd;
    int (*run)(void *opaque, struct blk_req *req);
    void *opaque;
    unsigned threads; /* the owner's thread alone changes it */
    pthread_t thread[MAX_THREADS];

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;
    struct queue todo, done;
    unsigned idle;
    bool stop;
};

static void queue_init(struct queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_add(struct queue *q, struct blk_req *req)
{
    req->backend[0] = NULL;
    *q->tail = req;
    q->tail = (struct blk_req **)&req->backend[0];
}

static struct blk_req *queue_take(struct queue *q)
{
    struct blk_req *req = q->head;

    if (req) {
        q->head = req->backend[0];
        if (!q->head)
            q->tail = &q->head;
    }
    return req;
}

static void finish_locked(struct workers *w, struct blk_req *req, int result)
{
    req->backend[1] = (void *)(intptr_t)result;
    queue_add(&w->done, req);
    eventfd_write(w->event_fd, 1);
}

static void *worker(void *opaque)
{
    struct workers *w = opaque;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct blk_req *req = queue_take(&w->todo);
        int result;

        if (!req) {
            if (w->stop)
                break;
            w->idle++;
            pthread_cond_wait(&w->work, &w->lock);
            w->idle--;
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        result = w->run(w->opaque, req);
        pthread_mutex_lock(&w->lock);
        finish_locked(w, req, result);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are the main thread's business. */
static bool thread_start(struct workers *w)
{
    sigset_t all, old;
    pthread_attr_t attr;
    int r;

    if (pthread_attr_init(&attr))
        return false;
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&w->thread[w->threads], &attr, worker, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (r)
        return false;
    pthread_setname_np(w->thread[w->threads], "disk");
    w->threads++;
    return true;
}

struct workers *workers_create(int event_fd, int (*run)(void *opaque, struct blk_req *req), void *opaque)
{
    struct workers *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->event_fd = event_fd;
    w->run = run;
    w->opaque = opaque;
    queue_init(&w->todo);
    queue_init(&w->done);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    return w;
}

void workers_destroy(struct workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->threads; i++)
        pthread_join(w->thread[i], NULL);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void workers_submit(struct workers *w, struct blk_req *req)
{
    bool more;

    pthread_mutex_lock(&w->lock);
    more = !w->idle && w->threads < MAX_THREADS;
    queue_add(&w->todo, req);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    if (!more || thread_start(w) || w->threads)
        return;
    /* Not one thread to be had: then it is done here and now. */
    pthread_mutex_lock(&w->lock);
    while ((req = queue_take(&w->todo)))
        finish_locked(w, req, w->run(w->opaque, req));
    pthread_mutex_unlock(&w->lock);
}

struct blk_req *workers_collect(struct workers *w)
{
    struct blk_req *list;

    pthread_mutex_lock(&w->lock);
    list = w->done.head;
    queue_init(&w->done);
    pthread_mutex_unlock(&w->lock);
    return list;
}
