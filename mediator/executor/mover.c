/* SPDX-License-Identifier: MIT */
/* See mover.h. One thread for all lanes, which lives as long as the process. */
#include "mediator/executor/mover.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vg_atomic.h"
#include "vg_bulk.h"

#define LOOKS    2000u   /* in vain, one after the other: the next piece comes within that */
#define PAUSE_NS 100000u /* between two looks from then on */

struct vg_move {
    struct vg_move *next;
    struct vg_move_box what;
    uint32_t number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given = PTHREAD_COND_INITIALIZER, carried = PTHREAD_COND_INITIALIZER;
static struct vg_mover_lane *lanes; /* those with something to do */
static bool started;

/* ---- The thread ---- */

static void carry(const struct vg_move_box *w)
{
    for (uint64_t y = 0; y < w->rows; y++)
        vg_bulk_copy(w->dst + y * w->dst_step, w->src + y * w->src_step, w->bytes);
}

static void unlist_locked(struct vg_mover_lane *l)
{
    struct vg_mover_lane **at = &lanes;

    while (*at && *at != l)
        at = &(*at)->next;
    if (*at)
        *at = l->next;
    l->listed = false;
}

static struct vg_mover_lane *find_reached_locked(void)
{
    struct vg_mover_lane *l = lanes;

    while (l && (int32_t)(vg_load_acquire(l->reached) - l->first->number) < 0)
        l = l->next;
    return l;
}

/* The move stays in the list meanwhile, so that the lane is not idle. */
static void carry_first_locked(struct vg_mover_lane *l)
{
    struct vg_move *m = l->first;

    l->carrying = true;
    pthread_mutex_unlock(&lock);
    carry(&m->what);
    pthread_mutex_lock(&lock);
    l->carrying = false;
    vg_store_release(l->done, m->number);
    l->first = m->next;
    if (!l->first)
        unlist_locked(l);
    free(m);
    pthread_cond_broadcast(&carried);
}

static void *mover_main(void *arg)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    pthread_mutex_lock(&lock);
    for (unsigned looks = 0;; looks++) {
        struct vg_mover_lane *l = find_reached_locked();
        if (l) {
            carry_first_locked(l);
            looks = 0;
            continue;
        }
        if (!lanes) {
            pthread_cond_wait(&given, &lock);
            looks = 0;
            continue;
        }
        pthread_mutex_unlock(&lock);
        if (looks < LOOKS)
            vg_cpu_relax();
        else
            nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
    }
    return arg;
}

/* ---- What it is given ---- */

static bool start_locked(void)
{
    pthread_t thread;

    if (started)
        return true;
    started = pthread_create(&thread, NULL, mover_main, NULL) == 0;
    if (started)
        pthread_detach(thread);
    return started;
}

static void append_locked(struct vg_mover_lane *l, struct vg_move *m)
{
    if (!l->first)
        l->last = &l->first;
    *l->last = m;
    l->last = &m->next;
    if (l->listed)
        return;
    l->listed = true;
    l->next = lanes;
    lanes = l;
    pthread_cond_signal(&given);
}

bool vg_mover_give(struct vg_mover_lane *l, const struct vg_move_box *what)
{
    struct vg_move *m = malloc(sizeof(*m));

    if (!m)
        return false;
    *m = (struct vg_move){.what = *what, .number = l->count + 1};
    pthread_mutex_lock(&lock);
    bool runs = start_locked();
    if (runs) {
        append_locked(l, m);
        l->count++;
    }
    pthread_mutex_unlock(&lock);
    if (!runs)
        free(m);
    return runs;
}

void vg_mover_take_back(struct vg_mover_lane *l)
{
    pthread_mutex_lock(&lock);
    struct vg_move **at = &l->first;
    while (*at && (*at)->next)
        at = &(*at)->next;
    /* Only a kernel that writes into our words can have had it begun. */
    if (*at && !(l->carrying && at == &l->first)) {
        free(*at);
        *at = NULL;
        l->last = at;
        l->count--;
    }
    if (!l->first && l->listed)
        unlist_locked(l);
    pthread_mutex_unlock(&lock);
}

bool vg_mover_is_idle(const struct vg_mover_lane *l)
{
    pthread_mutex_lock(&lock);
    bool idle = !l->first;
    pthread_mutex_unlock(&lock);
    return idle;
}

void vg_mover_drop(struct vg_mover_lane *l)
{
    pthread_mutex_lock(&lock);
    while (l->carrying)
        pthread_cond_wait(&carried, &lock);
    if (l->listed)
        unlist_locked(l);
    for (struct vg_move *m; (m = l->first) != NULL; free(m))
        l->first = m->next;
    pthread_mutex_unlock(&lock);
}
