/* SPDX-License-Identifier: MIT */
/*
 * The callback thread: takes cookies from the slot's callback ring, runs what they
 * stand for, and tells the host, which lets the stream go on. One per process,
 * started at the first use. The application's functions must not call CUDA, as CUDA
 * demands; our own may (transfer.c).
 */
#include "guest-shim/callback.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "guest-shim/call.h"
#include "guest-shim/chan.h"
#include "guest-shim/fwd.h"
#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "vg_atomic.h"

/*
 * A cookie is the address of one; the host only repeats what we gave it. It ends with
 * its run, or where a graph may run it again, when the host says that it is gone.
 */
struct callback {
    CUhostFn fn;                    /* kinds HOST_FUNC and NODE */
    CUstreamCallback stream_fn;     /* kind STREAM */
    CUstream stream;
    CUhostFn at_end;                /* given the data when the cookie ends; NULL: nothing to do */
    void *data;
};

static struct vg_lock start_lock;
static bool started;

/*
 * A cookie reaches the callback thread through another process, which the memory
 * model knows nothing of. Each side passes here, so that what was written before the
 * call is visible to the callback.
 */
static uint32_t crossings;

static void cross(void)
{
    __atomic_fetch_add(&crossings, 1u, __ATOMIC_ACQ_REL);
}

static void end(struct callback *c)
{
    if (c->at_end)
        c->at_end(c->data);
    free(c);
}

static void run(struct callback *c, CUresult status)
{
    if (c->stream_fn)
        c->stream_fn(c->stream, status, c->data);
    else if (!status)
        c->fn(c->data);
}

static void run_next(struct vg_slot *s)
{
    uint64_t tail = s->callback_tail;
    uint64_t cookie = s->callback[tail % VG_CALLBACKS].cookie;
    CUresult status = (CUresult)s->callback[tail % VG_CALLBACKS].status;
    uint32_t kind = s->callback[tail % VG_CALLBACKS].kind;
    struct callback *c = (struct callback *)(uintptr_t)cookie;

    cross();
    if (kind != VG_CALLBACK_GONE) {
        vg_console_drain();
        run(c, status);
    }
    /* Not a call: the ring may be full of work that waits for this very callback. */
    vg_store_release(&s->callback_tail, tail + 1);
    if (vg_process.chan->ops->futex)
        vg_futex_wake((uint32_t *)&s->callback_tail);
    if (kind != VG_CALLBACK_NODE)
        end(c);
}

static void sleep_until_posted(struct vg_slot *s, struct vg_backoff *idle)
{
    uint64_t seen = s->callback_tail;

    if (!vg_process.chan->ops->futex) {
        const struct timespec nap = {0, idle->round++ < 1000 ? 100000 : 2000000};
        nanosleep(&nap, NULL);
        return;
    }
    vg_store_relaxed(&s->callback_waiting, 1);
    vg_fence();     /* pairs with the executor's between callback_head and callback_waiting */
    if (vg_load_acquire(&s->callback_head) == seen)
        vg_futex_wait((uint32_t *)&s->callback_head, (uint32_t)seen, 100000);
    vg_store_relaxed(&s->callback_waiting, 0);
}

static void *callback_main(void *arg)
{
    struct vg_slot *s = arg;
    struct vg_backoff idle = {0};

    vg_tls.in_callback = true;
    while (vg_phase() == VG_PHASE_RUNNING && !vg_load_relaxed(&vg_process.lost)) {
        if (vg_load_acquire(&s->callback_head) != s->callback_tail) {
            run_next(s);
            idle.round = 0;
        } else {
            sleep_until_posted(s, &idle);
        }
    }
    return NULL;
}

/* Signals are the application's own threads' business. */
static bool start_thread(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int e = pthread_create(&thread, &attr, callback_main, vg_process.slot);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e == 0;
}

static bool ensure_thread(void)
{
    vg_lock(&start_lock);
    if (!started)
        started = start_thread();
    bool ok = started;
    vg_unlock(&start_lock);
    return ok;
}

static uint64_t new_callback(struct callback value)
{
    struct callback *c = malloc(sizeof(*c));

    if (!c || !ensure_thread()) {
        free(c);
        return 0;
    }
    *c = value;
    cross();
    return (uintptr_t)c;
}

uint64_t vg_callback_new(CUhostFn fn, void *data)
{
    return new_callback((struct callback){.fn = fn, .data = data});
}

uint64_t vg_callback_new_owning(CUhostFn fn, void *data, CUhostFn at_end)
{
    return new_callback((struct callback){.fn = fn, .data = data, .at_end = at_end});
}

uint64_t vg_callback_new_stream(CUstreamCallback fn, CUstream stream, void *data)
{
    return new_callback((struct callback){.stream_fn = fn, .stream = stream, .data = data});
}

void vg_callback_of(uint64_t cookie, CUhostFn *ret_fn, void **ret_data)
{
    const struct callback *c = (const struct callback *)(uintptr_t)cookie;

    *ret_fn = c->fn;
    *ret_data = c->data;
}

void vg_callback_drop(uint64_t cookie)
{
    free((struct callback *)(uintptr_t)cookie);
}

static CUresult send_host_func(CUstream stream, uint64_t cookie, enum vg_callback_kind kind)
{
    struct vg_reply reply;
    uint64_t s;
    CUresult r = cookie ? vg_stream(stream, &s) : CUDA_ERROR_OUT_OF_MEMORY;

    /* The reply makes it quiet: with an error of before, the host would have the cookie all the same. */
    if (!r)
        r = vg_call_reply(VG_CALL_HOST_FUNC, VG_WORDS(s, cookie, kind), &reply);
    if (r && cookie)
        vg_callback_drop(cookie);
    return r;
}

CUresult cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
    CUresult r = vg_enter_stream(hStream);

    if (!r && !fn)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    return send_host_func(hStream, vg_callback_new(fn, userData), VG_CALLBACK_HOST_FUNC);
}

CUresult cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData,
                             unsigned flags)
{
    CUresult r = vg_enter_stream(hStream);

    if (!r && (!callback || flags))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    return send_host_func(hStream, vg_callback_new_stream(callback, hStream, userData),
                          VG_CALLBACK_STREAM);
}
