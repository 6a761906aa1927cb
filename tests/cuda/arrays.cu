/* SPDX-License-Identifier: MIT */
/*
 * CUDA arrays of every shape: descriptions, copies from and to host (pageable and
 * pinned), device memory and other arrays, mipmap levels, and what must be refused.
 */
#include "common.cuh"

#include <cuda.h>
#include <dlfcn.h>

/* The driver's own calls, found through the runtime: these programs link no libcuda. */
template <class F> static F driver_entry(const char *name)
{
    cudaDriverEntryPointQueryResult found;
    void *p = NULL;

    RT(cudaGetDriverEntryPointByVersion(name, &p, 12000, cudaEnableDefault, &found));
    EXPECT(found == cudaDriverEntryPointSuccess && p, "the driver has no %s", name);
    return (F)p;
}
#define DRIVER(name) driver_entry<decltype(&name)>(#name)
#define DRV_IS(want, call)                                                                 \
    do {                                                                                   \
        CUresult got_ = (call);                                                            \
        EXPECT(got_ == (want), "line %d: %s returned %d, not %d", __LINE__, #call, got_,   \
               (want));                                                                    \
    } while (0)
#define DRV(call) DRV_IS(CUDA_SUCCESS, call)

static uint32_t at(size_t x, size_t y, size_t z, uint32_t key)
{
    return (uint32_t)(x + y * 1000 + z * 1000000) ^ key;
}

static std::vector<uint32_t> picture(size_t w, size_t h, size_t d, uint32_t key)
{
    std::vector<uint32_t> v(w * h * d);

    for (size_t i = 0; i < v.size(); i++)
        v[i] = at(i % w, i / w % h, i / w / h, key);
    return v;
}

static void expect_box(const std::vector<uint32_t> &got, const std::vector<uint32_t> &want,
                       const char *what)
{
    for (size_t i = 0; i < want.size(); i++)
        EXPECT(got[i] == want[i], "%s: word %zu is %08x, not %08x", what, i, got[i], want[i]);
}

static cudaArray_t make(size_t w, size_t h, size_t d, unsigned flags)
{
    cudaChannelFormatDesc format = cudaCreateChannelDesc<unsigned>();
    cudaArray_t array;

    RT(cudaMalloc3DArray(&array, &format, make_cudaExtent(w, h, d), flags));
    return array;
}

static cudaExtent extent_of(cudaArray_t array, unsigned *ret_flags)
{
    cudaChannelFormatDesc format;
    cudaExtent e;

    RT(cudaArrayGetInfo(&format, &e, ret_flags, array));
    EXPECT(format.x == 32 && format.y == 0 && format.f == cudaChannelFormatKindUnsigned,
           "the format has changed");
    return e;
}

static void copy_3d(cudaMemcpy3DParms *p, size_t w, size_t h, size_t d, bool async)
{
    p->extent = make_cudaExtent(w, h, d);
    p->kind = cudaMemcpyDefault;
    if (async) {
        RT(cudaMemcpy3DAsync(p, 0));
        RT(cudaStreamSynchronize(0));
    } else {
        RT(cudaMemcpy3D(p));
    }
}

/* Up from the host, to a second array, to device memory, and down again, whole. */
static void round_trip(size_t w, size_t h, size_t d, unsigned flags, bool pinned, bool async)
{
    size_t rows = h ? h : 1, slices = d ? d : 1, words = w * rows * slices;
    std::vector<uint32_t> in = picture(w, rows, slices, 0x5a5a);
    cudaArray_t a = make(w, h, d, flags), b = make(w, h, d, flags);
    device_array<uint32_t> linear(words);
    cudaMemcpy3DParms up = {}, across = {}, out = {}, down = {};
    unsigned got_flags;
    uint32_t *host;

    if (pinned)
        RT(cudaMallocHost(&host, words * 4));
    else
        host = new uint32_t[words];
    cudaExtent e = extent_of(a, &got_flags);
    EXPECT(e.width == w && e.height == h && e.depth == d && (got_flags & flags) == flags,
           "an array of %zux%zux%zu flags %u says %zux%zux%zu flags %u", w, h, d, flags, e.width,
           e.height, e.depth, got_flags);
    memcpy(host, in.data(), words * 4);
    up.srcPtr = make_cudaPitchedPtr(host, w * 4, w, rows);
    up.dstArray = a;
    copy_3d(&up, w, rows, slices, async);
    across.srcArray = a;
    across.dstArray = b;
    copy_3d(&across, w, rows, slices, async);
    out.srcArray = b;
    out.dstPtr = make_cudaPitchedPtr(linear.ptr, w * 4, w, rows);
    copy_3d(&out, w, rows, slices, async);
    expect_box(linear.read(), in, "to device memory");
    memset(host, 0, words * 4);
    down.srcArray = b;
    down.dstPtr = make_cudaPitchedPtr(host, w * 4, w, rows);
    copy_3d(&down, w, rows, slices, async);
    expect_box(std::vector<uint32_t>(host, host + words), in, "to the host");
    if (pinned)
        RT(cudaFreeHost(host));
    else
        delete[] host;
    RT(cudaFreeArray(a));
    RT(cudaFreeArray(b));
}

/* A box from the middle of one volume to another place in a second one. */
static void inner_box(void)
{
    const size_t w = 24, h = 10, d = 6, bw = 7, bh = 3, bd = 2;
    std::vector<uint32_t> in = picture(w, h, d, 1), base = picture(w, h, d, 2), got(w * h * d);
    cudaArray_t a = make(w, h, d, 0), b = make(w, h, d, 0);
    cudaMemcpy3DParms p = {};

    p.srcPtr = make_cudaPitchedPtr(in.data(), w * 4, w, h);
    p.dstArray = a;
    copy_3d(&p, w, h, d, false);
    p.srcPtr = make_cudaPitchedPtr(base.data(), w * 4, w, h);
    p.dstArray = b;
    copy_3d(&p, w, h, d, false);
    p = cudaMemcpy3DParms();
    p.srcArray = a;
    p.srcPos = make_cudaPos(5, 2, 1);
    p.dstArray = b;
    p.dstPos = make_cudaPos(10, 6, 3);
    copy_3d(&p, bw, bh, bd, false);
    p = cudaMemcpy3DParms();
    p.srcArray = b;
    p.dstPtr = make_cudaPitchedPtr(got.data(), w * 4, w, h);
    copy_3d(&p, w, h, d, false);
    for (size_t z = 0; z < bd; z++)
        for (size_t y = 0; y < bh; y++)
            for (size_t x = 0; x < bw; x++)
                base[((z + 3) * h + y + 6) * w + x + 10] = at(x + 5, y + 2, z + 1, 1);
    expect_box(got, base, "inner box");
    RT(cudaFreeArray(a));
    RT(cudaFreeArray(b));
}

/* 2D calls of the runtime, with pitches and offsets in bytes. */
static void copy_2d(void)
{
    const size_t w = 33, h = 9;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<ushort4>();
    std::vector<uint16_t> in(w * h * 4), got(w * h * 4), part(5 * 4 * 3, 0xdead);
    cudaArray_t a, b;

    for (size_t i = 0; i < in.size(); i++)
        in[i] = (uint16_t)(i * 7);
    RT(cudaMallocArray(&a, &format, w, h));
    RT(cudaMallocArray(&b, &format, w, h));
    RT(cudaMemcpy2DToArray(a, 0, 0, in.data(), w * 8, w * 8, h, cudaMemcpyHostToDevice));
    RT(cudaMemcpy2DArrayToArray(b, 0, 0, a, 0, 0, w * 8, h, cudaMemcpyDeviceToDevice));
    RT(cudaMemcpy2DToArray(b, 2 * 8, 3, part.data(), 5 * 8, 5 * 8, 3, cudaMemcpyHostToDevice));
    RT(cudaMemcpy2DFromArray(got.data(), w * 8, b, 0, 0, w * 8, h, cudaMemcpyDeviceToHost));
    for (size_t y = 0; y < 3; y++)
        for (size_t i = 0; i < 20; i++)
            in[((y + 3) * w + 2) * 4 + i] = 0xdead;
    EXPECT(got == in, "2D copies of ushort4");
    RT_IS(cudaErrorInvalidValue, cudaMemcpy2DToArray(b, 0, 1, in.data(), w * 8, w * 8, h,
                                                     cudaMemcpyHostToDevice));
    RT(cudaGetLastError() == cudaErrorInvalidValue ? cudaSuccess : cudaErrorUnknown);
    RT(cudaFreeArray(a));
    RT(cudaFreeArray(b));
}

/* Rows longer than anything that travels in one piece. */
static void long_rows(void)
{
    const size_t w = 100000, h = 3;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float4>();
    std::vector<float> in(w * h * 4), got(w * h * 4);
    cudaArray_t a;

    for (size_t i = 0; i < in.size(); i++)
        in[i] = (float)(i % 1000003);
    RT(cudaMallocArray(&a, &format, w, h));
    RT(cudaMemcpy2DToArray(a, 0, 0, in.data(), w * 16, w * 16, h, cudaMemcpyHostToDevice));
    RT(cudaMemcpy2DFromArray(got.data(), w * 16, a, 0, 0, w * 16, h, cudaMemcpyDeviceToHost));
    EXPECT(got == in, "rows of %zu bytes", w * 16);
    RT(cudaFreeArray(a));
}

/* Runs of bytes of one-dimensional arrays: the driver's own calls. */
static void runs(void)
{
    auto htoa = DRIVER(cuMemcpyHtoA);
    auto atoh = DRIVER(cuMemcpyAtoH);
    auto dtoa = DRIVER(cuMemcpyDtoA);
    auto atod = DRIVER(cuMemcpyAtoD);
    auto atoa = DRIVER(cuMemcpyAtoA);
    auto htoa_async = DRIVER(cuMemcpyHtoAAsync);
    auto atoh_async = DRIVER(cuMemcpyAtoHAsync);
    const size_t n = 500;
    std::vector<uint32_t> in = picture(n, 1, 1, 9), got(n);
    device_array<uint32_t> linear(n);
    cudaArray_t ra = make(n, 0, 0, 0), rb = make(n, 0, 0, 0);
    CUarray a = (CUarray)ra, b = (CUarray)rb;

    DRV(htoa(a, 0, in.data(), n * 4));
    DRV(atod((CUdeviceptr)linear.ptr, a, 40, 400));
    DRV(dtoa(b, 80, (CUdeviceptr)linear.ptr, 400));
    DRV(atoa(b, 480, a, 480, n * 4 - 480));
    DRV(htoa_async(b, 0, in.data() + 1, 80, 0));
    DRV(atoh_async(got.data(), b, 0, n * 4, 0));
    RT(cudaStreamSynchronize(0));
    for (size_t i = 0; i < n; i++) {
        uint32_t want = i < 20 ? in[i + 1] : i < 120 ? in[i - 10] : in[i];

        EXPECT(got[i] == want, "runs: word %zu is %08x, not %08x", i, got[i], want);
    }
    DRV(atoh(got.data(), a, 1996, 4));
    EXPECT(got[0] == in[499], "the last word");
    DRV_IS(CUDA_ERROR_INVALID_VALUE, atoh(got.data(), a, 1996, 8));
    DRV_IS(CUDA_ERROR_INVALID_VALUE, htoa(a, 2000, in.data(), 4));
    RT(cudaFreeArray(ra));
    RT(cudaFreeArray(rb));
}

/* The same by the calls of CUDA 2, which the driver still exports. */
static void old_calls(void)
{
    struct {
        unsigned width, height;
        CUarray_format format;
        unsigned channels;
    } d = {25, 0, CU_AD_FORMAT_UNSIGNED_INT32, 1}, back;
    void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    auto create = (CUresult(*)(CUarray *, const void *))dlsym(lib, "cuArrayCreate");
    auto describe = (CUresult(*)(void *, CUarray))dlsym(lib, "cuArrayGetDescriptor");
    auto htoa = (CUresult(*)(CUarray, unsigned, const void *, unsigned))dlsym(lib, "cuMemcpyHtoA");
    auto atoh = (CUresult(*)(void *, CUarray, unsigned, unsigned))dlsym(lib, "cuMemcpyAtoH");
    uint32_t in[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got[10] = {0};
    CUarray a;

    EXPECT(create && describe && htoa && atoh, "the driver has no calls of CUDA 2");
    CUresult got_it = create(&a, &d);
    if (got_it == CUDA_ERROR_INVALID_CONTEXT) /* NVIDIA's: not in contexts of newer calls */
        return;
    DRV(got_it);
    DRV(describe(&back, a));
    EXPECT(memcmp(&back, &d, sizeof(d)) == 0, "the old description reads back otherwise");
    DRV(htoa(a, 20, in, sizeof(in)));
    DRV(atoh(got, a, 20, sizeof(got)));
    EXPECT(memcmp(got, in, sizeof(in)) == 0, "the old copies");
    RT(cudaFreeArray((cudaArray_t)a));
}

static void mipmaps(void)
{
    cudaChannelFormatDesc format = cudaCreateChannelDesc<unsigned>();
    cudaMipmappedArray_t mip;
    cudaArray_t level, again;
    unsigned flags;

    RT(cudaMallocMipmappedArray(&mip, &format, make_cudaExtent(40, 12, 0), 4));
    for (unsigned i = 0; i < 4; i++) {
        size_t w = 40 >> i, h = 12 >> i;
        std::vector<uint32_t> in = picture(w, h, 1, i), got(w * h);
        RT(cudaGetMipmappedArrayLevel(&level, mip, i));
        cudaExtent e = extent_of(level, &flags);
        EXPECT(e.width == w && e.height == h && e.depth == 0, "level %u is %zux%zux%zu", i, e.width,
               e.height, e.depth);
        RT(cudaMemcpy2DToArray(level, 0, 0, in.data(), w * 4, w * 4, h, cudaMemcpyHostToDevice));
        RT(cudaGetMipmappedArrayLevel(&again, mip, i));
        RT(cudaMemcpy2DFromArray(got.data(), w * 4, again, 0, 0, w * 4, h,
                                 cudaMemcpyDeviceToHost));
        expect_box(got, in, "a level");
    }
    RT_IS(cudaErrorInvalidValue, cudaGetMipmappedArrayLevel(&level, mip, 4));
    RT(cudaGetLastError() == cudaErrorInvalidValue ? cudaSuccess : cudaErrorUnknown);
    RT(cudaFreeMipmappedArray(mip));
}

/* Copies to and from arrays as nodes of a captured graph, from pinned memory and pageable. */
static void captured(bool pinned)
{
    const size_t w = 30, h = 7;
    cudaArray_t a = make(w, h, 0, 0);
    device_array<uint32_t> linear(w * h);
    cudaGraphExec_t exec;
    cudaStream_t s;
    cudaGraph_t g;
    uint32_t *host;

    if (pinned)
        RT(cudaMallocHost(&host, w * h * 4));
    else
        host = new uint32_t[w * h];
    RT(cudaStreamCreate(&s));
    RT(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    RT(cudaMemcpy2DToArrayAsync(a, 0, 0, host, w * 4, w * 4, h, cudaMemcpyHostToDevice, s));
    RT(cudaMemcpy2DFromArrayAsync(linear.ptr, w * 4, a, 0, 0, w * 4, h, cudaMemcpyDeviceToDevice,
                                  s));
    RT(cudaStreamEndCapture(s, &g));
    RT(cudaGraphInstantiate(&exec, g, 0));
    for (uint32_t key = 1; key < 4; key++) {
        std::vector<uint32_t> in = picture(w, h, 1, key);
        memcpy(host, in.data(), w * h * 4);
        RT(cudaGraphLaunch(exec, s));
        RT(cudaStreamSynchronize(s));
        expect_box(linear.read(), in, pinned ? "graph, pinned" : "graph, pageable");
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
    RT(cudaStreamDestroy(s));
    RT(cudaFreeArray(a));
    if (pinned)
        RT(cudaFreeHost(host));
    else
        delete[] host;
}

/* Memory of arrays counts. A driver may keep it for the next one. */
static void memory(void)
{
    size_t before, during, total;

    RT(cudaMemGetInfo(&before, &total));
    cudaArray_t a = make(4096, 4096, 0, 0);
    RT(cudaMemGetInfo(&during, &total));
    RT(cudaFreeArray(a));
    EXPECT(before - during >= (size_t)64 << 20, "64 MiB took %zu bytes", before - during);
}

static void refusals(void)
{
    auto create = DRIVER(cuArray3DCreate);
    CUDA_ARRAY3D_DESCRIPTOR d = {};
    CUarray a;

    d.Width = 16;
    d.Height = 16;
    d.Format = CU_AD_FORMAT_FLOAT;
    d.NumChannels = 3;
    DRV_IS(CUDA_ERROR_INVALID_VALUE, create(&a, &d));
    d.NumChannels = 1;
    d.Width = 0;
    DRV_IS(CUDA_ERROR_INVALID_VALUE, create(&a, &d));
    d.Width = 1 << 30;
    DRV_IS(CUDA_ERROR_INVALID_VALUE, create(&a, &d));
    d.Width = 16;
    d.Depth = 5;
    d.Flags = CUDA_ARRAY3D_CUBEMAP;
    DRV_IS(CUDA_ERROR_INVALID_VALUE, create(&a, &d));
    DRV_IS(CUDA_ERROR_INVALID_VALUE, create(&a, NULL));
}

int main()
{
    static const struct {
        size_t w, h, d;
        unsigned flags;
    } shapes[] = {
        {100, 0, 0, 0},
        {64, 32, 0, 0},
        {31, 17, 0, cudaArraySurfaceLoadStore},
        {16, 8, 5, 0},
        {50, 0, 4, cudaArrayLayered},
        {20, 10, 3, cudaArrayLayered},
        {8, 8, 6, cudaArrayCubemap},
        {8, 8, 12, cudaArrayCubemap | cudaArrayLayered},
    };

    RT(cudaFree(0));
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (int how = 0; how < 4; how++)
            round_trip(shapes[i].w, shapes[i].h, shapes[i].d, shapes[i].flags, how & 1, how & 2);
    inner_box();
    copy_2d();
    long_rows();
    runs();
    old_calls();
    mipmaps();
    captured(true);
    captured(false);
    memory();
    refusals();
    return passed("%zu shapes, boxes, runs, mipmaps, graphs, refusals", sizeof(shapes) / sizeof(shapes[0]));
}
