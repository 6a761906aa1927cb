/* SPDX-License-Identifier: MIT */
/* Nodes for guest and toolstack, see state.h. */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/util.h"

#define TRIES 16u   /* of a transaction that others' changes have spoilt */

void vg_state_clear(struct vg_xs *xs)
{
    xs->rm(xs->h, 0, VG_STATE_TREE);
}

static bool put(struct vg_xs *xs, uint32_t t, const char *dir, const char *name, const char *value)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return xs->write(xs->h, t, path, value, (unsigned)strlen(value));
}

static bool is_still_there(struct vg_xs *xs, uint32_t t, const struct vg_xen_state *st)
{
    vg_auto_free char *vm = vg_xs_text(xs, t, "/local/domain/%u/vm", (unsigned)st->domid);
    vg_auto_free char *id = vg_xs_text(xs, t, "/local/domain/%u/unique-domain-id",
                                       (unsigned)st->domid);

    return vm && strncmp(id ? id : "", st->instance, sizeof(st->instance) - 1) == 0;
}

/* The guest reads, and only Dom0 writes, whatever the folder above would have passed on. */
static bool write_guest(struct vg_xs *xs, uint32_t t, const struct vg_xen_state *st)
{
    struct vg_xs_perm perms[] = { { 0, 0 }, { st->domid, VG_XS_READ } };
    static const char *const names[] = { "state", "reason" };
    char dir[64], path[96];

    if (!is_still_there(xs, t, st))
        return true;
    snprintf(dir, sizeof(dir), "/local/domain/%u/" VG_STATE_NAME, (unsigned)st->domid);
    if (!st->state[0])
        return xs->rm(xs->h, t, dir) || errno == ENOENT;
    if (!xs->mkdir(xs->h, t, dir) || !xs->set_permissions(xs->h, t, dir, perms, 2) ||
        !put(xs, t, dir, "state", st->state) || !put(xs, t, dir, "reason", st->reason))
        return false;
    for (unsigned i = 0; i < VG_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (!xs->set_permissions(xs->h, t, path, perms, 2))
            return false;
    }
    return true;
}

/* A VM's folder is the toolstack's view of the domain that wrote it last. */
static bool is_anothers(struct vg_xs *xs, uint32_t t, const char *dir, const char *domid)
{
    vg_auto_free char *there = vg_xs_text(xs, t, "%s/domid", dir);

    return there && strcmp(there, domid) != 0;
}

static bool write_toolstack(struct vg_xs *xs, uint32_t t, const struct vg_xen_state *st)
{
    struct vg_xs_perm perms[] = { { 0, 0 } };
    char dir[128], domid[16];

    snprintf(dir, sizeof(dir), VG_STATE_TREE "/vm/%s", st->uuid);
    snprintf(domid, sizeof(domid), "%u", (unsigned)st->domid);
    if (!st->state[0])
        return is_anothers(xs, t, dir, domid) || xs->rm(xs->h, t, dir) || errno == ENOENT;
    return xs->mkdir(xs->h, t, VG_STATE_TREE) &&
           xs->set_permissions(xs->h, t, VG_STATE_TREE, perms, 1) &&
           put(xs, t, dir, "domid", domid) && put(xs, t, dir, "state", st->state) &&
           put(xs, t, dir, "reason", st->reason);
}

bool vg_state_write(struct vg_xs *xs, const struct vg_xen_state *st)
{
    for (unsigned i = 0; i < TRIES; i++) {
        uint32_t t = xs->begin(xs->h);
        bool ok;

        if (!t)
            return false;
        ok = write_guest(xs, t, st) && write_toolstack(xs, t, st);
        if (xs->end(xs->h, t, !ok))
            return ok;
        if (errno != EAGAIN)
            return false;
    }
    return false;
}
