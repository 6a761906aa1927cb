/* SPDX-License-Identifier: MIT */
/*
 * The thread beside the serve thread; see aside.h. It takes one piece of work after
 * the other, in their order, and lives as long as the process.
 */
#include "mediator/executor/aside.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct vg_aside *first, **last = &first;
static bool started;

static struct vg_aside *take(void)
{
    pthread_mutex_lock(&lock);
    while (!first)
        pthread_cond_wait(&changed, &lock);
    struct vg_aside *a = first;
    first = a->next;
    if (!first)
        last = &first;
    pthread_mutex_unlock(&lock);
    return a;
}

static void *aside_main(void *arg)
{
    struct vg_exec *x = arg;

    for (;;) {
        struct vg_aside *a = take();
        x->cuda.cuCtxSetCurrent(a->ctx);
        a->work(x, a);
        __atomic_store_n(&a->done, 1, __ATOMIC_RELEASE); /* from here on it is the serve thread's */
        vg_doorbell_ring(NULL);
    }
    return NULL;
}

bool vg_aside_queue(struct vg_exec *x, struct vg_aside *a)
{
    pthread_t thread;

    if (x->alone || (!started && pthread_create(&thread, NULL, aside_main, x) != 0))
        return false;
    if (!started)
        pthread_detach(thread);
    started = true;
    pthread_mutex_lock(&lock);
    a->next = NULL;
    *last = a;
    last = &a->next;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return true;
}

CUresult vg_aside_run(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    a->ctx = x->ctx;
    a->done = 0;
    if (vg_wait_aside(x, r, a))
        return CUDA_SUCCESS;
    a->work(x, a);
    return a->finish(x, r, a);
}
