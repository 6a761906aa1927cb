/* SPDX-License-Identifier: MIT */
/* See fake_cuda.h. Default bodies come from the table, the others know their buffers. */
#include "tests/fuzz/fake_private.h"

#include <stdlib.h>
#include <string.h>

#include "vg_limits.h"
#include "vg_wire.h"

#define KEPT_MAX 4096u

static uint32_t state;
static uint64_t next_handle, next_address;
static void *kept[KEPT_MAX];
static unsigned kept_count;
static volatile uint8_t sink;

uint32_t fake_draw(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

void fake_cuda_reset(uint32_t seed)
{
    while (kept_count > 0)
        free(kept[--kept_count]);
    state = seed;
    next_handle = 0x100000;
    next_address = 0x200000000000ull;
}

/* What a graph runs may be tied to a user object too. */
void fake_keep(void *p)
{
    for (unsigned i = 0; i < kept_count; i++)
        if (kept[i] == p)
            return;
    if (kept_count < KEPT_MAX)
        kept[kept_count++] = p;
}

/* Mostly success, so that states behind a success are reached. */
CUresult fake_outcome(void)
{
    static const CUresult failures[] = {CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_OUT_OF_MEMORY,
                                        CUDA_ERROR_NOT_READY, CUDA_ERROR_NOT_SUPPORTED};
    uint32_t d = fake_draw();

    return d % 16 ? CUDA_SUCCESS : failures[d / 16 % 4];
}

void fake_read(const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; b && i < n; i++)
        sink ^= b[i];
}

void fake_give_handle(void *ret_handle)
{
    uint64_t h = next_handle += 16;

    if (ret_handle)
        memcpy(ret_handle, &h, sizeof(h));
}

void fake_write(void *p, size_t n)
{
    if (p)
        memset(p, (int)fake_draw(), n);
}

uint64_t fake_address(uint64_t bytes)
{
    uint64_t p = next_address;

    next_address += bytes;
    return p;
}

/* ---- From the table ---- */

#define FAKE(kind, type, name, aux) FAKE_##kind(type, name, aux)
#define FAKE_VAL(type, name, aux)   (void)name;
#define FAKE_HND(type, name, aux)   (void)name;
#define FAKE_STRM(type, name, aux)  (void)name;
#define FAKE_DPTR(type, name, aux)  (void)name;
#define FAKE_OUT(type, name, aux)   fake_write(name, sizeof(*name));
#define FAKE_OUTH(type, name, aux)  fake_give_handle(name);
#define FAKE_IN(type, name, aux)    fake_read(name, sizeof(*name));
#define FAKE_INOUT(type, name, aux) fake_read(name, sizeof(*name));
#define FAKE_STR(type, name, aux)                                                                  \
    if (name)                                                                                      \
        sink ^= (uint8_t)strlen(name);
#define FAKE_INBUF(type, name, aux)  fake_read(name, (size_t)aux *ELEMENT(type));
#define FAKE_OUTBUF(type, name, aux) fake_write(name, (size_t)aux *ELEMENT(type));
#define FAKE_PTR(type, name, aux)    (void)name;
#define FAKE_NONE(type, name, aux)
/* Elements by name: void counts in bytes. */
#define ELEMENT(type) SIZE_##type

#define SIZE_void              1
#define SIZE_char              1
#define SIZE_unsigned          sizeof(unsigned)
#define SIZE_CUatomicOperation sizeof(CUatomicOperation)
#define SIZE_CUmemAccessDesc   sizeof(CUmemAccessDesc)
#define SIZE_CUfunction        sizeof(CUfunction)
#define SIZE_CUkernel          sizeof(CUkernel)
#define SIZE_CUgraphNode       sizeof(CUgraphNode)
#define SIZE_CUgraphEdgeData   sizeof(CUgraphEdgeData)

/* Only rows that the executor forwards as they stand; all others below, or missing. */
#define BODY_FWD(symbol)                                                                           \
    static CUresult fake_##symbol(VG_PARAMS(symbol))                                               \
    {                                                                                              \
        CUresult rc = fake_outcome();                                                                   \
                                                                                                   \
        if (rc == CUDA_SUCCESS) {                                                                  \
            VG_ARGS_##symbol(FAKE)                                                                 \
        }                                                                                          \
        return rc;                                                                                 \
    }
#define BODY_POST(symbol) BODY_FWD(symbol)
#define BODY_CUSTOM(symbol)
#define BODY_LOCAL(symbol)
#define BODY_PTSZ(symbol)
#define BODY_PTDS(symbol)
#define BODY_OLD(symbol)
#define BODY_NOSUP(symbol)
#define VG_API(id, symbol, base, since, mode, class) BODY_##mode(symbol)
#include "vg_api.def"

/* CUSTOM rows without pointers are faked from the table too. */
#define PLAIN(X)                                                                                   \
    X(cuDeviceGetDevResource) X(cuCtxGetDevResource) X(cuGreenCtxGetDevResource)                   \
    X(cuGreenCtxCreate) X(cuGreenCtxDestroy) X(cuCtxFromGreenCtx) X(cuGreenCtxStreamCreate)        \
    X(cuMemAddressFree) X(cuMemCreate) X(cuMemRelease) X(cuMemMap) X(cuMemUnmap)                   \
    X(cuMemSetAccess) X(cuMemGetAccess) X(cuMemGetAllocationGranularity) X(cuMemPoolCreate)        \
    X(cuMulticastCreate)                                                                           \
    X(cuMemExportToShareableHandle) X(cuMemPoolExportToShareableHandle) X(cuMemPoolExportPointer)  \
    X(cuIpcGetMemHandle) X(cuIpcGetEventHandle) X(cuIpcCloseMemHandle)                             \
    X(cuDevicePrimaryCtxRetain)                                                                    \
    X(cuDevicePrimaryCtxRelease_v2) X(cuDevicePrimaryCtxReset_v2) X(cuCtxCreate_v2)                \
        X(cuCtxDestroy_v2) X(cuModuleUnload) X(cuModuleGetFunction) X(cuModuleGetFunctionCount)    \
            X(cuModuleEnumerateFunctions) X(cuLibraryUnload) X(cuLibraryGetKernel)                 \
                X(cuLibraryGetKernelCount) X(cuLibraryEnumerateKernels) X(cuLibraryGetModule)      \
                    X(cuKernelGetFunction) X(cuKernelGetAttribute) X(cuKernelSetAttribute)         \
                        X(cuFuncGetAttribute) X(cuFuncSetAttribute) X(cuStreamCreate)              \
                            X(cuStreamCreateWithPriority) X(cuStreamDestroy_v2)                    \
                                X(cuStreamBeginCapture_v2) X(cuStreamBeginCaptureToGraph)          \
                                    X(cuGraphLaunch) X(cuGraphInstantiateWithParams)               \
                                        X(cuMemFreeAsync) X(cuMemFree_v2) X(cuStreamSynchronize)   \
                                            X(cuEventSynchronize) X(cuMemcpyAsync)                 \
                                                X(cuCtxPopCurrent_v2) X(cuCtxSetCurrent)           \
                                                    X(cuCtxSynchronize) X(cuLibraryGetManaged)          \
                                                    X(cuGraphDestroy) X(cuGraphExecDestroy)        \
                                                    X(cuGraphNodeGetType)                          \
                                                    X(cuGraphChildGraphNodeGetGraph)               \
                                                    X(cuUserObjectRetain) X(cuUserObjectRelease)   \
                                                    X(cuGraphAddDependencies_v2)         \
                                                        X(cuTensorMapReplaceAddress) X(cuArrayCreate_v2)   \
    X(cuArray3DCreate_v2) X(cuArrayDestroy) X(cuArray3DGetDescriptor_v2) X(cuArrayGetPlane)       \
    X(cuMipmappedArrayCreate) X(cuMipmappedArrayGetLevel) X(cuMipmappedArrayDestroy)      \
    X(cuTexObjectCreate) X(cuSurfObjectCreate) X(cuModuleGetTexRef) X(cuModuleGetSurfRef)          \
    X(cuTexRefSetAddress2D_v3)
PLAIN(BODY_FWD)

/* ---- By hand: what has buffers, addresses or states ---- */

static CUresult fake_alloc(CUdeviceptr *p, size_t bytes)
{
    if (bytes == 0 || bytes > (1ull << 40))
        return CUDA_ERROR_OUT_OF_MEMORY;
    *p = fake_address((bytes + 0x1ffff) & ~0xffffull);
    return fake_outcome();
}

static CUresult fake_reserve(CUdeviceptr *p, size_t bytes, size_t align, CUdeviceptr at,
                             unsigned long long flags)
{
    (void)align;
    (void)at;
    (void)flags;
    return fake_alloc(p, bytes);
}

static CUresult fake_retain_memory(CUmemGenericAllocationHandle *h, void *at)
{
    (void)at;
    fake_give_handle(h);
    return fake_outcome();
}

static CUresult fake_alloc_async(CUdeviceptr *p, size_t bytes, CUstream s)
{
    (void)s;
    return fake_alloc(p, bytes);
}

static CUresult fake_alloc_pool(CUdeviceptr *p, size_t bytes, CUmemoryPool pool, CUstream s)
{
    (void)pool;
    (void)s;
    return fake_alloc(p, bytes);
}

static CUresult fake_alloc_pitch(CUdeviceptr *p, size_t *pitch, size_t width, size_t height,
                                 unsigned e)
{
    (void)e;
    *pitch = (width + 511) & ~(size_t)511;
    return height > 1u << 20 ? CUDA_ERROR_INVALID_VALUE : fake_alloc(p, *pitch * height);
}

static CUresult fake_global(CUdeviceptr *p, size_t *bytes, CUmodule m, const char *name)
{
    (void)m;
    sink ^= (uint8_t)strlen(name);
    *bytes = fake_draw() % 100;
    return fake_alloc(p, *bytes);
}

static CUresult fake_library_global(CUdeviceptr *p, size_t *bytes, CUlibrary l, const char *name)
{
    (void)l;
    return fake_global(p, bytes, NULL, name);
}

static CUresult fake_in(CUdeviceptr dst, const void *src, size_t n, CUstream s)
{
    (void)dst;
    (void)s;
    fake_pins_check(src, n);
    fake_read(src, n);
    return fake_outcome();
}

static CUresult fake_out(void *dst, CUdeviceptr src, size_t n, CUstream s)
{
    (void)src;
    (void)s;
    fake_pins_check(dst, n);
    fake_write(dst, n);
    return fake_outcome();
}

/* Touches first and last byte of each row on host sides: rows may be many. */
static void touch_rows(const void *base, const CUDA_MEMCPY3D *c, size_t x, size_t y, size_t z,
                       size_t pitch, size_t height)
{
    const uint8_t *b = base;

    for (size_t d = 0; d < c->Depth && d < 64; d++)
        for (size_t h = 0; h < c->Height && h < 64; h++) {
            const uint8_t *row = b + ((z + d) * height + y + h) * pitch + x;
            sink ^= row[0];
            sink ^= row[c->WidthInBytes - 1];
        }
}

static CUresult fake_3d(const CUDA_MEMCPY3D *c, CUstream s)
{
    (void)s;
    if (!c->WidthInBytes || !c->Height || !c->Depth)
        return CUDA_SUCCESS;
    if ((c->Height > 1 || c->Depth > 1) && (!c->srcPitch || !c->dstPitch))
        return CUDA_ERROR_INVALID_VALUE;
    if (c->srcMemoryType == CU_MEMORYTYPE_HOST)
        touch_rows(c->srcHost, c, c->srcXInBytes, c->srcY, c->srcZ, c->srcPitch, c->srcHeight);
    if (c->dstMemoryType == CU_MEMORYTYPE_HOST)
        touch_rows(c->dstHost, c, c->dstXInBytes, c->dstY, c->dstZ, c->dstPitch, c->dstHeight);
    return fake_outcome();
}

static CUresult fake_launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                            unsigned by, unsigned bz, unsigned smem, CUstream s, void **params,
                            void **extra)
{
    (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)smem, (void)s;
    if (params)
        abort();
    if (extra)
        fake_read(extra[1], *(size_t *)extra[3]);
    return fake_outcome();
}

static CUresult fake_launch_ex(const CUlaunchConfig *c, CUfunction f, void **params, void **extra)
{
    fake_read(c->attrs, c->numAttrs * sizeof(*c->attrs));
    return fake_launch(f, 1, 1, 1, 1, 1, 1, 0, c->hStream, params, extra);
}

static CUresult fake_cluster(int *n, CUfunction f, const CUlaunchConfig *c)
{
    (void)f;
    fake_read(c->attrs, c->numAttrs * sizeof(*c->attrs));
    *n = 1;
    return fake_outcome();
}

/* At most four parameters of eight bytes: what a launch must bring is 0..32 bytes. */
static CUresult fake_param(size_t i, size_t *off, size_t *size)
{
    if (i >= fake_draw() % 5)
        return CUDA_ERROR_INVALID_VALUE;
    *off = i * 8;
    *size = 8;
    return CUDA_SUCCESS;
}

static CUresult fake_func_param(CUfunction f, size_t i, size_t *off, size_t *size)
{
    (void)f;
    return fake_param(i, off, size);
}

static CUresult fake_kernel_param(CUkernel k, size_t i, size_t *off, size_t *size)
{
    (void)k;
    return fake_param(i, off, size);
}

void fake_jit(const void *image, const CUjit_option *option, void **value, unsigned n)
{
    uint32_t magic;

    memcpy(&magic, image, sizeof(magic));
    if (magic != 0xba55ed50u && magic != 0x464c457fu)
        sink ^= (uint8_t)strlen(image);
    for (unsigned i = 0; i + 1 < n; i++)
        if (option[i] == CU_JIT_ERROR_LOG_BUFFER || option[i] == CU_JIT_INFO_LOG_BUFFER)
            memset(value[i], 'e', (size_t)(uintptr_t)value[i + 1]);
}

static CUresult fake_load_module(CUmodule *m, const void *image, unsigned n, CUjit_option *option,
                                 void **value)
{
    fake_jit(image, option, value, n);
    fake_give_handle(m);
    return fake_outcome();
}

static CUresult fake_load_library(CUlibrary *l, const void *image, CUjit_option *option,
                                  void **value, unsigned n, CUlibraryOption *lo, void **lv,
                                  unsigned ln)
{
    if (lv || ln > 1 || (ln && *lo != CU_LIBRARY_BINARY_IS_PRESERVED))
        abort();
    fake_jit(image, option, value, n);
    fake_give_handle(l);
    return fake_outcome();
}

/* Now and then more groups than there was room for. */
static CUresult fake_split(CUdevResource *result, unsigned *groups, const CUdevResource *input,
                           CUdevResource *remaining, unsigned flags, unsigned least)
{
    unsigned n = fake_draw() % 4;

    (void)flags;
    (void)least;
    fake_read(input, sizeof(*input));
    for (unsigned i = 0; result && i < n && i < *groups; i++)
        fake_write(&result[i], sizeof(*result));
    if (remaining)
        fake_write(remaining, sizeof(*remaining));
    *groups = n;
    return fake_outcome();
}

static CUresult fake_desc(CUdevResourceDesc *desc, CUdevResource *resources, unsigned n)
{
    fake_read(resources, n * sizeof(*resources));
    fake_give_handle(desc);
    return fake_outcome();
}

static CUresult fake_stream_query(CUstream s)
{
    (void)s;
    return fake_draw() % 3 ? CUDA_ERROR_NOT_READY : fake_outcome();
}

static CUresult fake_event_query(CUevent e)
{
    (void)e;
    return fake_draw() % 3 ? CUDA_ERROR_NOT_READY : fake_outcome();
}

static CUresult fake_event_create(CUevent *e, unsigned flags)
{
    (void)flags;
    fake_give_handle(e);
    return fake_outcome();
}

static CUresult fake_batch(CUstream s, unsigned count, CUstreamBatchMemOpParams *op, unsigned flags)
{
    (void)s;
    (void)flags;
    fake_read(op, count * sizeof(*op));
    return fake_outcome();
}

static CUresult fake_pool_attribute(CUmemoryPool p, CUmemPool_attribute a, void *value)
{
    (void)p;
    (void)a;
    fake_write(value, 8);
    return fake_outcome();
}

/* Reads every array to its end and fills the map. */
static CUresult fake_map(CUtensorMap *map, uint32_t rank, const uint64_t *dim,
                         const uint64_t *strides, const uint32_t *steps)
{
    fake_read(dim, rank * sizeof(*dim));
    fake_read(strides, (rank - 1) * sizeof(*strides));
    fake_read(steps, rank * sizeof(*steps));
    fake_write(map, sizeof(*map));
    return fake_outcome();
}

static CUresult fake_tiled(VG_PARAMS(cuTensorMapEncodeTiled))
{
    VG_UNUSED(cuTensorMapEncodeTiled)
    fake_read(boxDim, tensorRank * sizeof(*boxDim));
    return fake_map(tensorMap, tensorRank, globalDim, globalStrides, elementStrides);
}

static CUresult fake_im2col(VG_PARAMS(cuTensorMapEncodeIm2col))
{
    VG_UNUSED(cuTensorMapEncodeIm2col)
    fake_read(pixelBoxLowerCorner, (tensorRank - 2) * sizeof(*pixelBoxLowerCorner));
    fake_read(pixelBoxUpperCorner, (tensorRank - 2) * sizeof(*pixelBoxUpperCorner));
    return fake_map(tensorMap, tensorRank, globalDim, globalStrides, elementStrides);
}

static CUresult fake_wide(VG_PARAMS(cuTensorMapEncodeIm2colWide))
{
    VG_UNUSED(cuTensorMapEncodeIm2colWide)
    return fake_map(tensorMap, tensorRank, globalDim, globalStrides, elementStrides);
}

static CUresult fake_set_border(CUtexref ref, float *color)
{
    (void)ref;
    fake_read(color, 4 * sizeof(*color));
    return fake_outcome();
}

static CUresult fake_get_border(float *color, CUtexref ref)
{
    (void)ref;
    fake_write(color, 4 * sizeof(*color));
    return fake_outcome();
}

static CUresult fake_state(CUdevice d, unsigned *flags, int *active)
{
    (void)d;
    *flags = 0;
    *active = (int)(fake_draw() % 2);
    return CUDA_SUCCESS;
}

static CUresult fake_count(int *n)
{
    *n = 1;
    return CUDA_SUCCESS;
}

static CUresult fake_name(char *name, int len, CUdevice d)
{
    (void)d;
    memset(name, 0, (size_t)len);
    return CUDA_SUCCESS;
}

static CUresult fake_uuid(CUuuid *u, CUdevice d)
{
    (void)d;
    memset(u, 1, sizeof(*u));
    return CUDA_SUCCESS;
}

static CUresult fake_total(size_t *n, CUdevice d)
{
    (void)d;
    *n = 1u << 30;
    return CUDA_SUCCESS;
}

void fake_cuda_fill(struct vg_cuda *c)
{
    vg_cuda_init_missing(c);
#define SET(symbol)      c->symbol = fake_##symbol;
#define SET_FWD(symbol)  SET(symbol)
#define SET_POST(symbol) SET(symbol)
#define SET_CUSTOM(symbol)
#define SET_LOCAL(symbol)
#define SET_PTSZ(symbol)
#define SET_PTDS(symbol)
#define SET_OLD(symbol)
#define SET_NOSUP(symbol)
#define VG_API(id, symbol, base, since, mode, class) SET_##mode(symbol)
#include "vg_api.def"
    PLAIN(SET)
    c->cuMemAlloc_v2 = fake_alloc;
    c->cuMemAllocAsync = fake_alloc_async;
    c->cuMemAllocFromPoolAsync = fake_alloc_pool;
    c->cuMemAllocPitch_v2 = fake_alloc_pitch;
    c->cuMemAddressReserve = fake_reserve;
    c->cuMemRetainAllocationHandle = fake_retain_memory;
    c->cuModuleGetGlobal_v2 = fake_global;
    c->cuLibraryGetGlobal = fake_library_global;
    c->cuMemcpyHtoDAsync_v2 = fake_in;
    c->cuMemcpyDtoHAsync_v2 = fake_out;
    c->cuMemcpy3DAsync_v2 = fake_3d;
    c->cuLaunchKernel = fake_launch;
    c->cuLaunchKernelEx = fake_launch_ex;
    c->cuOccupancyMaxActiveClusters = fake_cluster;
    c->cuOccupancyMaxPotentialClusterSize = fake_cluster;
    c->cuFuncGetParamInfo = fake_func_param;
    c->cuKernelGetParamInfo = fake_kernel_param;
    c->cuModuleLoadDataEx = fake_load_module;
    c->cuLibraryLoadData = fake_load_library;
    c->cuDevSmResourceSplitByCount = fake_split;
    c->cuDevResourceGenerateDesc = fake_desc;
    fake_graph_fill(c);
    fake_link_fill(c);
    fake_pins_fill(c);
    c->cuStreamQuery = fake_stream_query;
    c->cuEventQuery = fake_event_query;
    c->cuEventCreate = fake_event_create;
    c->cuStreamBatchMemOp_v2 = fake_batch;
    c->cuTexRefSetBorderColor = fake_set_border;
    c->cuTexRefGetBorderColor = fake_get_border;
    c->cuTensorMapEncodeTiled = fake_tiled;
    c->cuTensorMapEncodeIm2col = fake_im2col;
    c->cuTensorMapEncodeIm2colWide = fake_wide;
    c->cuMemPoolGetAttribute = fake_pool_attribute;
    c->cuMemPoolSetAttribute = fake_pool_attribute;
    c->cuDevicePrimaryCtxGetState = fake_state;
    c->cuDeviceGetCount = fake_count;
    c->cuDriverGetVersion = fake_count;
    c->cuDeviceGetName = fake_name;
    c->cuDeviceGetUuid_v2 = fake_uuid;
    c->cuDeviceTotalMem_v2 = fake_total;
}
