/* SPDX-License-Identifier: MIT */
/*
 * Xenstore for programs that ask a few questions and end. libxenstore is loaded when
 * it is needed, whichever of its sonames is there: .so.4 (XCP-ng 8.3) or .so.3.0 (8.2).
 * Blocking, without a bound of its own: the caller's deadline is the bound.
 */
#ifndef VG_XS_H
#define VG_XS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VG_XS_PATH  256u
#define VG_XS_VALUE 1024u           /* longer values count as not there */

struct vg_xs {
    void *library, *handle;
    uint32_t transaction;           /* 0: none */
};

/* 0, or -1 with the reason in `why`. A vg_xs that is zeroed or failed may be finished. */
int vg_xs_init(struct vg_xs *xs, char *why, size_t why_cap);
void vg_xs_fini(struct vg_xs *xs);
bool vg_xs_is_open(const struct vg_xs *xs);

/* False if there is no such node, or its value does not fit. */
bool vg_xs_read(struct vg_xs *xs, const char *path, char *value, size_t cap);

int vg_xs_write(struct vg_xs *xs, const char *path, const char *value);     /* 0 or -errno */
int vg_xs_remove(struct vg_xs *xs, const char *path);   /* 0 (also if it was not there), -errno */

/* Only Dom0 may read, write and list the node, and what will be made below it. 0 or -errno. */
int vg_xs_keep(struct vg_xs *xs, const char *path);

/* Names below `path`; the caller frees the array, which holds the names too. NULL: none. */
char **vg_xs_list(struct vg_xs *xs, const char *path, unsigned *ret_count);

/*
 * Runs `change` in a transaction, again if another's change came between, up to eight
 * times. 0, -errno, or what `change` returned if that is not 0.
 */
int vg_xs_transact(struct vg_xs *xs, int (*change)(struct vg_xs *xs, void *arg), void *arg);

/* The running domain of that VM on this host, or -1. */
int vg_xs_domid(struct vg_xs *xs, const char *uuid);

#endif
