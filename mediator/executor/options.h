/* SPDX-License-Identifier: MIT */
/* Command line of vgpu-executor: numbers and names the mediator chose, trusted. */
#ifndef VG_OPTIONS_H
#define VG_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Descriptors the mediator leaves open across exec; 2 is its log. The region comes later: job.h.
 * GATE is the page of mediator/vg_gate.h, ORDERS that of mediator/vg_orders.h, BELL an eventfd that wakes the daemon to look at it.
 */
enum vg_exec_fd {
    VG_FD_CONTROL = 3,
    VG_FD_DOORBELL = 4,
    VG_FD_STATS = 5,
    VG_FD_GATE = 6,
    VG_FD_BELL = 7,
    VG_FD_ORDERS = 8,
};

struct vg_options {
    const char *driver; /* path or soname for dlopen */
    bool software;      /* the driver is the software GPU */
    bool jit_cache;     /* keep on the VM's shelf what the driver compiles, see jit_cache.h */
    bool unregistered;  /* do not show the region to the GPU, as if the driver refused */
    bool warm;          /* make a context before there is a guest to make it for */
    const char *nvml;   /* to measure with what a context costs (overhead.h); NULL: do not */
    uint32_t user;      /* whom to be until there is a guest (user.h); 0: stay who we are */
    uint32_t spin_us;   /* how long to poll an idle ring before sleeping */
};

/* 0, or -EINVAL after saying on stderr what is wrong. Strings point into argv. */
int vg_options_parse(struct vg_options *o, int argc, char **argv);

#endif
