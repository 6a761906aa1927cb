/* SPDX-License-Identifier: MIT */
/* Posts callbacks to the guest and waits for them; see callback.h. */
#include "mediator/executor/callback.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mediator/executor/guest.h"
#include "vg_atomic.h"

#define LOOKS       1000u  /* at the guest's tail before sleeping */
#define LOOK_US     50u    /* a first sleep, and ... */
#define LOOK_MAX_US 1000u  /* ... the longest between two looks */

struct vg_callback_run {
    struct vg_callback_run *next;
    bool transfer;
};

void vg_callbacks_init(struct vg_callbacks *c, struct vg_slot *slot)
{
    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->slot = slot;
}

/*
 * Those that may run again are never freed: a guest that ends an executable graph while
 * another of its threads launches it must not make us read what is something else by then.
 */
static struct vg_callback *take_spare(struct vg_callbacks *c, uint64_t cookie)
{
    pthread_mutex_lock(&c->lock);
    struct vg_callback *cb = c->spare;
    if (cb) {
        c->spare = cb->next;
        cb->next = NULL;
        cb->exec = NULL;
        cb->transfer = false;
        cb->cookie = cookie;
    }
    pthread_mutex_unlock(&c->lock);
    return cb;
}

static void keep_spare_locked(struct vg_callbacks *c, struct vg_callback *cb)
{
    cb->next = c->spare;
    c->spare = cb;
}

void vg_callback_drop(struct vg_callback *cb)
{
    if (!cb || cb->once) {
        free(cb);
        return;
    }
    pthread_mutex_lock(&cb->owner->lock);
    keep_spare_locked(cb->owner, cb);
    pthread_mutex_unlock(&cb->owner->lock);
}

void vg_callbacks_fini(struct vg_callbacks *c)
{
    for (struct vg_callback *cb; (cb = c->spare) != NULL; free(cb))
        c->spare = cb->next;
}

struct vg_callback *vg_callback_new(struct vg_callbacks *c, uint64_t cookie, bool once)
{
    struct vg_callback *cb = once ? NULL : take_spare(c, cookie);

    if (cb)
        return cb;
    cb = malloc(sizeof(*cb));
    if (cb)
        *cb = (struct vg_callback){.owner = c, .cookie = cookie, .once = once};
    return cb;
}

static bool has_room(const struct vg_callbacks *c)
{
    return c->head - vg_load_acquire(&c->slot->callback_tail) < VG_CALLBACKS;
}

/* Nothing tells us when the guest moves its tail, so a full ring is looked at now and then. */
static void wait_for_room_locked(struct vg_callbacks *c)
{
    const struct timespec pause = {.tv_nsec = 200000};

    while (!has_room(c)) {
        pthread_mutex_unlock(&c->lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&c->lock);
    }
}

static void post_locked(struct vg_callbacks *c, uint64_t cookie, CUresult status, uint32_t kind)
{
    struct vg_slot *s = c->slot;
    unsigned i = c->head % VG_CALLBACKS;

    s->callback[i].cookie = cookie;
    s->callback[i].status = (uint32_t)status;
    s->callback[i].kind = kind;
    vg_store_release(&s->callback_head, ++c->head);
    vg_fence(); /* either we see `callback_waiting` or the sleeper sees the head */
    if (vg_load_relaxed(&s->callback_waiting))
        vg_futex_wake(&s->callback_head);
}

static void forget_locked(struct vg_callbacks *c, struct vg_callback_run *run)
{
    struct vg_callback_run **at = &c->running;

    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
}

static bool has_run(const struct vg_callbacks *c, uint64_t end)
{
    return (int64_t)(vg_load_acquire(&c->slot->callback_tail) - end) >= 0;
}

/*
 * Until the guest's tail has passed the callback. Not by way of the serve thread: that may
 * be held up in the driver by the very stream that this callback holds up, and the ring be
 * full behind it. A guest on this host wakes us; one in a VM cannot, so we look.
 */
static void wait_until_run(const struct vg_callbacks *c, uint64_t end)
{
    uint32_t *word = (uint32_t *)&c->slot->callback_tail; /* the low half */
    unsigned us = LOOK_US;

    for (unsigned i = 0; i < LOOKS && !has_run(c, end); i++)
        vg_cpu_relax();
    for (uint32_t seen; seen = vg_load_acquire(word), !has_run(c, end);) {
        vg_futex_wait(word, seen, us);
        us = us < LOOK_MAX_US / 2 ? us * 2 : LOOK_MAX_US;
    }
}

static void run(struct vg_callback *cb, CUresult status, uint32_t kind)
{
    struct vg_callbacks *c = cb->owner;
    struct vg_callback_run me = {.transfer = cb->transfer};

    pthread_mutex_lock(&c->lock);
    wait_for_room_locked(c);
    me.next = c->running;
    c->running = &me;
    post_locked(c, cb->cookie, status, kind);
    uint64_t end = c->head;
    pthread_mutex_unlock(&c->lock);
    wait_until_run(c, end);
    pthread_mutex_lock(&c->lock);
    forget_locked(c, &me);
    pthread_mutex_unlock(&c->lock);
    if (cb->once)
        free(cb);
}

void vg_callback_host_func(void *arg)
{
    const struct vg_callback *cb = arg;

    run(arg, CUDA_SUCCESS, cb->once ? VG_CALLBACK_HOST_FUNC : VG_CALLBACK_NODE);
}

void vg_callback_stream(CUstream stream, CUresult status, void *arg)
{
    (void)stream;
    run(arg, status, VG_CALLBACK_STREAM);
}

void vg_callback_transfers(struct vg_callback *cb)
{
    cb->transfer = true;
    cb->owner->transfers = true;
}

bool vg_callback_is_transferring(struct vg_callbacks *c)
{
    pthread_mutex_lock(&c->lock);
    const struct vg_callback_run *run = c->running;
    while (run && !run->transfer)
        run = run->next;
    pthread_mutex_unlock(&c->lock);
    return run != NULL;
}

/* ---- The end of a callback ---- */

static void tell_gone_locked(struct vg_callbacks *c)
{
    struct vg_callback *cb;

    while ((cb = c->gone) != NULL && has_room(c)) {
        c->gone = cb->next;
        post_locked(c, cb->cookie, CUDA_SUCCESS, VG_CALLBACK_GONE);
        keep_spare_locked(c, cb);
    }
}

void vg_callback_gone(void *arg)
{
    struct vg_callback *cb = arg;
    struct vg_callbacks *c = cb->owner;

    pthread_mutex_lock(&c->lock);
    cb->next = c->gone;
    vg_store_relaxed(&c->gone, cb);
    tell_gone_locked(c);
    pthread_mutex_unlock(&c->lock);
}

void vg_callbacks_flush(struct vg_callbacks *c)
{
    if (!vg_load_relaxed(&c->gone))
        return;
    pthread_mutex_lock(&c->lock);
    tell_gone_locked(c);
    pthread_mutex_unlock(&c->lock);
}
