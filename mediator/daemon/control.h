/* SPDX-License-Identifier: MIT */
/*
 * The administrators' socket: one JSON object a line in each direction. Requests
 * are {"op": NAME, ...}; answers {"ok": true, ...} or {"ok": false, "error": TEXT}.
 * Who may connect is decided by the socket's permissions.
 */
#ifndef VG_CONTROL_H
#define VG_CONTROL_H

#include <json-c/json.h>

#include "mediator/base/loop.h"

#define VG_CONTROL_LINE_MAX  65536u     /* bytes of a request */
#define VG_CONTROL_CONNS_MAX 32u
#define VG_CONTROL_IDLE_MS   30000u     /* a connection that asks nothing is closed */

struct vg_mediator;

struct vg_control {
    struct vg_mediator *mediator;
    int listen_fd;
    struct vg_io listen_io;
    struct vg_list conns;
    unsigned conn_count;
};

/* 0 or -errno. */
int vg_control_init(struct vg_control *ctl, struct vg_mediator *m, const char *path, gid_t gid);
void vg_control_fini(struct vg_control *ctl);

/* Answers one request (control_ops.c); takes nothing, gives the answer to the caller. */
json_object *vg_control_serve(struct vg_mediator *m, const char *line, size_t len);

#endif
