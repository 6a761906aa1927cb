/* SPDX-License-Identifier: MIT */
/*
 * Bodies: what nodes of graphs are. All parameters of a node are answered alike, by
 * a BULK reply: word graph that the node belongs to in the end, word 1 if it is a
 * transfer, block CUgraphNodeParams without pointers, block what they named, block of
 * offset and size (uint32_t each) per kernel parameter. Serve thread.
 */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/node.h"

struct answer {
    CUgraphNode node;
    CUgraphNodeParams p;
    const void *extra;
    size_t extra_bytes;
    uint32_t *param;            /* pairs of offset and size */
    size_t param_count;
    bool transfer;
};

/* ---- Kernels: their parameters, packed anew ---- */

#define PARAMS_LISTED_MAX 4096u

static CUresult param_info(struct vg_exec *x, const CUDA_KERNEL_NODE_PARAMS *k, size_t i,
                           size_t *ret_offset, size_t *ret_size)
{
    return k->func ? x->cuda.cuFuncGetParamInfo(k->func, i, ret_offset, ret_size)
                   : x->cuda.cuKernelGetParamInfo(k->kern, i, ret_offset, ret_size);
}

/* Fills a->param; *ret_bytes: what the parameters take together. */
static void list_params(struct vg_exec *x, struct answer *a, size_t *ret_bytes)
{
    size_t offset, size, end = 0, i = 0;

    while (i < PARAMS_LISTED_MAX &&
           param_info(x, &a->p.kernel, i, &offset, &size) == CUDA_SUCCESS) {
        if (offset + size > VG_PARAMS_MAX)
            break;
        a->param[2 * i] = (uint32_t)offset;
        a->param[2 * i + 1] = (uint32_t)size;
        end = offset + size > end ? offset + size : end;
        i++;
    }
    a->param_count = i;
    *ret_bytes = end;
}

/* The driver keeps them as a list or as one buffer, as they were given. */
static void pack_params(const struct answer *a, uint8_t *to, size_t bytes)
{
    void **extra = a->p.kernel.extra;

    if (a->p.kernel.kernelParams) {
        for (size_t i = 0; i < a->param_count; i++)
            memcpy(to + a->param[2 * i], a->p.kernel.kernelParams[i], a->param[2 * i + 1]);
        return;
    }
    const void *from = NULL;
    size_t size = 0;
    for (; extra && extra[0] != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            from = extra[1];
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            size = *(const size_t *)extra[1];
    }
    if (from)
        memcpy(to, from, size < bytes ? size : bytes);
}

/* The driver may name a function that stands for a kernel and that nobody asked for yet. */
static void own_function(struct vg_exec *x, CUfunction f, size_t bytes)
{
    CUmodule m = NULL;

    if (!f || vg_obj_find(&x->obj, VG_OBJ_CUfunction, (uintptr_t)f) ||
        vg_obj_find(&x->obj, VG_OBJ_CUkernel, (uintptr_t)f))
        return;
    x->cuda.cuFuncGetModule(&m, f);
    bool known = vg_obj_find(&x->obj, VG_OBJ_CUmodule, (uintptr_t)m) != NULL;
    vg_own_add(x, VG_OBJ_CUfunction, (uintptr_t)f, known ? (uintptr_t)m : (uintptr_t)x->home,
               (uint32_t)bytes);
}

static CUresult get_kernel(struct vg_exec *x, struct answer *a)
{
    CUresult rc = x->cuda.cuGraphKernelNodeGetParams_v2(a->node, &a->p.kernel);
    size_t bytes;

    if (rc != CUDA_SUCCESS)
        return rc;
    a->param = malloc(PARAMS_LISTED_MAX * 2 * sizeof(*a->param));
    uint8_t *packed = calloc(1, VG_PARAMS_MAX);
    a->extra = packed;
    if (!a->param || !packed)
        return CUDA_ERROR_OUT_OF_MEMORY;
    list_params(x, a, &bytes);
    pack_params(a, packed, bytes);
    a->extra_bytes = bytes;
    own_function(x, a->p.kernel.func, bytes);
    a->p.kernel.kernelParams = a->p.kernel.extra = NULL;
    return CUDA_SUCCESS;
}

/* ---- The others ---- */

static CUresult get_memcpy(struct vg_exec *x, struct answer *a)
{
    struct vg_callback *cb = vg_node_callback(x, a->node);

    if (!cb || !cb->transfer)
        return x->cuda.cuGraphMemcpyNodeGetParams(a->node, &a->p.memcpy.copyParams);
    a->transfer = true;
    a->p.host.userData = (void *)(uintptr_t)cb->cookie;
    return CUDA_SUCCESS;
}

static CUresult get_host(struct vg_exec *x, struct answer *a)
{
    struct vg_callback *cb = vg_node_callback(x, a->node);

    if (!cb || cb->transfer)
        return CUDA_ERROR_INVALID_VALUE;
    a->p.host.userData = (void *)(uintptr_t)cb->cookie;
    return CUDA_SUCCESS;
}

static CUresult get_memops(struct vg_exec *x, struct answer *a)
{
    CUDA_BATCH_MEM_OP_NODE_PARAMS b;
    CUresult rc = x->cuda.cuGraphBatchMemOpNodeGetParams(a->node, &b);

    if (rc != CUDA_SUCCESS)
        return rc;
    a->extra_bytes = b.count * sizeof(b.paramArray[0]);
    void *copy = malloc(a->extra_bytes + 1);
    a->extra = copy;
    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, b.paramArray, a->extra_bytes);
    a->p.memOp.ctx = b.ctx;
    a->p.memOp.count = b.count;
    a->p.memOp.flags = b.flags;
    return CUDA_SUCCESS;
}

static CUresult get_alloc(struct vg_exec *x, struct answer *a)
{
    CUDA_MEM_ALLOC_NODE_PARAMS m;
    CUresult rc = x->cuda.cuGraphMemAllocNodeGetParams(a->node, &m);

    if (rc != CUDA_SUCCESS)
        return rc;
    a->extra_bytes = m.accessDescs ? m.accessDescCount * sizeof(m.accessDescs[0]) : 0;
    void *copy = malloc(a->extra_bytes + 1);
    a->extra = copy;
    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (a->extra_bytes)
        memcpy(copy, m.accessDescs, a->extra_bytes);
    m.accessDescs = NULL;
    memcpy(&a->p.alloc, &m, sizeof(m));
    return CUDA_SUCCESS;
}

/* ---- The frame ---- */

static CUresult begin_get(struct vg_exec *x, struct vg_req *r, struct answer *a)
{
    memset(a, 0, sizeof(*a));
    a->node = (CUgraphNode)(uintptr_t)vg_dec_word(&r->dec);
    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    return a->node ? vg_own_handle(x, VG_OBJ_CUgraphNode, (uintptr_t)a->node)
                   : CUDA_ERROR_INVALID_VALUE;
}

static CUresult end_get(struct vg_exec *x, struct vg_req *r, struct answer *a, CUresult rc)
{
    if (rc == CUDA_SUCCESS) {
        vg_enc_word(&r->enc, vg_node_root(x, a->node));
        vg_enc_word(&r->enc, a->transfer);
        vg_enc_block(&r->enc, &a->p, sizeof(a->p));
        vg_enc_block(&r->enc, a->extra, a->extra_bytes);
        vg_enc_block(&r->enc, a->param, a->param_count * 2 * sizeof(*a->param));
        if (r->enc.overflow)
            rc = CUDA_ERROR_INVALID_VALUE;
    }
    free((void *)(uintptr_t)a->extra);
    free(a->param);
    return rc;
}

#define GET_BODY(symbol, get)                                                                      \
    CUresult vg_do_##symbol(struct vg_exec *x, struct vg_req *r)                                   \
    {                                                                                              \
        struct answer a;                                                                           \
        CUresult rc = begin_get(x, r, &a);                                                         \
                                                                                                   \
        return rc ? rc : end_get(x, r, &a, get(x, &a));                                            \
    }

GET_BODY(cuGraphKernelNodeGetParams_v2, get_kernel)
GET_BODY(cuGraphMemcpyNodeGetParams, get_memcpy)
GET_BODY(cuGraphHostNodeGetParams, get_host)
GET_BODY(cuGraphBatchMemOpNodeGetParams, get_memops)
GET_BODY(cuGraphMemAllocNodeGetParams, get_alloc)

/* ---- Types, attributes, inner graphs ---- */

CUresult vg_do_cuGraphNodeGetType(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuGraphNodeGetType *a)
{
    CUresult rc = x->cuda.cuGraphNodeGetType(a->hNode, a->has_type ? &a->type : NULL);

    (void)r;
    if (rc != CUDA_SUCCESS || a->type != CU_GRAPH_NODE_TYPE_HOST)
        return rc;
    const struct vg_callback *cb = vg_node_callback(x, a->hNode);
    if (cb && cb->transfer)
        a->type = CU_GRAPH_NODE_TYPE_MEMCPY;
    return CUDA_SUCCESS;
}

CUresult vg_do_cuGraphChildGraphNodeGetGraph(struct vg_exec *x, struct vg_req *r,
                                             struct vg_args_cuGraphChildGraphNodeGetGraph *a)
{
    CUresult rc =
        x->cuda.cuGraphChildGraphNodeGetGraph(a->hNode, a->has_phGraph ? &a->phGraph : NULL);
    struct vg_obj *node = vg_obj_find(&x->obj, VG_OBJ_CUgraphNode, (uintptr_t)a->hNode);

    (void)r;
    if (rc != CUDA_SUCCESS || !node)
        return rc;
    node->info |= VG_GRAPH_INNER;
    if (vg_obj_find(&x->obj, VG_OBJ_CUgraph, (uintptr_t)a->phGraph))
        return CUDA_SUCCESS;
    return vg_own_add(x, VG_OBJ_CUgraph, (uintptr_t)a->phGraph, (uintptr_t)a->hNode,
                      VG_GRAPH_INNER);
}

/* Only what is known is set: another attribute might hold a pointer. */
CUresult vg_do_cuGraphKernelNodeSetAttribute(struct vg_exec *x, struct vg_req *r,
                                             struct vg_args_cuGraphKernelNodeSetAttribute *a)
{
    CUlaunchAttribute attribute = {.id = a->attr};

    (void)r;
    if (!a->value)
        return CUDA_ERROR_INVALID_VALUE;
    attribute.value = *a->value;
    CUresult rc = vg_attribute_check(x, &attribute);
    return rc ? rc : x->cuda.cuGraphKernelNodeSetAttribute(a->hNode, a->attr, a->value);
}
