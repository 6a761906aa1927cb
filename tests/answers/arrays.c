/* SPDX-License-Identifier: MIT */
/*
 * Misuse of arrays, textures, surfaces and tensor maps.
 */
#include "groups.h"

#include <string.h>

static CUarray line, plane, none;
static CUmipmappedArray mips;
static CUdeviceptr p;
static char buf[16384];

static CUDA_ARRAY3D_DESCRIPTOR shape(size_t w, size_t h, size_t d, unsigned flags)
{
    return (CUDA_ARRAY3D_DESCRIPTOR){.Width = w, .Height = h, .Depth = d,
                                     .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1,
                                     .Flags = flags};
}

static void begin(void)
{
    CUDA_ARRAY3D_DESCRIPTOR d = shape(64, 0, 0, 0);

    ask_start();
    none = (CUarray)ask_nobody();
    p = ask_memory(65536);
    SAY(cuArray3DCreate_v2(&line, &d));
    d = shape(32, 16, 0, CUDA_ARRAY3D_SURFACE_LDST);
    SAY(cuArray3DCreate_v2(&plane, &d));
    SAY(cuMipmappedArrayCreate(&mips, &d, 3));
}

static void create(const char *what, CUDA_ARRAY3D_DESCRIPTOR d)
{
    CUarray a = NULL;

    ASK(what, cu.cuArray3DCreate_v2(&a, &d));
    if (a)
        cu.cuArrayDestroy(a);
}
#define CREATE(...) create("cuArray3DCreate_v2(" #__VA_ARGS__ ")", shape(__VA_ARGS__))

void array_shapes(void)
{
    CUDA_ARRAY3D_DESCRIPTOR d = shape(8, 8, 0, 0);
    CUarray a;

    begin();
    CREATE(0, 0, 0, 0);
    CREATE(0, 8, 0, 0);
    CREATE(8, 0, 8, 0);
    CREATE(8, 8, 8, 0);
    CREATE((size_t)1 << 32, 0, 0, 0);
    CREATE(8, (size_t)1 << 32, 0, 0);
    CREATE(8, 8, 0, CUDA_ARRAY3D_LAYERED);
    CREATE(8, 0, 4, CUDA_ARRAY3D_LAYERED);
    CREATE(8, 8, 4000000, CUDA_ARRAY3D_LAYERED);
    CREATE(8, 8, 6, CUDA_ARRAY3D_CUBEMAP);
    CREATE(8, 8, 5, CUDA_ARRAY3D_CUBEMAP);
    CREATE(8, 9, 6, CUDA_ARRAY3D_CUBEMAP);
    CREATE(8, 8, 7, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED);
    CREATE(8, 8, 0, CUDA_ARRAY3D_TEXTURE_GATHER);
    CREATE(8, 8, 8, CUDA_ARRAY3D_TEXTURE_GATHER);
    CREATE(8, 8, 0, 0x40000000);
    d.NumChannels = 3;
    create("3 channels", d);
    d.NumChannels = 0;
    create("0 channels", d);
    d.NumChannels = 1;
    d.Format = (CUarray_format)0x77;
    create("format 0x77", d);
    SAY(cuArray3DCreate_v2(NULL, &d));
    SAY(cuArray3DCreate_v2(&a, NULL));
    SAY(cuArrayCreate_v2(&a, NULL));
    SAY(cuArrayDestroy(NULL));
    SAY(cuArrayDestroy(none));
    SAY(cuArrayDestroy(line));
    SAY(cuArrayDestroy(line));
}

void array_questions(void)
{
    CUDA_ARRAY_MEMORY_REQUIREMENTS memory;
    CUDA_ARRAY_SPARSE_PROPERTIES sparse;
    CUDA_ARRAY3D_DESCRIPTOR d3;
    CUDA_ARRAY_DESCRIPTOR d;
    CUarray level;

    begin();
    SAY(cuArray3DGetDescriptor_v2(&d3, plane));
    ASK("flags of a plane", d3.Flags);
    ASK("depth of a plane", d3.Depth);
    SAY(cuArray3DGetDescriptor_v2(NULL, plane));
    SAY(cuArray3DGetDescriptor_v2(&d3, NULL));
    SAY(cuArray3DGetDescriptor_v2(&d3, none));
    SAY(cuArrayGetDescriptor_v2(&d, plane));
    SAY(cuArrayGetDescriptor_v2(NULL, plane));
    SAY(cuArrayGetDescriptor_v2(&d, NULL));
    SAY(cuArrayGetPlane(&level, plane, 0));
    SAY(cuArrayGetSparseProperties(&sparse, plane));
    SAY(cuMipmappedArrayGetSparseProperties(&sparse, mips));
    SAY(cuArrayGetMemoryRequirements(&memory, plane, 0));
    SAY(cuMipmappedArrayGetLevel(&level, mips, 2));
    SAY(cuMipmappedArrayGetLevel(&level, mips, 3));
    SAY(cuMipmappedArrayGetLevel(NULL, mips, 0));
    SAY(cuMipmappedArrayGetLevel(&level, NULL, 0));
    SAY(cuMipmappedArrayGetLevel(&level, mips, 1));
    SAY(cuArray3DGetDescriptor_v2(&d3, level));
    ASK("width of level 1", d3.Width);
    SAY(cuArrayDestroy(level));
    SAY(cuMipmappedArrayDestroy(NULL));
    SAY(cuMipmappedArrayDestroy(mips));
    SAY(cuMipmappedArrayDestroy(mips));
}

void array_copies(void)
{
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = buf,
                       .dstMemoryType = CU_MEMORYTYPE_ARRAY, .WidthInBytes = 128, .Height = 16};

    begin();
    c.dstArray = plane;
    SAY(cuMemcpy2D_v2(&c));
    c.Height = 17;
    ASK("a row too many", cu.cuMemcpy2D_v2(&c));
    c.Height = 16;
    c.dstXInBytes = 4;
    ASK("a texel too many", cu.cuMemcpy2D_v2(&c));
    c.WidthInBytes = 2;
    ASK("half a texel", cu.cuMemcpy2D_v2(&c));
    c.WidthInBytes = 4;
    c.dstXInBytes = 2;
    ASK("from the middle of a texel", cu.cuMemcpy2D_v2(&c));
    c.dstXInBytes = 0;
    c.dstArray = NULL;
    ASK("to no array", cu.cuMemcpy2D_v2(&c));
    c.dstArray = none;
    ASK("to nobody's array", cu.cuMemcpy2D_v2(&c));
    SAY(cuMemcpyHtoA_v2(line, 0, buf, 256));
    SAY(cuMemcpyHtoA_v2(line, 4, buf, 256));
    SAY(cuMemcpyHtoA_v2(line, 2, buf, 4));
    SAY(cuMemcpyHtoA_v2(line, 0, buf, 0));
    SAY(cuMemcpyHtoA_v2(line, 0, NULL, 4));
    SAY(cuMemcpyHtoA_v2(NULL, 0, buf, 4));
    SAY(cuMemcpyHtoA_v2(plane, 0, buf, 128));
    SAY(cuMemcpyHtoA_v2(plane, 0, buf, 256));
    SAY(cuMemcpyHtoA_v2(plane, 256, buf, 128));
    SAY(cuMemcpyAtoH_v2(buf, line, 0, 257));
    SAY(cuMemcpyAtoH_v2(NULL, line, 0, 4));
    SAY(cuMemcpyDtoA_v2(line, 0, p, 256));
    SAY(cuMemcpyDtoA_v2(line, 0, p + 65536, 4));
    SAY(cuMemcpyDtoA_v2(line, 0, (CUdeviceptr)buf, 4));
    SAY(cuMemcpyAtoD_v2(p, line, 252, 8));
    SAY(cuMemcpyAtoA_v2(line, 0, line, 128, 128));
    SAY(cuMemcpyAtoA_v2(line, 0, line, 128, 132));
}

static CUtexObject texture;

static void ask_texture(const char *what, const CUDA_RESOURCE_DESC *r, const CUDA_TEXTURE_DESC *t,
                        const CUDA_RESOURCE_VIEW_DESC *v)
{
    CUtexObject made = 0;

    ASK(what, cu.cuTexObjectCreate(&made, r, t, v));
    if (made)
        cu.cuTexObjectDestroy(made);
}

void textures(void)
{
    CUDA_RESOURCE_VIEW_DESC v;
    CUDA_RESOURCE_DESC r;
    CUDA_TEXTURE_DESC t;

    begin();
    memset(&r, 0, sizeof(r));
    memset(&t, 0, sizeof(t));
    memset(&v, 0, sizeof(v));
    r.res.array.hArray = plane;
    SAY(cuTexObjectCreate(&texture, &r, &t, NULL));
    ask_texture("no resource", NULL, &t, NULL);
    ask_texture("no sampler", &r, NULL, NULL);
    SAY(cuTexObjectCreate(NULL, &r, &t, NULL));
    SAY(cuTexObjectGetResourceViewDesc(&v, texture));
    SAY(cuTexObjectGetResourceDesc(NULL, texture));
    SAY(cuTexObjectGetTextureDesc(&t, 0));
    SAY(cuTexObjectDestroy(texture));
    SAY(cuTexObjectDestroy(texture));
    SAY(cuTexObjectDestroy(0));
    SAY(cuTexObjectDestroy(0x123456));
    memset(&t, 0, sizeof(t));
    t.flags = 0x1000;
    ask_texture("unknown flags", &r, &t, NULL);
    t.flags = CU_TRSF_READ_AS_INTEGER;
    t.filterMode = CU_TR_FILTER_MODE_LINEAR;
    ask_texture("linear, as integers", &r, &t, NULL);
    t.flags = 0;
    t.filterMode = (CUfilter_mode)7;
    ask_texture("filter 7", &r, &t, NULL);
    t.filterMode = CU_TR_FILTER_MODE_POINT;
    t.addressMode[0] = (CUaddress_mode)7;
    ask_texture("address mode 7", &r, &t, NULL);
    t.addressMode[0] = CU_TR_ADDRESS_MODE_WRAP;
    r.flags = 1;
    ask_texture("resource flags", &r, &t, NULL);
    r.flags = 0;
    r.res.array.hArray = NULL;
    ask_texture("no array", &r, &t, NULL);
    r.resType = (CUresourcetype)9;
    ask_texture("resource type 9", &r, &t, NULL);
}

static CUDA_RESOURCE_DESC pitched(size_t w, size_t h, size_t pitch, CUdeviceptr at)
{
    CUDA_RESOURCE_DESC r;

    memset(&r, 0, sizeof(r));
    r.resType = CU_RESOURCE_TYPE_PITCH2D;
    r.res.pitch2D.devPtr = at;
    r.res.pitch2D.format = CU_AD_FORMAT_FLOAT;
    r.res.pitch2D.numChannels = 1;
    r.res.pitch2D.width = w;
    r.res.pitch2D.height = h;
    r.res.pitch2D.pitchInBytes = pitch;
    return r;
}

static CUDA_RESOURCE_DESC linear(CUdeviceptr at, size_t bytes, unsigned channels)
{
    CUDA_RESOURCE_DESC r;

    memset(&r, 0, sizeof(r));
    r.resType = CU_RESOURCE_TYPE_LINEAR;
    r.res.linear.devPtr = at;
    r.res.linear.format = CU_AD_FORMAT_FLOAT;
    r.res.linear.numChannels = channels;
    r.res.linear.sizeInBytes = bytes;
    return r;
}

static void ask_memory_texture(const char *what, CUDA_RESOURCE_DESC r)
{
    CUDA_TEXTURE_DESC t;

    memset(&t, 0, sizeof(t));
    ask_texture(what, &r, &t, NULL);
}
#define PITCHED(...) ask_memory_texture("pitched(" #__VA_ARGS__ ")", pitched(__VA_ARGS__))
#define LINEAR(...)  ask_memory_texture("linear(" #__VA_ARGS__ ")", linear(__VA_ARGS__))

void memory_textures(void)
{
    begin();
    LINEAR(p, 4096, 1);
    LINEAR(p, 4096, 3);
    LINEAR(p, 0, 1);
    LINEAR(p, 3, 1);
    LINEAR(p, 65540, 1);
    LINEAR(p + 4, 4096, 1);
    LINEAR(0, 4096, 1);
    LINEAR((CUdeviceptr)buf, 4096, 1);
    PITCHED(64, 16, 256, p);
    PITCHED(64, 16, 255, p);
    PITCHED(64, 16, 128, p);
    PITCHED(0, 16, 256, p);
    PITCHED(64, 0, 256, p);
    PITCHED(64, 16, 256, p + 4);
    PITCHED(64, 512, 256, p);
    PITCHED(64, 16, 256, 0);
}

void surfaces(void)
{
    CUDA_RESOURCE_DESC r;
    CUsurfObject s = 0;

    begin();
    memset(&r, 0, sizeof(r));
    r.res.array.hArray = plane;
    SAY(cuSurfObjectCreate(&s, NULL));
    SAY(cuSurfObjectCreate(NULL, &r));
    SAY(cuSurfObjectCreate(&s, &r));
    SAY(cuSurfObjectGetResourceDesc(NULL, s));
    SAY(cuSurfObjectDestroy(s));
    SAY(cuSurfObjectDestroy(s));
    SAY(cuSurfObjectDestroy(0));
    r.res.array.hArray = line;
    ASK("an array that is not for surfaces", cu.cuSurfObjectCreate(&s, &r));
    r = linear(p, 4096, 1);
    ASK("memory as a surface", cu.cuSurfObjectCreate(&s, &r));
}
