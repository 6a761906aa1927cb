/* SPDX-License-Identifier: MIT */
/*
 * Events that several processes see: two counters in memory that they share. A record counts
 * `recorded` up at the call, and sets `completed` to that number when the stream gets there; who
 * waits, waits until `completed` has come to what `recorded` was at the call.
 */
#ifndef VG_SOFTGPU_IPC_H
#define VG_SOFTGPU_IPC_H

#include "api.h"

struct vg_event;
struct vg_op;

struct vg_event_counts {
    uint64_t recorded, completed;
};

/* For an event that has CU_EVENT_INTERPROCESS: its counters and their file. 0 or -errno. */
int vg_ipc_counts_new(struct vg_event_counts **ret, int *ret_fd);
void vg_ipc_counts_free(struct vg_event_counts *counts, int fd);

/* What a stream has to do at a record, and to wait. The op holds the event. */
CUresult vg_ipc_record_op(struct vg_event *e, struct vg_op *op);
CUresult vg_ipc_wait_op(struct vg_event *e, struct vg_op *op);

bool vg_ipc_is_done(const struct vg_event_counts *counts);

#endif
