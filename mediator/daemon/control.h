/* SPDX-License-Identifier: MIT */
/*
 * The administrators' socket: one JSON object a line in each direction, as described in
 * vgpu-control(7). Requests are {"op": NAME, ...}; answers {"ok": true, ...} or
 * {"ok": false, "error": TEXT}. Who may ask for what is decided by the kernel's word
 * for user and groups at the other end (control_peer.c), not by the permissions of the
 * socket alone.
 */
#ifndef VG_CONTROL_H
#define VG_CONTROL_H

#include <json-c/json.h>

#include "event.h"
#include "mediator/base/loop.h"
#include "verbs.h"

#define VG_CONTROL_LINE_MAX  65536u     /* bytes of a request */
#define VG_CONTROL_CONNS_MAX 32u
#define VG_CONTROL_IDLE_MS   30000u     /* a connection that asks nothing is closed */
#define VG_CONTROL_QUEUE_MAX 262144u    /* bytes of events that wait for one who follows */
#define VG_CONTROL_OUT_MAX   (64u << 20) /* bytes of all answers that wait to be read */

struct vg_config;
struct vg_mediator;

struct vg_control {
    struct vg_mediator *mediator;
    int listen_fd;
    struct vg_io listen_io;
    struct vg_list conns;
    unsigned conn_count;
    size_t waiting;             /* bytes of answers in memory */
    uint64_t dropped;           /* connections closed because they did not read */
    gid_t admin_gid, monitor_gid;   /* (gid_t)-1: none */
    uid_t uid;                  /* the daemon's own */
};

/* One who asks: what he may, and whether he wants to be told of events from now on. */
struct vg_asker {
    enum vg_rights rights;
    bool follow;
    char follow_vm[VG_EVENT_VM];    /* only of this one; "": of all */
};

/* 0 or -errno with a sentence in `why`. */
int vg_control_init(struct vg_control *ctl, struct vg_mediator *m, char *why, size_t why_cap);
void vg_control_fini(struct vg_control *ctl);

/* What the one at the other end of a socket may do (control_peer.c). */
enum vg_rights vg_control_rights(const struct vg_control *ctl, int fd);

/* Looks the groups of the settings up. 0, or -errno with a sentence in `why`. */
int vg_control_groups(struct vg_control *ctl, const struct vg_config *c, char *why,
                      size_t why_cap);

/* Answers one request (control_ops.c); takes nothing, gives the answer to the caller. */
json_object *vg_control_serve(struct vg_mediator *m, struct vg_asker *asker, const char *line,
                              size_t len);

/* An event as it is told (control_ops.c); the caller owns it. */
json_object *vg_control_event(const struct vg_event_entry *e);

/*
 * Holds a request against the table of verbs (control_check.c): its verb if all is
 * allowed, else NULL with a sentence in `why`.
 */
const struct vg_verb *vg_control_check(json_object *in, enum vg_rights rights, char *why,
                                       size_t why_cap);

#endif
