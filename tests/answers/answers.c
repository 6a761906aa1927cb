/* SPDX-License-Identifier: MIT */
/*
 * Asks a driver what it says to right and wrong calls about images, functions,
 * launches, occupancy and graphs, and prints one line per answer. The same program
 * runs on NVIDIA's library and on ours; answers.txt holds NVIDIA's lines, answers.sh
 * compares. Lines must not depend on the model of the GPU.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"

#define HEAD ".version 7.0\n.target sm_70\n.address_size 64\n"
static const char ptx[] =
    HEAD
    ".visible .global .align 4 .u32 counter;\n"
    ".visible .entry none() { ret; }\n"
    ".visible .entry store(.param .u32 v, .param .u64 p, .param .u8 c) {\n"
    "  .reg .u64 %rd<3>; .reg .u32 %r<2>;\n"
    "  ld.param.u64 %rd1, [p]; ld.param.u32 %r1, [v];\n"
    "  cvta.to.global.u64 %rd2, %rd1; st.global.u32 [%rd2], %r1; ret; }\n"
    ".visible .entry bounded() .maxntid 64, 1, 1 { ret; }\n"
    ".visible .entry fixed() .reqntid 32, 1, 1 { ret; }\n"
    ".visible .entry shared(.param .u64 p) {\n"
    "  .shared .align 4 .b8 s[1024]; .reg .u64 %rd<3>; .reg .u32 %r<2>;\n"
    "  ld.param.u64 %rd1, [p]; mov.u32 %r1, s;\n"
    "  cvta.to.global.u64 %rd2, %rd1; st.global.u32 [%rd2], %r1; ret; }\n";

/* ---- images ---------------------------------------------------------------------- */

static void load(const char *what, const void *image)
{
    CUmodule m = NULL;
    CUlibrary l = NULL;
    char line[100];

    snprintf(line, sizeof(line), "module from %s", what);
    ask_say(line, cu.cuModuleLoadData(&m, image));
    snprintf(line, sizeof(line), "library from %s", what);
    ask_say(line, cu.cuLibraryLoadData(&l, image, NULL, NULL, 0, NULL, NULL, 0));
    if (m)
        cu.cuModuleUnload(m);
    if (l)
        cu.cuLibraryUnload(l);
}

/* A fat binary of one entry, until the next. */
static const void *fatbin(unsigned kind, unsigned arch, uint64_t flags, const void *body, size_t size)
{
    size_t padded = (size + 7) & ~(size_t)7;
    static uint8_t p[1024];
    const uint32_t magic = 0xba55ed50, header = 64;
    const uint16_t one = 1, sixteen = 16, version = 0x101;
    const uint64_t payload = 64 + padded, wide = padded;

    memcpy(p, &magic, 4);
    memcpy(p + 4, &one, 2);
    memcpy(p + 6, &sixteen, 2);
    memcpy(p + 8, &payload, 8);
    memcpy(p + 16, &kind, 2);
    memcpy(p + 18, &version, 2);
    memcpy(p + 20, &header, 4);
    memcpy(p + 24, &wide, 8);
    memcpy(p + 16 + 28, &arch, 4);
    memcpy(p + 16 + 40, &flags, 8);
    memcpy(p + 16 + 64, body, size);
    return p;
}

static void images(void)
{
    static const uint32_t empty_fatbin[] = {0xba55ed50, 0x00100001, 0, 0};
    const struct { uint32_t magic, version; const void *data; void *more; } bad_wrapper = {
        0x466243b1, 7, empty_fatbin, NULL};
    uint8_t elf[64] = {0x7f, 'E', 'L', 'F', 2, 1};

    load("PTX", ptx);
    load("NULL", NULL);
    load("no text", "");
    load("prose", "hello, world\n");
    load("bad PTX", HEAD ".visible .entry k() { nonsense.u32 %r1; }\n");
    load("PTX cut short", HEAD ".visible .entry k() { ret;");
    load("PTX of the future", ".version 99.0\n.target sm_70\n.address_size 64\n");
    load("PTX for a later GPU", ".version 8.7\n.target sm_120\n.address_size 64\n"
                                ".visible .entry k() { ret; }\n");
    load("bytes", "\001\002\003\004\005\006\007");
    load("an empty fat binary", empty_fatbin);
    load("a fat binary for an older GPU", fatbin(2, 35, 0x11, elf, sizeof(elf)));
    load("a wrapper of version 7", &bad_wrapper);
    load("an empty ELF file", elf);
    ask_say("fat binary function, PTX", cu.cuModuleLoadFatBinary(&(CUmodule){NULL}, ptx));
}

static void jit_log(const char *what, const char *image)
{
    char error[1000], info[1000];
    CUmodule m = NULL;
    CUjit_option option[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
                             CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
                             CU_JIT_OPTIMIZATION_LEVEL};
    void *value[] = {error, (void *)sizeof(error), info, (void *)sizeof(info), (void *)2};

    memset(error, 'x', sizeof(error));
    memset(info, 'x', sizeof(info));
    printf("load %s with logs = %d\n", what, cu.cuModuleLoadDataEx(&m, image, 5, option, value));
    size_t used = (uintptr_t)value[1];
    printf("  error log: empty %d, size is length %d, length+1 %d\n", error[0] == '\0',
           strnlen(error, 1000) == used, strnlen(error, 1000) + 1 == used);
    used = (uintptr_t)value[3];
    printf("  info log: empty %d, size is length %d, length+1 %d\n", info[0] == '\0',
           strnlen(info, 1000) == used, strnlen(info, 1000) + 1 == used);
    fprintf(stderr, "%.1000s\n%.1000s\n", error, info);
    if (m)
        cu.cuModuleUnload(m);
}

static void options(void)
{
    CUjit_option bad = (CUjit_option)99;
    CUlibraryOption bad_library = (CUlibraryOption)99, preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *value = NULL;
    CUmodule m;
    CUlibrary l;

    jit_log("PTX", ptx);
    jit_log("bad PTX", HEAD ".visible .entry k() { nonsense.u32 %r1; }\n");
    SAY(cuModuleLoadDataEx(&m, ptx, 1, &bad, &value));
    SAY(cuModuleLoadDataEx(&m, ptx, 1, NULL, NULL));
    SAY(cuLibraryLoadData(&l, ptx, NULL, NULL, 0, &bad_library, &value, 1));
    SAY(cuLibraryLoadData(&l, ptx, NULL, NULL, 0, &preserved, NULL, 1));
    SAY(cuLibraryLoadData(&l, ptx, NULL, NULL, 1, NULL, NULL, 0));
    SAY(cuLibraryLoadData(NULL, ptx, NULL, NULL, 0, NULL, NULL, 0));
    SAY(cuModuleLoadData(NULL, ptx));
    SAY(cuModuleUnload(NULL));
    SAY(cuLibraryUnload(NULL));
}

/* ---- what is in them ---------------------------------------------------------------- */

static void functions(CUmodule m)
{
    CUfunction f, list[16] = {NULL};
    CUdeviceptr p;
    const char *name = NULL;
    CUmodule of = NULL;
    size_t bytes = 0, offset, size;
    unsigned n = 0;
    int v = 0;

    SAY(cuModuleGetFunction(&f, m, "no such"));
    SAY(cuModuleGetFunction(&f, m, ""));
    SAY(cuModuleGetFunction(&f, m, NULL));
    SAY(cuModuleGetFunction(NULL, m, "none"));
    SAY(cuModuleGetFunction(&f, NULL, "none"));
    SAY(cuModuleGetGlobal_v2(&p, &bytes, m, "counter"));
    ask_say("bytes of counter", (long long)bytes);
    SAY(cuModuleGetGlobal_v2(NULL, NULL, m, "counter"));
    SAY(cuModuleGetGlobal_v2(&p, NULL, m, "no such"));
    SAY(cuModuleGetGlobal_v2(&p, NULL, m, NULL));
    SAY(cuModuleGetFunctionCount(&n, m));
    ask_say("functions", n);
    SAY(cuModuleGetFunctionCount(NULL, m));
    SAY(cuModuleEnumerateFunctions(list, 2, m));
    ask_say("listed", !!list[0] + !!list[1] + !!list[2]);
    SAY(cuModuleEnumerateFunctions(list, 16, m));
    ask_say("listed fifth, sixth", !!list[4] * 10 + !!list[5]);
    SAY(cuModuleEnumerateFunctions(list, 0, m));
    SAY(cuModuleEnumerateFunctions(NULL, 1, m));
    SAY(cuFuncGetName(&name, list[0]));
    ask_say("has a name", name && *name);
    SAY(cuModuleGetFunction(&f, m, "store"));
    SAY(cuFuncGetName(&name, f));
    ask_say("it is store", name && !strcmp(name, "store"));
    SAY(cuFuncGetName(NULL, f));
    SAY(cuFuncGetName(&name, NULL));
    SAY(cuFuncGetModule(&of, f));
    ask_say("its module", of == m);
    for (int i = 0; i < 3; i++) {
        SAY(cuFuncGetParamInfo(f, i, &offset, &size));
        ask_say("offset, size", (long long)(offset * 100 + size));
    }
    SAY(cuFuncGetParamInfo(f, 3, &offset, &size));
    SAY(cuFuncGetParamInfo(f, 0, &offset, NULL));
    SAY(cuFuncGetParamInfo(f, 0, NULL, &size));
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f));
    ask_say("static shared", v);
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
    ask_say("dynamic shared", v);
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX, f));
    SAY(cuFuncGetAttribute(&v, (CUfunction_attribute)-1, f));
    SAY(cuFuncGetAttribute(NULL, CU_FUNC_ATTRIBUTE_NUM_REGS, f));
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, NULL));
    SAY(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024));
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
    ask_say("dynamic shared", v);
    SAY(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 24));
    SAY(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, -1));
    SAY(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_NUM_REGS, 1));
    SAY(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 49152));
    SAY(cuModuleGetFunction(&f, m, "shared"));
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f));
    ask_say("static shared", v);
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
    ask_say("dynamic shared", v);
    SAY(cuModuleGetFunction(&f, m, "bounded"));
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
    ask_say("threads of bounded", v);
}

static void late_errors(void)
{
    static const char *const text[] = {"hello, world\n", HEAD ".visible .entry k() { nonsense; }\n"};
    CUkernel k;
    CUlibrary l;

    for (int i = 0; i < 2; i++) {
        SAY(cuLibraryLoadData(&l, text[i], NULL, NULL, 0, NULL, NULL, 0));
        SAY(cuLibraryGetKernel(&k, l, "k"));
        SAY(cuLibraryGetKernel(&k, l, "k"));
        SAY(cuLibraryUnload(l));
    }
}

static void without_context(CUlibrary *ret_library)
{
    CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *yes = (void *)1;
    CUkernel k = NULL;
    CUfunction f;
    CUmodule m;
    CUlibrary of = NULL;
    CUdeviceptr p;
    size_t offset, size;
    const char *name = NULL;
    unsigned n = 0;
    int v = 0;

    printf("-- without a context\n");
    SAY(cuModuleLoadData(&m, ptx));
    SAY(cuLibraryLoadData(ret_library, ptx, NULL, NULL, 0, &preserved, &yes, 1));
    CUlibrary l = *ret_library;
    SAY(cuLibraryGetKernel(&k, l, "store"));
    SAY(cuLibraryGetKernel(&k, l, "no such"));
    SAY(cuLibraryGetKernel(&k, l, NULL));
    SAY(cuLibraryGetKernel(NULL, l, "store"));
    SAY(cuLibraryGetKernel(&k, NULL, "store"));
    SAY(cuLibraryGetKernelCount(&n, l));
    ask_say("kernels", n);
    SAY(cuKernelGetName(&name, k));
    ask_say("it is store", name && !strcmp(name, "store"));
    SAY(cuKernelGetLibrary(&of, k));
    ask_say("its library", of == l);
    SAY(cuKernelGetParamInfo(k, 1, &offset, &size));
    SAY(cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, k, 0));
    ask_say("dynamic shared", v);
    SAY(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 2048, k, 0));
    SAY(cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, k, 0));
    ask_say("dynamic shared", v);
    SAY(cuKernelGetFunction(&f, k));
    SAY(cuLibraryGetModule(&m, l));
    SAY(cuLibraryGetGlobal(&p, &size, l, "counter"));
    SAY(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

static void kernels(CUlibrary l)
{
    CUkernel k = NULL, list[16] = {NULL};
    CUfunction f = NULL, again = NULL;
    CUmodule m = NULL, of = NULL;
    CUdeviceptr p;
    const char *name = NULL;
    size_t bytes = 0, offset;
    int v = 0;

    printf("-- library in a context\n");
    SAY(cuLibraryGetKernel(&k, l, "store"));
    SAY(cuKernelGetFunction(&f, k));
    SAY(cuKernelGetFunction(&again, k));
    ask_say("the same function", f && f == again);
    ask_say("function is kernel", (void *)f == (void *)k);
    SAY(cuLibraryGetModule(&m, l));
    SAY(cuFuncGetModule(&of, f));
    ask_say("its module", of == m);
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
    ask_say("dynamic shared of the function", v);
    SAY(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 4096));
    SAY(cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, k, 0));
    ask_say("dynamic shared of the kernel", v);
    SAY(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 8192, k, 0));
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
    ask_say("dynamic shared of the function", v);
    SAY(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (CUfunction)k));
    ask_say("the kernel as a function", v);
    SAY(cuFuncGetName(&name, (CUfunction)k));
    SAY(cuFuncGetParamInfo((CUfunction)k, 0, &offset, &bytes));
    SAY(cuKernelGetName(&name, (CUkernel)f));
    SAY(cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, k, 77));
    SAY(cuLibraryEnumerateKernels(list, 16, l));
    ask_say("listed fifth, sixth", !!list[4] * 10 + !!list[5]);
    SAY(cuLibraryGetGlobal(&p, &bytes, l, "counter"));
    SAY(cuLibraryGetGlobal(&p, &bytes, l, "no such"));
    SAY(cuLibraryGetManaged(&p, &bytes, l, "no such"));
    SAY(cuModuleUnload(m));
}

/* ---- launches ----------------------------------------------------------------------------- */

static CUresult shape(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                      unsigned bz, unsigned smem)
{
    return cu.cuLaunchKernel(f, gx, gy, gz, bx, by, bz, smem, NULL, NULL, NULL);
}
#define SHAPE(...) ask_say("shape " #__VA_ARGS__, shape(__VA_ARGS__))

static void shapes(CUmodule m)
{
    CUfunction none, bounded, fixed, shared;

    cu.cuModuleGetFunction(&none, m, "none");
    cu.cuModuleGetFunction(&bounded, m, "bounded");
    cu.cuModuleGetFunction(&fixed, m, "fixed");
    cu.cuModuleGetFunction(&shared, m, "shared");
    SHAPE(none, 1, 1, 1, 1, 1, 1, 0);
    SHAPE(none, 0, 1, 1, 1, 1, 1, 0);
    SHAPE(none, 1, 0, 1, 1, 1, 1, 0);
    SHAPE(none, 1, 1, 1, 0, 1, 1, 0);
    SHAPE(none, 1, 1, 1, 1, 1, 0, 0);
    SHAPE(none, 1, 65536, 1, 1, 1, 1, 0);
    SHAPE(none, 0x80000000u, 1, 1, 1, 1, 1, 0);
    SHAPE(none, 1, 1, 1, 1024, 1, 1, 0);
    SHAPE(none, 1, 1, 1, 1025, 1, 1, 0);
    SHAPE(none, 1, 1, 1, 1, 1, 65, 0);
    SHAPE(none, 1, 1, 1, 64, 32, 1, 0);
    SHAPE(none, 1, 1, 1, 1, 1, 1, 49152);
    SHAPE(none, 1, 1, 1, 1, 1, 1, 49153);
    SHAPE(none, 1, 1, 1, 1, 1, 1, 1 << 24);
    SHAPE(bounded, 1, 1, 1, 64, 1, 1, 0);
    SHAPE(bounded, 1, 1, 1, 65, 1, 1, 0);
    SHAPE(bounded, 1, 1, 1, 8, 8, 1, 0);
    SHAPE(fixed, 1, 1, 1, 16, 1, 1, 0);
    SHAPE(fixed, 1, 1, 1, 32, 1, 1, 0);
    SHAPE(NULL, 1, 1, 1, 1, 1, 1, 0);
    void *params[] = {&(CUdeviceptr){0}};
    ask_say("static and dynamic shared at the limit",
        cu.cuLaunchKernel(shared, 1, 1, 1, 1, 1, 1, 49153, NULL, params, NULL));
    SAY(cuCtxSynchronize());
}

static CUresult extra_launch(CUfunction f, size_t size, CUdeviceptr p)
{
    struct { uint32_t v; CUdeviceptr p; uint8_t c; uint8_t more[40]; } buffer = {42, p, 1, {0}};
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                     CU_LAUNCH_PARAM_END};

    return cu.cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra);
}

static void parameters(CUmodule m)
{
    CUfunction f;
    CUdeviceptr p = 0;
    uint32_t value = 7, got = 0;
    uint8_t c = 0;
    void *params[] = {&value, &p, &c};
    void *bad_extra[] = {(void *)9, NULL, CU_LAUNCH_PARAM_END};
    void *end[] = {CU_LAUNCH_PARAM_END};

    cu.cuModuleGetFunction(&f, m, "store");
    cu.cuMemAlloc_v2(&p, 4);
    SAY(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    cu.cuMemcpyDtoH_v2(&got, p, 4);
    ask_say("stored", got);
    SAY(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    SAY(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, end));
    SAY(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, bad_extra));
    SAY(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, end));
    SAY(cuCtxSynchronize());
    ask_say("extra of 17", extra_launch(f, 17, p));
    SAY(cuMemcpyDtoH_v2(&got, p, 4));
    ask_say("stored", got);
    ask_say("extra of 16", extra_launch(f, 16, p));
    SAY(cuCtxSynchronize());
    ask_say("extra of 24", extra_launch(f, 24, p));
    ask_say("extra of 32", extra_launch(f, 32, p));
    SAY(cuCtxSynchronize());
    CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, NULL, NULL, 0};
    SAY(cuLaunchKernelEx(&config, f, params, NULL));
    SAY(cuLaunchKernelEx(NULL, f, params, NULL));
    config.numAttrs = 1;
    SAY(cuLaunchKernelEx(&config, f, params, NULL));
    SAY(cuCtxSynchronize());
    SAY(cuLaunchCooperativeKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params));
    SAY(cuLaunchCooperativeKernel(f, 1 << 20, 1, 1, 1024, 1, 1, 0, NULL, params));
    SAY(cuCtxSynchronize());
}

static void occupancy(CUmodule m)
{
    CUfunction f;
    int blocks = -1, size = -1;
    size_t bytes = 0;

    cu.cuModuleGetFunction(&f, m, "none");
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 128, 0));
    ask_say("some", blocks > 0);
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 0, 0));
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, -1, 0));
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 2048, 0));
    ask_say("blocks of 2048", blocks);
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 128, 1 << 24));
    ask_say("blocks with much shared memory", blocks);
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(NULL, f, 128, 0));
    SAY(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, NULL, 128, 0));
    SAY(cuOccupancyMaxPotentialBlockSize(&blocks, &size, f, NULL, 0, 0));
    ask_say("best block", size);
    SAY(cuOccupancyMaxPotentialBlockSize(&blocks, &size, f, NULL, 0, 100));
    ask_say("best block of at most 100", size);
    SAY(cuOccupancyMaxPotentialBlockSize(&blocks, &size, NULL, NULL, 0, 0));
    SAY(cuOccupancyMaxPotentialBlockSize(NULL, &size, f, NULL, 0, 0));
    SAY(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, f, 1, 128));
    ask_say("some", bytes > 0);
    SAY(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, f, 0, 128));
}

static void graphs(CUmodule m)
{
    CUfunction f;
    CUstream s;
    CUgraph g = NULL;
    CUgraphExec x = NULL;
    CUgraphNode node[8] = {NULL}, from[8], to[8];
    size_t n = 0;

    cu.cuModuleGetFunction(&f, m, "none");
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (int i = 0; i < 3; i++)
        SAY(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuStreamEndCapture(s, &g));
    SAY(cuGraphGetNodes(g, NULL, &n));
    ask_say("nodes", (long long)n);
    SAY(cuGraphGetNodes(g, node, NULL));
    n = 2;
    SAY(cuGraphGetNodes(g, node, &n));
    ask_say("nodes of two", (long long)n);
    n = 8;
    node[3] = node[0];
    SAY(cuGraphGetNodes(g, node, &n));
    ask_say("nodes of eight", (long long)n);
    ask_say("the rest cleared", !node[3] && !node[7]);
    n = 4;
    SAY(cuGraphGetRootNodes(g, node + 4, &n));
    ask_say("roots", (long long)n);
    n = 8;
    SAY(cuGraphGetEdges(g, from, to, &n));
    ask_say("edges", (long long)n);
    SAY(cuGraphGetEdges(g, from, NULL, &n));
    n = 8;
    SAY(cuGraphNodeGetDependencies(to[0], from, &n));
    ask_say("dependencies", (long long)n);
    SAY(cuGraphNodeGetDependencies(NULL, from, &n));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    SAY(cuGraphLaunch(x, s));
    SAY(cuGraphLaunch(NULL, s));
    SAY(cuStreamSynchronize(s));
    SAY(cuGraphExecDestroy(x));
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuLaunchKernel(f, 0, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuStreamEndCapture(s, &g));
    SAY(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    SAY(cuStreamSynchronize(s));
}

int main(void)
{
    CUdevice dev;
    CUcontext ctx;
    CUlibrary library = NULL;
    CUmodule m = NULL;

    ask_open();
    SAY(cuModuleLoadData(&m, ptx));
    SAY(cuInit(0));
    SAY(cuDeviceGet(&dev, 0));
    without_context(&library);
    SAY(cuDevicePrimaryCtxRetain(&ctx, dev));
    SAY(cuCtxSetCurrent(ctx));
    printf("-- images\n");
    images();
    options();
    printf("-- functions\n");
    SAY(cuModuleLoadData(&m, ptx));
    functions(m);
    kernels(library);
    printf("-- launches\n");
    shapes(m);
    parameters(m);
    printf("-- occupancy\n");
    occupancy(m);
    printf("-- graphs\n");
    graphs(m);
    late_errors();
    SAY(cuModuleUnload(m));
    SAY(cuLibraryUnload(library));
    return 0;
}
