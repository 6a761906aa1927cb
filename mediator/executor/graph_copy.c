/* SPDX-License-Identifier: MIT */
/* See graph_copy.h. */
#include "mediator/executor/graph_copy.h"

#include "mediator/executor/executor.h"

#define THREADS 256u
#define ROWS_MAX 1024u

/*
 * Byte by byte, row by row: row r of the copy is line r % height of plane r / height. Blocks of
 * x share a row, blocks of y take every so-manieth row. Generic addresses: one end is the host's.
 */
static const char kernel_ptx[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry vg_graph_copy(.param .u64 pd, .param .u64 ps, .param .u64 pdp,\n"
    " .param .u64 psp, .param .u64 pdz, .param .u64 psz, .param .u64 pw, .param .u64 ph,\n"
    " .param .u64 pr)\n{\n"
    ".reg .pred %p; .reg .b16 %h; .reg .b32 %r<4>;\n"
    ".reg .b64 %d, %s, %dp, %sp, %dz, %sz, %w, %ht, %rows, %row, %step, %x, %x0, %xs, %y, %z;\n"
    ".reg .b64 %a, %b;\n"
    "ld.param.u64 %d, [pd]; ld.param.u64 %s, [ps]; ld.param.u64 %dp, [pdp];\n"
    "ld.param.u64 %sp, [psp]; ld.param.u64 %dz, [pdz]; ld.param.u64 %sz, [psz];\n"
    "ld.param.u64 %w, [pw]; ld.param.u64 %ht, [ph]; ld.param.u64 %rows, [pr];\n"
    "mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x; mov.u32 %r3, %nctaid.x;\n"
    "mad.lo.u32 %r2, %r0, %r1, %r2; cvt.u64.u32 %x0, %r2;\n"
    "mul.wide.u32 %xs, %r1, %r3;\n"
    "mov.u32 %r0, %ctaid.y; cvt.u64.u32 %row, %r0;\n"
    "mov.u32 %r0, %nctaid.y; cvt.u64.u32 %step, %r0;\n"
    "NEXT_ROW:\n"
    "setp.ge.u64 %p, %row, %rows; @%p bra END;\n"
    "div.u64 %z, %row, %ht; mul.lo.u64 %a, %z, %ht; sub.u64 %y, %row, %a;\n"
    "mad.lo.u64 %a, %z, %dz, %d; mad.lo.u64 %a, %y, %dp, %a;\n"
    "mad.lo.u64 %b, %z, %sz, %s; mad.lo.u64 %b, %y, %sp, %b;\n"
    "mov.u64 %x, %x0; add.u64 %a, %a, %x; add.u64 %b, %b, %x;\n"
    "NEXT_BYTE:\n"
    "setp.ge.u64 %p, %x, %w; @%p bra ROW_END;\n"
    "ld.u8 %h, [%b]; st.u8 [%a], %h;\n"
    "add.u64 %a, %a, %xs; add.u64 %b, %b, %xs; add.u64 %x, %x, %xs;\n"
    "bra NEXT_BYTE;\n"
    "ROW_END:\n"
    "add.u64 %row, %row, %step; bra NEXT_ROW;\n"
    "END:\nret;\n}\n";

static void load(struct vg_exec *x)
{
    CUlibrary library;
    CUfunction f;

    /* A library serves all contexts and lives as long as we do. */
    if (!x->graph_copy &&
        (x->cuda.cuLibraryLoadData(&library, kernel_ptx, NULL, NULL, 0, NULL, NULL, 0) ||
         x->cuda.cuLibraryGetKernel(&x->graph_copy, library, "vg_graph_copy")))
        x->graph_copy = NULL;
    if (x->graph_copy && x->cuda.cuKernelGetFunction(&f, x->graph_copy) == CUDA_SUCCESS)
        x->cuda.cuFuncLoad(f);
}

void vg_graph_copy_node(struct vg_exec *x, struct vg_callback *cb)
{
    vg_callback_transfers(cb);
    if (!x->graph_memory || x->graph_copy_in == x->ctx)
        return;
    load(x);
    x->graph_copy_in = x->ctx;
}

/* ---- What the kernel may touch ---- */

struct end {
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    uint64_t x, y, z, pitch, height;
};

static bool is_graphs(const struct vg_exec *x, CUdeviceptr p)
{
    const struct vg_range *n = vg_range_find(&x->ranges, p);

    return n && n->kind == VG_RANGE_GRAPH;
}

/* Where the end begins; 0: neither a graph's memory nor the region's, where the GPU reaches it. */
static CUdeviceptr begin_of(struct vg_exec *x, const struct end *e, bool *ret_graph)
{
    CUdeviceptr base = 0;

    if (e->type == CU_MEMORYTYPE_HOST) {
        if (x->cuda.cuMemHostGetDevicePointer_v2(&base, (void *)(uintptr_t)e->host, 0))
            return 0;
    } else if (e->type != CU_MEMORYTYPE_ARRAY && is_graphs(x, e->device)) {
        *ret_graph = true;
        base = e->device;
    }
    return base ? base + (e->z * e->height + e->y) * e->pitch + e->x : 0;
}

static void fill_in(struct end *e, const CUDA_MEMCPY3D *c)
{
    e->pitch = e->pitch ? e->pitch : e->x + c->WidthInBytes;
    e->height = e->height ? e->height : e->y + c->Height;
}

static bool launch(struct vg_exec *x, const CUDA_MEMCPY3D *c, CUstream stream, CUresult *ret)
{
    struct end src = {c->srcMemoryType, c->srcHost, c->srcDevice, c->srcXInBytes,
                      c->srcY,          c->srcZ,    c->srcPitch,  c->srcHeight};
    struct end dst = {c->dstMemoryType, c->dstHost, c->dstDevice, c->dstXInBytes,
                      c->dstY,          c->dstZ,    c->dstPitch,  c->dstHeight};
    bool graph = false;

    fill_in(&src, c);
    fill_in(&dst, c);
    uint64_t rows = c->Height * c->Depth, width = c->WidthInBytes, height = c->Height;
    uint64_t dst_plane = dst.pitch * dst.height, src_plane = src.pitch * src.height;
    CUdeviceptr to = begin_of(x, &dst, &graph), from = begin_of(x, &src, &graph);
    void *param[] = {&to,        &from,      &dst.pitch, &src.pitch, &dst_plane,
                     &src_plane, &width, &height,    &rows};

    if (!to || !from || !graph)
        return false;
    uint64_t blocks = (width + THREADS - 1) / THREADS;
    *ret = x->cuda.cuLaunchKernel((CUfunction)x->graph_copy, blocks < 1024 ? (unsigned)blocks : 1024,
                                  rows < ROWS_MAX ? (unsigned)rows : ROWS_MAX, 1, THREADS, 1, 1, 0,
                                  stream, param, NULL);
    return true;
}

/* ---- Copies ---- */

bool vg_graph_copy(struct vg_exec *x, const CUDA_MEMCPY3D *c, CUstream stream, CUresult *ret)
{
    if (!x->graph_copy || !x->graph_memory || !vg_callback_is_transferring(&x->callbacks) ||
        !c->WidthInBytes || !c->Height || !c->Depth || vg_own_is_capturing(x, stream))
        return false;
    return launch(x, c, stream, ret);
}

bool vg_graph_copy_in(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                      CUstream stream, CUresult *ret)
{
    const CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = src,
                             .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = dst,
                             .WidthInBytes = bytes, .Height = 1, .Depth = 1};

    return vg_graph_copy(x, &c, stream, ret);
}

bool vg_graph_copy_out(struct vg_exec *x, void *dst, CUdeviceptr src, uint64_t bytes,
                       CUstream stream, CUresult *ret)
{
    const CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = src,
                             .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = dst,
                             .WidthInBytes = bytes, .Height = 1, .Depth = 1};

    return vg_graph_copy(x, &c, stream, ret);
}
