/* SPDX-License-Identifier: MIT */
/*
 * The VM's limits on what its processes hold, all of them together: GPU memory and the
 * number of some things. Over a limit a call fails as natively where there
 * is no more: CUDA_ERROR_OUT_OF_MEMORY. Serve thread.
 *
 *     rc = vg_quota_reserve(x, size);
 *     if (rc == CUDA_SUCCESS)
 *         rc = the driver's allocation, and what keeps it
 *     vg_own_account(x);       whatever happened: settles the claim
 */
#ifndef VG_QUOTA_H
#define VG_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/limit/account.h"
#include "vg_cuda.h"

struct vg_exec;
struct vg_call;

/* What a guest's process holds besides what stands in the executor's books. */
struct vg_quota {
    uint64_t pools, graphs; /* bytes that they keep from the GPU, used or not; see look_at_pools */
    uint64_t contexts;      /* number of contexts, but for green ones */
    uint64_t context_limits;    /* bytes by cuCtxSetLimit beyond the driver's own values */
    uint64_t contexts_coming;   /* that are being made, beside the serve thread */
    uint64_t but_contexts;      /* bytes held at the latest settling, without contexts; any thread */
    unsigned coming[VG_QUOTA_KINDS];    /* things, the same */
    bool counting;          /* one that may be made is in the account already */
    uint64_t told_memory, told_objects; /* minute of the latest line in the log, 0: none */
};

/* An account that no daemon shares, without limits; then that of the job, if it brings one. */
int vg_quota_init(struct vg_exec *x);
int vg_quota_open(struct vg_exec *x);
void vg_quota_fini(struct vg_exec *x);

/* Claims bytes of GPU memory before the driver is asked. CUDA_SUCCESS or OUT_OF_MEMORY. */
CUresult vg_quota_reserve(struct vg_exec *x, uint64_t bytes);

/* The same for memory of a pool, which may have it already. */
CUresult vg_quota_reserve_pooled(struct vg_exec *x, uint64_t bytes);

/* The same for a context: what the driver takes for it. */
CUresult vg_quota_reserve_context(struct vg_exec *x);

/* The claim becomes what is held. vg_own_account calls it. */
void vg_quota_settle(struct vg_exec *x);

/* What the process's pools keep, asked anew, if the VM has a limit; settles. */
void vg_quota_look_at_pools(struct vg_exec *x);

/* The same after one has grown: OUT_OF_MEMORY if it took more than the VM may have. */
CUresult vg_quota_recheck(struct vg_exec *x);

/*
 * What the current context's GPU has left, and what of it has gone since then other than into
 * what is accounted for; both 0 for a VM without a limit. Any thread.
 */
uint64_t vg_quota_gpu_left(const struct vg_exec *x);
uint64_t vg_quota_gpu_taken(const struct vg_exec *x, uint64_t before);

/* What a GPU of `total` bytes with `free` left shows to this VM. */
void vg_quota_show(const struct vg_exec *x, uint64_t *total, uint64_t *free);

/*
 * Whether one more of what the call makes is allowed: then it is claimed, quota.counting is set, and
 * vg_quota_count ends that. CUDA_SUCCESS or OUT_OF_MEMORY.
 */
CUresult vg_quota_check_object(struct vg_exec *x, const struct vg_call *call);

/* One of what the call makes is being made beside the serve thread: counts as if it were there. */
void vg_quota_making(struct vg_exec *x, const struct vg_call *call);
void vg_quota_made(struct vg_exec *x, const struct vg_call *call);

/* Tells the account how many there are: after one was made, or not, and after some have ended. */
void vg_quota_count(struct vg_exec *x);

#endif
