/* SPDX-License-Identifier: MIT */
/* Encoding and sending of node descriptions; see node.h. */
#include "guest-shim/node.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/callback.h"
#include "guest-shim/fwd.h"
#include "guest-shim/launch_pack.h"
#include "guest-shim/state.h"
#include "guest-shim/transfer.h"
#include "vg_api.h"

#define DEPS_AT_ONCE 256u       /* what one record carries; the others follow as edges */

/* A description ready to be sent. */
struct wire {
    uint32_t id;
    CUgraphNodeParams p;
    const void *extra;
    size_t extra_bytes;
    void *owned;                /* to be freed: packed parameters */
    uint64_t cookie;            /* made for this call: dropped if the host refuses */
    bool transfer;
    bool moved;                 /* the copy's host addresses were replaced by the region's */
};

/* ---- kernels ------------------------------------------------------------------ */

static CUresult pack_list(struct wire *w, const struct vg_func *f, void *const *params)
{
    size_t padded = (f->param_bytes + 7u) & ~(size_t)7;

    if (f->param_count == VG_PARAMS_UNKNOWN)
        return vg_unsupported("a node of a kernel whose parameters the host cannot describe");
    if (f->param_count && !params)
        return CUDA_ERROR_INVALID_VALUE;
    w->owned = malloc(padded + 8);
    if (!w->owned)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_launch_pack(f->param, f->param_count, params, w->owned, padded);
    w->extra = w->owned;
    w->extra_bytes = f->param_bytes;
    return CUDA_SUCCESS;
}

/* As in a launch, fewer bytes than the function takes will do: the rest is sent as zeros. */
static CUresult pack_extra(struct wire *w, const struct vg_func *f, void *const *extra)
{
    CUresult r = vg_launch_extra(extra, &w->extra, &w->extra_bytes);

    if (r || w->extra_bytes >= f->param_bytes)
        return r;
    if (!w->extra)
        return CUDA_ERROR_INVALID_VALUE;
    w->owned = calloc(1, f->param_bytes);
    if (!w->owned)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(w->owned, w->extra, w->extra_bytes);
    w->extra = w->owned;
    w->extra_bytes = f->param_bytes;
    return CUDA_SUCCESS;
}

/* A function nobody knows goes to the host as it is, which has the error for it. */
static CUresult prepare_kernel(struct wire *w)
{
    CUDA_KERNEL_NODE_PARAMS *k = &w->p.kernel;
    const struct vg_func *f = vg_func_find(k->func ? k->func : (CUfunction)k->kern);
    void **params = k->kernelParams, **extra = k->extra;

    k->kernelParams = k->extra = NULL;
    if (!f)
        return CUDA_SUCCESS;
    if (params && extra && extra[0] != CU_LAUNCH_PARAM_END)
        return CUDA_ERROR_INVALID_VALUE;
    if (params || !extra)
        return pack_list(w, f, params);
    return pack_extra(w, f, extra);
}

/* ---- the other types ------------------------------------------------------------ */

static CUresult prepare_host(struct wire *w)
{
    if (!w->p.host.fn)
        return CUDA_ERROR_INVALID_VALUE;
    w->cookie = vg_callback_new(w->p.host.fn, w->p.host.userData);
    w->p.host.fn = NULL;
    w->p.host.userData = (void *)(uintptr_t)w->cookie;
    return w->cookie ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult prepare_memops(struct wire *w)
{
    CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *b = &w->p.memOp;

    if (!b->paramArray || !b->count || b->count > VG_PAYLOAD_MAX / 2 / sizeof(*b->paramArray))
        return CUDA_ERROR_INVALID_VALUE;
    w->extra = b->paramArray;
    w->extra_bytes = b->count * sizeof(*b->paramArray);
    b->paramArray = NULL;
    return CUDA_SUCCESS;
}

static CUresult prepare_alloc(struct wire *w)
{
    CUDA_MEM_ALLOC_NODE_PARAMS_v2 *a = &w->p.alloc;

    if (a->accessDescCount > VG_DEVICES_MAX || (a->accessDescCount && !a->accessDescs))
        return CUDA_ERROR_INVALID_VALUE;
    w->extra = a->accessDescCount ? a->accessDescs : NULL;
    w->extra_bytes = a->accessDescCount * sizeof(*a->accessDescs);
    a->accessDescs = NULL;
    return CUDA_SUCCESS;
}

static CUresult prepare(struct wire *w, uint32_t id, const CUgraphNodeParams *p)
{
    *w = (struct wire){.id = id, .p = *p};
    switch (p->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return prepare_kernel(w);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return vg_transfer_place(&w->p.memcpy.copyParams, &w->moved, &w->transfer);
    case CU_GRAPH_NODE_TYPE_HOST:
        return prepare_host(w);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return prepare_memops(w);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return prepare_alloc(w);
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        w->p.conditional.phGraph_out = NULL;
        return CUDA_SUCCESS;
    default:
        return CUDA_SUCCESS;
    }
}

static void finish(struct wire *w, CUresult r)
{
    free(w->owned);
    if (r && w->cookie)
        (w->transfer ? vg_transfer_drop : vg_callback_drop)(w->cookie);
}

/* ---- sending --------------------------------------------------------------------- */

static size_t block_size(size_t bytes)
{
    return 16 + vg_fwd_up8(bytes);
}

static size_t description_size(const struct wire *w)
{
    return block_size(sizeof(w->p)) + block_size(w->extra_bytes) + 16;
}

static void encode_description(struct vg_enc *e, const struct wire *w)
{
    vg_enc_block(e, &w->p, sizeof(w->p));
    vg_enc_block(e, w->extra, w->extra_bytes);
    vg_enc_word(e, w->transfer);
}

static CUresult send(struct vg_tx *tx, struct vg_enc *e, struct vg_reply *ret_reply)
{
    if (vg_tx_encoded(tx, e))
        return vg_finish(tx, ret_reply);
    vg_drop(tx);
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult send_add(const struct wire *w, const struct vg_node_place *at, size_t count,
                         struct vg_reply *ret_reply)
{
    size_t deps = count * sizeof(*at->deps), edges = at->edges ? count * sizeof(*at->edges) : 0;
    struct vg_tx tx;
    struct vg_enc e;
    CUresult r = vg_begin_quiet(&tx, w->id,
                                32 + block_size(deps) + block_size(edges) + description_size(w));

    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, (uintptr_t)at->graph);
    vg_enc_block(&e, count ? at->deps : NULL, deps);
    vg_enc_block(&e, count ? at->edges : NULL, edges);
    vg_enc_word(&e, count);
    encode_description(&e, w);
    return send(&tx, &e, ret_reply);
}

/* Quietly, as adding: who hears of an error of before would free what the host has taken. */
static CUresult send_set(const struct wire *w, CUgraphExec exec, CUgraphNode node)
{
    struct vg_tx tx;
    struct vg_enc e;
    CUresult r = vg_begin_quiet(&tx, w->id, 32 + description_size(w));

    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    if (exec)
        vg_enc_word(&e, (uintptr_t)exec);
    vg_enc_word(&e, (uintptr_t)node);
    encode_description(&e, w);
    return send(&tx, &e, NULL);
}

/* ---- adding ------------------------------------------------------------------------ */

/* What did not fit the record. A refusal takes the node back: it is all or nothing. */
static CUresult add_rest(CUgraphNode node, const struct vg_node_place *at)
{
    CUresult r = CUDA_SUCCESS;

    for (size_t i = DEPS_AT_ONCE; i < at->count && !r; i++)
        r = cuGraphAddDependencies_v2(at->graph, &at->deps[i], &node,
                                      at->edges ? &at->edges[i] : NULL, 1);
    if (r)
        cuGraphDestroyNode(node);
    return r;
}

static CUresult note_branches(CUgraphNode node, CUgraphNodeParams *p, struct vg_reply *reply)
{
    size_t bytes = p->conditional.size * sizeof(CUgraph), len;
    struct vg_dec d;

    vg_reply_decoder(reply, &d);
    for (int i = 0; i < 3; i++)
        vg_dec_word(&d);
    const void *graphs = vg_dec_block(&d, &len);
    void *list = vg_node_hold(node, (CUgraph)(uintptr_t)reply->val[2], bytes);
    if (!list || !graphs || len != bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p->conditional.phGraph_out = memcpy(list, graphs, bytes);
    return CUDA_SUCCESS;
}

static CUresult keep(const struct wire *w, CUgraphNodeParams *p, struct vg_reply *reply)
{
    CUgraphNode node = (CUgraphNode)(uintptr_t)reply->val[0];

    if (p->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
        return note_branches(node, p, reply);
    if (w->moved)
        vg_node_note_copy(node, (CUgraph)(uintptr_t)reply->val[2], &p->memcpy.copyParams);
    if (p->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC)
        return CUDA_SUCCESS;
    p->alloc.dptr = reply->val[1];
    return vg_graph_memory_add(reply->val[1], p->alloc.bytesize, p->alloc.poolProps.location.id);
}

CUresult vg_node_add(uint32_t id, CUgraphNode *ret_node, const struct vg_node_place *place,
                     CUgraphNodeParams *p)
{
    size_t first = place->count < DEPS_AT_ONCE ? place->count : DEPS_AT_ONCE;
    struct vg_reply reply;
    struct wire w;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!ret_node || (place->count && !place->deps))
        return CUDA_ERROR_INVALID_VALUE;
    r = prepare(&w, id, p);
    if (!r && w.transfer)
        r = vg_transfer_describe(&w.p, &p->memcpy, &w.cookie);
    if (!r && w.transfer && id == VG_CALL_cuGraphAddMemcpyNode)
        w.id = VG_CALL_cuGraphAddHostNode;
    if (!r)
        r = send_add(&w, place, first, &reply);
    finish(&w, r);
    if (!r && place->count > first)
        r = add_rest((CUgraphNode)(uintptr_t)reply.val[0], place);
    if (!r)
        r = keep(&w, p, &reply);
    if (!r)
        *ret_node = (CUgraphNode)(uintptr_t)reply.val[0];
    return r;
}

/* ---- changing ------------------------------------------------------------------------ */

/* A node that was made a transfer stays one: it can carry any copy. */
static CUresult make_transfer(struct wire *w, CUgraphNode node, const CUgraphNodeParams *p)
{
    if (w->p.type != CU_GRAPH_NODE_TYPE_MEMCPY)
        return CUDA_SUCCESS;
    bool is_one = vg_transfer_is(node);
    if (w->transfer && !is_one)
        return vg_unsupported("a copy node changed to ordinary host memory");
    w->transfer = is_one;
    if (!is_one)
        return CUDA_SUCCESS;
    w->moved = false;
    return vg_transfer_describe(&w->p, &p->memcpy, &w->cookie);
}

static uint32_t id_of_transfer(uint32_t id)
{
    if (id == VG_CALL_cuGraphMemcpyNodeSetParams)
        return VG_CALL_cuGraphHostNodeSetParams;
    return id == VG_CALL_cuGraphExecMemcpyNodeSetParams ? VG_CALL_cuGraphExecHostNodeSetParams : id;
}

/* The note about a copy follows the node, not what executable graphs make of it. */
static void renew_copy(const struct wire *w, CUgraphNode node, const CUgraphNodeParams *p)
{
    if (w->moved)
        vg_node_note_copy(node, NULL, &p->memcpy.copyParams);
    else if (p->type == CU_GRAPH_NODE_TYPE_MEMCPY)
        vg_node_drop_copy(node);
}

/* A copy that is switched off is sent when it is switched on (node_switch.c). */
CUresult vg_node_set(uint32_t id, CUgraphExec exec, CUgraphNode node, const CUgraphNodeParams *p)
{
    struct wire w;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!node)
        return CUDA_ERROR_INVALID_VALUE;
    r = prepare(&w, id, p);
    if (!r)
        r = make_transfer(&w, node, p);
    if (!r && w.transfer)
        w.id = id_of_transfer(id);
    bool later = !r && w.transfer && exec && vg_switch_is_off(exec, node);
    if (!r && !later)
        r = send_set(&w, exec, node);
    finish(&w, later ? CUDA_ERROR_NOT_READY : r);
    if (!r && w.transfer && exec)
        vg_switch_set(exec, node, &p->memcpy);
    if (!r && w.transfer && !exec)
        vg_switch_changed(node);
    if (!r && !exec)
        renew_copy(&w, node, p);
    return r;
}
