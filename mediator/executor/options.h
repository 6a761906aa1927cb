/* SPDX-License-Identifier: MIT */
/* Command line of vgpu-executor: numbers and names the mediator chose, trusted. */
#ifndef VG_OPTIONS_H
#define VG_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Descriptors the mediator leaves open across exec; 2 is its log. */
enum vg_exec_fd { VG_FD_CONTROL = 3, VG_FD_REGION = 4, VG_FD_DOORBELL = 5, VG_FD_STATS = 6 };

struct vg_options {
    const char *vm;       /* for log lines */
    const char *driver;   /* path or soname for dlopen */
    bool software;        /* the driver is the software GPU */
    uint64_t region_size; /* bytes */
    uint32_t slot_count, slot;
    uint32_t generation; /* for log lines */
    uint32_t spin_us;    /* how long to poll an idle ring before sleeping */
};

/* 0, or -EINVAL after saying on stderr what is wrong. Strings point into argv. */
int vg_options_parse(struct vg_options *o, int argc, char **argv);

#endif
