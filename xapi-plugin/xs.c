/* SPDX-License-Identifier: MIT */
/*
 * libxenstore by dlopen, see xs.h. The functions used have had these signatures since
 * Xen 4.2, in both sonames.
 */
#include "xs.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSACTION_TRIES 8

static const char *const sonames[] = { "libxenstore.so.4", "libxenstore.so.3.0" };

/* Filled once by vg_xs_init: one library per process. */
static struct {
    void *(*open)(unsigned long flags);
    void (*close)(void *h);
    void *(*read)(void *h, uint32_t t, const char *path, unsigned *len);
    bool (*write)(void *h, uint32_t t, const char *path, const void *data, unsigned len);
    bool (*rm)(void *h, uint32_t t, const char *path);
    char **(*directory)(void *h, uint32_t t, const char *path, unsigned *count);
    bool (*set_permissions)(void *h, uint32_t t, const char *path, const void *perms, unsigned n);
    uint32_t (*transaction_start)(void *h);
    bool (*transaction_end)(void *h, uint32_t t, bool abort);
} lib;

static int resolve(void *library, char *why, size_t cap)
{
    static const struct {
        const char *name;
        void *slot;
    } symbols[] = {
        { "xs_open", &lib.open },   { "xs_close", &lib.close },
        { "xs_read", &lib.read },   { "xs_write", &lib.write },
        { "xs_rm", &lib.rm },       { "xs_directory", &lib.directory },
        { "xs_set_permissions", &lib.set_permissions },
        { "xs_transaction_start", &lib.transaction_start },
        { "xs_transaction_end", &lib.transaction_end },
    };

    for (unsigned i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void *address = dlsym(library, symbols[i].name);

        if (!address) {
            snprintf(why, cap, "libxenstore has no %s", symbols[i].name);
            return -1;
        }
        memcpy(symbols[i].slot, &address, sizeof(address));
    }
    return 0;
}

int vg_xs_init(struct vg_xs *xs, char *why, size_t why_cap)
{
    memset(xs, 0, sizeof(*xs));
    for (unsigned i = 0; !xs->library && i < sizeof(sonames) / sizeof(sonames[0]); i++)
        xs->library = dlopen(sonames[i], RTLD_NOW);
    if (!xs->library) {
        snprintf(why, why_cap, "libxenstore is not installed");
        return -1;
    }
    if (resolve(xs->library, why, why_cap) < 0)
        return -1;
    xs->handle = lib.open(0);
    if (!xs->handle) {
        snprintf(why, why_cap, "xenstored does not answer: %s", strerror(errno));
        return -1;
    }
    return 0;
}

/* The library stays: some of its versions keep threads of their own. */
void vg_xs_fini(struct vg_xs *xs)
{
    if (xs->handle)
        lib.close(xs->handle);
    xs->handle = NULL;
}

bool vg_xs_is_open(const struct vg_xs *xs)
{
    return xs->handle != NULL;
}

bool vg_xs_read(struct vg_xs *xs, const char *path, char *value, size_t cap)
{
    unsigned len = 0;
    char *data = lib.read(xs->handle, xs->transaction, path, &len);
    bool fits = data && len < cap && !memchr(data, 0, len);

    if (fits) {
        memcpy(value, data, len);
        value[len] = '\0';
    }
    free(data);
    return fits;
}

int vg_xs_write(struct vg_xs *xs, const char *path, const char *value)
{
    return lib.write(xs->handle, xs->transaction, path, value, (unsigned)strlen(value)) ? 0
                                                                                        : -errno;
}

int vg_xs_remove(struct vg_xs *xs, const char *path)
{
    return lib.rm(xs->handle, xs->transaction, path) || errno == ENOENT ? 0 : -errno;
}

int vg_xs_keep(struct vg_xs *xs, const char *path)
{
    /* struct xs_permissions: owner Dom0, XS_PERM_NONE for all others */
    const struct {
        unsigned domid;
        int perms;
    } dom0 = { 0, 0 };

    return lib.set_permissions(xs->handle, xs->transaction, path, &dom0, 1) ? 0 : -errno;
}

char **vg_xs_list(struct vg_xs *xs, const char *path, unsigned *ret_count)
{
    *ret_count = 0;
    return lib.directory(xs->handle, xs->transaction, path, ret_count);
}

/* EAGAIN at the end: somebody changed what this transaction touched. */
int vg_xs_transact(struct vg_xs *xs, int (*change)(struct vg_xs *xs, void *arg), void *arg)
{
    for (unsigned i = 0; i < TRANSACTION_TRIES; i++) {
        uint32_t t = lib.transaction_start(xs->handle);
        int rc;

        if (!t)
            return -errno;
        xs->transaction = t;
        rc = change(xs, arg);
        xs->transaction = 0;
        if (lib.transaction_end(xs->handle, t, rc != 0) || rc != 0)
            return rc;
        if (errno != EAGAIN)
            return -errno;
    }
    return -EAGAIN;
}

/* /vm/UUID/domains may name a dead domain for a moment; the domain's own node decides. */
int vg_xs_domid(struct vg_xs *xs, const char *uuid)
{
    char path[VG_XS_PATH], value[VG_XS_PATH], wanted[VG_XS_PATH];
    unsigned count;
    char **names;
    int domid = -1;

    snprintf(wanted, sizeof(wanted), "/vm/%s", uuid);
    snprintf(path, sizeof(path), "/vm/%s/domains", uuid);
    names = vg_xs_list(xs, path, &count);
    for (unsigned i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "/local/domain/%.20s/vm", names[i]);
        if (vg_xs_read(xs, path, value, sizeof(value)) && strcmp(value, wanted) == 0)
            domid = atoi(names[i]);
    }
    free(names);
    return domid;
}
