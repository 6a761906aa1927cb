/* SPDX-License-Identifier: MIT */
/*
 * Executors that an earlier daemon started: they are no children, so nobody tells of their
 * end, and their number alone does not say who they are. See session.h.
 */
#include <string.h>

#include "mediator.h"
#include "session.h"
#include "spawn.h"

#define GONE_MS 5u      /* between looks whether a process is gone */

static struct vg_loop *loop_of(struct vg_session *s)
{
    return &s->mediator->loop;
}

static void look_gone(void *arg)
{
    struct vg_session *s = arg;

    if (vg_peer_lives(&s->process))
        vg_session_await_gone(s);
    else
        vg_session_has_ended(s, NULL);
}

void vg_session_await_gone(struct vg_session *s)
{
    if (s->adopted && !s->gone_timer.armed)
        vg_timer_set(loop_of(s), &s->gone_timer, vg_now() + GONE_MS * VG_NS_PER_MS, look_gone, s);
}

int vg_session_adopt(struct vg_session *s)
{
    int rc = vg_spawn_map(s);

    vg_quota_adopt(s);
    if (rc == 0)
        rc = vg_session_watch(s);
    if (rc < 0)
        return rc;
    s->adopted = true;
    /* What it has for its start it does not need any more. */
    if (s->state != VG_SESSION_WARMING && s->state != VG_SESSION_STARTING)
        vg_timer_del(&s->timer);
    return 0;
}

void vg_session_discard(struct vg_session *s)
{
    vg_quota_leave(s);
    vg_session_let_go(s);
    vg_session_free(s);
}

void vg_session_catch_up(struct vg_session *s)
{
    enum vg_session_state was = s->state;

    if (!vg_peer_lives(&s->process)) {
        vg_session_has_ended(s, NULL);
        return;
    }
    if (s->client && (was == VG_SESSION_STARTING || was == VG_SESSION_SERVING))
        vg_session_take_seat(s);
    if (was == VG_SESSION_STARTING) {
        /* Whether its slot had reached it, nobody knows: it takes the first, ignores a second. */
        (void)vg_session_send_slot(s);
    } else if (was > VG_SESSION_SERVING) {
        s->state = VG_SESSION_SERVING;
        vg_session_stop(s, s->reason);
    }
}
