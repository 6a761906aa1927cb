/* SPDX-License-Identifier: MIT */
/*
 * Telemetry: keeps the pages (vg_telemetry.h) of those that ask up to date. Devices
 * and monitors are watchers; a watcher asks by counting up a word of its page, which
 * is looked at every VG_TELEMETRY_LOOK_MS. The GPU's numbers come from one helper process,
 * vgpu-telemetry, which is started when somebody asks and ended when nobody has for
 * a while. Runs on the daemon's loop; nothing here blocks.
 */
#ifndef VG_DAEMON_TELEMETRY_H
#define VG_DAEMON_TELEMETRY_H

#include "mediator/base/loop.h"
#include "mediator/vg_gauges.h"

#define VG_HELPER_ANSWER_MS 30000u  /* a helper that takes longer is replaced */
#define VG_HELPER_RETRY_MS  5000u   /* between two attempts to start one */
#define VG_HELPER_IDLE_MS   60000u  /* it holds the driver open, so not forever */
#define VG_MEMORY_FRESH_MS  5000u   /* of the GPU's memory, for administrators */
#define VG_MEMORY_OLD_MS    120000u

struct vg_mediator;
struct vg_client;

/* A watcher's part of vg_client. */
struct vg_watch {
    uint32_t asked;             /* as read last */
    uint64_t asked_at;          /* vg_now() of its latest change, 0: never */
    uint32_t seq;
};

struct vg_telemetry_service {
    struct vg_mediator *mediator;
    struct vg_timer look_timer;
    struct vg_child child;      /* the helper, armed while it runs */
    struct vg_io io;
    int sock;                   /* -1: no helper */
    bool waiting;               /* for an answer */
    uint64_t sent_at, started_at, used_at;
    struct vg_gauges *gauges;   /* the latest answer, NULL: none yet */
    uint64_t gauges_at;         /* vg_now() when it came */
};

void vg_telemetry_init(struct vg_telemetry_service *t, struct vg_mediator *m);
void vg_telemetry_fini(struct vg_telemetry_service *t);     /* idempotent */

/* The client is UP and has a page. A monitor gets its first values as if it had asked. */
void vg_telemetry_watch(struct vg_telemetry_service *t, struct vg_client *c);

/*
 * Memory of all GPUs, as far as it is known; false: not yet, or not any more. Asks for newer numbers
 * if these are old, so who asks again gets them.
 */
bool vg_telemetry_memory(struct vg_telemetry_service *t, uint64_t *ret_total, uint64_t *ret_free);

/* ---- helper.c ---- */

/* Asks for fresh gauges, starting the helper if need be. No effect while it is waiting. */
void vg_helper_ask(struct vg_telemetry_service *t);
/* Ends one that hangs or has not been needed for long. */
void vg_helper_check(struct vg_telemetry_service *t);
void vg_helper_stop(struct vg_telemetry_service *t);
/* As vg_helper_stop; returns when it is gone. */
void vg_helper_end(struct vg_telemetry_service *t);

/* Called by helper.c: t->gauges is new. */
void vg_telemetry_fresh(struct vg_telemetry_service *t);

/* ---- page.c: pure but for reading counters ---- */

/* What `watcher` may see, from the gauges. Everything but seq, magic and `asked`. */
void vg_telemetry_compose(struct vg_telemetry *page, const struct vg_gauges *g,
                          const struct vg_client *watcher);

/* Bytes of a page in use. */
size_t vg_telemetry_length(const struct vg_telemetry *page);

#endif
