/* SPDX-License-Identifier: MIT */
/* The daemon's side of the accounts, see quota.h. */
#include "quota.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client.h"
#include "event.h"
#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/util.h"
#include "protocol/vg_atomic.h"
#include "session.h"
#include "vm.h"

#define MIB_SHIFT 20
#define CONTEXT_USUAL (518ull << MIB_SHIFT)     /* of an H200's, until one has been measured */
#define CONTEXT_MAX (64ull << 30)               /* more than this no context costs */
#define MINUTE_NS (60 * VG_NS_PER_S)

/* ---- the account ---- */

void vg_quota_init(struct vg_vm *vm)
{
    vm->quota.fd = -1;
}

static int map_account(struct vg_vm_quota *q)
{
    void *map = mmap(NULL, sizeof(struct vg_account), PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);

    if (map == MAP_FAILED)
        return -errno;
    q->account = map;
    return 0;
}

static int open_account(struct vg_vm *vm)
{
    struct vg_vm_quota *q = &vm->quota;
    int rc;

    if (q->account)
        return 0;
    q->fd = vg_memfd_new("vgpu-account", sizeof(struct vg_account));
    rc = q->fd < 0 ? q->fd : map_account(q);
    if (rc < 0) {
        vg_close(&q->fd);
        return rc;
    }
    q->account->magic = VG_ACCOUNT_MAGIC;
    q->account->bucket = q->bucket;
    return 0;
}

void vg_quota_fini(struct vg_vm *vm)
{
    struct vg_vm_quota *q = &vm->quota;

    if (q->account) {
        q->bucket = vg_load_relaxed(&q->account->bucket);
        munmap(q->account, sizeof(*q->account));
    }
    q->account = NULL;
    vg_close(&q->fd);
}

static void put_most(struct vg_terms *t, const struct vg_config *c)
{
    const uint64_t most[VG_QUOTA_KINDS] = {
        [VG_QUOTA_CONTEXTS] = c->max_contexts, [VG_QUOTA_STREAMS] = c->max_streams,
        [VG_QUOTA_EVENTS] = c->max_events,     [VG_QUOTA_MODULES] = c->max_modules,
        [VG_QUOTA_GRAPHS] = c->max_graphs,
    };

    for (unsigned i = 0; i < VG_QUOTA_KINDS; i++)
        vg_store_relaxed(&t->most[i], most[i]);
}

/* What a context costs. The software GPU keeps none of its memory for one. */
uint64_t vg_quota_context(const struct vg_mediator *m, const char **ret_from)
{
    uint64_t mib = m->config.context_mib;

    *ret_from = m->context_measured ? "measured" : mib != VG_CONTEXT_AUTO ? "setting" : "assumed";
    if (m->context_measured)
        return m->context_measured;
    return mib != VG_CONTEXT_AUTO ? mib << MIB_SHIFT : m->context_usual;
}

bool vg_quota_wants_measure(const struct vg_mediator *m, const struct vg_session *s)
{
    if (!m->config.measure_context || m->context_measured || (s->backend.software && !m->config.nvml_library[0]))
        return false;
    return s->ahead || (s->client && s->client->vm->grant.memory_mib > 0);
}

/*
 * Only before it has a guest: what it says then is nobody's wish. Later it counts for its own
 * VM alone, in whose account it claims what it has measured.
 */
void vg_quota_measured(struct vg_session *s)
{
    struct vg_mediator *m = s->mediator;
    uint64_t bytes = vg_load_relaxed(&s->stats->context_bytes);

    if (s->client || m->context_measured || bytes == 0 || bytes > CONTEXT_MAX)
        return;
    m->context_measured = bytes;
    vg_event(m, VG_EVENT_CONTEXT_MEASURED, NULL, "bytes=%" PRIu64 " device=\"%s\"", bytes,
             s->device);
    vg_quota_apply_all(m);
}

void vg_quota_recall(struct vg_session *s, uint64_t measured)
{
    struct vg_mediator *m = s->mediator;

    if (measured)
        m->context_measured = measured;
    if (!s->backend.software)
        m->context_usual = CONTEXT_USUAL;
}

void vg_quota_tell(struct vg_session *s)
{
    const struct vg_policy *p = s->client ? &s->client->vm->grant : NULL;
    struct vg_terms *t = &s->orders->terms;
    const char *from;

    vg_store_relaxed(&t->context_bytes, vg_quota_context(s->mediator, &from));
    if (!p)
        return;
    vg_store_relaxed(&t->rate, p->rate);
    vg_store_relaxed(&t->burst, p->burst);
    vg_store_relaxed(&t->queue_depth, p->queue_depth);
    vg_store_relaxed(&t->memory, p->memory_mib << MIB_SHIFT);
    put_most(t, &s->mediator->config);
}

static void tell_all(struct vg_mediator *m, const struct vg_vm *vm)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; c->vm == vm && i < c->layout.slot_count; i++) {
            if (c->session[i] && c->session[i]->orders)
                vg_quota_tell(c->session[i]);
        }
    }
}

static void say_clamped(struct vg_mediator *m, const struct vg_vm *vm, unsigned before)
{
    char asked[VG_POLICY_TEXT], granted[VG_POLICY_TEXT];

    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        const struct vg_policy_field *f = &vg_policy_fields[i];

        if (!(vm->clamped & ~before & VG_BIT(i)))
            continue;
        vg_policy_get(&vm->policy, f, asked, sizeof(asked));
        vg_policy_get(&vm->grant, f, granted, sizeof(granted));
        vg_event(m, VG_EVENT_VM_CLAMPED, vm, "field=%s asked=%s granted=%s", f->key, asked, granted);
    }
}

void vg_quota_apply(struct vg_mediator *m, struct vg_vm *vm)
{
    unsigned before = vm->clamped;

    vm->grant = vm->policy;
    vm->clamped = vg_policy_clamp(&vm->grant, &m->config.cap);
    say_clamped(m, vm, before);
    tell_all(m, vm);
}

void vg_quota_apply_all(struct vg_mediator *m)
{
    struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link)
        vg_quota_apply(m, vm);
}

/* ---- seats ---- */

static unsigned free_seat(const struct vg_vm_quota *q)
{
    for (unsigned w = 0; w < VG_SEATS / 64; w++)
        if (~q->taken[w])
            return w * 64 + (unsigned)__builtin_ctzll(~q->taken[w]);
    return VG_NO_SEAT;
}

int vg_quota_check(struct vg_mediator *m, struct vg_vm *vm, char *why, size_t why_cap)
{
    struct vg_vm_quota *q = &vm->quota;
    uint64_t minute = vg_now() / MINUTE_NS + 1;

    if (q->processes < m->config.max_processes)
        return 0;
    snprintf(why, why_cap, "the VM has %u processes on the GPU, the limit max_processes is %" PRIu64,
             q->processes, m->config.max_processes);
    q->refused++;
    if (q->told != minute)
        vg_event(m, VG_EVENT_LIMITED, vm, "what=processes most=%" PRIu64, m->config.max_processes);
    q->told = minute;
    return -EDQUOT;
}

uint64_t vg_quota_pinned(const struct vg_mediator *m, const struct vg_vm *vm)
{
    const struct vg_client *c;
    uint64_t sum = 0;

    vg_list_for_each(c, &m->clients, link)
        sum += c->vm == vm ? c->layout.size : 0;
    return sum;
}

bool vg_quota_may_pin(struct vg_mediator *m, const struct vg_vm *vm, uint64_t bytes, char *why,
                      size_t why_cap)
{
    uint64_t most = m->config.max_pinned_mib;

    if (most == 0 || vg_quota_pinned(m, vm) + bytes <= most << MIB_SHIFT)
        return true;
    snprintf(why, why_cap, "the VM's regions would be more than max_pinned_mib (%" PRIu64 ")", most);
    return false;
}

static bool seat_is_taken(const struct vg_vm_quota *q, unsigned seat)
{
    return q->taken[seat / 64] >> (seat % 64) & 1;
}

static void take_seat(struct vg_vm_quota *q, unsigned seat)
{
    q->taken[seat / 64] |= 1ull << (seat % 64);
    q->processes++;
}

int vg_quota_sit(struct vg_session *s)
{
    struct vg_vm *vm = s->client->vm;
    struct vg_vm_quota *q = &vm->quota;
    int rc = open_account(vm);
    unsigned seat = free_seat(q);

    if (rc < 0 || s->seat != VG_NO_SEAT)
        return rc;
    if (seat == VG_NO_SEAT)
        return -EDQUOT;
    take_seat(q, seat);
    vg_account_sit(q->account, seat);
    s->seat = seat;
    s->account_fd = q->fd;
    vg_quota_apply(s->mediator, vm);
    if (s->orders)
        vg_quota_tell(s);
    return 0;
}

void vg_quota_begun(struct vg_session *s)
{
    if (s->backend.software || s->mediator->context_usual > 0)
        return;
    s->mediator->context_usual = CONTEXT_USUAL;
    vg_quota_apply_all(s->mediator);
}

/* The account of a build that had another is none. */
static int adopt_account(struct vg_vm_quota *q, int *fd)
{
    struct stat st;
    int rc;

    if (q->account) {
        vg_close(fd);
        return 0;
    }
    if (*fd < 0 || fstat(*fd, &st) < 0 || st.st_size != (off_t)sizeof(struct vg_account))
        return -EINVAL;
    q->fd = vg_steal_fd(fd);
    rc = map_account(q);
    if (rc == 0 && q->account->magic != VG_ACCOUNT_MAGIC)
        rc = -EINVAL;
    return rc;
}

void vg_quota_adopt(struct vg_session *s)
{
    struct vg_vm_quota *q = s->client ? &s->client->vm->quota : NULL;

    if (!q || s->seat >= VG_SEATS || seat_is_taken(q, s->seat) ||
        adopt_account(q, &s->account_fd) < 0) {
        s->seat = VG_NO_SEAT;
        vg_close(&s->account_fd);
        if (q && q->processes == 0)
            vg_quota_fini(s->client->vm);
        return;
    }
    s->account_fd = q->fd;
    take_seat(q, s->seat);
}

void vg_quota_leaving(struct vg_session *s)
{
    if (s->seat < VG_SEATS && s->client)
        vg_account_leaving(s->client->vm->quota.account, s->seat);
}

void vg_quota_leave(struct vg_session *s)
{
    struct vg_vm_quota *q;

    if (s->seat >= VG_NO_SEAT || !s->client)
        return;
    s->account_fd = -1;
    q = &s->client->vm->quota;
    vg_account_leave(q->account, s->seat);
    q->taken[s->seat / 64] &= ~(1ull << (s->seat % 64));
    s->seat = VG_NO_SEAT;
    /* VMs are remembered for long, by name only; a descriptor each would be too many. */
    if (--q->processes == 0)
        vg_quota_fini(s->client->vm);
}

/* ---- numbers ---- */

uint64_t vg_quota_memory(const struct vg_vm *vm)
{
    return vm->quota.account ? vg_account_used(vm->quota.account) : 0;
}

uint64_t vg_quota_queued(const struct vg_vm *vm)
{
    return vm->quota.account ? vg_account_queued(vm->quota.account) : 0;
}

uint64_t vg_quota_things(const struct vg_vm *vm, enum vg_quota_kind kind)
{
    return vm->quota.account ? vg_account_things(vm->quota.account, kind) : 0;
}
