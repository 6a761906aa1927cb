/* SPDX-License-Identifier: MIT */
/* Loading libxenstore, see lib.h. */
#include "lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/util.h"

static const char *const sonames[] = { "libxenstore.so.4", "libxenstore.so.3.0" };

#define ROW(member, symbol) { symbol, offsetof(struct vg_xs, member) }

static const struct {
    const char *symbol;
    size_t offset;
} rows[] = {
    ROW(open, "xs_open"), ROW(close, "xs_close"), ROW(directory, "xs_directory"),
    ROW(read, "xs_read"), ROW(write, "xs_write"), ROW(mkdir, "xs_mkdir"), ROW(rm, "xs_rm"),
    ROW(permissions, "xs_get_permissions"), ROW(set_permissions, "xs_set_permissions"),
    ROW(watch, "xs_watch"), ROW(unwatch, "xs_unwatch"), ROW(fileno, "xs_fileno"),
    ROW(check_watch, "xs_check_watch"), ROW(begin, "xs_transaction_start"),
    ROW(end, "xs_transaction_end"), ROW(is_introduced, "xs_is_domain_introduced"),
};

int vg_xs_load(struct vg_xs *xs, char *why, size_t cap)
{
    void *library = NULL;

    memset(xs, 0, sizeof(*xs));
    for (unsigned i = 0; !library && i < VG_ARRAY_LEN(sonames); i++)
        library = dlopen(sonames[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, cap, "neither %s nor %s can be loaded", sonames[0], sonames[1]);
        return -1;
    }
    for (unsigned i = 0; i < VG_ARRAY_LEN(rows); i++) {
        void *p = dlsym(library, rows[i].symbol);

        /* ISO C knows no conversion from an object's address to a function's. */
        memcpy((char *)xs + rows[i].offset, &p, sizeof(p));
        if (!p) {
            snprintf(why, cap, "libxenstore lacks %s", rows[i].symbol);
            return -1;
        }
    }
    return 0;
}

bool vg_xs_lost(void)
{
    static const int lost[] = { EIO, EPIPE, EBADF, ECONNRESET, ENOTCONN, ESHUTDOWN };

    for (unsigned i = 0; i < VG_ARRAY_LEN(lost); i++) {
        if (errno == lost[i])
            return true;
    }
    return false;
}

char *vg_xs_text(struct vg_xs *xs, uint32_t t, const char *path, ...)
{
    char full[256];
    va_list args;
    unsigned len;

    va_start(args, path);
    vsnprintf(full, sizeof(full), path, args);
    va_end(args);
    return xs->read(xs->h, t, full, &len);
}
