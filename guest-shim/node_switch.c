/* SPDX-License-Identifier: MIT */
/*
 * Switching copies of ordinary memory off and on in executable graphs. To the driver such a copy
 * is a host node (transfer.h), which it does not switch; so switched off it is a host node that
 * does nothing, and switched on it is told its copy again. What the copy was is known as long as
 * it was set in this executable graph, or comes from the node as the graph was made of it; else the
 * answer is NOT_SUPPORTED. Any thread.
 */
#include <stdlib.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/handle_map.h"
#include "guest-shim/lock.h"
#include "guest-shim/node.h"
#include "guest-shim/state.h"
#include "guest-shim/transfer.h"
#include "vg_api.h"

/* A copy as it was set in one executable graph. */
struct setting {
    struct setting *next;
    CUgraphNode node;
    CUDA_MEMCPY_NODE_PARAMS copy;
    bool off;
};

struct made {
    struct made *next;
    CUgraphExec exec;
    uint64_t time;              /* of `changes` */
    bool updated;               /* from another graph, which may have had other copies */
    struct setting *settings;
};

static struct vg_lock lock;
static struct made *all;
/*
 * When nodes were changed in their graphs, last: what was made before has the copy of before. The
 * notes are times, which count changes, from 1 on.
 */
static struct vg_handle_map changes;
static uint64_t now;

/* ---- notes ------------------------------------------------------------------------ */

static struct made *find_locked(CUgraphExec exec)
{
    struct made *m = all;

    while (m && m->exec != exec)
        m = m->next;
    return m;
}

static struct setting *setting_locked(CUgraphExec exec, CUgraphNode node)
{
    struct made *m = find_locked(exec);
    struct setting *s = m ? m->settings : NULL;

    while (s && s->node != node)
        s = s->next;
    return s;
}

static void drop_settings_locked(struct made *m)
{
    for (struct setting *s; (s = m->settings) != NULL; free(s))
        m->settings = s->next;
}

void vg_switch_made(CUgraphExec exec)
{
    struct made *m = vg_transfer_any() ? calloc(1, sizeof(*m)) : NULL;

    if (!m)
        return;
    vg_lock(&lock);
    *m = (struct made){.next = all, .exec = exec, .time = now};
    all = m;
    vg_unlock(&lock);
}

void vg_switch_gone(CUgraphExec exec)
{
    vg_lock(&lock);
    for (struct made **p = &all, *m; (m = *p) != NULL;) {
        if (m->exec != exec) {
            p = &m->next;
            continue;
        }
        *p = m->next;
        drop_settings_locked(m);
        free(m);
    }
    if (!all)
        vg_handle_map_fini(&changes); /* they matter to what was made before them only */
    vg_unlock(&lock);
}

bool vg_switch_any_off(CUgraphExec exec)
{
    vg_lock(&lock);
    struct made *m = find_locked(exec);
    struct setting *s = m ? m->settings : NULL;
    while (s && !s->off)
        s = s->next;
    vg_unlock(&lock);
    return s != NULL;
}

void vg_switch_updated(CUgraphExec exec)
{
    vg_lock(&lock);
    struct made *m = find_locked(exec);
    if (m) {
        m->updated = true;
        drop_settings_locked(m);
    }
    vg_unlock(&lock);
}

/* Without memory for the note, no copy of before is known any more. */
void vg_switch_changed(CUgraphNode node)
{
    vg_lock(&lock);
    now++;
    if (all && !vg_handle_map_put(&changes, (uintptr_t)node, (void *)(uintptr_t)now))
        for (struct made *m = all; m; m = m->next)
            m->updated = true;
    vg_unlock(&lock);
}

bool vg_switch_is_off(CUgraphExec exec, CUgraphNode node)
{
    vg_lock(&lock);
    const struct setting *s = setting_locked(exec, node);
    bool off = s && s->off;
    vg_unlock(&lock);
    return off;
}

/* false: no memory, or an executable graph nobody has told of. */
static bool note(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY_NODE_PARAMS *copy, bool off)
{
    struct setting *fresh = calloc(1, sizeof(*fresh));

    vg_lock(&lock);
    struct made *m = find_locked(exec);
    struct setting *s = setting_locked(exec, node);
    if (!s && m && fresh) {
        s = fresh;
        fresh = NULL;
        s->node = node;
        s->next = m->settings;
        m->settings = s;
    }
    if (s) {
        s->copy = *copy;
        s->off = off;
    }
    vg_unlock(&lock);
    free(fresh);
    return s != NULL;
}

void vg_switch_set(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY_NODE_PARAMS *copy)
{
    note(exec, node, copy, vg_switch_is_off(exec, node));
}

/* ---- switching ---------------------------------------------------------------------- */

/* Whether the node itself still says what the executable graph was made with. */
static bool is_as_made(CUgraphExec exec, CUgraphNode node)
{
    vg_lock(&lock);
    const struct made *m = find_locked(exec);
    bool same = m && !m->updated &&
                (uintptr_t)vg_handle_map_find(&changes, (uintptr_t)node) <= m->time;
    vg_unlock(&lock);
    return same;
}

static bool copy_in(CUgraphExec exec, CUgraphNode node, const struct vg_node_facts *f,
                    CUDA_MEMCPY_NODE_PARAMS *ret_copy)
{
    vg_lock(&lock);
    const struct setting *s = setting_locked(exec, node);
    if (s)
        *ret_copy = s->copy;
    vg_unlock(&lock);
    if (s)
        return true;
    if (!is_as_made(exec, node))
        return false;
    vg_transfer_params((uintptr_t)f->p.host.userData, ret_copy);
    return true;
}

static void nothing(void *data)
{
    (void)data;
}

static CUresult turn(CUgraphExec exec, CUgraphNode node, const struct vg_node_facts *f, bool on)
{
    const CUDA_HOST_NODE_PARAMS empty = {nothing, NULL};
    CUDA_MEMCPY_NODE_PARAMS copy;

    if (on == !vg_switch_is_off(exec, node))
        return CUDA_SUCCESS;
    if (!copy_in(exec, node, f, &copy))
        return vg_unsupported("switching a copy of ordinary memory in a graph that was updated");
    if (!on) {
        CUresult r = cuGraphExecHostNodeSetParams(exec, node, &empty);
        return r ? r : note(exec, node, &copy, true) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    }
    note(exec, node, &copy, false);
    CUresult r = cuGraphExecMemcpyNodeSetParams(exec, node, &copy.copyParams, copy.copyCtx);
    if (r)
        note(exec, node, &copy, true);
    return r;
}

static CUresult host_set(VG_PARAMS(cuGraphNodeSetEnabled))
VG_FWD_BODY(cuGraphNodeSetEnabled)

static CUresult host_get(VG_PARAMS(cuGraphNodeGetEnabled))
VG_FWD_BODY(cuGraphNodeGetEnabled)

/* *ret_facts is the caller's to end if true. */
static bool is_transfer(CUgraphExec exec, CUgraphNode node, struct vg_node_facts *ret_facts)
{
    if (!exec || !node || !vg_transfer_any() ||
        vg_node_ask(VG_CALL_cuGraphMemcpyNodeGetParams, node, ret_facts) != CUDA_SUCCESS)
        return false;
    if (!ret_facts->transfer)
        vg_node_facts_fini(ret_facts);
    return ret_facts->transfer;
}

CUresult cuGraphNodeSetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode, unsigned isEnabled)
{
    struct vg_node_facts facts;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!is_transfer(hGraphExec, hNode, &facts))
        return host_set(hGraphExec, hNode, isEnabled);
    r = turn(hGraphExec, hNode, &facts, isEnabled != 0);
    vg_node_facts_fini(&facts);
    return r;
}

CUresult cuGraphNodeGetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode, unsigned *isEnabled)
{
    struct vg_node_facts facts;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!isEnabled || !is_transfer(hGraphExec, hNode, &facts))
        return host_get(hGraphExec, hNode, isEnabled);
    vg_node_facts_fini(&facts);
    *isEnabled = !vg_switch_is_off(hGraphExec, hNode);
    return CUDA_SUCCESS;
}
