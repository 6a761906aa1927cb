/* SPDX-License-Identifier: MIT */
/* The table of what gives the GPU work; see work.h. Arguments are guests': used as numbers only. */
#include "mediator/executor/work.h"

#include <stddef.h>

#include "mediator/executor/estimate.h"
#include "vg_api.h"

#define NO_STREAM 0xffu
#define GRAPH_NS  500000u /* a first guess */
#define COPY_NS   5000u   /* the same, and ... */
#define COPY_BYTES_PER_NS 16u

struct row {
    uint8_t work;    /* enum vg_work */
    uint8_t stream;  /* argument, NO_STREAM: none */
    uint8_t size;    /* argument with the bytes or elements, 0: none */
    uint8_t addresses; /* COPY, linear: its first so many arguments are addresses, then bytes */
    bool loads;
};

static struct row rows[VG_CALL_END];

static void set(unsigned call, enum vg_work work, unsigned stream, unsigned size, unsigned addresses)
{
    rows[call].work = (uint8_t)work;
    rows[call].stream = (uint8_t)stream;
    rows[call].size = (uint8_t)size;
    rows[call].addresses = (uint8_t)addresses;
}

/* What crosses of the classes that count; those with streams or sizes come again below. */
static void set_by_class(const struct vg_api_row *r)
{
    switch (r->class) {
    case VG_CLASS_COPY:
    case VG_CLASS_MEMSET:
    case VG_CLASS_LAUNCH:
        set(r->id, VG_WORK_GPU, NO_STREAM, 0, 0);
        break;
    case VG_CLASS_ALLOC:
        set(r->id, VG_WORK_DRIVER, NO_STREAM, 0, 0);
        break;
    default:
        break;
    }
}

static void set_streams(void)
{
    set(VG_CALL_LAUNCH, VG_WORK_GPU, VG_LAUNCH_STREAM, 0, 0);
    set(VG_CALL_COPY_IN, VG_WORK_GPU, 3, 2, 2);
    set(VG_CALL_COPY_OUT, VG_WORK_GPU, 3, 2, 2);
    set(VG_CALL_COPY_INLINE, VG_WORK_GPU, 1, 0, 0);
    set(VG_CALL_COPY_3D, VG_WORK_GPU, 0, 0, 0);
    set(VG_CALL_IMAGE_LOAD, VG_WORK_DRIVER, NO_STREAM, 0, 0);
    set(VG_CALL_cuMemcpyDtoD_v2, VG_WORK_GPU, NO_STREAM, 2, 2);
    set(VG_CALL_cuMemcpyDtoDAsync_v2, VG_WORK_GPU, 3, 2, 2);
    set(VG_CALL_cuMemsetD8Async, VG_WORK_GPU, 3, 2, 0);
    set(VG_CALL_cuMemsetD16Async, VG_WORK_GPU, 3, 2, 0);
    set(VG_CALL_cuMemsetD32Async, VG_WORK_GPU, 3, 2, 0);
    set(VG_CALL_cuMemsetD2D8Async, VG_WORK_GPU, 5, 4, 0);
    set(VG_CALL_cuMemsetD2D16Async, VG_WORK_GPU, 5, 4, 0);
    set(VG_CALL_cuMemsetD2D32Async, VG_WORK_GPU, 5, 4, 0);
    set(VG_CALL_cuGraphLaunch, VG_WORK_GPU, 1, 0, 0);
    set(VG_CALL_cuGraphUpload, VG_WORK_DRIVER, 1, 0, 0);
    set(VG_CALL_cuMemAllocAsync, VG_WORK_DRIVER, 2, 0, 0);
    set(VG_CALL_cuMemAllocFromPoolAsync, VG_WORK_DRIVER, 3, 0, 0);
}

/*
 * Functions, modules and libraries are of one class; these use them, or are the shim's own calls.
 * With a node that is a copy comes a kernel of ours (graph_copy.h).
 */
static const uint16_t loading[] = {
    VG_CALL_LAUNCH, VG_CALL_IMAGE_LOAD, VG_CALL_FUNCTION_GET, VG_CALL_FUNCTION_INFO,
    VG_CALL_FUNCTION_ATTRS, VG_CALL_cuFuncGetAttribute, VG_CALL_cuKernelGetAttribute,
    VG_CALL_cuOccupancyMaxActiveBlocksPerMultiprocessor,
    VG_CALL_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
    VG_CALL_cuOccupancyAvailableDynamicSMemPerBlock, VG_CALL_cuOccupancyMaxPotentialClusterSize,
    VG_CALL_cuOccupancyMaxActiveClusters, VG_CALL_cuGraphAddKernelNode_v2,
    VG_CALL_cuGraphKernelNodeSetParams_v2, VG_CALL_cuGraphExecKernelNodeSetParams_v2,
    VG_CALL_cuGraphAddHostNode, VG_CALL_cuGraphHostNodeSetParams,
    VG_CALL_cuGraphExecHostNodeSetParams, VG_CALL_cuGraphAddNode, VG_CALL_cuGraphAddNode_v2, VG_CALL_cuGraphNodeSetParams,
    VG_CALL_cuGraphExecNodeSetParams, VG_CALL_cuGraphInstantiateWithFlags,
    VG_CALL_cuGraphInstantiateWithParams, VG_CALL_cuGraphExecUpdate_v2, VG_CALL_cuGraphUpload,
};

static void set_loading(void)
{
    for (size_t i = 0; i < VG_API_COUNT; i++)
        rows[vg_api_rows[i].id].loads = vg_api_rows[i].class == VG_CLASS_MODULE;
    for (size_t i = 0; i < sizeof(loading) / sizeof(loading[0]); i++)
        rows[loading[i]].loads = true;
}

__attribute__((constructor)) static void fill_rows(void)
{
    for (size_t i = 0; i < VG_API_COUNT; i++)
        if (vg_api_rows[i].crosses)
            set_by_class(&vg_api_rows[i]);
    set_streams();
    set_loading();
}

static const struct row *row_of(const struct vg_call *c)
{
    return &rows[c->call < VG_CALL_END ? c->call : VG_CALL_END - 1];
}

enum vg_work vg_work_of(const struct vg_call *c)
{
    return (enum vg_work)row_of(c)->work;
}

bool vg_work_loads(const struct vg_call *c)
{
    bool copies = c->call == VG_CALL_HOST_FUNC && c->arg[2] == VG_CALLBACK_TRANSFER;

    return (row_of(c)->loads || copies) && c->flags & VG_F_REPLY;
}

static uint64_t launch_key(const uint64_t *w)
{
    uint64_t key = vg_estimate_mix(0, w[VG_LAUNCH_FUNC]);

    key = vg_estimate_mix(key, w[VG_LAUNCH_GRID_XY]);
    return vg_estimate_mix(key, w[VG_LAUNCH_GRIDZ_BX] ^ w[VG_LAUNCH_BLOCK_YZ]);
}

static unsigned log2_of(uint64_t v)
{
    return v ? 63u - (unsigned)__builtin_clzll(v) : 0;
}

uint64_t vg_work_key(const struct vg_call *c, uint64_t *ret_first)
{
    const struct row *r = row_of(c);
    uint64_t size = r->size ? c->arg[r->size] : c->payload_len;

    *ret_first = VG_ESTIMATE_NS;
    if (c->call == VG_CALL_LAUNCH)
        return launch_key(c->arg);
    if (c->call == VG_CALL_cuGraphLaunch) {
        *ret_first = GRAPH_NS;
        return vg_estimate_mix(1, c->arg[0]);
    }
    *ret_first = COPY_NS + size / COPY_BYTES_PER_NS;
    return vg_estimate_mix(c->call, log2_of(size));
}

uint64_t vg_work_stream(const struct vg_call *c)
{
    const struct row *r = row_of(c);

    return r->stream == NO_STREAM ? 0 : c->arg[r->stream];
}

uint64_t vg_work_divisible(const struct vg_call *c)
{
    const struct row *r = row_of(c);

    return r->addresses ? c->arg[r->addresses] : 0;
}

void vg_work_part(struct vg_call *c, uint64_t at, uint64_t bytes, bool last)
{
    const struct row *r = row_of(c);

    for (unsigned i = 0; i < r->addresses; i++)
        c->arg[i] += at;
    c->arg[r->addresses] = bytes;
    if (last)
        return;
    c->flags = 0;
    c->cell = 0;
    if (c->call == VG_CALL_COPY_IN)
        c->arg[4] = 0;
}
