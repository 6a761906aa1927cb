/* SPDX-License-Identifier: MIT */
/*
 * Takes over what the last daemon has left with the keeper, see keep.h. It was written by
 * this user's own processes, so it is checked for what an older or newer build may have
 * meant by it, not as a guest's word.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "keep.h"
#include "keep_data.h"
#include "keeper.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/number.h"

/* What is shorter than we know it ends in zeros, what is longer is cut. */
static void read_values(const struct vg_kept *item, void *values, size_t size)
{
    memset(values, 0, size);
    memcpy(values, item->data, item->len < size ? item->len : size);
}

static void take_fds(struct vg_kept *item, void *object)
{
    const struct vg_keep_fds *t = &vg_keep_fds[VG_KEY_KIND(item->key)];
    struct vg_kept_head head;
    unsigned n = 0;

    read_values(item, &head, sizeof(head));
    for (unsigned i = 0; i < 32; i++) {
        bool came = (head.fds & VG_BIT(i)) && n < item->nfds;

        if (i < t->count)
            *(int *)((char *)object + t->at[i]) = came ? vg_steal_fd(&item->fds[n]) : -1;
        n += came;
    }
}

static void end_text(char *text, size_t size)
{
    text[size - 1] = '\0';
}

/* ---- the daemon, VMs ---- */

static bool restore_mediator(struct vg_mediator *m, struct vg_kept *item)
{
    struct vg_kept_mediator v;

    read_values(item, &v, sizeof(v));
    m->next_client = v.next_client;
    m->refused = v.refused;
    m->misbehaved = v.misbehaved;
    take_fds(item, m);
    return true;
}

/* *ret_new: it was not known, and nobody has been told yet that it is. */
static struct vg_vm *vm_of(struct vg_mediator *m, char *name, size_t cap,
                           const struct vg_policy *policy, bool *ret_new)
{
    struct vg_vm *vm;

    *ret_new = false;
    end_text(name, cap);
    if (!vg_name_ok(name, cap))
        return NULL;
    vm = vg_vms_find(&m->vms, name);
    if (vm)
        return vm;
    vm = vg_vms_add(&m->vms, name, policy);
    *ret_new = vm != NULL;
    return vm;
}

static bool restore_vm(struct vg_mediator *m, struct vg_kept *item)
{
    static struct vg_kept_vm v;     /* 16 KiB; one thread */
    struct vg_policy policy = m->config.policy;
    struct vg_vm *vm;
    bool is_new;

    read_values(item, &v, sizeof(v));
    if (v.policy_size == sizeof(policy))
        memcpy(&policy, v.policy, sizeof(policy));
    vm = vm_of(m, v.name, sizeof(v.name), &policy, &is_new);
    if (!vm || vm->key)
        return false;
    vm->key = item->key;
    vm->since = v.since;
    memcpy(vm->gone, v.gone, sizeof(vm->gone));
    if (v.usage_size == sizeof(vm->ended))
        memcpy(&vm->ended, v.usage, sizeof(vm->ended));
    if (!m->config.state_dir[0])
        vm->registered = v.registered != 0;
    if (is_new)
        vg_mediator_vm_changed(m, vm);
    return true;
}

/* ---- peers ---- */

static void fill_client(struct vg_client *c, struct vg_kept_client *v)
{
    c->id = v->id;
    if (c->mediator->next_client < c->id)
        c->mediator->next_client = c->id;
    c->state = (enum vg_client_state)v->state;
    c->role = (enum vg_role)v->role;
    c->uid = v->uid;
    c->domid = v->domid;
    c->mem.domid = v->domid;
    c->mem.gfn = v->region_gfn;
    c->pid = v->pid;
    c->peer.pid = v->watched ? v->pid : 0;
    c->peer.start_time = v->peer_start;
    end_text(v->claimed, sizeof(v->claimed));
    memcpy(c->claimed, v->claimed, sizeof(c->claimed));
    for (unsigned i = 0; i < VG_SLOTS_MAX; i++)
        c->used[i] = v->used[i] != 0;
    memcpy(c->last_token, v->last_token, sizeof(c->last_token));
}

/* Its VM is there already, unless the last daemon died between the two. */
static void find_vm(struct vg_client *c, struct vg_kept_client *v)
{
    bool is_new;

    c->vm = vm_of(c->mediator, v->vm, sizeof(v->vm), &c->mediator->config.policy, &is_new);
    if (is_new)
        vg_mediator_vm_changed(c->mediator, c->vm);
}

static bool client_is_sound(const struct vg_client *c)
{
    return (c->state == VG_CLIENT_UP ? c->sock >= 0 : c->state == VG_CLIENT_CLOSING) &&
           c->role >= VG_ROLE_DEVICE && c->role <= VG_ROLE_MONITOR && c->mem.fd >= 0 &&
           (c->vm || c->role == VG_ROLE_MONITOR);
}

static bool restore_client(struct vg_mediator *m, struct vg_kept *item)
{
    struct vg_client *c = calloc(1, sizeof(*c));
    struct vg_kept_client v;

    if (!c)
        return false;
    read_values(item, &v, sizeof(v));
    c->mediator = m;
    c->key = item->key;
    c->io.fd = -1;
    take_fds(item, c);
    fill_client(c, &v);
    if (c->role == VG_ROLE_MONITOR)
        c->layout.size = v.region_size;
    else if (vg_region_layout_init(&c->layout, v.region_size, v.slot_count))
        find_vm(c, &v);
    if (client_is_sound(c) && vg_client_adopt(c) == 0)
        return true;
    vg_close(&c->sock);
    vg_close(&c->mem.fd);
    free(c);
    return false;
}

/* ---- executors ---- */

static void fill_session(struct vg_session *s, struct vg_kept_session *v)
{
    s->slot = v->slot;
    s->token = v->token;
    s->state = (enum vg_session_state)v->state;
    if (s->client && s->state < VG_SESSION_STARTING)
        s->state = VG_SESSION_STARTING;
    s->reason = v->reason < VG_GONE_REASONS ? (enum vg_gone_reason)v->reason : VG_GONE_CRASHED;
    s->ahead = v->ahead;
    s->released = v->released;
    s->backend.software = v->software;
    s->pid = s->process.pid = v->pid;
    s->process.start_time = v->pid_start;
    s->started = v->started;
    s->ready_ns = v->ready_ns;
    s->program = v->program;
    s->user = v->user;
    s->seat = v->seat ? v->seat - 1 : VG_NO_SEAT;
    vg_quota_recall(s, v->context_bytes);
    end_text(v->device, sizeof(v->device));
    end_text(v->failure, sizeof(v->failure));
    end_text(v->library, sizeof(v->library));
    end_text(v->gpus, sizeof(v->gpus));
    memcpy(s->gpus, v->gpus, sizeof(s->gpus));
    memcpy(s->device, v->device, sizeof(s->device));
    memcpy(s->failure, v->failure, sizeof(s->failure));
    strcpy(s->backend.library, v->library);
}

static struct vg_client *client_of(struct vg_mediator *m, uint64_t key)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        if (key && c->key == key)
            return c;
    }
    return NULL;
}

/* A number that we could signal must be one that we would know again. */
static bool session_is_sound(const struct vg_session *s)
{
    return s->state < VG_SESSION_ENDED && s->process.pid > 1 && s->process.start_time != 0 &&
           s->control_fd >= 0 && s->log_fd >= 0 && s->doorbell_fd >= 0 &&
           (!s->client || (s->slot < s->client->layout.slot_count && !s->client->session[s->slot]));
}

static void place(struct vg_session *s, bool has_client)
{
    struct vg_mediator *m = s->mediator;

    if (s->client) {
        s->client->session[s->slot] = s;
        if (s->user)
            s->client->vm->user = s->user;
        m->session_count++;
        return;
    }
    /* What belongs to nobody any more ends with those of the pool that are no use. */
    vg_pool_adopt(s);
    if (has_client)
        vg_session_kill(s);
}

static bool restore_session(struct vg_mediator *m, struct vg_kept *item)
{
    struct vg_session *s = vg_session_alloc(m);
    struct vg_kept_session v;

    if (!s)
        return false;
    read_values(item, &v, sizeof(v));
    s->key = item->key;
    s->client = client_of(m, v.client);
    take_fds(item, s);
    fill_session(s, &v);
    if (!session_is_sound(s) || vg_session_adopt(s) < 0) {
        vg_session_discard(s);
        return false;
    }
    place(s, v.client != 0);
    return true;
}

/* ---- shared things ---- */

static struct vg_session *session_of(struct vg_mediator *m, uint64_t key)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; i < VG_SLOTS_MAX; i++) {
            if (key && c->session[i] && c->session[i]->key == key)
                return c->session[i];
        }
    }
    return NULL;
}

static bool restore_share(struct vg_mediator *m, struct vg_kept *item)
{
    struct vg_share e = { .fd = -1 };
    struct vg_kept_share v;

    read_values(item, &v, sizeof(v));
    e.owner = session_of(m, v.owner);
    e.kind = v.kind;
    e.seq = v.seq;
    memcpy(e.token, v.token, sizeof(e.token));
    e.size = v.size;
    e.key = item->key;
    memcpy(e.data, v.data, sizeof(e.data));
    take_fds(item, &e);
    if (e.owner && vg_share_adopt(&e))
        return true;
    vg_close(&e.fd);
    return false;
}

/* ---- all ---- */

static bool (*const restore[VG_KIND_END])(struct vg_mediator *m, struct vg_kept *item) = {
    [VG_KIND_MEDIATOR] = restore_mediator, [VG_KIND_VM] = restore_vm,
    [VG_KIND_CLIENT] = restore_client,     [VG_KIND_SESSION] = restore_session,
    [VG_KIND_SHARE] = restore_share,
};

static bool is_readable(const struct vg_kept *item)
{
    struct vg_kept_head head;

    read_values(item, &head, sizeof(head));
    return head.version == VG_KEEP_VERSION;
}

static void restore_item(struct vg_mediator *m, struct vg_kept *item, unsigned kind)
{
    if (m->next_key < VG_KEY_N(item->key))
        m->next_key = VG_KEY_N(item->key);
    if (is_readable(item) && restore[kind](m, item))
        return;
    vg_log(VG_LOG_WARNING, "not-restored", "key=%#" PRIx64 " bytes=%u", item->key, item->len);
    vg_keeper_drop(&m->keeper, item->key);
}

/* Of a newer daemon's. */
static void drop_unknown(struct vg_mediator *m, const struct vg_kept *list)
{
    for (const struct vg_kept *i = list; i; i = i->next) {
        if (VG_KEY_KIND(i->key) < VG_KIND_MEDIATOR || VG_KEY_KIND(i->key) >= VG_KIND_END)
            vg_keeper_drop(&m->keeper, i->key);
    }
}

/* What ended while there was no daemon, or was being ended, before anybody is listened to. */
static void catch_up(struct vg_mediator *m)
{
    struct vg_client *c, *next;
    struct vg_session *s, *more;

    vg_list_for_each_safe(c, next, &m->clients, link)
        vg_client_catch_up(c);
    vg_list_for_each_safe(s, more, &m->pool.sessions, link)
        vg_session_catch_up(s);
}

void vg_keep_restore(struct vg_mediator *m, struct vg_kept *list)
{
    if (!list)
        return;
    for (unsigned kind = VG_KIND_MEDIATOR; kind < VG_KIND_END; kind++) {
        for (struct vg_kept *i = list; i; i = i->next) {
            if (VG_KEY_KIND(i->key) == kind)
                restore_item(m, i, kind);
        }
    }
    drop_unknown(m, list);
    vg_kept_free(list);
    vg_log(VG_LOG_INFO, "restored", "peers=%u executors=%u vms=%u", m->client_count,
           m->session_count, m->vms.count);
    catch_up(m);
}
