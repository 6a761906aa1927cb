/* SPDX-License-Identifier: MIT */
/*
 * Surface objects: loads and stores of every width and shape, what happens outside,
 * atomic operations, and a texture that sees what a surface wrote.
 */
#include "common.cuh"

template <class T> static cudaArray_t make(int w, int h, int d, unsigned flags)
{
    cudaChannelFormatDesc format = cudaCreateChannelDesc<T>();
    cudaArray_t a;

    RT(cudaMalloc3DArray(&a, &format, make_cudaExtent(w, h, d), flags | cudaArraySurfaceLoadStore));
    return a;
}

static cudaSurfaceObject_t surface(cudaArray_t a)
{
    cudaResourceDesc r = {}, back;
    cudaSurfaceObject_t s;

    r.resType = cudaResourceTypeArray;
    r.res.array.array = a;
    RT(cudaCreateSurfaceObject(&s, &r));
    RT(cudaGetSurfaceObjectResourceDesc(&back, s));
    EXPECT(back.resType == cudaResourceTypeArray && back.res.array.array == a,
           "the resource reads back otherwise");
    return s;
}

template <class T> static std::vector<T> contents(cudaArray_t a, int w, int h, int d)
{
    std::vector<T> v((size_t)w * h * d);
    cudaMemcpy3DParms p = {};

    p.srcArray = a;
    p.dstPtr = make_cudaPitchedPtr(v.data(), w * sizeof(T), w, h);
    p.extent = make_cudaExtent(w, h, d);
    p.kind = cudaMemcpyDeviceToHost;
    RT(cudaMemcpy3D(&p));
    return v;
}

template <class T> __host__ __device__ static T value(int x, int y, int z)
{
    T v;
    unsigned char *b = (unsigned char *)&v;

    for (unsigned k = 0; k < sizeof(T); k++)
        b[k] = (unsigned char)(x * 3 + y * 17 + z * 59 + k * 101);
    return v;
}

enum { S1D, S2D, S3D, S1D_LAYER, S2D_LAYER };

/* Stores value(x, y, z) everywhere, then loads it into out. */
template <class T, int SHAPE> __global__ void fill(cudaSurfaceObject_t s, int w, int h, int d)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, x = i % w, y = i / w % h, z = i / w / h;
    T v = value<T>(x, y, z);

    if (z >= d)
        return;
    if (SHAPE == S1D)
        surf1Dwrite(v, s, x * sizeof(T));
    else if (SHAPE == S2D)
        surf2Dwrite(v, s, x * sizeof(T), y);
    else if (SHAPE == S3D)
        surf3Dwrite(v, s, x * sizeof(T), y, z);
    else if (SHAPE == S1D_LAYER)
        surf1DLayeredwrite(v, s, x * sizeof(T), z);
    else
        surf2DLayeredwrite(v, s, x * sizeof(T), y, z);
}

template <class T, int SHAPE> __global__ void load(cudaSurfaceObject_t s, T *out, int w, int h,
                                                   int d)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, x = i % w, y = i / w % h, z = i / w / h;

    if (z >= d)
        return;
    if (SHAPE == S1D)
        out[i] = surf1Dread<T>(s, x * sizeof(T));
    else if (SHAPE == S2D)
        out[i] = surf2Dread<T>(s, x * sizeof(T), y);
    else if (SHAPE == S3D)
        out[i] = surf3Dread<T>(s, x * sizeof(T), y, z);
    else if (SHAPE == S1D_LAYER)
        out[i] = surf1DLayeredread<T>(s, x * sizeof(T), z);
    else
        out[i] = surf2DLayeredread<T>(s, x * sizeof(T), y, z);
}

template <class T, int SHAPE> static void round_trip(const char *what, int w, int h, int d)
{
    bool layered = SHAPE >= S1D_LAYER;
    int rows = h ? h : 1, slices = d ? d : 1, n = w * rows * slices;
    cudaArray_t a = make<T>(w, h, d, layered ? cudaArrayLayered : 0);
    cudaSurfaceObject_t s = surface(a);
    device_array<T> out(n);

    fill<T, SHAPE><<<(n + 63) / 64, 64>>>(s, w, rows, slices);
    LAUNCHED();
    load<T, SHAPE><<<(n + 63) / 64, 64>>>(s, out.ptr, w, rows, slices);
    LAUNCHED();
    std::vector<T> loaded = out.read(), copied = contents<T>(a, w, rows, slices);
    for (int i = 0; i < n; i++) {
        T want = value<T>(i % w, i / w % rows, i / w / rows);
        EXPECT(memcmp(&copied[i], &want, sizeof(T)) == 0, "%s: element %d stored wrongly", what, i);
        EXPECT(memcmp(&loaded[i], &want, sizeof(T)) == 0, "%s: element %d loaded wrongly", what, i);
    }
    RT(cudaDestroySurfaceObject(s));
    RT(cudaFreeArray(a));
}

/* ---------------------------------------------------------------------------- outside */

__global__ void stray(cudaSurfaceObject_t s, unsigned *out)
{
    out[0] = surf2Dread<unsigned>(s, -4, 0, cudaBoundaryModeZero);
    out[1] = surf2Dread<unsigned>(s, 0, 99, cudaBoundaryModeZero);
    out[2] = surf2Dread<unsigned>(s, -40, -3, cudaBoundaryModeClamp);
    out[3] = surf2Dread<unsigned>(s, 4000, 99, cudaBoundaryModeClamp);
    surf2Dwrite(111u, s, 4000, 1, cudaBoundaryModeZero);
    surf2Dwrite(222u, s, 4000, 1, cudaBoundaryModeClamp);
    surf2Dwrite(333u, s, 4, -7, cudaBoundaryModeClamp);
}

static void outside(void)
{
    const int w = 6, h = 3;
    cudaArray_t a = make<unsigned>(w, h, 0, 0);
    cudaSurfaceObject_t s = surface(a);
    std::vector<unsigned> in(w * h);
    device_array<unsigned> out(4);

    for (int i = 0; i < w * h; i++)
        in[i] = 1000 + i;
    RT(cudaMemcpy2DToArray(a, 0, 0, in.data(), w * 4, w * 4, h, cudaMemcpyHostToDevice));
    stray<<<1, 1>>>(s, out.ptr);
    LAUNCHED();
    std::vector<unsigned> got = out.read(), after = contents<unsigned>(a, w, h, 1);
    EXPECT(got[0] == 0 && got[1] == 0 && got[2] == 1000 && got[3] == 1000 + w * h - 1,
           "outside reads %u %u %u %u", got[0], got[1], got[2], got[3]);
    in[1 * w + w - 1] = 222;
    in[1] = 333;
    EXPECT(after == in, "stores outside went elsewhere");
    RT(cudaDestroySurfaceObject(s));
    RT(cudaFreeArray(a));
}

/* ------------------------------------------------------------------ surface and texture */

__global__ void blur(cudaTextureObject_t from, cudaSurfaceObject_t to, int w, int h)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;

    if (x < w && y < h) {
        float sum = tex2D<float>(from, x - 0.5f, y + 0.5f) + tex2D<float>(from, x + 0.5f, y + 0.5f) +
                    tex2D<float>(from, x + 1.5f, y + 0.5f);
        surf2Dwrite(sum, to, x * 4, y);
    }
}

/* Two arrays take turns as texture and surface, as image filters do it. */
static void in_turns(void)
{
    const int w = 40, h = 4;
    std::vector<float> model(w * h, 0), got;
    cudaTextureObject_t t[2];
    cudaSurfaceObject_t s[2];
    cudaArray_t a[2];

    model[w / 2] = 1;
    model[w] = 1;
    for (int i = 0; i < 2; i++) {
        cudaResourceDesc r = {};
        cudaTextureDesc d = {};
        a[i] = make<float>(w, h, 0, 0);
        s[i] = surface(a[i]);
        r.resType = cudaResourceTypeArray;
        r.res.array.array = a[i];
        d.addressMode[0] = d.addressMode[1] = cudaAddressModeClamp;
        RT(cudaCreateTextureObject(&t[i], &r, &d, NULL));
    }
    RT(cudaMemcpy2DToArray(a[0], 0, 0, model.data(), w * 4, w * 4, h, cudaMemcpyHostToDevice));
    for (int step = 0; step < 6; step++) {
        std::vector<float> next(w * h);
        blur<<<dim3((w + 31) / 32, h), 32>>>(t[step & 1], s[~step & 1], w, h);
        LAUNCHED();
        for (int i = 0; i < w * h; i++) {
            int x = i % w, row = i - x;
            next[i] = model[row + (x ? x - 1 : 0)] + model[i] + model[row + (x < w - 1 ? x + 1 : x)];
        }
        model = next;
    }
    got = contents<float>(a[0], w, h, 1);
    EXPECT(got == model, "textures do not see what surfaces wrote");
    for (int i = 0; i < 2; i++) {
        RT(cudaDestroyTextureObject(t[i]));
        RT(cudaDestroySurfaceObject(s[i]));
        RT(cudaFreeArray(a[i]));
    }
}

static void refusals(void)
{
    cudaResourceDesc r = {};
    cudaSurfaceObject_t s;

    r.resType = cudaResourceTypeLinear; /* memory is no surface */
    EXPECT(cudaCreateSurfaceObject(&s, &r) != cudaSuccess, "nothing passes for a surface");
    cudaGetLastError();
}

int main()
{
    RT(cudaFree(0));
    round_trip<unsigned char, S1D>("1D uchar", 100, 0, 0);
    round_trip<short2, S1D>("1D short2", 77, 0, 0);
    round_trip<unsigned, S2D>("2D unsigned", 33, 9, 0);
    round_trip<uchar4, S2D>("2D uchar4", 33, 9, 0);
    round_trip<float2, S2D>("2D float2", 20, 5, 0);
    round_trip<float4, S2D>("2D float4", 20, 5, 0);
    round_trip<ushort4, S3D>("3D ushort4", 9, 7, 5);
    round_trip<float, S3D>("3D float", 9, 7, 5);
    round_trip<int, S1D_LAYER>("1D layers", 19, 0, 4);
    round_trip<uint2, S2D_LAYER>("2D layers", 12, 6, 3);
    outside();
    in_turns();
    refusals();
    return passed("10 shapes and formats, outside, textures and surfaces in turns");
}
