/* SPDX-License-Identifier: MIT */
/*
 * Occupancy: each question crosses once, since libraries ask the same before every
 * launch. Answers hang on the function's note and count only for the attributes that
 * they were given for. Any thread.
 */
#include "guest-shim/occupancy.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/lock.h"
#include "vg_api.h"

#define ANSWERS 16u     /* a power of two; a newer answer takes the place of an older one */

enum question { Q_NONE, Q_BLOCKS, Q_DYNAMIC };

struct answer {
    enum question question;
    uint32_t stamp;
    uint64_t a, b;          /* the question's numbers */
    uint64_t value;
};

struct vg_occupancy {
    struct answer answer[ANSWERS];
};

static struct vg_lock lock;

void vg_occupancy_forget(struct vg_func *f)
{
    free(f->occupancy);
    f->occupancy = NULL;
}

/* ---- the cache ------------------------------------------------------------------- */

static struct answer *place(struct vg_occupancy *o, enum question q, uint64_t a, uint64_t b)
{
    uint64_t h = (a * 31 + b * 17 + q) * 0x9e3779b97f4a7c15ull;

    return &o->answer[h >> 60 & (ANSWERS - 1)];
}

/* A kernel's answers depend on the current device: kept only where there is one. */
static bool cacheable(const struct vg_func *f)
{
    return f->kind == VG_IMAGE_MODULE || vg_process.snapshot->device_count == 1;
}

static bool recall(struct vg_func *f, enum question q, uint64_t a, uint64_t b, uint64_t *ret_value)
{
    bool found = false;

    vg_lock(&lock);
    if (f->occupancy) {
        const struct answer *w = place(f->occupancy, q, a, b);
        found = w->question == q && w->a == a && w->b == b && w->stamp == vg_func_stamp(f);
        if (found)
            *ret_value = w->value;
    }
    vg_unlock(&lock);
    return found;
}

static void note(struct vg_func *f, const struct answer *answer)
{
    if (!cacheable(f))
        return;
    vg_lock(&lock);
    if (!f->occupancy)
        f->occupancy = calloc(1, sizeof(*f->occupancy));
    if (f->occupancy)
        *place(f->occupancy, answer->question, answer->a, answer->b) = *answer;
    vg_unlock(&lock);
}

/* ---- questions that cross ----------------------------------------------------------- */

static CUresult ask_blocks(VG_PARAMS(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags))
VG_FWD_BODY(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)

static CUresult ask_dynamic(VG_PARAMS(cuOccupancyAvailableDynamicSMemPerBlock))
VG_FWD_BODY(cuOccupancyAvailableDynamicSMemPerBlock)

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func,
                                                              int blockSize, size_t dynamicSMemSize,
                                                              unsigned flags)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    struct vg_func *f = vg_func_find(func);
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!numBlocks)
        return CUDA_ERROR_INVALID_VALUE;
    struct answer w = {.question = Q_BLOCKS, .stamp = vg_func_stamp(f),
                       .a = (uint32_t)blockSize | (uint64_t)flags << 32, .b = dynamicSMemSize};
    if (!recall(f, w.question, w.a, w.b, &w.value)) {
        int blocks = 0;
        r = ask_blocks(&blocks, func, blockSize, dynamicSMemSize, flags);
        if (r)
            return r;
        w.value = (uint32_t)blocks;
        note(f, &w);
    }
    *numBlocks = (int)w.value;
    return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func, int blockSize,
                                                     size_t dynamicSMemSize)
{
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks, func, blockSize, dynamicSMemSize, CU_OCCUPANCY_DEFAULT);
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, CUfunction func,
                                                 int numBlocks, int blockSize)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    struct vg_func *f = vg_func_find(func);
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!dynamicSmemSize)
        return CUDA_ERROR_INVALID_VALUE;
    struct answer w = {.question = Q_DYNAMIC, .stamp = vg_func_stamp(f),
                       .a = (uint32_t)numBlocks, .b = (uint32_t)blockSize};
    if (!recall(f, w.question, w.a, w.b, &w.value)) {
        size_t bytes = 0;
        r = ask_dynamic(&bytes, func, numBlocks, blockSize);
        if (r)
            return r;
        w.value = bytes;
        note(f, &w);
    }
    *dynamicSmemSize = w.value;
    return CUDA_SUCCESS;
}

/* ---- the block size that keeps most threads busy ------------------------------------ */

struct potential {
    CUfunction func;
    CUoccupancyB2DSize dynamic_of;  /* NULL: always `dynamic` */
    size_t dynamic;
    unsigned flags;
    int best_size, best_blocks;     /* so far; blocks per multiprocessor */
};

static CUresult try_size(struct potential *p, int size)
{
    size_t dynamic = p->dynamic_of ? p->dynamic_of(size) : p->dynamic;
    int blocks;
    CUresult r = cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&blocks, p->func, size,
                                                                      dynamic, p->flags);

    if (!r && blocks * size > p->best_blocks * p->best_size) {
        p->best_blocks = blocks;
        p->best_size = size;
    }
    return r;
}

/* Whole warps, largest first, so that of equals the largest wins; stop when all threads are busy. */
static CUresult search(struct potential *p, int limit, int warp, int threads_per_sm)
{
    int first = (limit + warp - 1) / warp * warp;

    for (int size = first; size > 0; size -= warp) {
        CUresult r = try_size(p, size < limit ? size : limit);
        if (r)
            return r;
        if (p->best_blocks * p->best_size >= threads_per_sm)
            break;
    }
    return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *minGridSize, int *blockSize, CUfunction func,
                                                   CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                                   size_t dynamicSMemSize, int blockSizeLimit,
                                                   unsigned flags)
{
    struct potential p = {func, blockSizeToDynamicSMemSize, dynamicSMemSize, flags, 0, 0};
    int limit;
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!minGridSize || !blockSize)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_func *f = vg_func_find(func);
    r = f ? vg_func_attribute(f, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, vg_func_device(), &limit)
          : CUDA_ERROR_INVALID_HANDLE;
    if (r)
        return r;
    const int32_t *attr = vg_process.snapshot->device[vg_func_device()].attr;
    if (attr[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK] < limit)
        limit = attr[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK];
    if (blockSizeLimit > 0 && blockSizeLimit < limit)
        limit = blockSizeLimit;
    r = search(&p, limit, attr[CU_DEVICE_ATTRIBUTE_WARP_SIZE],
               attr[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR]);
    if (r)
        return r;
    *minGridSize = p.best_blocks * attr[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT];
    *blockSize = p.best_size;
    return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
                                          CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                          size_t dynamicSMemSize, int blockSizeLimit)
{
    if (blockSizeLimit < 0)
        return CUDA_ERROR_INVALID_VALUE;
    return cuOccupancyMaxPotentialBlockSizeWithFlags(minGridSize, blockSize, func,
                                                     blockSizeToDynamicSMemSize, dynamicSMemSize,
                                                     blockSizeLimit, CU_OCCUPANCY_DEFAULT);
}

/* ---- clusters -------------------------------------------------------------------------- */

/* The configuration crosses without its pointer; its attributes follow as a block of their own. */
static CUresult ask_clusters(uint32_t id, int *ret_value, CUfunction func,
                             const CUlaunchConfig *config)
{
    struct vg_reply reply;
    struct vg_tx tx;
    struct vg_enc e;
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!vg_func_find(func))
        return CUDA_ERROR_INVALID_HANDLE;
    if (!ret_value || !config || config->numAttrs > VG_LAUNCH_ATTRS_MAX ||
        (config->numAttrs && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    CUlaunchConfig c = *config;
    size_t attrs = c.numAttrs * sizeof(*c.attrs);
    uint64_t stream;
    r = vg_stream(c.hStream, &stream);
    if (!r)
        r = vg_begin_quiet(&tx, id, sizeof(c) + attrs + 16);
    if (r)
        return r;
    c.hStream = (CUstream)(uintptr_t)stream;
    c.attrs = NULL;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, (uintptr_t)func);
    vg_enc_block(&e, &c, sizeof(c));
    vg_enc_block(&e, config->attrs ? (const void *)config->attrs : "", attrs);
    if (!vg_tx_encoded(&tx, &e)) {
        vg_drop(&tx);
        return CUDA_ERROR_INVALID_VALUE;
    }
    r = vg_finish(&tx, &reply);
    if (!r)
        *ret_value = (int)reply.val[0];
    return r;
}

CUresult cuOccupancyMaxPotentialClusterSize(int *clusterSize, CUfunction func,
                                            const CUlaunchConfig *config)
{
    if (!func)
        return CUDA_ERROR_INVALID_VALUE;
    return ask_clusters(VG_CALL_cuOccupancyMaxPotentialClusterSize, clusterSize, func, config);
}

CUresult cuOccupancyMaxActiveClusters(int *numClusters, CUfunction func, const CUlaunchConfig *config)
{
    return ask_clusters(VG_CALL_cuOccupancyMaxActiveClusters, numClusters, func, config);
}
