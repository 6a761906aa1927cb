/* SPDX-License-Identifier: MIT */
/* The thread that fetches images; see fetch.h. Makes no driver calls. */
#include "mediator/executor/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mediator/executor/load.h"

#define KEPT_SECONDS 5      /* that nobody claims a guess */

/* Under the lock, and not while it is COMING. */
static void drop(struct vg_fetch *f)
{
    free(f->bytes);
    f->bytes = NULL;
    f->state = VG_FETCH_NONE;
}

static bool is_it(const struct vg_fetch *f, const uint8_t *digest, uint64_t size)
{
    return f->state != VG_FETCH_NONE && f->size == size &&
           memcmp(f->digest, digest, VG_DIGEST_BYTES) == 0;
}

/* ---- the thread ---- */

/* Under the lock, which it lets go of meanwhile. */
static void fetch(struct vg_fetch *f, const uint8_t *digest, uint64_t size)
{
    if (is_it(f, digest, size))
        return;
    drop(f);
    memcpy(f->digest, digest, VG_DIGEST_BYTES);
    f->size = size;
    f->state = VG_FETCH_COMING;
    pthread_mutex_unlock(&f->lock);
    uint8_t *bytes = vg_image_new(size);
    if (bytes && !vg_shelf_take(f->shelf, digest, size, bytes)) {
        free(bytes);
        bytes = NULL;
    }
    pthread_mutex_lock(&f->lock);
    f->bytes = bytes;
    f->state = bytes ? VG_FETCH_HERE : VG_FETCH_NONE;
    pthread_cond_broadcast(&f->changed);
}

/* Under the lock. Takes note of the order in `count` names, of which the first is older. */
static void look_ahead(struct vg_fetch *f, uint8_t (*asked)[VG_DIGEST_BYTES], unsigned count)
{
    uint8_t then[VG_DIGEST_BYTES];
    uint64_t size = 0;

    pthread_mutex_unlock(&f->lock);
    for (unsigned i = 1; i < count; i++)
        vg_shelf_follow(f->shelf, asked[i - 1], asked[i]);
    bool known = vg_shelf_next(f->shelf, asked[count - 1], then, &size);
    pthread_mutex_lock(&f->lock);
    if (known && size >= VG_FETCH_MIN && size <= VG_FETCH_MAX)
        fetch(f, then, size);
}

/*
 * Under the lock: until something is asked for. A guess that proves wrong does not stay; by the clock
 * that conditions have everywhere: should it be set, one stays longer or goes earlier.
 */
static void wait_for_asks(struct vg_fetch *f)
{
    struct timespec until;
    int e = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += KEPT_SECONDS;
    while (f->asks == 0 && !f->ends) {
        if (f->state == VG_FETCH_HERE)
            e = pthread_cond_timedwait(&f->changed, &f->lock, &until);
        else
            pthread_cond_wait(&f->changed, &f->lock);
        if (e == ETIMEDOUT && f->state == VG_FETCH_HERE)
            drop(f);
    }
}

static void *fetch_main(void *arg)
{
    uint8_t asked[VG_FETCH_ASKED + 1][VG_DIGEST_BYTES];
    struct vg_fetch *f = arg;
    unsigned last = 0;      /* 1 with one of before in asked[0] */

    pthread_mutex_lock(&f->lock);
    for (;;) {
        wait_for_asks(f);
        if (f->ends)
            break;
        unsigned count = last + f->asks;
        memcpy(asked[last], f->asked, f->asks * sizeof(f->asked[0]));
        f->asks = 0;
        look_ahead(f, asked, count);
        memcpy(asked[0], asked[count - 1], VG_DIGEST_BYTES);
        last = 1;
    }
    drop(f);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static bool start(struct vg_fetch *f, struct vg_shelf *shelf)
{
    f->shelf = shelf;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    if (pthread_create(&f->thread, NULL, fetch_main, f) == 0)
        return true;
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    return false;
}

/* ---- the threads that load ---- */

void vg_fetch_after(struct vg_fetch *f, struct vg_shelf *shelf,
                    const uint8_t digest[VG_DIGEST_BYTES])
{
    if (!f->started && !start(f, shelf))
        return;
    f->started = true;
    pthread_mutex_lock(&f->lock);
    if (f->asks < VG_FETCH_ASKED)
        memcpy(f->asked[f->asks++], digest, VG_DIGEST_BYTES);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

uint8_t *vg_fetch_claim(struct vg_fetch *f, const uint8_t digest[VG_DIGEST_BYTES], uint64_t size)
{
    uint8_t *bytes = NULL;

    if (!f->started)
        return NULL;
    pthread_mutex_lock(&f->lock);
    while (f->state == VG_FETCH_COMING && is_it(f, digest, size))
        pthread_cond_wait(&f->changed, &f->lock);
    if (f->state == VG_FETCH_HERE && is_it(f, digest, size)) {
        bytes = f->bytes;
        f->bytes = NULL;
        f->state = VG_FETCH_NONE;
    }
    pthread_mutex_unlock(&f->lock);
    return bytes;
}

void vg_fetch_fini(struct vg_fetch *f)
{
    if (!f->started)
        return;
    pthread_mutex_lock(&f->lock);
    f->ends = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    memset(f, 0, sizeof(*f));
}
