/* SPDX-License-Identifier: MIT */
/*
 * Texture objects against a model of the programming guide's rules: address modes,
 * point and linear filters, formats, layers, cubes, mipmaps, gathers, memory as texture.
 * Filter weights have 8 bits of fraction, so linear results may be off by 1/256 of the
 * texels' range for each axis; everything else is exact.
 */
#include "common.cuh"

#include <cmath>
#include <functional>

/* Coordinates for one fetch: x, y, z, and a layer or a level of detail. */
struct coord {
    float x, y, z, w;
};

enum { FETCH_1D, FETCH_2D, FETCH_3D, FETCH_1D_LAYER, FETCH_2D_LAYER, FETCH_CUBE, FETCH_CUBE_LAYER,
       FETCH_LOD, FETCH_GRAD };

template <class T> __global__ void fetch(int what, cudaTextureObject_t t, const coord *at, T *out,
                                         int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= n)
        return;
    coord c = at[i];
    switch (what) {
    case FETCH_1D: out[i] = tex1D<T>(t, c.x); break;
    case FETCH_2D: out[i] = tex2D<T>(t, c.x, c.y); break;
    case FETCH_3D: out[i] = tex3D<T>(t, c.x, c.y, c.z); break;
    case FETCH_1D_LAYER: out[i] = tex1DLayered<T>(t, c.x, (int)c.w); break;
    case FETCH_2D_LAYER: out[i] = tex2DLayered<T>(t, c.x, c.y, (int)c.w); break;
    case FETCH_CUBE: out[i] = texCubemap<T>(t, c.x, c.y, c.z); break;
    case FETCH_CUBE_LAYER: out[i] = texCubemapLayered<T>(t, c.x, c.y, c.z, (int)c.w); break;
    case FETCH_LOD: out[i] = tex2DLod<T>(t, c.x, c.y, c.w); break;
    case FETCH_GRAD:
        out[i] = tex2DGrad<T>(t, c.x, c.y, make_float2(c.w, 0), make_float2(0, c.w));
        break;
    }
}

template <class T> __global__ void fetch_linear(cudaTextureObject_t t, T *out, int first, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        out[i] = tex1Dfetch<T>(t, first + i);
}

template <int C> __global__ void gather(cudaTextureObject_t t, const coord *at, float4 *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        out[i] = tex2Dgather<float4>(t, at[i].x, at[i].y, C);
}

template <class T> static std::vector<T> run(int what, cudaTextureObject_t t,
                                             const std::vector<coord> &at)
{
    device_array<coord> in(at);
    device_array<T> out(at.size());

    fetch<T><<<(unsigned)(at.size() + 63) / 64, 64>>>(what, t, in.ptr, out.ptr, (int)at.size());
    LAUNCHED();
    RT(cudaDeviceSynchronize());
    return out.read();
}

/* ------------------------------------------------------------------------- the model */

/* A picture of any shape; slices are depth, layers or faces. */
struct picture {
    int w, h, d;
    std::vector<float> texel;

    picture(int w_, int h_, int d_, uint32_t seed) : w(w_), h(h_), d(d_), texel(w_ * h_ * d_)
    {
        for (float &f : texel)
            f = random_unit(&seed);
    }
    float at(int x, int y, int z) const { return texel[(z * h + y) * w + x]; }
};

/* Index i on an axis of n texels; -1 is the border. */
static int place(cudaTextureAddressMode mode, int i, int n)
{
    if (mode == cudaAddressModeWrap)
        return ((i % n) + n) % n;
    if (mode == cudaAddressModeMirror) {
        i = ((i % (2 * n)) + 2 * n) % (2 * n);
        return i < n ? i : 2 * n - 1 - i;
    }
    if (i >= 0 && i < n)
        return i;
    return mode == cudaAddressModeClamp ? (i < 0 ? 0 : n - 1) : -1;
}

struct rules {
    cudaTextureAddressMode mode;
    bool linear, normalized;
};

static const float border = 0.25f;

static double texel(const picture &p, const rules &r, int x, int y, int z, int dims, int slice)
{
    int i = place(r.mode, x, p.w), j = dims > 1 ? place(r.mode, y, p.h) : 0;
    int k = dims > 2 ? place(r.mode, z, p.d) : slice;

    return i < 0 || j < 0 || k < 0 ? border : p.at(i, j, k);
}

static double model(const picture &p, const rules &r, coord c, int dims, int slice)
{
    double at[3] = {c.x, c.y, c.z}, sum = 0;
    int size[3] = {p.w, p.h, p.d}, low[3] = {0, 0, 0};
    double weight[3] = {0, 0, 0};

    for (int k = 0; k < dims; k++) {
        if (r.normalized)
            at[k] *= size[k];
        if (r.linear)
            at[k] -= 0.5;
        low[k] = (int)std::floor(at[k]);
        weight[k] = r.linear ? at[k] - low[k] : 0;
    }
    for (int corner = 0; corner < 1 << dims; corner++) {
        double part = 1;
        for (int k = 0; k < dims; k++)
            part *= corner >> k & 1 ? weight[k] : 1 - weight[k];
        if (part > 0)
            sum += part * texel(p, r, low[0] + (corner & 1), low[1] + (corner >> 1 & 1),
                                low[2] + (corner >> 2 & 1), dims, slice);
    }
    return sum;
}

static void compare(const char *what, const std::vector<float> &got, const std::vector<coord> &at,
                    double tolerance, const std::function<double(coord)> &want)
{
    for (size_t i = 0; i < at.size(); i++) {
        double w = want(at[i]);
        EXPECT(std::fabs(got[i] - w) <= tolerance, "%s: at (%g, %g, %g; %g) is %g, not %g", what,
               at[i].x, at[i].y, at[i].z, at[i].w, got[i], w);
    }
}

/* Places in and around the picture, at thirds of texels: never on an edge between two. */
static std::vector<coord> places(const picture &p, bool normalized, int dims)
{
    std::vector<coord> v;

    for (int i = 0; i < 300; i++) {
        coord c = {(float)(i * 7 % (3 * p.w * 3) - 3 * p.w) + 1.0f / 3, 0, 0, 0};
        c.x = (c.x / 3 + 0.01f);
        c.y = (float)(i * 5 % (3 * p.h * 3) - 3 * p.h) / 3 + 0.12f;
        c.z = (float)(i * 11 % (3 * p.d * 3) - 3 * p.d) / 3 + 0.21f;
        if (normalized) {
            c.x /= p.w;
            c.y /= p.h;
            c.z /= p.d;
        }
        if (dims < 3)
            c.z = 0;
        v.push_back(c);
    }
    return v;
}

/* --------------------------------------------------------------------------- textures */

template <class T> static cudaArray_t array_of(const std::vector<T> &data, int w, int h, int d,
                                               unsigned flags)
{
    cudaChannelFormatDesc format = cudaCreateChannelDesc<T>();
    int rows = h ? h : 1, slices = d ? d : 1;
    cudaMemcpy3DParms p = {};
    cudaArray_t a;

    RT(cudaMalloc3DArray(&a, &format, make_cudaExtent(w, h, d), flags));
    p.srcPtr = make_cudaPitchedPtr((void *)data.data(), w * sizeof(T), w, rows);
    p.dstArray = a;
    p.extent = make_cudaExtent(w, rows, slices);
    p.kind = cudaMemcpyHostToDevice;
    RT(cudaMemcpy3D(&p));
    return a;
}

static cudaTextureDesc sampler(const rules &r)
{
    cudaTextureDesc d = {};

    for (int k = 0; k < 3; k++)
        d.addressMode[k] = r.mode;
    d.filterMode = r.linear ? cudaFilterModeLinear : cudaFilterModePoint;
    d.readMode = cudaReadModeElementType;
    d.normalizedCoords = r.normalized;
    for (int k = 0; k < 4; k++)
        d.borderColor[k] = border;
    return d;
}

static cudaTextureObject_t texture(cudaArray_t a, const cudaTextureDesc &d)
{
    cudaResourceDesc r = {};
    cudaTextureObject_t t;

    r.resType = cudaResourceTypeArray;
    r.res.array.array = a;
    RT(cudaCreateTextureObject(&t, &r, &d, NULL));
    return t;
}

/* Every mode and filter that goes together, in 1, 2 and 3 dimensions. */
static void modes(void)
{
    static const cudaTextureAddressMode all[] = {cudaAddressModeWrap, cudaAddressModeClamp,
                                                 cudaAddressModeMirror, cudaAddressModeBorder};
    const picture p[] = {picture(37, 1, 1, 5), picture(19, 11, 1, 6), picture(9, 7, 5, 7)};

    for (int dims = 1; dims <= 3; dims++) {
        const picture &q = p[dims - 1];
        cudaArray_t a = array_of(q.texel, q.w, dims > 1 ? q.h : 0, dims > 2 ? q.d : 0, 0);
        for (int how = 0; how < 16; how++) {
            rules r = {all[how & 3], (how & 4) != 0, (how & 8) != 0};
            if (!r.normalized && (r.mode == cudaAddressModeWrap || r.mode == cudaAddressModeMirror))
                continue;
            cudaTextureDesc d = sampler(r);
            /* GPUs give a border to the directions that a line lacks, too. */
            for (int k = dims; k < 3; k++)
                d.addressMode[k] = cudaAddressModeClamp;
            cudaTextureObject_t t = texture(a, d);
            std::vector<coord> at = places(q, r.normalized, dims);
            char what[64];
            snprintf(what, sizeof(what), "%dD mode %d%s%s", dims, r.mode, r.linear ? " linear" : "",
                     r.normalized ? " normalized" : "");
            compare(what, run<float>(FETCH_1D + dims - 1, t, at), at, r.linear ? dims / 250.0 : 0,
                    [&](coord c) { return model(q, r, c, dims, 0); });
            RT(cudaDestroyTextureObject(t));
        }
        RT(cudaFreeArray(a));
    }
}

/* Layers: sampled like pictures of their own, and the layer's number is clamped. */
static void layers(void)
{
    picture p(13, 6, 4, 8);
    rules r = {cudaAddressModeClamp, true, true};

    for (int dims = 1; dims <= 2; dims++) {
        picture q(13, dims > 1 ? 6 : 1, 4, 9);
        cudaArray_t a = array_of(q.texel, q.w, dims > 1 ? q.h : 0, q.d, cudaArrayLayered);
        cudaTextureObject_t t = texture(a, sampler(r));
        std::vector<coord> at = places(q, true, 2);
        for (size_t i = 0; i < at.size(); i++)
            at[i].w = (float)(i % 6);
        compare("layers", run<float>(dims > 1 ? FETCH_2D_LAYER : FETCH_1D_LAYER, t, at), at, 2 / 250.0,
                [&](coord c) { return model(q, r, c, dims, c.w > 3 ? 3 : (int)c.w); });
        RT(cudaDestroyTextureObject(t));
        RT(cudaFreeArray(a));
    }
}

/* The face a direction meets, and where on it. */
static int face_of(coord c, float *s, float *t)
{
    float x = std::fabs(c.x), y = std::fabs(c.y), z = std::fabs(c.z), m;
    int face;

    if (x >= y && x >= z) {
        face = c.x > 0 ? 0 : 1;
        m = x;
        *s = c.x > 0 ? -c.z : c.z;
        *t = -c.y;
    } else if (y >= z) {
        face = c.y > 0 ? 2 : 3;
        m = y;
        *s = c.x;
        *t = c.y > 0 ? c.z : -c.z;
    } else {
        face = c.z > 0 ? 4 : 5;
        m = z;
        *s = c.z > 0 ? c.x : -c.x;
        *t = -c.y;
    }
    *s = (*s / m + 1) / 2;
    *t = (*t / m + 1) / 2;
    return face;
}

static void cubes(void)
{
    const int n = 8;
    picture p(n, n, 12, 10);
    picture one(n, n, 6, 11);
    rules r = {cudaAddressModeClamp, false, true};
    cudaArray_t a = array_of(one.texel, n, n, 6, cudaArrayCubemap);
    cudaArray_t b = array_of(p.texel, n, n, 12, cudaArrayCubemap | cudaArrayLayered);
    cudaTextureObject_t ta = texture(a, sampler(r)), tb = texture(b, sampler(r));
    std::vector<coord> at;
    uint32_t seed = 77;

    while (at.size() < 400) {
        coord c = {random_unit(&seed) * 2 - 1, random_unit(&seed) * 2 - 1,
                   random_unit(&seed) * 2 - 1, (float)(at.size() & 1)};
        float s, t;
        face_of(c, &s, &t);
        s = s * n - std::floor(s * n);
        t = t * n - std::floor(t * n);
        if (s > 0.05f && s < 0.95f && t > 0.05f && t < 0.95f) /* not at a texel's edge */
            at.push_back(c);
    }
    compare("cube", run<float>(FETCH_CUBE, ta, at), at, 0, [&](coord c) {
        float s, t;
        int face = face_of(c, &s, &t);
        return (double)one.at((int)(s * n), (int)(t * n), face);
    });
    compare("layered cube", run<float>(FETCH_CUBE_LAYER, tb, at), at, 0, [&](coord c) {
        float s, t;
        int face = face_of(c, &s, &t);
        return (double)p.at((int)(s * n), (int)(t * n), face + 6 * (int)c.w);
    });
    RT(cudaDestroyTextureObject(ta));
    RT(cudaDestroyTextureObject(tb));
    RT(cudaFreeArray(a));
    RT(cudaFreeArray(b));
}

/* ---------------------------------------------------------------------------- formats */

template <class T, class F> static void read_normalized(const char *what, F want)
{
    std::vector<T> data(256);
    cudaTextureDesc d = sampler({cudaAddressModeClamp, false, false});
    std::vector<coord> at;

    for (size_t i = 0; i < data.size(); i++) {
        data[i] = (T)(i * 257);
        at.push_back({(float)i + 0.5f, 0, 0, 0});
    }
    d.readMode = cudaReadModeNormalizedFloat;
    cudaArray_t a = array_of(data, 256, 0, 0, 0);
    cudaTextureObject_t t = texture(a, d);
    compare(what, run<float>(FETCH_1D, t, at), at, 1e-6,
            [&](coord c) { return (double)want(data[(size_t)c.x]); });
    RT(cudaDestroyTextureObject(t));
    RT(cudaFreeArray(a));
}

template <class T> static bool same(T a, T b)
{
    return memcmp(&a, &b, sizeof(T)) == 0;
}

/* Texels as they are, of several channels. */
template <class T> static void read_elements(const char *what)
{
    const int w = 17, h = 5;
    std::vector<T> data(w * h);
    std::vector<coord> at;
    uint32_t seed = 3;

    for (T &e : data) {
        unsigned char *b = (unsigned char *)&e;
        for (size_t k = 0; k < sizeof(T); k++)
            b[k] = (unsigned char)(next_random(&seed) >> 9 & 0x3f); /* no NaN among floats */
    }
    for (int i = 0; i < w * h; i++)
        at.push_back({(float)(i % w) + 0.5f, (float)(i / w) + 0.5f, 0, 0});
    cudaArray_t a = array_of(data, w, h, 0, 0);
    cudaTextureObject_t t = texture(a, sampler({cudaAddressModeClamp, false, false}));
    std::vector<T> got = run<T>(FETCH_2D, t, at);
    for (int i = 0; i < w * h; i++)
        EXPECT(same(got[i], data[i]), "%s: element %d differs", what, i);
    RT(cudaDestroyTextureObject(t));
    RT(cudaFreeArray(a));
}

static void srgb(void)
{
    std::vector<uchar4> data(256);
    cudaTextureDesc d = sampler({cudaAddressModeClamp, false, false});
    std::vector<coord> at;

    for (int i = 0; i < 256; i++) {
        data[i] = make_uchar4((unsigned char)i, 0, 0, (unsigned char)i);
        at.push_back({(float)i + 0.5f, 0, 0, 0});
    }
    d.readMode = cudaReadModeNormalizedFloat;
    d.sRGB = 1;
    cudaArray_t a = array_of(data, 256, 0, 0, 0);
    cudaTextureObject_t t = texture(a, d);
    std::vector<float4> got = run<float4>(FETCH_1D, t, at);
    for (int i = 0; i < 256; i++) {
        double c = i / 255.0, want = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
        /* GPUs round to few bits: 250 is 0.953 and not 0.956 on an H200. */
        EXPECT(std::fabs(got[i].x - want) < 4e-3 && std::fabs(got[i].w - c) < 1e-6,
               "sRGB %d is %g, not %g; alpha %g", i, got[i].x, want, got[i].w);
    }
    RT(cudaDestroyTextureObject(t));
    RT(cudaFreeArray(a));
}

static void formats(void)
{
    read_normalized<unsigned char>("uchar", [](unsigned char v) { return v / 255.0; });
    read_normalized<unsigned short>("ushort", [](unsigned short v) { return v / 65535.0; });
    read_normalized<signed char>("char", [](signed char v) { return v < -127 ? -1 : v / 127.0; });
    read_normalized<short>("short", [](short v) { return v < -32767 ? -1 : v / 32767.0; });
    read_elements<unsigned char>("uchar");
    read_elements<char2>("char2");
    read_elements<ushort4>("ushort4");
    read_elements<short>("short");
    read_elements<int2>("int2");
    read_elements<uint4>("uint4");
    read_elements<float2>("float2");
    read_elements<float4>("float4");
    srgb();
}

/* ----------------------------------------------------------------------------- memory */

static void memory_1d(void)
{
    const int n = 1000;
    std::vector<float2> data(n);
    cudaResourceDesc r = {}, back;
    cudaTextureDesc d = {};
    cudaTextureObject_t t;

    for (int i = 0; i < n; i++)
        data[i] = make_float2((float)i, (float)-i);
    device_array<float2> in(data), out(n + 40);
    r.resType = cudaResourceTypeLinear;
    r.res.linear.devPtr = in.ptr;
    r.res.linear.desc = cudaCreateChannelDesc<float2>();
    r.res.linear.sizeInBytes = n * sizeof(float2);
    RT(cudaCreateTextureObject(&t, &r, &d, NULL));
    fetch_linear<float2><<<(n + 40 + 63) / 64, 64>>>(t, out.ptr, -20, n + 40);
    LAUNCHED();
    std::vector<float2> got = out.read();
    for (int i = 0; i < n + 40; i++) {
        float2 want = i < 20 || i >= n + 20 ? make_float2(0, 0) : data[i - 20];
        EXPECT(same(got[i], want), "linear memory: texel %d is (%g, %g)", i - 20, got[i].x,
               got[i].y);
    }
    RT(cudaGetTextureObjectResourceDesc(&back, t));
    EXPECT(back.resType == cudaResourceTypeLinear && back.res.linear.devPtr == in.ptr &&
               back.res.linear.sizeInBytes == n * sizeof(float2),
           "the resource reads back otherwise");
    RT(cudaDestroyTextureObject(t));
}

static void memory_2d(void)
{
    picture p(50, 21, 1, 12);
    rules r = {cudaAddressModeClamp, true, false};
    cudaResourceDesc res = {};
    cudaTextureDesc d = sampler(r), back;
    cudaTextureObject_t t;
    size_t pitch;
    float *mem;

    RT(cudaMallocPitch(&mem, &pitch, p.w * 4, p.h));
    RT(cudaMemcpy2D(mem, pitch, p.texel.data(), p.w * 4, p.w * 4, p.h, cudaMemcpyHostToDevice));
    res.resType = cudaResourceTypePitch2D;
    res.res.pitch2D.devPtr = mem;
    res.res.pitch2D.desc = cudaCreateChannelDesc<float>();
    res.res.pitch2D.width = p.w;
    res.res.pitch2D.height = p.h;
    res.res.pitch2D.pitchInBytes = pitch;
    RT(cudaCreateTextureObject(&t, &res, &d, NULL));
    std::vector<coord> at = places(p, false, 2);
    compare("pitched memory", run<float>(FETCH_2D, t, at), at, 2 / 250.0,
            [&](coord c) { return model(p, r, c, 2, 0); });
    RT(cudaGetTextureObjectTextureDesc(&back, t));
    EXPECT(back.filterMode == cudaFilterModeLinear && back.normalizedCoords == 0 &&
               back.addressMode[1] == cudaAddressModeClamp,
           "the sampler reads back otherwise");
    RT(cudaDestroyTextureObject(t));
    RT(cudaFree(mem));
}

/* ---------------------------------------------------------------------------- mipmaps */

static cudaMipmappedArray_t mipmap_of(std::vector<picture> &level, int n, int levels)
{
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    cudaMipmappedArray_t m;
    cudaArray_t a;

    RT(cudaMallocMipmappedArray(&m, &format, make_cudaExtent(n, n, 0), levels));
    for (int i = 0; i < levels; i++) {
        level.push_back(picture(n >> i, n >> i, 1, 20 + i));
        RT(cudaGetMipmappedArrayLevel(&a, m, i));
        RT(cudaMemcpy2DToArray(a, 0, 0, level[i].texel.data(), (n >> i) * 4, (n >> i) * 4, n >> i,
                               cudaMemcpyHostToDevice));
    }
    return m;
}

static void mipmaps(void)
{
    const int n = 32, levels = 5;
    std::vector<picture> level;
    cudaMipmappedArray_t m = mipmap_of(level, n, levels);
    cudaResourceDesc res = {};
    rules r = {cudaAddressModeClamp, true, true};
    cudaTextureDesc d = sampler(r);
    cudaTextureObject_t near, between;
    std::vector<coord> at;

    res.resType = cudaResourceTypeMipmappedArray;
    res.res.mipmap.mipmap = m;
    d.maxMipmapLevelClamp = levels - 1;
    d.disableTrilinearOptimization = 1;
    d.mipmapFilterMode = cudaFilterModePoint;
    RT(cudaCreateTextureObject(&near, &res, &d, NULL));
    d.mipmapFilterMode = cudaFilterModeLinear;
    d.minMipmapLevelClamp = 1;
    RT(cudaCreateTextureObject(&between, &res, &d, NULL));
    for (int i = 0; i < 200; i++)
        at.push_back({i * 0.005f + 0.001f, 1 - i * 0.0047f, 0, (float)(i % 7) * 0.75f + 0.125f});
    compare("nearest level", run<float>(FETCH_LOD, near, at), at, 2 / 250.0, [&](coord c) {
        int l = (int)(c.w + 0.5f);
        return model(level[l < levels ? l : levels - 1], r, c, 2, 0);
    });
    compare("between levels", run<float>(FETCH_LOD, between, at), at, 3 / 250.0, [&](coord c) {
        double lod = c.w < 1 ? 1 : c.w > levels - 1 ? levels - 1 : c.w;
        int l = (int)lod;
        double low = model(level[l], r, c, 2, 0);
        return l + 1 < levels ? low + (lod - l) * (model(level[l + 1], r, c, 2, 0) - low) : low;
    });
    for (coord &c : at)
        c.w = std::exp2(c.w) / n; /* as far as makes this level of detail */
    compare("gradients", run<float>(FETCH_GRAD, near, at), at, 2 / 250.0, [&](coord c) {
        int l = (int)(std::log2(c.w * n) + 0.5f);
        return model(level[l < levels ? l : levels - 1], r, c, 2, 0);
    });
    RT(cudaDestroyTextureObject(near));
    RT(cudaDestroyTextureObject(between));
    RT(cudaFreeMipmappedArray(m));
}

static void gathers(void)
{
    const int w = 12, h = 9;
    std::vector<float2> data(w * h);
    std::vector<coord> at;

    for (int i = 0; i < w * h; i++)
        data[i] = make_float2((float)i, (float)(1000 + i));
    for (int i = 0; i < 60; i++)
        at.push_back({1 + i % 9 + 0.8f, 1 + i % 7 + 0.7f, 0, 0});
    cudaArray_t a = array_of(data, w, h, 0, cudaArrayTextureGather);
    cudaTextureObject_t t = texture(a, sampler({cudaAddressModeClamp, false, false}));
    device_array<coord> in(at);
    device_array<float4> out(at.size());
    gather<1><<<1, 64>>>(t, in.ptr, out.ptr, (int)at.size());
    LAUNCHED();
    std::vector<float4> got = out.read();
    for (size_t i = 0; i < at.size(); i++) {
        int x = (int)std::floor(at[i].x - 0.5f), y = (int)std::floor(at[i].y - 0.5f);
        float4 want = make_float4(data[(y + 1) * w + x].y, data[(y + 1) * w + x + 1].y,
                                  data[y * w + x + 1].y, data[y * w + x].y);
        EXPECT(same(got[i], want), "gather at (%g, %g): %g %g %g %g", at[i].x, at[i].y, got[i].x,
               got[i].y, got[i].z, got[i].w);
    }
    RT(cudaDestroyTextureObject(t));
    RT(cudaFreeArray(a));
}

static void refusals(void)
{
    cudaResourceDesc res = {};
    cudaTextureDesc d = {};
    cudaTextureObject_t t;
    device_array<float> memory(1024);

    res.resType = cudaResourceTypePitch2D;
    res.res.pitch2D.devPtr = memory.ptr;
    res.res.pitch2D.desc = cudaCreateChannelDesc<float>();
    res.res.pitch2D.width = 20;
    res.res.pitch2D.height = 4;
    res.res.pitch2D.pitchInBytes = 81; /* not aligned */
    EXPECT(cudaCreateTextureObject(&t, &res, &d, NULL) != cudaSuccess, "a pitch of 81 passed");
    cudaGetLastError();
}

int main()
{
    RT(cudaFree(0));
    modes();
    layers();
    cubes();
    formats();
    memory_1d();
    memory_2d();
    mipmaps();
    gathers();
    refusals();
    return passed("modes, filters, formats, layers, cubes, mipmaps, gathers");
}
