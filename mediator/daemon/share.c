/* SPDX-License-Identifier: MIT */
/* Lists of shared things, one per VM; see share.h. Runs on the daemon's loop. */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client.h"
#include "keep.h"
#include "mediator/base/log.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "protocol/vg_limits.h"
#include "vm.h"

static unsigned open_fds;       /* held by shares, of all VMs */

static struct vg_vm *vm_of(const struct vg_session *s)
{
    return s->client->vm;
}

static int random_token(uint64_t token[2])
{
    vg_auto_fd int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return read(fd, token, 16) == 16 ? 0 : -EIO;
}

/* Half of the descriptors stay for the daemon itself; no VM has more than a quarter of the others. */
static bool fds_left(const struct vg_vm *vm)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && open_fds < limit.rlim_cur / 2 &&
           vm->share_fds < limit.rlim_cur / 8;
}

static void count_fd(struct vg_vm *vm, const struct vg_share *e)
{
    open_fds += e->fd >= 0;
    vm->share_fds += e->fd >= 0;
}

static void share_free(struct vg_vm *vm, struct vg_share *e)
{
    vg_keep_forget(e->owner->mediator, &e->key);
    if (e->fd >= 0) {
        open_fds--;
        vm->share_fds--;
    }
    vg_close(&e->fd);
    vg_list_remove(&e->link);
    vm->share_count--;
    free(e);
}

static struct vg_share *find(struct vg_vm *vm, const uint64_t token[2])
{
    struct vg_share *e;

    vg_list_for_each(e, &vm->shares, link) {
        if (e->token[0] == token[0] && e->token[1] == token[1])
            return e;
    }
    return NULL;
}

static void add(struct vg_vm *vm, struct vg_share *e)
{
    count_fd(vm, e);
    vg_list_append(&vm->shares, &e->link);
    vm->share_count++;
}

bool vg_share_adopt(const struct vg_share *e)
{
    struct vg_share *copy = malloc(sizeof(*copy));

    if (!copy)
        return false;
    *copy = *e;
    add(vm_of(e->owner), copy);
    return true;
}

/* The last daemon may have died before its answer was heard, and has heard the question. */
static struct vg_share *asked_before(struct vg_session *s, const struct vg_share_msg *msg)
{
    struct vg_share *e;

    vg_list_for_each(e, &vm_of(s)->shares, link) {
        if (s->adopted && e->owner == s && e->seq == msg->seq)
            return e;
    }
    return NULL;
}

static int share_new(struct vg_session *s, const struct vg_share_msg *msg, int *fd,
                     struct vg_share **ret_share)
{
    struct vg_vm *vm = vm_of(s);
    struct vg_share *e;

    if (msg->kind == 0 || msg->kind >= VG_SHARE_KINDS)
        return -EINVAL;
    if (vm->share_count >= VG_SHARES_MAX || (*fd >= 0 && !fds_left(vm)))
        return -ENOSPC;
    e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    if (random_token(e->token) < 0) {
        free(e);
        return -EIO;
    }
    e->owner = s;
    e->kind = msg->kind;
    e->size = msg->size;
    memcpy(e->data, msg->data, sizeof(e->data));
    e->seq = msg->seq;
    e->fd = vg_steal_fd(fd);
    add(vm, e);
    vg_keep_share(s->mediator, e);
    *ret_share = e;
    return 0;
}

/* An executor that does not read its answers waits for them alone; said once, as it may ask on. */
static void answer(struct vg_session *s, struct vg_share_msg *msg, int fd)
{
    int rc = vg_sock_send(s->control_fd, msg, sizeof(*msg), &fd, fd >= 0);

    if (rc == 0 || s->share_lost)
        return;
    s->share_lost = true;
    vg_log(VG_LOG_WARNING, "share-lost", "vm=%s slot=%u rc=%d", vm_of(s)->name, s->slot, rc);
}

static void on_share(struct vg_session *s, const struct vg_share_msg *msg, int *fd)
{
    struct vg_share_msg out = { .type = VG_MSG_SHARED, .seq = msg->seq, .kind = msg->kind };
    struct vg_share *e = asked_before(s, msg);

    if (!e)
        out.status = share_new(s, msg, fd, &e);
    if (e)
        memcpy(out.token, e->token, sizeof(out.token));
    answer(s, &out, -1);
}

/*
 * What it has taken back before the question was asked is gone, although its message
 * may still wait in its socket. While one is heard its own questions are answered
 * without this.
 */
static struct vg_share *find_fresh(const struct vg_session *s, const uint64_t token[2])
{
    static bool hearing;
    struct vg_vm *vm = vm_of(s);
    struct vg_share *e = find(vm, token);

    /* Its own come in order, and what it says now is not taken off yet. */
    if (!e || hearing || e->owner == s)
        return e;
    hearing = true;
    vg_session_hear(e->owner);
    hearing = false;
    return find(vm, token);
}

static void on_fetch(struct vg_session *s, const struct vg_share_msg *msg)
{
    struct vg_share_msg out = { .type = VG_MSG_FETCHED, .seq = msg->seq, .kind = msg->kind,
                                .status = -ENOENT };
    struct vg_share *e = find_fresh(s, msg->token);

    if (e && e->kind == msg->kind) {
        out.status = 0;
        out.size = e->size;
        memcpy(out.data, e->data, sizeof(out.data));
    }
    answer(s, &out, out.status == 0 ? e->fd : -1);
}

static void on_unshare(struct vg_session *s, const struct vg_share_msg *msg)
{
    struct vg_share *e = find(vm_of(s), msg->token);

    if (e && e->owner == s)
        share_free(vm_of(s), e);
}

bool vg_share_message(struct vg_session *s, const struct vg_share_msg *msg, int *fd)
{
    if (!s->client)
        return false;
    switch (msg->type) {
    case VG_MSG_SHARE:
        on_share(s, msg, fd);
        return true;
    case VG_MSG_FETCH:
        on_fetch(s, msg);
        return true;
    case VG_MSG_UNSHARE:
        on_unshare(s, msg);
        return true;
    default:
        return false;
    }
}

void vg_shares_end(struct vg_session *s)
{
    struct vg_share *e, *next;

    vg_list_for_each_safe(e, next, &vm_of(s)->shares, link) {
        if (e->owner == s)
            share_free(vm_of(s), e);
    }
}
