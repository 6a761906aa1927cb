/* SPDX-License-Identifier: MIT */
/*
 * What a node is: the host's answers, with pointers that live as long as the node.
 */
#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/callback.h"
#include "guest-shim/fwd.h"
#include "guest-shim/module.h"
#include "guest-shim/node.h"
#include "guest-shim/state.h"
#include "guest-shim/transfer.h"
#include "vg_api.h"

#define WINDOW (128u << 10)     /* bytes: the largest answer */

/* ---- asking ------------------------------------------------------------------- */

static void *copy_of(const void *p, size_t bytes)
{
    void *copy = malloc(bytes + 1);

    if (copy && bytes)
        memcpy(copy, p, bytes);
    return copy;
}

/* Everything is copied out of the window, which goes back. */
static CUresult decode(const struct vg_reply *reply, const uint8_t *window,
                       struct vg_node_facts *f)
{
    struct vg_dec d = {.word = reply->val, .word_max = 4, .payload = window, .len = reply->len};
    size_t extra_bytes, param_bytes;

    f->root = (CUgraph)(uintptr_t)vg_dec_word(&d);
    f->transfer = vg_dec_word(&d) != 0;
    const void *p = vg_dec_struct(&d, sizeof(f->p));
    const void *extra = vg_dec_block(&d, &extra_bytes);
    const void *param = vg_dec_block(&d, &param_bytes);
    if (d.bad || !p)
        return CUDA_ERROR_UNKNOWN;
    memcpy(&f->p, p, sizeof(f->p));
    f->extra_bytes = extra ? extra_bytes : 0;
    f->param_count = param ? param_bytes / (2 * sizeof(*f->param)) : 0;
    f->extra = copy_of(extra, f->extra_bytes);
    f->param = copy_of(param, f->param_count * 2 * sizeof(*f->param));
    return f->extra && f->param ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult ask(uint32_t id, CUgraphNode node, const uint8_t *window, size_t room,
                    struct vg_reply *ret_reply)
{
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, id, 0);

    if (r)
        return r;
    tx.call->flags |= VG_F_BULK;
    tx.call->arg[0] = (uintptr_t)node;
    tx.call->arg[6] = vg_window_off(window);
    tx.call->arg[7] = room;
    return vg_finish(&tx, ret_reply);
}

CUresult vg_node_ask(uint32_t id, CUgraphNode node, struct vg_node_facts *ret_facts)
{
    struct vg_reply reply;
    size_t room;
    uint8_t *window = vg_window_get(WINDOW, WINDOW, &room);

    memset(ret_facts, 0, sizeof(*ret_facts));
    if (!window)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = ask(id, node, window, room, &reply);
    if (!r)
        r = decode(&reply, window, ret_facts);
    vg_window_put(window, room);
    if (r)
        vg_node_facts_fini(ret_facts);
    return r;
}

void vg_node_facts_fini(struct vg_node_facts *facts)
{
    free(facts->extra);
    free(facts->param);
    facts->extra = NULL;
    facts->param = NULL;
}

static CUresult question(uint32_t id, CUgraphNode node, const void *out,
                         struct vg_node_facts *ret_facts)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!node || !out)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_node_ask(id, node, ret_facts);
}

/* ---- kernels -------------------------------------------------------------------- */

/* The list of pointers and behind it what they point to, at the offsets the kernel has. */
static void **list_params(CUgraphNode node, const struct vg_node_facts *f)
{
    size_t list = (f->param_count + 1) * sizeof(void *);
    uint8_t *memory = vg_node_hold(node, f->root, list + f->extra_bytes);

    if (!memory)
        return NULL;
    void **param = (void **)memory;
    memcpy(memory + list, f->extra, f->extra_bytes);
    for (size_t i = 0; i < f->param_count; i++)
        param[i] = memory + list + f->param[2 * i];
    return param;
}

/* A kernel launched by its library's handle: the function that stands for it becomes known. */
static void learn_function(const CUDA_KERNEL_NODE_PARAMS *p)
{
    struct vg_func *kernel = vg_kernel_find(p->kern), *f;
    struct vg_module *m;

    if (!p->func || vg_func_find(p->func) || !kernel || vg_enter_ctx())
        return;
    m = vg_module_of_library(kernel->library);
    if (m)
        (void)!vg_func_of_kernel(kernel, m, (uintptr_t)p->func, &f);
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
    struct vg_node_facts f;
    CUresult r = question(VG_CALL_cuGraphKernelNodeGetParams_v2, hNode, nodeParams, &f);

    if (r)
        return r;
    *nodeParams = f.p.kernel;
    nodeParams->extra = NULL;
    nodeParams->kernelParams = list_params(hNode, &f);
    learn_function(nodeParams);
    vg_node_facts_fini(&f);
    return nodeParams->kernelParams ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuGraphKernelNodeGetParams(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
    CUDA_KERNEL_NODE_PARAMS p;
    CUresult r = cuGraphKernelNodeGetParams_v2(hNode, nodeParams ? &p : NULL);

    if (!r)
        memcpy(nodeParams, &p, sizeof(*nodeParams));
    return r;
}

CUresult cuGraphKernelNodeSetAttribute(VG_PARAMS(cuGraphKernelNodeSetAttribute))
VG_FWD_BODY(cuGraphKernelNodeSetAttribute)

/* ---- the others -------------------------------------------------------------------- */

CUresult cuGraphMemcpyNodeGetParams(CUgraphNode hNode, CUDA_MEMCPY3D *nodeParams)
{
    struct vg_node_facts f;
    CUresult r = question(VG_CALL_cuGraphMemcpyNodeGetParams, hNode, nodeParams, &f);

    if (r)
        return r;
    if (f.transfer)
        *nodeParams = *vg_transfer_copy((uintptr_t)f.p.host.userData);
    else if (!vg_node_noted_copy(hNode, nodeParams))
        *nodeParams = f.p.memcpy.copyParams;
    vg_node_facts_fini(&f);
    return CUDA_SUCCESS;
}

CUresult cuGraphHostNodeGetParams(CUgraphNode hNode, CUDA_HOST_NODE_PARAMS *nodeParams)
{
    struct vg_node_facts f;
    CUresult r = question(VG_CALL_cuGraphHostNodeGetParams, hNode, nodeParams, &f);

    if (r)
        return r;
    vg_callback_of((uintptr_t)f.p.host.userData, &nodeParams->fn, &nodeParams->userData);
    vg_node_facts_fini(&f);
    return CUDA_SUCCESS;
}

CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode hNode,
                                        CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams_out)
{
    struct vg_node_facts f;
    CUresult r = question(VG_CALL_cuGraphBatchMemOpNodeGetParams, hNode, nodeParams_out, &f);

    if (r)
        return r;
    void *ops = vg_node_hold(hNode, f.root, f.extra_bytes);
    if (ops) {
        memcpy(ops, f.extra, f.extra_bytes);
        memcpy(nodeParams_out, &f.p.memOp, sizeof(*nodeParams_out));
        nodeParams_out->paramArray = ops;
    }
    vg_node_facts_fini(&f);
    return ops ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode hNode, CUDA_MEM_ALLOC_NODE_PARAMS *params_out)
{
    struct vg_node_facts f;
    CUresult r = question(VG_CALL_cuGraphMemAllocNodeGetParams, hNode, params_out, &f);

    if (r)
        return r;
    void *descs = vg_node_hold(hNode, f.root, f.extra_bytes);
    if (descs) {
        memcpy(descs, f.extra, f.extra_bytes);
        memcpy(params_out, &f.p.alloc, sizeof(*params_out));
        params_out->accessDescs = f.extra_bytes ? descs : NULL;
    }
    vg_node_facts_fini(&f);
    return descs ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
