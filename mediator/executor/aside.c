/* SPDX-License-Identifier: MIT */
/*
 * The thread beside the serve thread; see aside.h. It takes one piece of work after
 * the other, in their order, and lives as long as the process. What has a thread to itself
 * is done by that, while this one waits.
 */
#include "mediator/executor/aside.h"

#include <pthread.h>
#include <stdlib.h>

#include "mediator/executor/wait_private.h"
#include "vg_api.h"
#include "vg_atomic.h"
#include "vg_wire.h"

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

/* ---- Threads for one purpose each ---- */

#define THREADS_MAX 64u     /* what comes then has to do with the one beside */

struct vg_aside_thread {
    struct vg_exec *x;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct vg_aside *a;     /* to be done; NULL when it is */
    bool ends;
};

static unsigned threads;    /* the serve thread's */

static void thread_free(struct vg_aside_thread *t)
{
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void *thread_main(void *arg)
{
    struct vg_aside_thread *t = arg;
    struct vg_exec *x = t->x;

    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->a && !t->ends)
            pthread_cond_wait(&t->changed, &t->lock);
        if (!t->a)
            break;
        x->cuda.cuCtxSetCurrent(t->a->ctx);
        t->a->work(x, t->a);
        t->a = NULL;
        pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
    thread_free(t);
    return NULL;
}

/* Returns when it has been done. */
static void hand_over(struct vg_aside_thread *t, struct vg_aside *a)
{
    pthread_mutex_lock(&t->lock);
    t->a = a;
    pthread_cond_broadcast(&t->changed);
    while (t->a)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

void vg_aside_do(struct vg_exec *x, struct vg_aside *a)
{
    if (a->by)
        hand_over(a->by, a);
    else
        a->work(x, a);
}

struct vg_aside_thread *vg_aside_thread_new(struct vg_exec *x)
{
    struct vg_aside_thread *t = x->alone || threads >= THREADS_MAX ? NULL : malloc(sizeof(*t));
    pthread_t thread;

    if (!t)
        return NULL;
    *t = (struct vg_aside_thread){.x = x};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    if (pthread_create(&thread, NULL, thread_main, t) != 0) {
        thread_free(t);
        return NULL;
    }
    pthread_detach(thread);
    threads++;
    return t;
}

void vg_aside_thread_end(struct vg_aside_thread *t)
{
    if (!t)
        return;
    threads--;
    pthread_mutex_lock(&t->lock);
    t->ends = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* ---- The thread beside ---- */

/* For the daemon, which ends who computes for too long. */
static void tell(struct vg_exec *x, uint64_t since)
{
    vg_store_relaxed(&x->keeper.page->beside.since, since);
}

static void *aside_main(void *arg)
{
    struct vg_exec *x = arg;

    for (;;) {
        struct vg_aside *a = take();
        tell(x, vg_now());
        if (!a->by)
            x->cuda.cuCtxSetCurrent(a->ctx);
        vg_aside_do(x, a);
        tell(x, 0);
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

/* ---- What others may do meanwhile ---- */

#define ENDS   1u   /* some object */
#define GRAPHS 2u   /* changes a graph, or may */

static uint8_t does[VG_CALL_END];

#define ENDS_IN(kind, type, name, aux) ENDS_IN_##kind(aux)
#define ENDS_IN_HND(aux) | ENDS_##aux
#define ENDS_IN_STRM(aux) | ENDS_##aux
#define ENDS_IN_VAL(aux)
#define ENDS_IN_DPTR(aux)
#define ENDS_IN_OUT(aux)
#define ENDS_IN_OUTH(aux)
#define ENDS_IN_IN(aux)
#define ENDS_IN_INOUT(aux)
#define ENDS_IN_STR(aux)
#define ENDS_IN_INBUF(aux)
#define ENDS_IN_OUTBUF(aux)
#define ENDS_IN_PTR(aux)
#define ENDS_IN_NONE(aux)
#define ENDS__ 0u
#define ENDS_DIES ENDS

static bool is_about_graphs(const struct vg_api_row *r)
{
    return r->class == VG_CLASS_GRAPH || r->id == VG_CALL_cuStreamBeginCapture_v2 ||
           r->id == VG_CALL_cuStreamBeginCaptureToGraph;
}

__attribute__((constructor)) static void fill_does(void)
{
#define VG_API(id, symbol, base, since, mode, class) does[id] = 0 VG_ARGS_##symbol(ENDS_IN);
#include "vg_api.def"
    for (size_t i = 0; i < VG_API_COUNT; i++)
        if (is_about_graphs(&vg_api_rows[i]))
            does[vg_api_rows[i].id] |= GRAPHS;
}

/* What the call uses of the things that are changed aside, or 0. */
static uint64_t object_of(const struct vg_call *c)
{
    switch (c->call) {
    case VG_CALL_cuGraphLaunch:
    case VG_CALL_cuLinkComplete:
    case VG_CALL_cuLinkDestroy:
    case VG_CALL_LINK_READ:
        return c->arg[0];
    case VG_CALL_IMAGE_LOAD:
        return c->arg[0] == VG_IMAGE_LINK_INPUT ? c->arg[4] : 0;
    default:
        return 0;
    }
}

/*
 * To load a module the driver waits for the GPU, and lets nobody else into it: not even who serves
 * the copy for which a graph waits.
 */
static bool may_copy(const struct vg_exec *x, const struct vg_call *call)
{
    return x->callbacks.transfers && call->call == VG_CALL_cuGraphLaunch;
}

bool vg_aside_bars(const struct vg_exec *x, const struct vg_call *call)
{
    if (x->asides.count == 0 || call->call >= VG_CALL_END)
        return false;
    if (may_copy(x, call))
        return true;
    uint64_t object = object_of(call);
    if (object)
        return vg_waits_have_aside_on(x, object);
    return (x->asides.on_objects && (does[call->call] & ENDS)) ||
           (x->asides.on_graphs && (does[call->call] & GRAPHS));
}

#define BYTES_MAX (1ull << 30)  /* the last one may go beyond: VG_IMAGE_MAX */

bool vg_asides_are_full(const struct vg_exec *x)
{
    return x->asides.bytes >= BYTES_MAX;
}

static void begin_use(struct vg_exec *x, const struct vg_aside *a)
{
    x->asides.count++;
    x->asides.bytes += a->bytes;
    x->asides.on_objects += a->uses >= VG_ASIDE_OBJECTS;
    x->asides.on_graphs += a->uses == VG_ASIDE_GRAPHS;
}

void vg_aside_over(struct vg_exec *x, const struct vg_aside *a)
{
    x->asides.count--;
    x->asides.bytes -= a->bytes;
    x->asides.on_objects -= a->uses >= VG_ASIDE_OBJECTS;
    x->asides.on_graphs -= a->uses == VG_ASIDE_GRAPHS;
}

CUresult vg_aside_run(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    a->ctx = x->ctx;
    a->done = 0;
    if (vg_wait_aside(x, r, a)) {
        begin_use(x, a);
        return CUDA_SUCCESS;
    }
    vg_aside_do(x, a);
    return a->finish(x, r, a);
}
