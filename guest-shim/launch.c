/* SPDX-License-Identifier: MIT */
/*
 * Kernel launches. The parameters are packed straight into the ring record; nothing
 * comes back. Two kinds wait for the host's verdict (not for the GPU): the first launch
 * of a function with a set of attributes, when the driver loads it and finds whether it
 * can, and one that CUDA should reject by what is known about device and function. So the application learns
 * of errors from the call, as natively, and a capture that one breaks is broken on the
 * host too. What only the host can find later is latched. Any thread.
 */
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/flow.h"
#include "guest-shim/function.h"
#include "guest-shim/known.h"
#include "guest-shim/launch_pack.h"
#include "guest-shim/state.h"
#include "guest-shim/stream.h"
#include "vg_api.h"

/* Everything that is said about one launch. */
struct launch {
    CUfunction f;
    unsigned grid[3], block[3];
    unsigned smem;
    unsigned flags;                 /* VG_LAUNCH_F_* */
    CUstream stream;
    const CUlaunchAttribute *attrs;
    unsigned attr_count;
    void **params;
    void **extra;
};

/* ---- checks -------------------------------------------------------------------- */

static bool dims_fit(const unsigned *d, const int32_t *limit)
{
    for (int i = 0; i < 3; i++)
        if (d[i] - 1 >= (unsigned)limit[i])     /* 0 wraps around */
            return false;
    return true;
}

static bool shape_fits(const struct launch *l, const struct vg_func *f)
{
    const int32_t *attr = vg_process.snapshot->device[vg_tls.ctx->dev].attr;
    uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];

    return dims_fit(l->grid, &attr[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X]) &&
           dims_fit(l->block, &attr[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X]) &&
           threads <= vg_load_relaxed(&f->limits.max_threads) &&
           l->smem <= vg_load_relaxed(&f->limits.max_dynamic);
}

static bool is_cooperative(const struct launch *l)
{
    if (l->flags & VG_LAUNCH_F_COOPERATIVE)
        return true;
    for (unsigned i = 0; i < l->attr_count; i++)
        if (l->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && l->attrs[i].value.cooperative)
            return true;
    return false;
}

/* All blocks of a cooperative launch must be on the GPU at once. */
static bool blocks_fit(const struct launch *l)
{
    const int32_t *attr = vg_process.snapshot->device[vg_tls.ctx->dev].attr;
    unsigned threads = l->block[0] * l->block[1] * l->block[2];
    uint64_t plane = (uint64_t)l->grid[0] * l->grid[1];
    int per_sm;

    if (cuOccupancyMaxActiveBlocksPerMultiprocessor(&per_sm, l->f, (int)threads, l->smem))
        return false;
    uint64_t room = (uint64_t)per_sm * (unsigned)attr[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT];
    return plane <= room && plane * l->grid[2] <= room;
}

/* Bytes that count of an attribute's value; 0: what it names may end before the next launch. */
static size_t value_bytes(CUlaunchAttributeID id)
{
    switch (id) {
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
        return 3 * sizeof(unsigned);
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        return sizeof(unsigned);
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
        return sizeof(CUlaunchMemSyncDomainMap);
    default:
        return 0;
    }
}

/* One number for a set of attributes under the current context; 0: the host must judge each time. */
static uint64_t attributes_key(const struct launch *l)
{
    uint64_t key = (uintptr_t)vg_tls.ctx + vg_tls.ctx->epoch;

    for (unsigned i = 0; i < l->attr_count; i++) {
        uint64_t word[2] = {0};
        size_t bytes = value_bytes(l->attrs[i].id);
        if (bytes == 0)
            return 0;
        memcpy(word, &l->attrs[i].value, bytes);
        key = (key ^ l->attrs[i].id) * 0x9e3779b97f4a7c15u;
        key = (key ^ word[0]) * 0x9e3779b97f4a7c15u;
        key = (key ^ word[1] ^ key >> 32) * 0x9e3779b97f4a7c15u;
    }
    return key | 1;
}

static bool was_accepted(const struct vg_func *f, uint64_t key)
{
    for (unsigned i = 0; key && i < VG_ACCEPTED_SETS; i++)
        if (vg_load_relaxed(&f->accepted[i]) == key)
            return true;
    return false;
}

static void note_accepted(struct vg_func *f, uint64_t key)
{
    if (!key || was_accepted(f, key))
        return;
    for (unsigned i = VG_ACCEPTED_SETS - 1; i > 0; i--)
        vg_store_relaxed(&f->accepted[i], vg_load_relaxed(&f->accepted[i - 1]));
    vg_store_relaxed(&f->accepted[0], key);
}

/* A grid consists of whole clusters. */
static bool clusters_fit(const struct launch *l)
{
    for (unsigned i = 0; i < l->attr_count; i++) {
        const CUlaunchAttributeValue *v = &l->attrs[i].value;
        if (l->attrs[i].id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
            continue;
        if (!v->clusterDim.x || l->grid[0] % v->clusterDim.x || !v->clusterDim.y ||
            l->grid[1] % v->clusterDim.y || !v->clusterDim.z || l->grid[2] % v->clusterDim.z)
            return false;
    }
    return true;
}

/* What a function of another context makes of a foreign stream says nothing about its own. */
static bool is_home(uint64_t stream)
{
    return !stream || vg_known(VG_KNOWN_HOME, stream);
}

/* bytes: of the parameters, which `extra` may give in excess. */
static bool is_doubtful(const struct launch *l, const struct vg_func *f, uint64_t stream,
                        size_t bytes)
{
    return !is_home(stream) || !was_accepted(f, attributes_key(l)) || !shape_fits(l, f) ||
           bytes != f->param_bytes || !clusters_fit(l) || (is_cooperative(l) && !blocks_fit(l));
}

/* ---- parameters ------------------------------------------------------------------ */

/*
 * Which of the two ways, and how many bytes. *ret_bytes NULL: by kernelParams. `extra` may give fewer
 * than the function takes (NCCL does, of a parameter of 4 KiB): the rest is sent as zeros.
 */
static CUresult measure(const struct launch *l, const struct vg_func *f, const void **ret_bytes,
                        size_t *ret_size)
{
    *ret_bytes = NULL;
    *ret_size = f->param_bytes;
    if (l->params && l->extra && l->extra[0] != CU_LAUNCH_PARAM_END)
        return CUDA_ERROR_INVALID_VALUE;
    if (l->extra && !l->params) {
        CUresult r = vg_launch_extra(l->extra, ret_bytes, ret_size);
        return !r && f->param_bytes && !*ret_bytes ? CUDA_ERROR_INVALID_VALUE : r;
    }
    if (VG_UNLIKELY(f->param_count == VG_PARAMS_UNKNOWN))
        return vg_unsupported("a launch of a kernel whose parameters the host cannot describe");
    return f->param_count && !l->params ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* ---- the call --------------------------------------------------------------------- */

static inline uint64_t pair(unsigned low, unsigned high)
{
    return low | (uint64_t)high << 32;
}

static void fill(struct vg_call *call, const struct launch *l, uint64_t stream, size_t bytes)
{
    call->arg[VG_LAUNCH_FUNC] = (uintptr_t)l->f;
    call->arg[VG_LAUNCH_GRID_XY] = pair(l->grid[0], l->grid[1]);
    call->arg[VG_LAUNCH_GRIDZ_BX] = pair(l->grid[2], l->block[0]);
    call->arg[VG_LAUNCH_BLOCK_YZ] = pair(l->block[1], l->block[2]);
    call->arg[VG_LAUNCH_SMEM_FLAGS] = pair(l->smem, l->flags);
    call->arg[VG_LAUNCH_STREAM] = stream;
    call->arg[VG_LAUNCH_SIZES] = pair((unsigned)bytes, l->attr_count);
}

static void write_payload(uint8_t *to, const struct launch *l, const struct vg_func *f,
                          const void *packed, size_t given, size_t bytes)
{
    size_t padded = (bytes + 7) & ~(size_t)7;

    if (packed) {
        memcpy(to, packed, given);
        memset(to + given, 0, padded - given);
    } else {
        vg_launch_pack(f->param, f->param_count, l->params, to, padded);
    }
    if (l->attr_count)
        memcpy(to + padded, l->attrs, l->attr_count * sizeof(*l->attrs));
}

/* ---- launches in a capture ----------------------------------------------------------- */

/*
 * A capture that breaks must be told by the call that breaks it. But of launches one after the other to
 * one stream, if the host has taken the first, it takes the next. So that one is noted: the
 * number of its record and its stream. Any other record in between has the next number.
 */
static uint64_t taken;

static uint64_t taken_by(uint32_t seq, uint64_t stream)
{
    return (uint64_t)seq << 32 | (uint32_t)(stream ^ stream >> 32);
}

/* False for one that must ask; true: post_captured may find that it must after all. */
static bool may_follow(uint64_t stream)
{
    return stream > (uintptr_t)CU_STREAM_PER_THREAD &&
           (uint32_t)vg_load_relaxed(&taken) == (uint32_t)taken_by(0, stream);
}

/* The caller holds the ring, so the number is the last one. */
static CUresult post_captured(struct vg_tx *tx, uint64_t stream)
{
    bool follows = vg_load_relaxed(&taken) == taken_by(tx->seq - 1, stream);

    vg_store_relaxed(&taken, follows ? taken_by(tx->seq, stream) : 0);
    return follows ? vg_post_trusted(tx) : vg_post(tx);
}

/* ---- sending --------------------------------------------------------------------------- */

static CUresult post(struct vg_tx *tx, uint64_t stream)
{
    if (VG_UNLIKELY(vg_capture_possible()))
        return post_captured(tx, stream);
    return vg_flow_gave(stream, 1, vg_post(tx));
}

static CUresult send(const struct launch *l, struct vg_func *f, uint64_t stream)
{
    const void *packed;
    size_t given;
    struct vg_tx tx;
    CUresult r = measure(l, f, &packed, &given);

    if (VG_UNLIKELY(r))
        return r;
    size_t bytes = given < f->param_bytes ? f->param_bytes : given;
    bool doubtful = is_doubtful(l, f, stream, bytes) ||
                    (VG_UNLIKELY(vg_capture_possible()) && !may_follow(stream));
    size_t payload = ((bytes + 7) & ~(size_t)7) + l->attr_count * sizeof(*l->attrs);
    r = (VG_UNLIKELY(doubtful) ? vg_begin_quiet : vg_begin)(&tx, VG_CALL_LAUNCH, payload);
    if (VG_UNLIKELY(r))
        return r;
    fill(tx.call, l, stream, bytes);
    write_payload(tx.payload, l, f, packed, given, bytes);
    if (VG_LIKELY(!doubtful))
        return post(&tx, stream);
    r = vg_finish(&tx, NULL);
    vg_store_relaxed(&taken, r ? 0 : taken_by(tx.seq, stream));
    if (!r && is_home(stream))
        note_accepted(f, attributes_key(l));
    return r;
}

static CUresult launch(const struct launch *l);

/* A thread without a context may launch on a stream, which has one. */
static CUresult launch_in_context_of(const struct launch *l, CUresult without)
{
    struct vg_ctx *ctx = vg_tls.ctx ? NULL : vg_stream_context(l->stream);

    if (!ctx)
        return without;
    vg_tls.ctx = ctx;
    CUresult r = launch(l);
    vg_tls.ctx = NULL;
    return r;
}

static CUresult launch(const struct launch *l)
{
    uint64_t stream;
    CUresult r = vg_enter_ctx();

    if (VG_UNLIKELY(r))
        return r == CUDA_ERROR_INVALID_CONTEXT ? launch_in_context_of(l, r) : r;
    struct vg_func *f = vg_func_find(l->f);
    if (VG_UNLIKELY(!f))
        return vg_sticky() ? vg_sticky() : CUDA_ERROR_INVALID_HANDLE;
    r = vg_func_limits(f);
    if (VG_LIKELY(!r))
        r = vg_stream(l->stream, &stream);
    return VG_LIKELY(!r) ? send(l, f, stream) : r;
}

/* ---- entry points ------------------------------------------------------------------ */

CUresult cuLaunchKernel(CUfunction f, unsigned gridDimX, unsigned gridDimY, unsigned gridDimZ,
                        unsigned blockDimX, unsigned blockDimY, unsigned blockDimZ,
                        unsigned sharedMemBytes, CUstream hStream, void **kernelParams, void **extra)
{
    const struct launch l = {.f = f, .grid = {gridDimX, gridDimY, gridDimZ},
                             .block = {blockDimX, blockDimY, blockDimZ}, .smem = sharedMemBytes,
                             .stream = hStream, .params = kernelParams, .extra = extra};

    return launch(&l);
}

CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned gridDimX, unsigned gridDimY,
                                   unsigned gridDimZ, unsigned blockDimX, unsigned blockDimY,
                                   unsigned blockDimZ, unsigned sharedMemBytes, CUstream hStream,
                                   void **kernelParams)
{
    const struct launch l = {.f = f, .grid = {gridDimX, gridDimY, gridDimZ},
                             .block = {blockDimX, blockDimY, blockDimZ}, .smem = sharedMemBytes,
                             .flags = VG_LAUNCH_F_COOPERATIVE, .stream = hStream,
                             .params = kernelParams};

    return launch(&l);
}

/*
 * Of several devices, whose grids could wait for each other; deprecated since CUDA 11.3. With one it
 * is a cooperative launch.
 */
CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *launchParamsList,
                                              unsigned numDevices, unsigned flags)
{
    const CUDA_LAUNCH_PARAMS *p = launchParamsList;
    const unsigned known = CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC |
                           CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC;
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!p || numDevices == 0 || numDevices > vg_process.snapshot->device_count || flags & ~known ||
        !p->hStream)
        return CUDA_ERROR_INVALID_VALUE;
    if (numDevices > 1)
        return vg_unsupported("cuLaunchCooperativeKernelMultiDevice on several devices");
    return cuLaunchCooperativeKernel(p->function, p->gridDimX, p->gridDimY, p->gridDimZ, p->blockDimX,
                                     p->blockDimY, p->blockDimZ, p->sharedMemBytes, p->hStream,
                                     p->kernelParams);
}

static CUresult launch_ex(const CUlaunchConfig *config, CUstream stream, CUfunction f,
                          void **kernelParams, void **extra)
{
    if (config->numAttrs > VG_LAUNCH_ATTRS_MAX || (config->numAttrs && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    const struct launch l = {
        .f = f, .grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
        .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
        .smem = config->sharedMemBytes, .flags = VG_LAUNCH_F_EX, .stream = stream,
        .attrs = config->attrs, .attr_count = config->numAttrs,
        .params = kernelParams, .extra = extra,
    };

    return launch(&l);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
                          void **extra)
{
    if (!config)
        return CUDA_ERROR_INVALID_VALUE;
    return launch_ex(config, config->hStream, f, kernelParams, extra);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
                               void **extra)
{
    if (!config)
        return CUDA_ERROR_INVALID_VALUE;
    CUstream stream = config->hStream ? config->hStream : CU_STREAM_PER_THREAD;
    return launch_ex(config, stream, f, kernelParams, extra);
}
