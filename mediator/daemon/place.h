/* SPDX-License-Identifier: MIT */
/*
 * Which GPUs a pool has, and how much of them against other pools: settings like
 * "pool.A = gpu 0 share 50" or "pool.B = gpu 1,2". Pure.
 *
 * Pools that have GPUs in common must have all of them in common: they are scheduled together.
 */
#ifndef VG_PLACE_H
#define VG_PLACE_H

#include <stddef.h>

#include "policy.h"

#define VG_PLACES_MAX  64u
#define VG_PLACE_GPUS  64u   /* GPUs of a host, by number */
#define VG_PLACE_TEXT  192u  /* bytes of their list */
#define VG_PLACE_SHARE 100u  /* of a pool without one */

struct vg_place {
    char pool[VG_POOL_MAX];
    char gpus[VG_PLACE_TEXT];   /* as CUDA_VISIBLE_DEVICES has them, ascending: "0", "1,2"; "": all there are */
    uint64_t mask;      /* the same as bits */
    unsigned share;     /* 1 to 1000 */
};

struct vg_places {
    struct vg_place at[VG_PLACES_MAX];
    unsigned count;
};

/* One setting; a pool named again is set anew. -EINVAL with a sentence in `why`. */
int vg_place_set(struct vg_places *p, const char *pool, const char *value, char *why,
                 size_t why_cap);

/* -EINVAL if two pools have some GPUs in common and not all. */
int vg_places_check(const struct vg_places *p, char *why, size_t why_cap);

/* Its GPUs are these from now on. */
void vg_place_set_mask(struct vg_place *place, uint64_t mask);

/*
 * The pool's place. One that has no setting is on GPU 0, with whoever else is there; where no
 * pool has one, all are on all GPUs.
 */
struct vg_place vg_place_of(const struct vg_places *p, const char *pool);

/* Whether settings name the pool, or name none, so that any will do. */
bool vg_places_know(const struct vg_places *p, const char *pool);

/*
 * Those of the place's GPUs that a guest has chosen by their numbers in it, in its order, as
 * CUDA_VISIBLE_DEVICES has them. All of them if it names one that is not there, or one twice, or none.
 */
void vg_place_choose(const struct vg_place *place, const uint8_t *visible, unsigned count,
                     char ret_gpus[VG_PLACE_TEXT]);

#endif
