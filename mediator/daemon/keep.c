/* SPDX-License-Identifier: MIT */
/* Hands to the keeper what the next daemon needs, see keep.h. Reads objects, changes only keys. */
#include "keep.h"

#include <stdio.h>
#include <string.h>

#include "keep_data.h"
#include "keeper.h"
#include "mediator.h"

/* ---- descriptors: a new one is a line at the end of its kind's table ---- */

static const size_t mediator_fds[] = {
    offsetof(struct vg_mediator, listen_fd),
};

static const size_t client_fds[] = {
    offsetof(struct vg_client, sock),
    offsetof(struct vg_client, mem.fd),
};

static const size_t session_fds[] = {
    offsetof(struct vg_session, control_fd),
    offsetof(struct vg_session, log_fd),
    offsetof(struct vg_session, doorbell_fd),
    offsetof(struct vg_session, stats_fd),
    offsetof(struct vg_session, gate_fd),
    offsetof(struct vg_session, bell_fd),
    offsetof(struct vg_session, account_fd),
    offsetof(struct vg_session, orders_fd),
};

static const size_t share_fds[] = {
    offsetof(struct vg_share, fd),
};

#define TABLE(fds) { fds, VG_ARRAY_LEN(fds) }

const struct vg_keep_fds vg_keep_fds[VG_KIND_END] = {
    [VG_KIND_MEDIATOR] = TABLE(mediator_fds),
    [VG_KIND_CLIENT] = TABLE(client_fds),
    [VG_KIND_SESSION] = TABLE(session_fds),
    [VG_KIND_SHARE] = TABLE(share_fds),
};

/* How many; which of them, goes into *ret_mask. */
static unsigned gather(const void *object, enum vg_keep_kind kind, int *fds, uint32_t *ret_mask)
{
    const struct vg_keep_fds *t = &vg_keep_fds[kind];
    unsigned n = 0;

    *ret_mask = 0;
    for (unsigned i = 0; i < t->count; i++) {
        int fd = *(const int *)((const char *)object + t->at[i]);

        if (fd < 0)
            continue;
        fds[n++] = fd;
        *ret_mask |= VG_BIT(i);
    }
    return n;
}

static void make_key(struct vg_mediator *m, enum vg_keep_kind kind, uint64_t *key)
{
    if (*key == 0)
        *key = VG_KEY(kind, ++m->next_key);
}

/* `data` begins with its head. */
static void put(struct vg_mediator *m, uint64_t key, const void *object, void *data, size_t len)
{
    struct vg_kept_head *head = data;
    int fds[VG_KEEP_FDS_MAX];
    unsigned n = gather(object, (enum vg_keep_kind)VG_KEY_KIND(key), fds, &head->fds);

    head->version = VG_KEEP_VERSION;
    vg_keeper_put(&m->keeper, key, data, len, fds, n);
}

static void set(struct vg_mediator *m, uint64_t key, const void *object, void *data, size_t len)
{
    struct vg_kept_head *head = data;
    int fds[VG_KEEP_FDS_MAX];

    gather(object, (enum vg_keep_kind)VG_KEY_KIND(key), fds, &head->fds);
    head->version = VG_KEEP_VERSION;
    vg_keeper_set(&m->keeper, key, 0, data, len);
}

/* ---- values: a new one is a member in keep_data.h, a line here, a line in restore.c ---- */

static void session_values(const struct vg_session *s, struct vg_kept_session *v)
{
    memset(v, 0, sizeof(*v));
    v->client = s->client ? s->client->key : 0;
    v->slot = s->slot;
    v->token = s->token;
    v->state = (uint32_t)s->state;
    v->reason = (uint32_t)s->reason;
    v->ahead = s->ahead;
    v->released = s->released;
    v->software = s->backend.software;
    v->pid = s->process.pid;
    v->pid_start = s->process.start_time;
    v->started = s->started;
    v->ready_ns = s->ready_ns;
    v->program = s->program;
    v->user = s->user;
    v->seat = s->seat < VG_SEATS ? s->seat + 1 : 0;
    v->context_bytes = s->mediator->context_measured;
    memcpy(v->gpus, s->gpus, sizeof(v->gpus));
    memcpy(v->device, s->device, sizeof(v->device));
    memcpy(v->failure, s->failure, sizeof(v->failure));
    if (strlen(s->backend.library) < sizeof(v->library))
        strcpy(v->library, s->backend.library);
}

static void client_values(const struct vg_client *c, struct vg_kept_client *v)
{
    memset(v, 0, sizeof(*v));
    v->id = c->id;
    v->state = (uint32_t)c->state;
    v->role = (uint32_t)c->role;
    v->uid = c->uid;
    v->domid = c->domid;
    v->region_gfn = c->mem.gfn;
    v->pid = c->pid;
    v->watched = c->peer.pid != 0;
    v->peer_start = c->peer.start_time;
    memcpy(v->claimed, c->claimed, sizeof(v->claimed));
    if (c->vm)
        memcpy(v->vm, c->vm->name, sizeof(v->vm));
    v->region_size = c->layout.size;
    v->slot_count = c->layout.slot_count;
    for (unsigned i = 0; i < VG_SLOTS_MAX; i++)
        v->used[i] = c->used[i];
    memcpy(v->last_token, c->last_token, sizeof(v->last_token));
}

static void vm_values(const struct vg_vm *vm, struct vg_kept_vm *v)
{
    memset(v, 0, sizeof(*v));
    v->head.version = VG_KEEP_VERSION;
    memcpy(v->name, vm->name, sizeof(v->name));
    v->policy_size = sizeof(vm->policy);
    v->usage_size = sizeof(vm->ended);
    v->since = vm->since;
    memcpy(v->gone, vm->gone, sizeof(vm->gone));
    memcpy(v->policy, &vm->policy, sizeof(vm->policy));
    memcpy(v->usage, &vm->ended, sizeof(vm->ended));
    v->registered = vm->registered;
}

/* ---- one object ---- */

void vg_keep_session(struct vg_session *s)
{
    struct vg_kept_session v;

    make_key(s->mediator, VG_KIND_SESSION, &s->key);
    session_values(s, &v);
    put(s->mediator, s->key, s, &v, sizeof(v));
}

void vg_keep_session_values(struct vg_session *s)
{
    struct vg_kept_session v;

    if (s->key == 0)
        return;
    session_values(s, &v);
    set(s->mediator, s->key, s, &v, sizeof(v));
}

void vg_keep_client(struct vg_client *c)
{
    struct vg_kept_client v;

    make_key(c->mediator, VG_KIND_CLIENT, &c->key);
    client_values(c, &v);
    put(c->mediator, c->key, c, &v, sizeof(v));
}

void vg_keep_client_values(struct vg_client *c)
{
    struct vg_kept_client v;

    if (c->key == 0)
        return;
    client_values(c, &v);
    set(c->mediator, c->key, c, &v, sizeof(v));
}

/* One message, so that an executor's counters are in the total or its own, never in both. */
void vg_keep_vm(struct vg_mediator *m, struct vg_vm *vm, uint64_t ended)
{
    static struct vg_kept_vm v;     /* 16 KiB; one thread */

    make_key(m, VG_KIND_VM, &vm->key);
    vm_values(vm, &v);
    vg_keeper_set(&m->keeper, vm->key, ended, &v, sizeof(v));
}

void vg_keep_share(struct vg_mediator *m, struct vg_share *e)
{
    struct vg_kept_share v = { .owner = e->owner->key, .kind = e->kind, .seq = e->seq,
                               .token = { e->token[0], e->token[1] }, .size = e->size };

    make_key(m, VG_KIND_SHARE, &e->key);
    memcpy(v.data, e->data, sizeof(v.data));
    put(m, e->key, e, &v, sizeof(v));
}

void vg_keep_mediator(struct vg_mediator *m)
{
    struct vg_kept_mediator v = { .next_key = m->next_key, .next_client = m->next_client,
                                  .refused = m->refused, .misbehaved = m->misbehaved };

    put(m, VG_KEY(VG_KIND_MEDIATOR, 1), m, &v, sizeof(v));
}

void vg_keep_forget(struct vg_mediator *m, uint64_t *key)
{
    vg_keeper_drop(&m->keeper, *key);
    *key = 0;
}

/* ---- all ---- */

static void keep_vm_and_shares(struct vg_mediator *m, struct vg_vm *vm)
{
    struct vg_share *e;

    vg_keep_vm(m, vm, 0);
    vg_list_for_each(e, &vm->shares, link)
        vg_keep_share(m, e);
}

static void keep_client_and_sessions(struct vg_client *c)
{
    if (c->state == VG_CLIENT_NEW)
        return;
    vg_keep_client(c);
    for (unsigned i = 0; i < VG_SLOTS_MAX; i++) {
        if (c->session[i] && vg_session_is_live(c->session[i]))
            vg_keep_session(c->session[i]);
    }
}

/* Sessions before what they share, for those that get their keys here. */
void vg_keep_all(struct vg_mediator *m)
{
    struct vg_session *s;
    struct vg_client *c;
    struct vg_vm *vm;

    vg_list_for_each(c, &m->clients, link)
        keep_client_and_sessions(c);
    vg_list_for_each(s, &m->pool.sessions, link)
        vg_keep_session(s);
    vg_list_for_each(vm, &m->vms.list, link)
        keep_vm_and_shares(m, vm);
    vg_keep_mediator(m);
}
