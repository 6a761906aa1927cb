/* SPDX-License-Identifier: MIT */
/* The main path: take, check, decode, dispatch, reply, until the guest is gone. */
#ifndef VG_SERVE_H
#define VG_SERVE_H

#include "mediator/executor/executor.h"

/* Serves until control_fd ends (returns 0) or the guest must go: an enum vg_gone_reason, with
 * *ret_why for the log. */
int vg_serve(struct vg_exec *x, int control_fd, int doorbell_fd, const char **ret_why);

/* One record: copies in x->payload and *r. False if the guest broke the protocol. */
bool vg_serve_record(struct vg_exec *x, struct vg_req *r);

#endif
