/* SPDX-License-Identifier: MIT */
/* States of GPUs and what they do to pools, see gpus.h. */
#include "gpus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mediator.h"
#include "mediator/base/log.h"

/* ---- states ---- */

static struct vg_gpu *known(struct vg_gpus *g, const char *name)
{
    for (unsigned i = 0; i < g->count; i++) {
        if (strcmp(g->gpu[i].name, name) == 0)
            return &g->gpu[i];
    }
    return NULL;
}

struct vg_gpu *vg_gpus_find(struct vg_gpus *g, const char *name)
{
    struct vg_gpu *gpu = known(g, name);

    if (gpu || g->count == VG_GPUS_MAX)
        return gpu;
    gpu = &g->gpu[g->count++];
    memset(gpu, 0, sizeof(*gpu));
    snprintf(gpu->name, sizeof(gpu->name), "%s", name);
    gpu->index = -1;
    return gpu;
}

int vg_gpu_clear(struct vg_mediator *m, const char *name, char *why, size_t why_cap)
{
    struct vg_gpu *gpu = known(&m->health.gpus, name);
    struct vg_gpu before;
    int rc;

    if (!gpu || gpu->state == VG_GPU_OK) {
        snprintf(why, why_cap, "GPU \"%.32s\" is not held back; \"vgpu-admin show-health\" shows all",
                 name);
        return -EINVAL;
    }
    before = *gpu;
    gpu->state = VG_GPU_OK;
    gpu->since = (int64_t)time(NULL);
    rc = vg_health_save(m);
    if (rc < 0) {
        *gpu = before;
        snprintf(why, why_cap, "cannot write %.100s/health.json: %s", m->config.state_dir,
                 strerror(-rc));
        return rc;
    }
    vg_event(m, VG_EVENT_GPU_WELL, NULL, "gpu=%s was=%s xid=%u", gpu->name,
             vg_gpu_state_name(before.state), before.xid);
    vg_pool_refresh(m);
    return 0;
}

json_object *vg_gpus_to(const struct vg_gpus *g)
{
    json_object *list = json_object_new_array();

    for (unsigned i = 0; i < g->count; i++) {
        const struct vg_gpu *gpu = &g->gpu[i];
        json_object *o = json_object_new_object();

        json_object_object_add(o, "gpu", json_object_new_string(gpu->name));
        json_object_object_add(o, "index", json_object_new_int(gpu->index));
        json_object_object_add(o, "state", json_object_new_string(vg_gpu_state_name(gpu->state)));
        json_object_object_add(o, "xid", json_object_new_int64(gpu->xid));
        json_object_object_add(o, "text", json_object_new_string(vg_xid_meaning(gpu->xid)));
        json_object_object_add(o, "xids", json_object_new_int64((int64_t)gpu->xids));
        json_object_object_add(o, "since", json_object_new_int64(gpu->since));
        json_object_array_add(list, o);
    }
    return list;
}

/* ---- what is said ---- */

static struct vg_session *session_of(struct vg_mediator *m, pid_t pid)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; pid && i < c->layout.slot_count; i++) {
            if (c->session[i] && vg_session_is_live(c->session[i]) && c->session[i]->pid == pid)
                return c->session[i];
        }
    }
    return NULL;
}

static void worsen(struct vg_mediator *m, struct vg_gpu *gpu, const struct vg_xid *x,
                   enum vg_xid_class class)
{
    enum vg_gpu_state next = vg_xid_state(gpu->state, class);

    gpu->xids++;
    if (next == gpu->state)
        return;
    gpu->state = next;
    gpu->xid = x->number;
    gpu->since = (int64_t)time(NULL);
    vg_event(m, VG_EVENT_GPU_SICK, NULL, "gpu=%s state=%s xid=%u meaning=\"%s\"", gpu->name,
             vg_gpu_state_name(next), x->number, vg_xid_meaning(x->number));
    vg_health_gpu_changed(m);
    vg_pool_refresh(m);
}

/* True if the other source has said this already: it is one happening. Else it is noted. */
static bool is_known_already(struct vg_gpu *gpu, unsigned xid, enum vg_xid_source by)
{
    uint64_t now = vg_now();

    for (unsigned i = 0; i < VG_GPU_RECENT; i++) {
        if (gpu->recent[i].xid != xid || gpu->recent[i].by == by ||
            now - gpu->recent[i].at > VG_GPU_TWICE_S * VG_NS_PER_S)
            continue;
        gpu->recent[i].xid = 0;
        return true;
    }
    gpu->recent[gpu->next].xid = xid;
    gpu->recent[gpu->next].by = by;
    gpu->recent[gpu->next].at = now;
    gpu->next = (gpu->next + 1) % VG_GPU_RECENT;
    return false;
}

/* Its context is dead, by no guest's doing. NVML names no process, so this is the log's part. */
static void end_blameless(struct vg_session *s)
{
    s->blameless = true;
    vg_session_stop(s, VG_GONE_CRASHED);
}

void vg_gpus_xid(struct vg_mediator *m, const struct vg_xid *x, enum vg_xid_source by)
{
    enum vg_xid_class class = vg_xid_class(x->number);
    struct vg_session *s = session_of(m, x->pid);
    struct vg_gpu *gpu = vg_gpus_find(&m->health.gpus, x->gpu);
    bool again = gpu && is_known_already(gpu, x->number, by);

    vg_log(class == VG_XID_NOTE || again ? VG_LOG_INFO : VG_LOG_WARNING, "xid",
           "gpu=%s xid=%u by=%s again=%s vm=%s pid=%d meaning=\"%s\" text=\"%s\"", x->gpu, x->number,
           by == VG_XID_BY_NVML ? "nvml" : "kernel", again ? "yes" : "no",
           s ? s->client->vm->name : "-", (int)x->pid, vg_xid_meaning(x->number), x->text);
    if (gpu && !again)
        worsen(m, gpu, x, class);
    if (s && class == VG_XID_MEMORY)
        end_blameless(s);
}

/* ---- whose they are ---- */

void vg_gpus_name(struct vg_mediator *m, const char *name, unsigned index)
{
    struct vg_gpu *gpu = vg_gpus_find(&m->health.gpus, name);

    if (gpu && index < VG_PLACE_GPUS)
        gpu->index = (int)index;
}

/* A GPU of which nobody knows the number may be any. */
static bool is_in(const struct vg_gpu *gpu, uint64_t mask)
{
    return mask == 0 || gpu->index < 0 || (mask >> gpu->index & 1);
}

static const struct vg_gpu *sick_in(const struct vg_gpus *g, uint64_t mask)
{
    for (unsigned i = 0; i < g->count; i++) {
        if (g->gpu[i].state != VG_GPU_OK && is_in(&g->gpu[i], mask))
            return &g->gpu[i];
    }
    return NULL;
}

/* Bits of those that are well, of all. False: a sick one has no number. */
static bool well_mask(const struct vg_gpus *g, uint64_t *ret_all, uint64_t *ret_well)
{
    *ret_all = *ret_well = 0;
    for (unsigned i = 0; i < g->count; i++) {
        const struct vg_gpu *gpu = &g->gpu[i];

        if (gpu->index < 0 && gpu->state != VG_GPU_OK)
            return false;
        if (gpu->index < 0)
            continue;
        *ret_all |= 1ull << gpu->index;
        if (gpu->state == VG_GPU_OK)
            *ret_well |= 1ull << gpu->index;
    }
    return true;
}

const struct vg_gpu *vg_gpus_place(const struct vg_mediator *m, const char *pool,
                                   struct vg_place *ret_place)
{
    const struct vg_gpus *g = &m->health.gpus;
    uint64_t all, well;

    *ret_place = vg_place_of(&m->config.places, pool);
    if (!sick_in(g, ret_place->mask))
        return NULL;
    if (!well_mask(g, &all, &well))
        return sick_in(g, 0);
    if (ret_place->mask)
        well = ret_place->mask & (well | ~all);
    if (!well)
        return sick_in(g, ret_place->mask);
    vg_place_set_mask(ret_place, well);
    return NULL;
}

bool vg_gpus_ail(const struct vg_mediator *m, const struct vg_vm *vm)
{
    struct vg_place place = vg_place_of(&m->config.places, vm->grant.pool);

    return sick_in(&m->health.gpus, place.mask) != NULL;
}
