/* SPDX-License-Identifier: MIT */
/*
 * A thread of ours that copies memory in step with streams: a lane is two words that the GPU sees;
 * it counts up `reached` when it has come to a move and goes on when `done` has come as far. Host
 * functions of the driver would do the same, but they stand in one queue with the guest's, and one
 * of those may wait for just such a copy.
 *
 * A lane and what it moves are the caller's, and the memory of both stays until vg_mover_drop. The
 * serve thread calls all of these.
 */
#ifndef VG_MOVER_H
#define VG_MOVER_H

#include <stdbool.h>
#include <stdint.h>

struct vg_move;

/* All zero is an empty one; the first two are to be set. */
struct vg_mover_lane {
    const uint32_t *reached;
    uint32_t *done;
    uint32_t count;           /* moves given, ever: the number of the latest */
    struct vg_mover_lane *next;
    struct vg_move *first, **last;
    bool listed, carrying;
};

/* What to copy: rows of so many bytes, in steps; one row has no step. */
struct vg_move_box {
    uint8_t *dst;
    const uint8_t *src;
    uint64_t bytes, rows, dst_step, src_step;
};

/* The next move of the lane, number l->count from now on. False: no memory, or no thread. */
bool vg_mover_give(struct vg_mover_lane *l, const struct vg_move_box *what);
/* Takes the latest back, which the GPU has not been told of. */
void vg_mover_take_back(struct vg_mover_lane *l);

/* True if all that was given has been done. */
bool vg_mover_is_idle(const struct vg_mover_lane *l);

/* Forgets what the lane has still to do; nothing of it is touched any more. */
void vg_mover_drop(struct vg_mover_lane *l);

#endif
