/* SPDX-License-Identifier: MIT */
/*
 * A mediator for one command: in a directory of its own that only this user can
 * enter, with built-in settings, and no state kept. Ends with us even if we are
 * killed.
 */
#ifndef VG_PRIVATE_H
#define VG_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "mediator/base/loop.h"

#define VG_PRIVATE_DIR_MAX 80   /* leaves room for the socket's name in sockaddr_un */

struct vg_private {
    char dir[VG_PRIVATE_DIR_MAX];   /* "": there is none */
    char socket[VG_PRIVATE_DIR_MAX + 16];
    struct vg_loop *loop;
    struct vg_child child;          /* armed while it runs */
    struct vg_io notify_io;
    struct vg_timer timer;
    int notify_fd;
    bool ready;
};

struct vg_private_options {
    const char *backend;    /* "auto", "cuda", "soft" */
    const char *memory_mib; /* of the software GPU, NULL: its own choice */
    bool verbose;
};

/* Starts it and waits until it serves: 0, or -errno after saying why on stderr. */
int vg_private_start(struct vg_private *p, struct vg_loop *loop,
                     const struct vg_private_options *o);

/* Ends it, waits a little, removes the directory. Idempotent. */
void vg_private_stop(struct vg_private *p);

#endif
