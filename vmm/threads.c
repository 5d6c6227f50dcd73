/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/plat-linux.h"

int vcpu_threads_create(struct vcpu_thread **threads, struct vm *vm, struct error *err)
{
    struct vcpu_thread *t = calloc(vm->vcpu_count, sizeof(*t));

    if (!t)
        return error_set(err, ENOMEM, "out of memory");
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        t[i].vcpu = vm->vcpu[i];
        vm->vcpu[i]->plat_data = &t[i];
    }
    *threads = t;
    return 0;
}

static void *body(void *opaque)
{
    struct vcpu_thread *t = opaque;

    __atomic_store_n(&t->tid, gettid(), __ATOMIC_RELAXED);
    vcpu_loop(t->vcpu);
    return NULL;
}

int vcpu_threads_start(struct vcpu_thread *threads, struct vm *vm, struct error *err)
{
    sigset_t block, old;
    int code = 0;

    sigfillset(&block);
    for (size_t i = 0; i < 5; i++)
        sigdelset(&block, ((const int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP})[i]);
    pthread_sigmask(SIG_SETMASK, &block, &old);
    for (unsigned i = 0; i < vm->vcpu_count && !code; i++) {
        char name[16];

        code = pthread_create(&threads[i].thread, NULL, body, &threads[i]);
        threads[i].started = code == 0;
        snprintf(name, sizeof(name), "vcpu%u", i);
        if (!code)
            pthread_setname_np(threads[i].thread, name);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code)
        return error_set(err, code, "cannot start the vCPUs' threads: %s", strerror(code));
    return 0;
}

void vcpu_threads_join(struct vcpu_thread *threads, struct vm *vm)
{
    for (unsigned i = 0; threads && i < vm->vcpu_count; i++) {
        if (threads[i].started)
            pthread_join(threads[i].thread, NULL);
        threads[i].started = false;
    }
}
