/* SPDX-License-Identifier: MIT */
/*
 * The engine's queues and threads. Workers are started when ready tasks outnumber idle workers, so
 * independent streams always make progress beside each other, and sleep when there is nothing.
 */
#include "task.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctx.h"
#include "userobj.h"

#define VG_WORKERS_MAX 64
#define VG_SPIN_NS 10000                /* how long waiters and workers spin before they sleep */
#define VG_POLL_FAST_NS 50000           /* memory waits are polled without sleeping so long */
#define VG_POLL_SLEEP_MAX_NS 1000000

struct vg_waiter {
    pthread_cond_t cond;
    struct vg_waiter *next;
};

struct vg_queue {
    struct vg_task *first, *last;
    unsigned n;
};

/* Held for well under a microsecond: spinning beats sleeping for it. */
static pthread_mutex_t engine_mutex = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
static pthread_cond_t work_cond = PTHREAD_COND_INITIALIZER;
static pthread_cond_t host_cond = PTHREAD_COND_INITIALIZER;
static pthread_cond_t poll_cond = PTHREAD_COND_INITIALIZER;
static pthread_cond_t drain_cond = PTHREAD_COND_INITIALIZER;
static struct vg_queue ready_queue, host_queue, poll_queue;
static unsigned workers, idle_workers, spinning_workers;
static bool host_started, poll_started;
static uint64_t poll_since;             /* the last change of the poll queue, ns */
static __thread bool takes_next;        /* this worker will look at the queue right away */

/* What may follow what. */
static const unsigned legal_after[VG_TASK_STATE_COUNT] = {
    [VG_TASK_NEW] = 1u << VG_TASK_BLOCKED,
    [VG_TASK_BLOCKED] = 1u << VG_TASK_READY | 1u << VG_TASK_RUNNING | 1u << VG_TASK_DONE,
    [VG_TASK_READY] = 1u << VG_TASK_RUNNING | 1u << VG_TASK_DONE,
    [VG_TASK_RUNNING] = 1u << VG_TASK_DONE,
};

static void task_set_state(struct vg_task *t, enum vg_task_state state)
{
    assert(legal_after[t->state] & 1u << state);
    __atomic_store_n(&t->state, state, __ATOMIC_RELEASE);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void vg_engine_lock(void)
{
    pthread_mutex_lock(&engine_mutex);
}

void vg_engine_unlock(void)
{
    pthread_mutex_unlock(&engine_mutex);
    vg_user_objects_flush();
}

void vg_engine_lock_quietly(void)
{
    pthread_mutex_lock(&engine_mutex);
}

void vg_engine_unlock_quietly(void)
{
    pthread_mutex_unlock(&engine_mutex);
}

/* ----------------------------------------------------------- life of a task */

struct vg_task *vg_task_new(struct vg_ctx *ctx, const struct vg_stream *stream, struct vg_op *op)
{
    struct vg_task *t = malloc(sizeof(*t));

    if (t == NULL)
        return NULL;
    memset((char *)t + sizeof(t->op), 0, sizeof(*t) - sizeof(t->op));
    t->op = *op;
    op->type = VG_OP_EMPTY;
    t->ctx = ctx;
    t->stream = stream;
    t->refs = 1;
    t->succ = t->succ_own;
    t->cap = VG_ARRAY_LEN(t->succ_own);
    return t;
}

struct vg_task *vg_task_get_locked(struct vg_task *t)
{
    t->refs++;
    return t;
}

void vg_task_put_locked(struct vg_task *t)
{
    if (t == NULL || --t->refs != 0)
        return;
    vg_op_fini_locked(&t->op);
    if (t->succ != t->succ_own)
        free(t->succ);
    free(t);
}

bool vg_task_is_done(const struct vg_task *t)
{
    return t == NULL || __atomic_load_n(&t->state, __ATOMIC_ACQUIRE) == VG_TASK_DONE;
}

static int succ_grow(struct vg_task *pred)
{
    struct vg_task **grown = malloc(2 * pred->cap * sizeof(*grown));

    if (grown == NULL)
        return -ENOMEM;
    memcpy(grown, pred->succ, pred->nsucc * sizeof(*grown));
    if (pred->succ != pred->succ_own)
        free(pred->succ);
    pred->succ = grown;
    pred->cap *= 2;
    return 0;
}

void vg_task_after_locked(struct vg_task *t, struct vg_task *pred)
{
    if (vg_task_is_done(pred))
        return;
    if (pred->nsucc == pred->cap && succ_grow(pred) != 0) {
        vg_task_wait_locked(pred);
        return;
    }
    pred->succ[pred->nsucc++] = t;
    t->preds++;
}

/* ------------------------------------------------------------------- queues */

/* Behind all that are as urgent. */
static void queue_push(struct vg_queue *q, struct vg_task *t)
{
    struct vg_task **at = &q->first;

    __atomic_store_n(&q->n, q->n + 1, __ATOMIC_RELAXED);
    if (q->last != NULL && q->last->priority <= t->priority) {
        q->last->next = t;
        q->last = t;
        t->next = NULL;
        return;
    }
    while (*at != NULL && (*at)->priority <= t->priority)
        at = &(*at)->next;
    t->next = *at;
    *at = t;
    if (t->next == NULL)
        q->last = t;
}

static void queue_remove_at(struct vg_queue *q, struct vg_task **at, struct vg_task *prev)
{
    struct vg_task *t = *at;

    *at = t->next;
    if (q->last == t)
        q->last = prev;
    t->next = NULL;
    __atomic_store_n(&q->n, q->n - 1, __ATOMIC_RELAXED);
}

static struct vg_task *queue_pop(struct vg_queue *q)
{
    struct vg_task *t = q->first;

    if (t != NULL)
        queue_remove_at(q, &q->first, NULL);
    return t;
}

/* Takes the first task of the same stream (of the same context, where like has no stream) out. */
static struct vg_task *queue_take_stream(struct vg_queue *q, const struct vg_task *like)
{
    struct vg_task **at, *prev = NULL, *t;

    for (at = &q->first; *at != NULL; prev = *at, at = &(*at)->next) {
        t = *at;
        if (t->ctx == like->ctx && (like->stream == NULL || t->stream == like->stream)) {
            queue_remove_at(q, at, prev);
            return t;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ threads */

static int thread_start(void *(*main_fn)(void *))
{
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_t id;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&id, &attr, main_fn, NULL);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

static void *worker_main(void *arg);
static void *host_main(void *arg);
static void *poll_main(void *arg);

static void ready_push_locked(struct vg_task *t)
{
    task_set_state(t, VG_TASK_READY);
    queue_push(&ready_queue, t);
    if (takes_next) {
        takes_next = false;
        return;
    }
    if (ready_queue.n <= spinning_workers)
        return;
    if (ready_queue.n > idle_workers + spinning_workers && workers < VG_WORKERS_MAX &&
        thread_start(worker_main) == 0)
        workers++;
    else
        pthread_cond_signal(&work_cond);
}

static void host_push_locked(struct vg_task *t)
{
    task_set_state(t, VG_TASK_READY);
    queue_push(&host_queue, t);
    if (!host_started)
        host_started = thread_start(host_main) == 0;
    pthread_cond_signal(&host_cond);
}

static void poll_push_locked(struct vg_task *t)
{
    task_set_state(t, VG_TASK_READY);
    queue_push(&poll_queue, t);
    poll_since = now_ns();
    if (!poll_started)
        poll_started = thread_start(poll_main) == 0;
    pthread_cond_signal(&poll_cond);
}

/* --------------------------------------------------------------- completion */

static CUresult task_failed_locked(const struct vg_task *t)
{
    CUresult rc = vg_ctx_error(t->ctx);

    return rc == CUDA_SUCCESS && t->ctx->cancel != 0 ? CUDA_ERROR_CONTEXT_IS_DESTROYED : rc;
}

/*
 * All predecessors are done: hands t to its lane. True when it is finished already. After a fault
 * only stream callbacks still run.
 */
static bool task_start_locked(struct vg_task *t)
{
    enum vg_lane lane = vg_op_lane(&t->op);
    CUresult failed = task_failed_locked(t);

    if (failed != CUDA_SUCCESS && (t->op.type != VG_OP_CALLBACK || t->ctx->cancel > 1)) {
        t->result = failed;
        return true;
    }
    if (lane == VG_LANE_INSTANT) {
        t->result = vg_op_run(&t->op, t->ctx, CUDA_SUCCESS);
        return true;
    }
    if (lane == VG_LANE_POLL && vg_op_poll(&t->op))
        return true;
    if (lane == VG_LANE_WORKER)
        ready_push_locked(t);
    else if (lane == VG_LANE_HOST)
        host_push_locked(t);
    else
        poll_push_locked(t);
    return false;
}

static void task_wake_waiters_locked(struct vg_task *t)
{
    struct vg_waiter *w;

    for (w = t->waiters; w != NULL; w = w->next)
        pthread_cond_signal(&w->cond);
}

/* Marks t done; appends the successors that now can finish at once to *more. */
static void task_finish_locked(struct vg_task *t, struct vg_queue *more)
{
    unsigned i;

    t->done_ns = now_ns();
    task_set_state(t, VG_TASK_DONE);
    task_wake_waiters_locked(t);
    for (i = 0; i < t->nsucc; i++)
        if (--t->succ[i]->preds == 0 && t->succ[i]->state == VG_TASK_BLOCKED &&
            task_start_locked(t->succ[i])) {
            t->succ[i]->next = NULL;
            if (more->last != NULL)
                more->last->next = t->succ[i];
            else
                more->first = t->succ[i];
            more->last = t->succ[i];
        }
    if (--t->ctx->pending == 0)
        pthread_cond_broadcast(&drain_cond);
    vg_op_fini_locked(&t->op);
    vg_task_put_locked(t);
}

static void task_complete_locked(struct vg_task *t)
{
    struct vg_queue more = { t, t, 1 };

    t->next = NULL;
    while (more.first != NULL) {
        t = more.first;
        more.first = t->next;
        if (more.first == NULL)
            more.last = NULL;
        task_finish_locked(t, &more);
    }
}

bool vg_task_submit_locked(struct vg_task *t, bool here)
{
    vg_task_get_locked(t);              /* the engine's, until it is done */
    t->ctx->pending++;
    task_set_state(t, VG_TASK_BLOCKED);
    if (t->preds != 0)
        return false;
    if (here && vg_op_lane(&t->op) == VG_LANE_WORKER && task_failed_locked(t) == CUDA_SUCCESS) {
        task_set_state(t, VG_TASK_RUNNING);
        return true;
    }
    if (task_start_locked(t))
        task_complete_locked(t);
    return false;
}

void vg_task_run_locked(struct vg_task *t)
{
    CUresult failed = task_failed_locked(t), rc;

    if (t->state != VG_TASK_RUNNING)
        task_set_state(t, VG_TASK_RUNNING);
    vg_engine_unlock();
    rc = failed != CUDA_SUCCESS && t->op.type != VG_OP_CALLBACK ? failed
                                                              : vg_op_run(&t->op, t->ctx, failed);
    vg_engine_lock();
    if (rc != CUDA_SUCCESS && failed == CUDA_SUCCESS) {
        vg_ctx_fail(t->ctx, rc);
        rc = vg_ctx_error(t->ctx);      /* the first fault cancels its neighbours */
    }
    t->result = rc;
    task_complete_locked(t);
}

/* ----------------------------------------------------------------- the lanes */

/* The next task often comes within microseconds; one worker at a time spins for it. */
static void worker_spin_locked(void)
{
    uint64_t until = now_ns() + VG_SPIN_NS;

    if (spinning_workers != 0)
        return;
    spinning_workers++;
    vg_engine_unlock();
    while (__atomic_load_n(&ready_queue.n, __ATOMIC_RELAXED) == 0 && now_ns() < until)
        __builtin_ia32_pause();
    vg_engine_lock();
    spinning_workers--;
}

static void *worker_main(void *arg)
{
    struct vg_task *t;

    vg_engine_lock();
    for (;;) {
        t = queue_pop(&ready_queue);
        if (t == NULL)
            worker_spin_locked();
        if (t == NULL && (t = queue_pop(&ready_queue)) == NULL) {
            idle_workers++;
            pthread_cond_wait(&work_cond, &engine_mutex);
            idle_workers--;
            continue;
        }
        takes_next = true;
        vg_task_run_locked(t);
        takes_next = false;
    }
    return arg;
}

static void *host_main(void *arg)
{
    struct vg_task *t;

    vg_engine_lock();
    for (;;) {
        t = queue_pop(&host_queue);
        if (t != NULL)
            vg_task_run_locked(t);
        else
            pthread_cond_wait(&host_cond, &engine_mutex);
    }
    return arg;
}

/* Completes every memory wait that is fulfilled or whose context has failed; true if any was. */
static bool poll_once_locked(void)
{
    struct vg_task **at = &poll_queue.first, *prev = NULL, *t;

    while (*at != NULL) {
        t = *at;
        t->result = task_failed_locked(t);
        if (t->result == CUDA_SUCCESS && !vg_op_poll(&t->op)) {
            prev = t;
            at = &t->next;
            continue;
        }
        queue_remove_at(&poll_queue, at, prev);
        task_complete_locked(t);
        return true;
    }
    return false;
}

/* The longer a wait has lasted, the longer the pause: at most a sixteenth is added to it. */
static void poll_pause(uint64_t waited)
{
    uint64_t ns = waited / 16 < VG_POLL_SLEEP_MAX_NS ? waited / 16 : VG_POLL_SLEEP_MAX_NS;
    struct timespec pause = { 0, (long)ns };

    if (waited > VG_POLL_FAST_NS)
        nanosleep(&pause, NULL);
}

static void *poll_main(void *arg)
{
    uint64_t waited;

    vg_engine_lock();
    for (;;) {
        if (poll_once_locked())
            poll_since = now_ns();
        while (poll_queue.first == NULL)
            pthread_cond_wait(&poll_cond, &engine_mutex);
        waited = now_ns() - poll_since;
        vg_engine_unlock();
        poll_pause(waited);
        vg_engine_lock();
    }
    return arg;
}

/* ------------------------------------------------------------------ waiting */

/* Waking up from a sleep costs more than most tasks take. */
static void spin_for(const struct vg_task *t)
{
    uint64_t until = now_ns() + VG_SPIN_NS;

    vg_engine_unlock();
    while (!vg_task_is_done(t) && now_ns() < until)
        __builtin_ia32_pause();
    vg_engine_lock();
}

static void sleep_for_locked(struct vg_task *t)
{
    struct vg_waiter w = { .next = t->waiters }, **at;

    pthread_cond_init(&w.cond, NULL);
    t->waiters = &w;
    while (t->state != VG_TASK_DONE)
        pthread_cond_wait(&w.cond, &engine_mutex);
    for (at = &t->waiters; *at != &w; at = &(*at)->next)
        ;
    *at = w.next;
    pthread_cond_destroy(&w.cond);
}

CUresult vg_task_wait_locked(struct vg_task *t)
{
    struct vg_task *mine;
    CUresult rc;

    vg_task_get_locked(t);
    while (t->state != VG_TASK_DONE && (mine = queue_take_stream(&ready_queue, t)) != NULL)
        vg_task_run_locked(mine);
    if (t->state != VG_TASK_DONE)
        spin_for(t);
    if (t->state != VG_TASK_DONE)
        sleep_for_locked(t);
    rc = t->result;
    vg_task_put_locked(t);
    return rc;
}

void vg_engine_stop_ctx(struct vg_ctx *ctx)
{
    vg_engine_lock();
    __atomic_store_n(&ctx->cancel, 2, __ATOMIC_RELEASE);
    while (ctx->pending != 0)
        pthread_cond_wait(&drain_cond, &engine_mutex);
    vg_engine_unlock();
}
