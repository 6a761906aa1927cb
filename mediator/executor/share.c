/* SPDX-License-Identifier: MIT */
/* Questions to the mediator about shared things; see share.h. */
#include "mediator/executor/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mediator/executor/executor.h"

struct vg_share_ask {
    struct vg_share_ask *next;
    struct vg_req req;
    CUcontext ctx;
    uint32_t seq, kind;
    uint64_t key;               /* SHARE */
    vg_share_fetched *done;     /* FETCH */
    uint64_t extra;
};

void vg_shares_fini(struct vg_shares *s)
{
    for (struct vg_share_ask *a = s->asks, *next; a; a = next) {
        next = a->next;
        free(a);
    }
    free(s->at);
    memset(s, 0, sizeof(*s));
}

/* ---- Packets ---- */

union control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(int))];
};

/* What the socket cannot take now is refused: nothing here waits. */
static bool tell(struct vg_exec *x, struct vg_share_msg *msg, int fd)
{
    struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    union control c;

    if (fd >= 0) {
        memset(&c, 0, sizeof(c));
        h.msg_control = c.buf;
        h.msg_controllen = sizeof(c.buf);
        struct cmsghdr *m = CMSG_FIRSTHDR(&h);
        m->cmsg_level = SOL_SOCKET;
        m->cmsg_type = SCM_RIGHTS;
        m->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(m), &fd, sizeof(int));
    }
    return x->control_fd >= 0 &&
           sendmsg(x->control_fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*msg);
}

/* The first descriptor, or -1. Of another message there may be one more: so much the room rounds up. */
static int take_fd(const struct cmsghdr *m)
{
    int fds[2] = {-1, -1};

    if (!m || m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
        return -1;
    memcpy(fds, CMSG_DATA(m), m->cmsg_len >= CMSG_LEN(sizeof(fds)) ? sizeof(fds) : sizeof(int));
    if (fds[1] >= 0)
        close(fds[1]);
    return fds[0];
}

/* Length of the packet, 0 at the end, -1: nothing there. *ret_fd: ours to close, or -1. */
static ssize_t hear(struct vg_exec *x, struct vg_share_msg *msg, int *ret_fd)
{
    struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
    union control c;
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf,
                       .msg_controllen = sizeof(c.buf)};
    ssize_t n = recvmsg(x->control_fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    *ret_fd = -1;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    *ret_fd = take_fd(CMSG_FIRSTHDR(&h));
    return n;
}

/* ---- Asking ---- */

static CUresult ask(struct vg_exec *x, struct vg_req *r, struct vg_share_msg *msg, int fd,
                    const struct vg_share_ask *what)
{
    struct vg_shares *s = &x->shares;
    struct vg_share_ask *a = s->asking < VG_SHARE_ASKS_MAX ? malloc(sizeof(*a)) : NULL;

    if (!a)
        return CUDA_ERROR_OUT_OF_MEMORY;
    msg->seq = ++s->seq;
    if (!tell(x, msg, fd)) {
        free(a);
        return CUDA_ERROR_OPERATING_SYSTEM;
    }
    *a = *what;
    a->req = *r;
    a->ctx = x->ctx;
    a->seq = msg->seq;
    a->kind = msg->kind;
    a->next = s->asks;
    s->asks = a;
    s->asking++;
    r->later = true;
    return CUDA_SUCCESS;
}

static struct vg_share *find(struct vg_exec *x, uint32_t kind, uint64_t key)
{
    struct vg_shares *s = &x->shares;

    for (unsigned i = 0; i < s->count; i++)
        if (s->at[i].kind == kind && s->at[i].key == key)
            return &s->at[i];
    return NULL;
}

static void encode_token(struct vg_req *r, const uint64_t token[2])
{
    vg_enc_word(&r->enc, token[0]);
    vg_enc_word(&r->enc, token[1]);
}

bool vg_share_offered(struct vg_exec *x, struct vg_req *r, enum vg_share_kind kind, uint64_t key)
{
    const struct vg_share *s = find(x, kind, key);

    if (s)
        encode_token(r, s->token);
    return s != NULL;
}

CUresult vg_share_offer(struct vg_exec *x, struct vg_req *r, uint64_t key,
                        const struct vg_share_msg *msg, int fd)
{
    struct vg_share_msg m = *msg;
    const struct vg_share_ask what = {.key = key};

    m.type = VG_MSG_SHARE;
    CUresult rc = ask(x, r, &m, fd, &what);
    if (fd >= 0)
        close(fd);
    return rc;
}

CUresult vg_share_fetch(struct vg_exec *x, struct vg_req *r, enum vg_share_kind kind,
                        const uint64_t token[2], vg_share_fetched *done, uint64_t extra)
{
    struct vg_share_msg m = {.type = VG_MSG_FETCH, .kind = kind, .token = {token[0], token[1]}};
    const struct vg_share_ask what = {.done = done, .extra = extra};

    return ask(x, r, &m, -1, &what);
}

/* ---- Answers ---- */

static void take_back(struct vg_exec *x, const uint64_t token[2])
{
    struct vg_share_msg m = {.type = VG_MSG_UNSHARE, .token = {token[0], token[1]}};

    tell(x, &m, -1);
}

static bool note(struct vg_shares *s, const struct vg_share *e)
{
    if (s->count == s->cap) {
        unsigned cap = s->cap ? s->cap * 2 : 16;
        struct vg_share *at = realloc(s->at, cap * sizeof(*at));
        if (!at)
            return false;
        s->at = at;
        s->cap = cap;
    }
    s->at[s->count++] = *e;
    return true;
}

/* What was offered may have ended meanwhile: the sweep sees to that. */
static CUresult shared(struct vg_exec *x, struct vg_share_ask *a, const struct vg_share_msg *m)
{
    struct vg_share e = {.kind = a->kind, .key = a->key, .token = {m->token[0], m->token[1]}};

    if (m->status != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!note(&x->shares, &e)) {
        take_back(x, e.token);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    encode_token(&a->req, e.token);
    return CUDA_SUCCESS;
}

/* A token that means nothing is to the guest what a forged handle is to a program. */
static CUresult fetched(struct vg_exec *x, struct vg_share_ask *a, struct vg_share_msg *m, int fd)
{
    CUcontext before = x->ctx;

    if (m->status != 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_context_set(x, a->ctx);
    if (rc == CUDA_SUCCESS)
        rc = a->done(x, &a->req, m, fd, a->extra);
    vg_context_set(x, before);
    return rc;
}

static void answered(struct vg_exec *x, struct vg_share_ask *a, struct vg_share_msg *m, int fd)
{
    a->req.later = false;
    vg_enc_init_result(&a->req.enc, &a->req.res, x->out, vg_reply_capacity(&a->req.call));
    CUresult rc = a->done ? fetched(x, a, m, fd) : shared(x, a, m);
    vg_reply(x, &a->req, rc);
    free(a);
}

static struct vg_share_ask *take_ask(struct vg_shares *s, uint32_t seq)
{
    struct vg_share_ask **at = &s->asks, *a;

    while (*at && (*at)->seq != seq)
        at = &(*at)->next;
    a = *at;
    if (a) {
        *at = a->next;
        s->asking--;
    }
    return a;
}

/* A daemon that does not know whether we have our slot gives it once more: that is no answer. */
static bool is_answer(const struct vg_share_msg *m, ssize_t n)
{
    return n == (ssize_t)sizeof(*m) && (m->type == VG_MSG_SHARED || m->type == VG_MSG_FETCHED);
}

int vg_shares_poll(struct vg_exec *x)
{
    struct vg_share_msg m;
    int count = 0, fd;
    ssize_t n;

    while ((n = hear(x, &m, &fd)) > 0) {
        struct vg_share_ask *a = is_answer(&m, n) ? take_ask(&x->shares, m.seq) : NULL;
        if (a)
            answered(x, a, &m, fd);
        if (fd >= 0)
            close(fd);
        count++;
    }
    if (count > 0)
        vg_shares_sweep(x);
    return n == 0 ? -1 : count;
}

/* ---- The end of what was shared ---- */

static bool lives(struct vg_exec *x, const struct vg_share *s)
{
    const struct vg_range *n;

    switch (s->kind) {
    case VG_SHARE_MEMORY:
        return vg_vmm_lives(&x->vmm, (uint32_t)s->key);
    case VG_SHARE_POOL:
        return vg_obj_find(&x->obj, VG_OBJ_CUmemoryPool, s->key) != NULL;
    case VG_SHARE_IPC_EVENT:
        return vg_obj_find(&x->obj, VG_OBJ_CUevent, s->key) != NULL;
    default:
        n = vg_range_find(&x->ranges, s->key);
        return n && n->base == s->key;
    }
}

void vg_shares_sweep(struct vg_exec *x)
{
    struct vg_shares *s = &x->shares;

    for (unsigned i = s->count; i-- > 0;) {
        if (lives(x, &s->at[i]))
            continue;
        take_back(x, s->at[i].token);
        s->at[i] = s->at[--s->count];
    }
}
