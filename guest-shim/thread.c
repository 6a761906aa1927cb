/* SPDX-License-Identifier: MIT */
/* Per-thread state; see thread.h. */
#include "guest-shim/thread.h"

#include <pthread.h>
#include <stdlib.h>

#include "guest-shim/call.h"
#include "vg_api.h"
#include "vg_atomic.h"

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

/*
 * A thread ends: its streams with it. The stream of a dead context went with that.
 * In a forked child or at exit nothing can be sent any more.
 */
static void end_thread(void *arg)
{
    struct vg_thread *t = arg;

    while (t->streams) {
        struct vg_own_stream *s = t->streams;
        t->streams = s->next;
        if (vg_phase() == VG_PHASE_RUNNING && vg_ctx_alive(s->ctx) && s->epoch == s->ctx->epoch) {
            vg_tls.ctx = s->ctx;
            vg_call_reply(VG_CALL_cuStreamDestroy_v2, VG_WORDS((uintptr_t)s->stream), NULL);
        }
        free(s);
    }
    vg_tls.ctx = NULL;
    vg_tls.more = NULL;
    free(t->below);
    free(t->capture_nodes);
    free(t);
}

static void make_key(void)
{
    have_key = pthread_key_create(&key, end_thread) == 0;
}

struct vg_thread *vg_thread(void)
{
    if (VG_LIKELY(vg_tls.more))
        return vg_tls.more;
    pthread_once(&once, make_key);
    struct vg_thread *t = have_key ? calloc(1, sizeof(*t)) : NULL;
    if (t && pthread_setspecific(key, t) != 0) {
        free(t);
        t = NULL;
    }
    vg_tls.more = t;
    return t;
}
