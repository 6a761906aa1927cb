/* SPDX-License-Identifier: MIT */
/*
 * What this process is to serve: the one message that the mediator sends it, with
 * the guest's region as a descriptor. A process started ahead of need waits for it
 * with everything else done. The mediator is trusted; nothing here is the guest's.
 */
#ifndef VG_JOB_H
#define VG_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/base/regmem.h"

struct vg_job {
    char vm[64];          /* for log lines; "-" before there is a job */
    uint64_t region_size; /* bytes */
    uint32_t slot_count, slot;
    uint32_t generation;  /* for log lines */
    uint32_t user;        /* whom to become first, see user.h; 0: whoever we are */
    struct vg_regmem mem; /* the region */
    int account_fd;       /* of the VM, struct vg_account; -1: none, so no limits */
    uint32_t seat;        /* in that */
    int shelf_fd;         /* of the VM, see mediator/shelf/shelf.h; -1: none */
    uint64_t shelf_size;  /* bytes */
};

void vg_job_init(struct vg_job *j);

/* True if the message is there, or the mediator has hung up: a wait would not block. */
bool vg_job_is_here(int control_fd);

/* Waits for it. 0, -EPIPE once the mediator has hung up, -EPROTO. *ret_job only changes on 0. */
int vg_job_wait(int control_fd, struct vg_job *ret_job);

#endif
