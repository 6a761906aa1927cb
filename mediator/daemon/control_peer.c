/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end of an administrator's connection: its user and groups as the
 * kernel took them down when it connected, so neither a later process with the same
 * number nor a later change of groups counts.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "config.h"
#include "control.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59    /* Linux 4.13; older headers lack it */
#endif

#define NO_GROUP ((gid_t)-1)
#define GROUPS_MAX 65536u

/* The groups beside the first; NULL and 0 where there are none or the kernel does not tell. */
static gid_t *more_groups(int fd, unsigned *ret_count)
{
    socklen_t len = 0;
    gid_t *groups;

    *ret_count = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE ||
        len > GROUPS_MAX * sizeof(gid_t))
        return NULL;
    groups = malloc(len);
    if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
        free(groups);
        return NULL;
    }
    *ret_count = (unsigned)(len / sizeof(gid_t));
    return groups;
}

static bool is_member(gid_t gid, gid_t first, const gid_t *groups, unsigned count)
{
    if (gid == NO_GROUP)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (groups[i] == gid)
            return true;
    }
    return first == gid;
}

enum vg_rights vg_control_rights(const struct vg_control *ctl, int fd)
{
    enum vg_rights rights = VG_RIGHTS_NONE;
    struct ucred peer;
    socklen_t len = sizeof(peer);
    unsigned count;
    gid_t *groups;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return VG_RIGHTS_NONE;
    if (peer.uid == 0 || peer.uid == ctl->uid)
        return VG_RIGHTS_ADMIN;
    groups = more_groups(fd, &count);
    if (is_member(ctl->admin_gid, peer.gid, groups, count))
        rights = VG_RIGHTS_ADMIN;
    else if (is_member(ctl->monitor_gid, peer.gid, groups, count))
        rights = VG_RIGHTS_READ;
    free(groups);
    return rights;
}

static int look_up(const char *setting, const char *name, gid_t *ret_gid, char *why, size_t cap)
{
    struct group *g;

    *ret_gid = NO_GROUP;
    if (!name[0])
        return 0;
    g = getgrnam(name);
    if (!g) {
        snprintf(why, cap, "%s: there is no group \"%s\"", setting, name);
        return -ENOENT;
    }
    *ret_gid = g->gr_gid;
    return 0;
}

/* Without a group of their own, administrators are those who may use the GPU too. */
int vg_control_groups(struct vg_control *ctl, const struct vg_config *c, char *why, size_t why_cap)
{
    bool own = c->admin_group[0];
    int rc = look_up(own ? "admin_group" : "group", own ? c->admin_group : c->group,
                     &ctl->admin_gid, why, why_cap);

    return rc < 0 ? rc : look_up("monitor_group", c->monitor_group, &ctl->monitor_gid, why,
                                 why_cap);
}
