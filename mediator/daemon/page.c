/* SPDX-License-Identifier: MIT */
/*
 * What one watcher may see: the GPU's numbers as they are, the memory as if the GPU
 * were its VM's own, the devices of its VM's pool, and the processes of its VM under the
 * numbers that the guest gave them, with the GPU time that the scheduler has charged them.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "mediator.h"
#include "protocol/vg_atomic.h"
#include "telemetry.h"

/* A device sees its VM; a monitor the processes of its user, root those of all. */
static bool may_see(const struct vg_client *watcher, const struct vg_client *c)
{
    if (watcher->role == VG_ROLE_DEVICE)
        return c->vm == watcher->vm;
    if (watcher->uid != 0 && watcher->uid != c->uid)
        return false;
    if (!watcher->claimed[0])
        return c->role == VG_ROLE_PROCESS;
    return c->vm && strcmp(c->vm->name, watcher->claimed) == 0;
}

static const struct vg_vm *vm_of(const struct vg_client *watcher)
{
    if (watcher->vm || !watcher->claimed[0])
        return watcher->vm;
    return vg_vms_find(&watcher->mediator->vms, watcher->claimed);
}

/* ---- processes ---- */

/* The host's devices that a watcher may see, by their place in its page. */
struct view {
    unsigned count;
    unsigned host[VG_DEVICES_MAX];      /* in the page -> on the host */
    uint32_t own[VG_DEVICES_MAX];       /* on the host -> in the page, NOT_SEEN */
};

#define NOT_SEEN UINT32_MAX

/* Those of its VM's pool that take somebody; of the pool that VMs are in by themselves, for no VM. */
static void view_init(struct view *v, const struct vg_gauges *g, const struct vg_client *watcher)
{
    const struct vg_mediator *m = watcher->mediator;
    const struct vg_vm *vm = vm_of(watcher);
    struct vg_place place;

    vg_gpus_place(m, vm ? vm->grant.pool : m->config.policy.pool, &place);
    v->count = 0;
    for (uint32_t i = 0; i < g->device_count; i++) {
        v->own[i] = NOT_SEEN;
        if (place.mask && !(place.mask >> i & 1))
            continue;
        v->own[i] = v->count;
        v->host[v->count++] = i;
    }
}

/* The first device that an executor has: the one its own books are about. */
static uint32_t first_device(const struct vg_session *s, const struct view *v, uint32_t devices)
{
    unsigned long n = strtoul(s->gpus, NULL, 10);

    return n < devices ? v->own[n] : NOT_SEEN;
}

static void add_process(struct vg_telemetry *page, const struct vg_session *s,
                        const struct vg_gauges_process *g, uint32_t device)
{
    struct vg_telemetry_process *p;

    if (page->process_count == VG_TELEMETRY_PROCESSES)
        return;
    p = &page->process[page->process_count++];
    memset(p, 0, sizeof(*p));
    p->pid = vg_load_relaxed(&s->stats->guest_pid);
    memcpy(p->comm, s->stats->guest_comm, sizeof(p->comm));
    p->comm[sizeof(p->comm) - 1] = '\0';
    p->memory = g ? g->memory : VG_NV_NO_VALUE;
    p->device = device;
    p->sm = s->gpu_percent;
    if (!g)
        return;
    p->memory_busy = g->memory_busy;
    p->encoder = g->encoder;
    p->decoder = g->decoder;
}

/* Where NVML does not know the process, the executor's own books count, for its first device. */
static void use_own_count(struct vg_telemetry *page, unsigned first, const struct vg_session *s,
                          uint32_t device)
{
    for (unsigned i = first; i < page->process_count; i++) {
        if (page->process[i].memory == VG_NV_NO_VALUE && page->process[i].device == device)
            page->process[i].memory = vg_load_relaxed(&s->stats->memory);
    }
}

static void add_session(struct vg_telemetry *page, const struct vg_gauges *g, const struct view *v,
                        const struct vg_session *s)
{
    uint32_t own = first_device(s, v, g->device_count), device;
    unsigned first = page->process_count;

    for (uint32_t i = 0; i < g->process_count; i++) {
        if (g->process[i].pid != (uint32_t)s->pid || g->process[i].device >= g->device_count)
            continue;
        device = v->own[g->process[i].device];
        if (device != NOT_SEEN)
            add_process(page, s, &g->process[i], device);
    }
    if (page->process_count == first && own != NOT_SEEN)
        add_process(page, s, NULL, own);
    use_own_count(page, first, s, own);
}

static void add_processes(struct vg_telemetry *page, const struct vg_gauges *g,
                          const struct view *v, const struct vg_client *watcher)
{
    const struct vg_client *c;

    /* The whole list is written, and the page is used for one watcher after the other. */
    memset(page->process, 0, sizeof(page->process));
    page->process_count = 0;
    vg_list_for_each(c, &watcher->mediator->clients, link) {
        for (unsigned i = 0; i < c->layout.slot_count && may_see(watcher, c); i++) {
            if (c->session[i] && c->session[i]->state == VG_SESSION_SERVING)
                add_session(page, g, v, c->session[i]);
        }
    }
}

/* ---- memory ---- */

static uint64_t used_on(const struct vg_telemetry *page, uint32_t device)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < page->process_count; i++) {
        if (page->process[i].device == device && page->process[i].memory != VG_NV_NO_VALUE)
            used += page->process[i].memory;
    }
    return used;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * free: within what the VM's limit leaves, and no more than the GPU has left. The three
 * parts add up.
 */
static void set_memory(struct vg_telemetry_device *d, uint64_t limit, uint64_t left, uint64_t used)
{
    uint64_t gpu_free = d->memory_free;

    if (limit) {
        d->memory_total = min_u64(d->memory_total, limit);
        gpu_free = min_u64(gpu_free, left);
    }
    d->memory_used = min_u64(used, d->memory_total);
    d->memory_free = min_u64(d->memory_total - d->memory_used, gpu_free);
    d->memory_reserved = d->memory_total - d->memory_used - d->memory_free;
}

/* ---- what connects devices ---- */

/* Columns, too, are the page's own devices: of others a guest learns nothing. */
static void set_fabric(struct vg_telemetry *page, const struct vg_gauges *g, const struct view *v)
{
    for (unsigned i = 0; i < v->count; i++) {
        const struct vg_telemetry_fabric *from = &g->fabric[v->host[i]];
        struct vg_telemetry_fabric *f = &page->fabric[i];

        *f = *from;
        memset(f->peer, 0, sizeof(f->peer));
        for (unsigned k = 0; k < v->count; k++)
            f->peer[k] = from->peer[v->host[k]];
    }
}

/* ---- all ---- */

void vg_telemetry_compose(struct vg_telemetry *page, const struct vg_gauges *g,
                          const struct vg_client *watcher)
{
    const struct vg_vm *vm = vm_of(watcher);
    uint64_t limit = vm ? vm->grant.memory_mib << 20 : 0, claimed = vm ? vg_quota_memory(vm) : 0;
    uint64_t left = claimed < limit ? limit - claimed : 0;
    struct view v;

    view_init(&v, g, watcher);
    page->time = g->time;
    page->cuda_version = g->cuda_version;
    page->software = g->software;
    page->device_count = v.count;
    memcpy(page->driver_version, g->driver_version, sizeof(page->driver_version));
    memcpy(page->nvml_version, g->nvml_version, sizeof(page->nvml_version));
    for (unsigned i = 0; i < v.count; i++)
        page->device[i] = g->device[v.host[i]];
    set_fabric(page, g, &v);
    add_processes(page, g, &v, watcher);
    for (uint32_t i = 0; i < page->device_count; i++)
        set_memory(&page->device[i], limit, left, used_on(page, i));
}

size_t vg_telemetry_length(const struct vg_telemetry *page)
{
    return offsetof(struct vg_telemetry, device) + page->device_count * sizeof(page->device[0]);
}
