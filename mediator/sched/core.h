/* SPDX-License-Identifier: MIT */
/* Between the files of the policy core; see sched.h for everything else. */
#ifndef VG_SCHED_CORE_H
#define VG_SCHED_CORE_H

#include "sched.h"

#define VG_V_ONE 1024u      /* virtual time of one ns at weight 1 */

/* Virtual times wrap; they are only ever compared as a distance. */
static inline int64_t vg_v_ahead(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b);
}

static inline uint64_t vg_v_of(uint64_t ns, unsigned weight)
{
    return ns * VG_V_ONE / weight;
}

static inline uint64_t vg_min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t vg_max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t vg_clamp64(uint64_t x, uint64_t low, uint64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static inline struct vg_sched_level *vg_sched_level_of(const struct vg_sched_vm *vm)
{
    return &vm->pool->level[vm->class_];
}

static inline bool vg_sched_has_work(const struct vg_sched_proc *p)
{
    return p->waiting || p->flight_ops;
}

/* ---- tree.c ---- */

/* The process has work now, or has none any more; counts and virtual times of all above it. */
void vg_sched_join(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now);
void vg_sched_leave(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now);

/* Moves every vmin up to its working members, and forgets debts beyond the limit. */
void vg_sched_advance(struct vg_sched *s);

/* ---- charge.c ---- */

/* The hardware slice in force, us. */
unsigned vg_sched_slice(const struct vg_sched *s, const struct vg_sched_proc *p);

/* The hardware gives it little beside any other. */
static inline bool vg_sched_is_cut_short(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return vg_sched_slice(s, p) < s->tuning.slice_found_us;
}

/* Charges the time that everybody has told of, and all but the last `lag`. */
void vg_sched_settle(struct vg_sched *s, uint64_t now, uint64_t lag);

/* ---- pick.c ---- */

/* The process that shall have the next turn, and why; NULL: none. Never a running one. */
struct vg_sched_proc *vg_sched_pick(struct vg_sched *s, uint64_t now, enum vg_sched_kind *ret_kind);

/* Whether a's turn comes before b's: pool, class, VM, process. */
bool vg_sched_before(const struct vg_sched_proc *a, const struct vg_sched_proc *b);

/* Sets `top` of every pool. */
void vg_sched_rank(struct vg_sched *s);

/* Somebody of a higher class waits for r's turn, or runs beside it. */
bool vg_sched_outranked(const struct vg_sched *s, const struct vg_sched_proc *r);

/* The class of the process is owed a turn, whatever higher ones want. */
bool vg_sched_floor_due(const struct vg_sched *s, const struct vg_sched_proc *p);

/* The same for what it has in flight, where it holds nothing back. */
bool vg_sched_owed_drain(const struct vg_sched *s, const struct vg_sched_proc *p);

/* A class above the process's has work or had it a moment ago. */
bool vg_sched_below(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now);

/* Holds something back, or has just used up a turn, and may be picked. */
bool vg_sched_wants(const struct vg_sched_proc *p, uint64_t now);

/* Has nothing to do and will soon have, and keeps its place so long: see turn.c. And until when. */
bool vg_sched_thinks(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now);
uint64_t vg_sched_think_end(const struct vg_sched *s, const struct vg_sched_proc *p);

/* Processes have budgets, of one VM or of several. */
static inline bool vg_sched_takes_turns(const struct vg_sched *s)
{
    return s->mode == VG_SCHED_SHARED || s->mode == VG_SCHED_CROWD;
}

static inline void vg_sched_note_served(const struct vg_sched *s, struct vg_sched_vm *vm, uint64_t now)
{
    vm->served_at = now;
    vm->served_busy = s->busy_ns;
}

/* ---- turn.c ---- */

void vg_sched_set_state(struct vg_sched *s, struct vg_sched_proc *p, enum vg_sched_state state,
                        uint64_t now);
void vg_sched_begin(struct vg_sched *s, struct vg_sched_proc *p, enum vg_sched_kind kind,
                    uint64_t now);
void vg_sched_end(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now);

/* Brings states up to what was reported. */
void vg_sched_observe(struct vg_sched *s, uint64_t now);

/* Its turn has been spent, overrun, or left unused. */
bool vg_sched_over(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now);

/* When to look at a running process again. */
uint64_t vg_sched_turn_check(const struct vg_sched *s, const struct vg_sched_proc *p,
                             uint64_t now);

/* GPU time of a turn of the process. */
uint64_t vg_sched_quantum(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now);

uint64_t vg_sched_lead(const struct vg_sched *s, const struct vg_sched_proc *p);

/* How many processes may have a turn at one time. */
unsigned vg_sched_allowed(const struct vg_sched *s);

/* Its turn is long over, and a kernel of it still runs. */
bool vg_sched_overruns(const struct vg_sched *s, const struct vg_sched_proc *p);

/*
 * Long kernels of a peer are still in flight, and known to end soon: p does not begin beside them,
 * or the two would be beside each other for good, and the hardware would share between them.
 */
bool vg_sched_must_wait(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now);

/* When what a draining process has in flight should have ended; FOREVER: that cannot be told. */
uint64_t vg_sched_drain_check(const struct vg_sched *s, const struct vg_sched_proc *p);

/* Its kernels are so long that they are divided. */
bool vg_sched_is_long(const struct vg_sched *s, const struct vg_sched_proc *p);

/* Nothing of it has ended for so long, or its kernels are so long, that its slice holds it to its part. */
bool vg_sched_is_hog(const struct vg_sched *s, const struct vg_sched_proc *p);

/* Some process's does, beside p. Then p's executor cannot tell how much of the time is its own. */
bool vg_sched_beside_overrun(const struct vg_sched *s, const struct vg_sched_proc *p);

/* Another's overrun that need not give way to p keeps the GPU for a part of the time. */
bool vg_sched_is_crossed(const struct vg_sched *s, const struct vg_sched_proc *p);

/* GPU time that its VM has had beyond what is its. */
uint64_t vg_sched_debt(const struct vg_sched_proc *p);

/* ---- cut.c ---- */

/* Looks whether the rest of its last turn has been cut by the end of a hardware slice. */
void vg_sched_note_cut(const struct vg_sched *s, struct vg_sched_proc *p, uint64_t now);

/* The budget of a turn, made to end at another moment of a slice where such rests were cut. */
uint64_t vg_sched_shifted(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t budget);

/* ---- grant.c ---- */

void vg_sched_grant_all(struct vg_sched *s, uint64_t now);

#endif
