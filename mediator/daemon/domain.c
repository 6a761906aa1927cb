/* SPDX-License-Identifier: MIT */
/*
 * A socket for each domain, see toolstack.h. It belongs to the user that this
 * domain's QEMU becomes, in a folder that QEMU, once in its chroot, still reaches.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "client.h"
#include "event.h"
#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/sock.h"
#include "toolstack.h"

/* The setting with the number for {domid}. False: none is wanted, or too long. */
static bool path_of(const struct vg_domain *d, char *path, size_t cap)
{
    static const char mark[] = "{domid}";
    const char *pattern = d->mediator->config.domain_socket, *at = strstr(pattern, mark);
    int n;

    if (!at)
        return false;
    n = snprintf(path, cap, "%.*s%u%s", (int)(at - pattern), pattern, (unsigned)d->domid,
                 at + strlen(mark));
    return n > 0 && (size_t)n < cap;
}

/* 0: QEMU keeps the daemon's user. */
static uid_t owner_of(const struct vg_domain *d)
{
    uint64_t base = d->mediator->config.domain_uid_base;

    return base ? (uid_t)(base + d->domid) : geteuid();
}

static bool is_welcome(const struct vg_domain *d, int fd)
{
    struct ucred cred = { .uid = (uid_t)-1 };
    socklen_t len = sizeof(cred);

    /* QEMU connects first as root, before it gives that up. */
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           (cred.uid == 0 || cred.uid == geteuid() || cred.uid == owner_of(d));
}

static void accept_ready(void *arg, uint32_t events)
{
    struct vg_domain *d = arg;
    int fd = vg_sock_accept(d->listen_fd);

    (void)events;
    if (fd < 0)
        return;
    if (!is_welcome(d, fd)) {
        vg_event(d->mediator, VG_EVENT_PEER_REFUSED, d->vm, "domid=%u why=\"another user's\"",
                 (unsigned)d->domid);
        close(fd);
        return;
    }
    vg_mediator_peer(d->mediator, fd, d->domid);
}

static int open_socket(struct vg_domain *d)
{
    uid_t owner = owner_of(d);
    int rc = vg_file_make_parent(d->path, 0755);

    if (rc < 0)
        return rc;
    d->listen_fd = vg_sock_listen(SOCK_SEQPACKET, d->path, 0600, (gid_t)-1);
    if (d->listen_fd < 0)
        return d->listen_fd;
    if (owner != geteuid() && lchown(d->path, owner, owner) < 0)
        return -errno;
    return vg_io_add(&d->mediator->loop, &d->io, d->listen_fd, EPOLLIN, accept_ready, d);
}

static void close_socket(struct vg_domain *d)
{
    if (d->listen_fd < 0)
        return;
    vg_io_del(&d->mediator->loop, &d->io);
    vg_close(&d->listen_fd);
    unlink(d->path);
}

/* A file that the toolstack removed with its folder, while the domain lives. */
static bool has_vanished(const struct vg_domain *d)
{
    struct stat st;

    return d->listen_fd >= 0 && lstat(d->path, &st) < 0 && errno == ENOENT;
}

void vg_domain_listen(struct vg_domain *d)
{
    bool wanted = d->enabled && path_of(d, d->path, sizeof(d->path));
    int rc;

    if (!wanted || has_vanished(d))
        close_socket(d);
    if (!wanted || d->listen_fd >= 0)
        return;
    rc = open_socket(d);
    if (rc == 0)
        return;
    close_socket(d);
    if (!d->complained)
        vg_event(d->mediator, VG_EVENT_VM_NO_SOCKET, d->vm, "path=%s error=\"%s\"", d->path,
                 strerror(-rc));
    d->complained = true;
}

void vg_domain_cut_off(struct vg_domain *d, const char *why)
{
    struct vg_client *c, *next;

    vg_list_for_each_safe(c, next, &d->mediator->clients, link) {
        if (c->domid == d->domid)
            vg_client_close(c, VG_GONE_REFUSED, why);
    }
}

unsigned vg_domain_peers(const struct vg_mediator *m, uint32_t domid)
{
    const struct vg_client *c;
    unsigned n = 0;

    vg_list_for_each(c, &m->clients, link)
        n += c->domid == domid && c->state == VG_CLIENT_UP;
    return n;
}

struct vg_vm *vg_domain_admit(struct vg_mediator *m, uint32_t domid, char *why, size_t cap)
{
    struct vg_domain *d;

    vg_list_for_each(d, &m->toolstack.domains, link) {
        if (d->domid == domid && d->enabled)
            return d->vm;
    }
    snprintf(why, cap, "domain %u may not use the GPU", (unsigned)domid);
    return NULL;
}
