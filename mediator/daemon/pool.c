/* SPDX-License-Identifier: MIT */
/* Keeps executors ready, see pool.h. Runs on the daemon's loop. */
#include "pool.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "mediator.h"
#include "spawn.h"
#include "mediator/base/log.h"
#include "session.h"
#include "users.h"

static unsigned count_of(const struct vg_pool *p, enum vg_session_state state)
{
    struct vg_session *s;
    unsigned n = 0;

    vg_list_for_each(s, &p->sessions, link)
        n += s->state == state;
    return n;
}

unsigned vg_pool_idle(const struct vg_mediator *m)
{
    return count_of(&m->pool, VG_SESSION_IDLE);
}

bool vg_pool_is_empty(const struct vg_mediator *m)
{
    return vg_list_empty(&m->pool.sessions);
}

/* ---- filling ---- */

static void fill(void *arg);

static void fill_in(struct vg_mediator *m, uint64_t ms)
{
    struct vg_pool *p = &m->pool;

    if (!p->closed && count_of(p, VG_SESSION_WARMING) == 0 &&
        count_of(p, VG_SESSION_IDLE) < m->config.prestart &&
        (m->config.prestart_refill || p->started < m->config.prestart))
        vg_timer_set(&m->loop, &p->timer, vg_now() + ms * VG_NS_PER_MS, fill, m);
}

static void retry(struct vg_mediator *m)
{
    unsigned shift = m->pool.failures < 16 ? m->pool.failures : 16;
    uint64_t ms = (uint64_t)VG_POOL_RETRY_MS << shift;

    m->pool.failures++;
    fill_in(m, ms < VG_POOL_RETRY_MAX_MS ? ms : VG_POOL_RETRY_MAX_MS);
}

static void fill(void *arg)
{
    struct vg_mediator *m = arg;
    struct vg_session *s;
    char why[160];

    if (vg_session_new_ahead(m, &s, why, sizeof(why)) < 0) {
        vg_log(VG_LOG_WARNING, "prestart-failed", "why=\"%s\"", why);
        retry(m);
        return;
    }
    m->pool.started++;
    vg_list_append(&m->pool.sessions, &s->link);
}

static void drop_outdated(struct vg_mediator *m);

void vg_pool_init(struct vg_mediator *m)
{
    drop_outdated(m);
    fill_in(m, 0);
}

void vg_pool_session_idle(struct vg_mediator *m)
{
    m->pool.failures = 0;
    fill_in(m, 0);
}

void vg_pool_session_ended(struct vg_session *s)
{
    struct vg_mediator *m = s->mediator;

    vg_list_remove(&s->link);
    vg_session_free(s);
    if (m->pool.closed)
        vg_mediator_executor_gone(m);
    else
        retry(m);
}

void vg_pool_close(struct vg_mediator *m)
{
    struct vg_session *s;

    m->pool.closed = true;
    vg_timer_del(&m->pool.timer);
    /* They hold nothing of anybody's, and may be in the middle of the driver's start. */
    vg_list_for_each(s, &m->pool.sessions, link)
        vg_session_kill(s);
}

/* ---- taking ---- */

/* A build of this very daemon's; what serves a guest already may be older. */
static bool is_our_build(const struct vg_session *s)
{
    char program[PATH_MAX];

    return vg_backend_executor(&s->mediator->config, program, sizeof(program)) == 0 &&
           vg_backend_id(program) == s->program;
}

static bool is_current(const struct vg_session *s, const struct vg_backend *now)
{
    struct vg_place place;

    vg_gpus_place(s->mediator, s->mediator->config.policy.pool, &place);
    return s->backend.software == now->software && strcmp(s->gpus, place.gpus) == 0 &&
           strcmp(s->backend.library, now->library) == 0 && is_our_build(s) &&
           s->user == s->mediator->users.base;
}

/* The best one for a guest that comes now; one that is still warming is ahead of a new one. */
static struct vg_session *best(struct vg_pool *p, const char *gpus)
{
    struct vg_session *s, *warming = NULL;

    vg_list_for_each(s, &p->sessions, link) {
        if (strcmp(s->gpus, gpus) != 0)
            continue;
        if (s->state == VG_SESSION_IDLE)
            return s;
        if (s->state == VG_SESSION_WARMING)
            warming = s;
    }
    return warming;
}

/*
 * A driver may have been installed or removed since they were started, a GPU have become sick, an
 * earlier daemon have had another setting for whom they are.
 */
static void drop_outdated(struct vg_mediator *m)
{
    struct vg_session *s, *next;
    struct vg_backend now;
    char why[160];

    if (vg_backend_find(&m->config, &now, why, sizeof(why)) < 0)
        return;
    vg_list_for_each_safe(s, next, &m->pool.sessions, link)
        if (!is_current(s, &now))
            vg_session_stop(s, VG_GONE_NONE);
}

void vg_pool_refresh(struct vg_mediator *m)
{
    drop_outdated(m);
    fill_in(m, VG_POOL_QUIET_MS);
}

/* Those who were started to stay who we are cannot become the user that a VM still has. */
static bool can_become(const struct vg_client *client)
{
    struct vg_mediator *m = client->mediator;

    return m->users.base || vg_users_of(m, client->vm) == 0;
}

int vg_pool_attach(struct vg_client *client, unsigned slot, uint32_t token,
                   struct vg_session **ret_session, char *why, size_t why_cap)
{
    struct vg_mediator *m = client->mediator;
    char gpus[VG_PLACE_TEXT];
    struct vg_session *s;

    vg_spawn_gpus(client, slot, gpus);
    drop_outdated(m);
    while (can_become(client) && (s = best(&m->pool, gpus)) != NULL) {
        if (vg_session_give(s, client, slot, token) == 0) {
            vg_list_remove(&s->link);
            fill_in(m, VG_POOL_QUIET_MS);
            *ret_session = s;
            return 0;
        }
        /* Dead, and about to be reaped. */
        vg_session_stop(s, VG_GONE_CRASHED);
    }
    return vg_session_new(client, slot, token, ret_session, why, why_cap);
}

/* ---- taking over ---- */

void vg_pool_adopt(struct vg_session *s)
{
    vg_list_append(&s->mediator->pool.sessions, &s->link);
    s->mediator->pool.started++;
}
