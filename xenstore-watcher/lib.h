/* SPDX-License-Identifier: MIT */
/*
 * libxenstore, found when the program runs: XCP-ng 8.2 has libxenstore.so.3.0, 8.3
 * and Debian have .so.4, other hosts none, and one binary serves all. The functions
 * used are the same in both. Its calls block until xenstored answers.
 */
#ifndef VG_XS_LIB_H
#define VG_XS_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VG_XS_READ  1u      /* enum xs_perm_type */
#define VG_XS_WRITE 2u

struct vg_xs_perm {         /* struct xs_permissions */
    unsigned domid;         /* of the first: the owner */
    unsigned rights;        /* of the first: everybody else's */
};

struct vg_xs {
    void *h;                /* struct xs_handle, NULL: not connected */
    void *(*open)(unsigned long flags);
    void (*close)(void *h);
    char **(*directory)(void *h, uint32_t t, const char *path, unsigned *num);
    void *(*read)(void *h, uint32_t t, const char *path, unsigned *len);
    bool (*write)(void *h, uint32_t t, const char *path, const void *data, unsigned len);
    bool (*mkdir)(void *h, uint32_t t, const char *path);
    bool (*rm)(void *h, uint32_t t, const char *path);
    struct vg_xs_perm *(*permissions)(void *h, uint32_t t, const char *path, unsigned *num);
    bool (*set_permissions)(void *h, uint32_t t, const char *path, struct vg_xs_perm *p,
                            unsigned num);
    bool (*watch)(void *h, const char *path, const char *token);
    bool (*unwatch)(void *h, const char *path, const char *token);
    int (*fileno)(void *h);
    char **(*check_watch)(void *h);
    uint32_t (*begin)(void *h);
    bool (*end)(void *h, uint32_t t, bool abort);
    bool (*is_introduced)(void *h, unsigned domid);
};

/* Finds library and functions; does not connect. 0, or -1 with the reason in `why`. */
int vg_xs_load(struct vg_xs *xs, char *why, size_t cap);

/* True if errno after a failed call says that the connection is lost. */
bool vg_xs_lost(void);

/* The text of a node; NULL: none. The caller frees. `path` is a format. */
char *vg_xs_text(struct vg_xs *xs, uint32_t t, const char *path, ...)
    __attribute__((format(printf, 3, 4)));

#endif
