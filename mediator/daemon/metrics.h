/* SPDX-License-Identifier: MIT */
/*
 * The door for Prometheus: HTTP/1.1 at the setting metrics_listen, a loopback address
 * or a Unix socket. GET or HEAD of /metrics, one request a connection, everything
 * bounded in size and time. Anything else gets its status code and is closed. It reads
 * nothing but the request line.
 */
#ifndef VG_METRICS_H
#define VG_METRICS_H

#include "mediator/base/loop.h"

#define VG_METRICS_CONNS_MAX   8u
#define VG_METRICS_REQUEST_MAX 4096u    /* bytes, headers included */
#define VG_METRICS_PATIENCE_MS 5000u    /* for the whole request, and again for the whole answer */

struct vg_mediator;

struct vg_metrics {
    struct vg_mediator *mediator;       /* NULL: off */
    int listen_fd;
    struct vg_io listen_io;
    struct vg_list conns;
    unsigned conn_count;
};

/* 0, also where the setting is empty; or -errno with a sentence in `why`. */
int vg_metrics_init(struct vg_metrics *x, struct vg_mediator *m, char *why, size_t why_cap);
void vg_metrics_fini(struct vg_metrics *x);     /* idempotent */

#endif
