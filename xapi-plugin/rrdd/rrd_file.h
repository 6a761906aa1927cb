/* SPDX-License-Identifier: MIT */
/*
 * A file of xcp-rrdd's plugin protocol, version 2: values and their description, which
 * the daemon maps and reads every 5 seconds (xen-api's doc/content/xcp-rrdd/design/
 * plugin-protocol-v2.md). It finds the file when it appears under its name, and maps it as
 * large as it is then: so it is made complete, at its full size, and renamed.
 */
#ifndef VG_RRD_FILE_H
#define VG_RRD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VG_RRD_SIZE    (1u << 20)       /* bytes of the file: more sources than 1024 VMs have */
#define VG_RRD_NAME    40u
#define VG_RRD_OWNER   40u

enum vg_rrd_type { VG_RRD_GAUGE, VG_RRD_DERIVE };

struct vg_rrd_source {
    char name[VG_RRD_NAME];         /* may be the same for several owners */
    char owner[VG_RRD_OWNER + 8];   /* "vm UUID" or "host" */
    const char *description, *units;
    enum vg_rrd_type type;
    bool is_float;
    double min, max;                /* of what is plotted; max < min: no bound */
    double value;                   /* floats */
    int64_t number;                 /* others */
};

struct vg_rrd_file {
    char path[256];
    unsigned char *map;
    char *text;                     /* the description last written, to see whether it changed */
};

/*
 * Makes path with these sources; replaces what was there. 0 or -errno; vg_rrd_close it in
 * both cases.
 */
int vg_rrd_open(struct vg_rrd_file *f, const char *path, const struct vg_rrd_source *s,
                unsigned count, double now);

/*
 * New values, in place. If the sources are others than before, so is the description.
 * 0 or -EFBIG: the sources do not fit, the file stays as it was.
 */
int vg_rrd_write(struct vg_rrd_file *f, const struct vg_rrd_source *s, unsigned count, double now);

/* Removes the file, by which the daemon knows that there is no more to come. */
void vg_rrd_close(struct vg_rrd_file *f);

#endif
