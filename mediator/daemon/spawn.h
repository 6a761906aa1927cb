/* SPDX-License-Identifier: MIT */
/*
 * Making an executor process: its descriptors, its arguments, its environment. The
 * life of what was made is session.c's.
 */
#ifndef VG_SPAWN_H
#define VG_SPAWN_H

#include <limits.h>

#include "session.h"

/* Bytes of the memory in which an executor counts. */
#define VG_STATS_SIZE ((sizeof(struct vg_stats) + VG_PAGE - 1) / VG_PAGE * VG_PAGE)

struct vg_spawn {               /* what only the child keeps, until it runs */
    int control, log, orders;
    char program[PATH_MAX];
};

/*
 * Finds driver and program and opens the session's ends of everything; a doorbell that it has,
 * it keeps. 0, or -errno with a sentence for a peer in `why`; either way vg_spawn_fini follows.
 */
int vg_spawn_init(struct vg_spawn *sp, struct vg_session *s, char *why, size_t why_cap);
/* Starts it: s->pid. */
int vg_spawn_run(struct vg_spawn *sp, struct vg_session *s, char *why, size_t why_cap);
void vg_spawn_fini(struct vg_spawn *sp);

/* The GPUs that the guest of a slot sees: its pool's, or those of them that it has chosen. */
void vg_spawn_gpus(const struct vg_client *c, unsigned slot, char ret_gpus[VG_PLACE_TEXT]);

/* Maps what the session's descriptors of an executor that runs already stand for. 0 or -errno. */
int vg_spawn_map(struct vg_session *s);

#endif
