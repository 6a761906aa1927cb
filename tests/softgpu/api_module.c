/* SPDX-License-Identifier: MIT */
/*
 * Images, modules, libraries, functions, launches, occupancy. Fat binaries are made here, from our
 * own PTX, in every form that compilers use.
 */
#include "api.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { RAW, LZ4, ZSTD };

#define MAGIC 0xba55ed50u
#define HEADER 64

struct fat {
    unsigned char *data;
    size_t size;
};

static void put(void *at, uint64_t v, size_t n)
{
    memcpy(at, &v, n);
}

static void fat_begin(struct fat *f)
{
    f->data = calloc(1, 16);
    f->size = 16;
    put(f->data, MAGIC, 4);
    put(f->data + 4, 1, 2);
    put(f->data + 6, 16, 2);
}

static void fat_entry(struct fat *f, unsigned kind, unsigned arch, const void *data, size_t n,
                      size_t full, unsigned flags)
{
    size_t padded = (n + 7) / 8 * 8;
    unsigned char *e;

    f->data = realloc(f->data, f->size + HEADER + padded);
    e = f->data + f->size;
    memset(e, 0, HEADER + padded);
    put(e, kind, 2);
    put(e + 2, 0x101, 2);
    put(e + 4, HEADER, 4);
    put(e + 8, padded, 8);
    put(e + 16, full != 0 ? n : 0, 4);
    put(e + 28, arch, 4);
    put(e + 40, flags | 0x11, 8);
    put(e + 56, full, 8);
    memcpy(e + HEADER, data, n);
    f->size += HEADER + padded;
    put(f->data + 8, f->size - 16, 8);
}

static void fat_ptx(struct fat *f, unsigned arch, const char *text, int how)
{
    size_t n = strlen(text) + 1, room = ZSTD_compressBound(n) + (size_t)LZ4_compressBound((int)n);
    char *packed = malloc(room);

    if (how == RAW)
        fat_entry(f, 1, arch, text, n, 0, 0);
    else if (how == ZSTD)
        fat_entry(f, 1, arch, packed, ZSTD_compress(packed, room, text, n, 3), n, 0x8000);
    else
        fat_entry(f, 1, arch, packed,
                  (size_t)LZ4_compress_default(text, packed, (int)n, (int)room), n, 0x2000);
    free(packed);
}

/* A kernel "which" that stores the given number, for the given architecture. */
static void fat_which(struct fat *f, unsigned arch, int number, int how)
{
    char text[512];

    snprintf(text, sizeof(text),
             ".version 7.0\n.target sm_%u\n.address_size 64\n"
             ".visible .entry which(.param .u64 p)\n{\n .reg .b64 %%d1;\n"
             " ld.param.u64 %%d1, [p];\n st.global.u32 [%%d1], %d;\n ret;\n}\n", arch, number);
    fat_ptx(f, arch, text, how);
}

static uint32_t run_which(CUmodule m)
{
    CUdeviceptr p = api_alloc(4);
    void *params[] = { &p };
    CUfunction f;

    ck_cu(cuModuleGetFunction(&f, m, "which"));
    ck_cu(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    return api_peek(p);
}

START_TEST(fatbin_forms)
{
    struct { uint32_t magic, version; const void *data, *file; } wrapper;
    struct fat f;
    CUmodule m;

    api_start();
    fat_begin(&f);
    fat_entry(&f, 2, 75, "\177ELF not for us", 14, 0, 0);
    fat_which(&f, 75, 11, _i);
    ck_cu(cuModuleLoadData(&m, f.data));
    ck_assert_uint_eq(run_which(m), 11);
    ck_cu(cuModuleUnload(m));
    wrapper.magic = 0x466243b1;
    wrapper.version = 1;
    wrapper.data = f.data;
    wrapper.file = NULL;
    ck_cu(cuModuleLoadFatBinary(&m, &wrapper));
    ck_assert_uint_eq(run_which(m), 11);
    free(f.data);
}
END_TEST

/* The best PTX not above the device's 8.0 is taken. */
START_TEST(fatbin_choice)
{
    struct fat f;
    CUmodule m;

    api_start();
    fat_begin(&f);
    fat_which(&f, 75, 75, ZSTD);
    fat_which(&f, 80, 80, LZ4);
    fat_which(&f, 90, 90, RAW);
    ck_cu(cuModuleLoadData(&m, f.data));
    ck_assert_uint_eq(run_which(m), 80);
    free(f.data);
    fat_begin(&f);
    fat_which(&f, 90, 90, RAW);
    ck_assert_int_eq(cuModuleLoadData(&m, f.data), CUDA_ERROR_NO_BINARY_FOR_GPU);
    free(f.data);
    fat_begin(&f);
    fat_entry(&f, 2, 80, "\177ELF", 4, 0, 0);
    ck_assert_int_eq(cuModuleLoadData(&m, f.data), CUDA_ERROR_NO_BINARY_FOR_GPU);
    free(f.data);
    ck_assert_int_eq(cuModuleLoadData(&m, "\177ELF\2\1\1"), CUDA_ERROR_NO_BINARY_FOR_GPU);
    ck_assert_int_eq(cuModuleLoadData(&m, "xyz"), CUDA_ERROR_INVALID_IMAGE);
}
END_TEST

/* Every byte of the headers changed to something wild: an error or a load, never a crash. */
START_TEST(fatbin_hostile)
{
    static const unsigned char wild[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    unsigned char *copy;
    struct fat f;
    CUmodule m;
    size_t i, j;

    api_start();
    fat_begin(&f);
    fat_which(&f, 75, 1, _i);
    copy = malloc(f.size);
    for (i = 4; i < 16 + HEADER + 16; i++)
        for (j = 0; j < sizeof(wild); j++) {
            memcpy(copy, f.data, f.size);
            copy[i] = wild[j];
            if ((i < 8 || i > 15) && cuModuleLoadData(&m, copy) == CUDA_SUCCESS)
                ck_cu(cuModuleUnload(m));
        }
    free(copy);
    free(f.data);
}
END_TEST

/* A few kilobytes that unfold to more than the limit, though no unit does alone. */
START_TEST(fatbin_bomb)
{
    size_t blanks = (size_t)100 << 20;
    char *text = malloc(blanks + 1);
    struct fat f;
    CUmodule m;
    int i;

    api_start();
    memset(text, ' ', blanks);
    text[blanks] = '\0';
    fat_begin(&f);
    for (i = 0; i < 3; i++)
        fat_ptx(&f, 75, text, ZSTD);
    ck_assert_int_eq(cuModuleLoadData(&m, f.data), CUDA_ERROR_INVALID_IMAGE);
    free(text);
    free(f.data);
}
END_TEST

START_TEST(jit_log)
{
    char log[256] = "";
    CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
    void *values[] = { log, (void *)sizeof(log) };
    CUmodule m;

    api_start();
    ck_assert_int_eq(cuModuleLoadDataEx(&m, ".version 7.0\n.target sm_75\n.address_size 64\n"
                                            ".visible .entry f()\n{\n .reg .b32 %r1;\n"
                                            " bogus.u32 %r1, 1;\n ret;\n}\n",
                                        2, options, values),
                     CUDA_ERROR_INVALID_PTX);
    ck_assert_msg(strstr(log, "line 7") != NULL && strstr(log, "bogus") != NULL, "log: %s", log);
    ck_assert_uint_eq((uintptr_t)values[1], strlen(log) + 1);
    values[1] = (void *)8;
    ck_assert_int_eq(cuModuleLoadDataEx(&m, ".version 7.0\nnonsense", 2, options, values),
                     CUDA_ERROR_INVALID_PTX);
    ck_assert_uint_lt(strlen(log), 8);
    ck_assert_int_eq(cuModuleLoadDataEx(&m, api_ptx, 1, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

/* Two units that need each other, linked as a library of device functions is. */
START_TEST(linking)
{
    static char caller[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                           ".extern .func (.param .b32 r) seven ();\n"
                           ".visible .entry which(.param .u64 p)\n{\n"
                           " .reg .b32 %r1; .reg .b64 %d1; ld.param.u64 %d1, [p];\n"
                           " { .param .b32 r; call.uni (r), seven, (); ld.param.b32 %r1, [r]; }\n"
                           " st.global.u32 [%d1], %r1; ret;\n}\n";
    static char callee[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                           ".visible .func (.param .b32 r) seven ()\n{\n"
                           " .reg .b32 %r1; mov.u32 %r1, 7; st.param.b32 [r], %r1; ret;\n}\n";
    char log[256] = "";
    CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
    void *values[] = { log, (void *)sizeof(log) }, *image;
    CUlinkState link;
    size_t size;
    CUmodule m;

    api_start();
    ck_cu(cuLinkCreate_v2(2, options, values, &link));
    ck_cu(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, caller, sizeof(caller), "a", 0, NULL, NULL));
    ck_assert_int_eq(cuLinkComplete(link, &image, &size), CUDA_ERROR_INVALID_PTX);
    ck_assert_ptr_nonnull(strstr(log, "seven"));
    ck_cu(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, callee, sizeof(callee), "b", 0, NULL, NULL));
    ck_assert_int_eq(cuLinkAddData_v2(link, CU_JIT_INPUT_CUBIN, callee, 16, "c", 0, NULL, NULL),
                     CUDA_ERROR_NO_BINARY_FOR_GPU);
    ck_cu(cuLinkComplete(link, &image, &size));
    ck_assert_uint_gt(size, sizeof(caller));
    ck_cu(cuModuleLoadData(&m, image));
    ck_cu(cuLinkDestroy(link));
    ck_assert_uint_eq(run_which(m), 7);
    ck_assert_int_eq(cuLinkDestroy(link), CUDA_ERROR_INVALID_HANDLE);
}
END_TEST

START_TEST(module_contents)
{
    CUfunction f, all[32];
    CUdeviceptr p, counter;
    size_t size, offset;
    unsigned n = 0, i, entries = 0;
    CUmodule m, of;
    const char *name;

    api_start();
    ck_cu(cuModuleLoadData(&m, api_ptx));
    ck_cu(cuModuleGetFunctionCount(&n, m));
    for (name = api_ptx; (name = strstr(name, ".entry")) != NULL; name++)
        entries++;
    ck_assert_uint_eq(n, entries);
    ck_cu(cuModuleEnumerateFunctions(all, n, m));
    for (i = 0; i < n; i++) {
        ck_cu(cuFuncGetName(&name, all[i]));
        ck_cu(cuModuleGetFunction(&f, m, name));
        ck_assert_ptr_eq(f, all[i]);
    }
    ck_cu(cuFuncGetModule(&of, f));
    ck_assert_ptr_eq(of, m);
    ck_cu(cuModuleGetGlobal_v2(&counter, &size, m, "counter"));
    ck_assert_uint_eq(size, 4);
    ck_assert_uint_eq(api_peek(counter), 7);
    ck_cu(cuModuleGetGlobal_v2(&p, NULL, m, "answer"));
    ck_assert_uint_eq(api_peek(p), 42);
    p = api_alloc(4);
    ck_assert_int_eq(cuModuleGetGlobal_v2(&counter, &size, m, "nope"), CUDA_ERROR_NOT_FOUND);
    ck_cu(cuModuleGetGlobal_v2(&counter, &size, m, "counter"));
    ck_assert_int_eq(cuModuleGetFunction(&f, m, "nope"), CUDA_ERROR_NOT_FOUND);
    ck_cu(cuMemsetD32_v2(counter, 100, 1));
    ck_cu(cuModuleGetFunction(&f, m, "useglobals"));
    ck_cu(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){ &p }, NULL));
    ck_assert_uint_eq(api_peek(p), 142);
    ck_cu(cuModuleGetFunction(&f, m, "slow"));
    ck_cu(cuFuncGetParamInfo(f, 2, &offset, &size));
    ck_assert_uint_eq(offset, 12);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(cuFuncGetParamInfo(f, 3, &offset, &size), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuModuleUnload(m));
    ck_assert_int_eq(cuModuleGetFunction(&f, m, "slow"), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(cuFuncGetName(&name, f), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(cuMemFree_v2(counter), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(module_from_file)
{
    char path[] = "/tmp/api_moduleXXXXXX";
    int fd = mkstemp(path);
    CUfunction f;
    CUlibrary lib;
    CUkernel k;
    CUmodule m;

    api_start();
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(write(fd, api_ptx, strlen(api_ptx)), 0);
    close(fd);
    ck_cu(cuModuleLoad(&m, path));
    ck_cu(cuModuleGetFunction(&f, m, "set"));
    ck_cu(cuLibraryLoadFromFile(&lib, path, NULL, NULL, 0, NULL, NULL, 0));
    ck_cu(cuLibraryGetKernel(&k, lib, "set"));
    unlink(path);
    ck_assert_int_eq(cuModuleLoad(&m, path), CUDA_ERROR_FILE_NOT_FOUND);
    ck_cu(cuLibraryUnload(lib));
}
END_TEST

/* One library, two contexts: each has variables of its own. */
START_TEST(library_in_two_contexts)
{
    CUdeviceptr p, q, counter_a, counter_b;
    CUcontext a = api_start(), b;
    CUfunction f;
    CUlibrary lib, of;
    CUkernel k;
    unsigned n;

    ck_cu(cuLibraryLoadData(&lib, api_ptx, NULL, NULL, 0, NULL, NULL, 0));
    ck_cu(cuLibraryGetKernelCount(&n, lib));
    ck_assert_uint_gt(n, 10);
    ck_cu(cuLibraryGetKernel(&k, lib, "useglobals"));
    ck_cu(cuKernelGetLibrary(&of, k));
    ck_assert_ptr_eq(of, lib);
    ck_assert_int_eq(cuLibraryGetKernel(&k, lib, "nope"), CUDA_ERROR_NOT_FOUND);
    p = api_alloc(4);
    ck_cu(cuLibraryGetGlobal(&counter_a, NULL, lib, "counter"));
    ck_cu(cuMemsetD32_v2(counter_a, 1, 1));
    ck_cu(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){ &p }, NULL));
    ck_assert_uint_eq(api_peek(p), 43);
    ck_cu(cuCtxCreate_v2(&b, 0, 0));
    q = api_alloc(4);
    ck_cu(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){ &q }, NULL));
    ck_assert_uint_eq(api_peek(q), 49);
    ck_cu(cuLibraryGetGlobal(&counter_b, NULL, lib, "counter"));
    ck_assert_uint_ne(counter_a, counter_b);
    ck_cu(cuKernelGetFunction(&f, k));
    ck_cu(cuCtxDestroy_v2(b));
    ck_cu(cuCtxSetCurrent(a));
    ck_assert_int_eq(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){ &p }, NULL),
                     CUDA_ERROR_INVALID_HANDLE);
    ck_cu(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){ &p }, NULL));
    ck_assert_uint_eq(api_peek(p), 43);
    ck_cu(cuLibraryUnload(lib));
    ck_assert_int_eq(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){ &p },
                                    NULL), CUDA_ERROR_INVALID_HANDLE);
}
END_TEST

START_TEST(launch_parameters)
{
    uint32_t n = 1000, i;
    float a[1000], b[1000], c[1000];
    struct { CUdeviceptr a, b, c; uint32_t n; } packed;
    size_t size = sizeof(packed.a) * 3 + 4;
    void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                      CU_LAUNCH_PARAM_END };
    void *params[] = { &packed.a, &packed.b, &packed.c, &packed.n };
    CUfunction f;

    api_start();
    f = api_kernel("vadd");
    packed.a = api_alloc(4000);
    packed.b = api_alloc(4000);
    packed.c = api_alloc(4000);
    packed.n = n;
    for (i = 0; i < n; i++) {
        a[i] = (float)i;
        b[i] = (float)(3 * i);
    }
    ck_cu(cuMemcpyHtoD_v2(packed.a, a, 4000));
    ck_cu(cuMemcpyHtoD_v2(packed.b, b, 4000));
    if (_i == 0)
        ck_cu(cuLaunchKernel(f, 8, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
    else
        ck_cu(cuLaunchKernel(f, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
    ck_cu(cuMemcpyDtoH_v2(c, packed.c, 4000));
    for (i = 0; i < n; i++)
        ck_assert(c[i] == (float)(4 * i));
    ck_cu(cuMemsetD8_v2(packed.c, 0, 4000));
    size = sizeof(packed.a) * 3;    /* all but n, which is 0 then */
    ck_cu(cuLaunchKernel(f, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
    ck_cu(cuMemcpyDtoH_v2(c, packed.c, 4000));
    for (i = 0; i < n; i++)
        ck_assert(c[i] == 0);
    extra[1] = NULL;
    ck_assert_int_eq(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
                     CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(launch_checks)
{
    CUlaunchAttribute attr;
    CUlaunchConfig config;
    CUdeviceptr p;
    CUfunction f;
    void *params[] = { &p };

    api_start();
    p = api_alloc(4);
    f = api_kernel("addone");
#define launch(gx, gy, gz, bx, by, bz, sh) \
    cuLaunchKernel(f, gx, gy, gz, bx, by, bz, sh, NULL, params, NULL)
    ck_assert_int_eq(launch(0, 1, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(launch(1, 1, 1, 0, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(launch(1, 1, 1, 2048, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(launch(1, 1, 1, 64, 64, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(launch(1, 1, 1, 1, 1, 65, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(launch(1, 70000, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(launch(1, 1, 1, 1, 1, 1, 1 << 20), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(launch(1, 1, 1, 1, 1, 1, 60 << 10), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 64 << 10));
    ck_cu(launch(1, 1, 1, 1, 1, 1, 60 << 10));
    ck_assert_int_eq(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                        164 << 10), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuLaunchCooperativeKernel(f, 100000, 1, 1, 1024, 1, 1, 0, NULL, params),
                     CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    ck_assert_int_eq(cuLaunchKernel((CUfunction)(uintptr_t)0x5550, 1, 1, 1, 1, 1, 1, 0, NULL,
                                    params, NULL), CUDA_ERROR_INVALID_HANDLE);
    memset(&config, 0, sizeof(config));
    memset(&attr, 0, sizeof(attr));
    config.gridDimX = config.gridDimY = config.gridDimZ = 1;
    config.blockDimX = config.blockDimY = config.blockDimZ = 1;
    config.attrs = &attr;
    config.numAttrs = 1;
    attr.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    attr.value.cooperative = 1;
    ck_cu(cuLaunchKernelEx(&config, f, params, NULL));
    attr.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attr.value.clusterDim.x = 2;
    ck_assert_int_eq(cuLaunchKernelEx(&config, f, params, NULL), CUDA_ERROR_INVALID_CLUSTER_SIZE);
    ck_cu(cuCtxSynchronize());
    ck_assert_uint_eq(api_peek(p), 2);
}
END_TEST

START_TEST(function_attributes_and_occupancy)
{
    int blocks, grid, block, v;
    CUfunction f;
    size_t bytes;

    api_start();
    f = api_kernel("fills");
    ck_cu(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f));
    ck_assert_int_eq(v, 2048);
    ck_cu(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
    ck_assert_int_eq(v, 1024);
    ck_cu(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_PTX_VERSION, f));
    ck_assert_int_eq(v, 75);
    ck_cu(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
    ck_assert_int_eq(v, (48 << 10) - 2048);
    ck_assert_int_eq(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX, f), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 1024, 0));
    ck_assert_int_eq(blocks, 2);
    ck_cu(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 32, 0));
    ck_assert_int_eq(blocks, 32);
    ck_cu(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 32, 40 << 10));
    ck_assert_int_eq(blocks, 3);
    ck_cu(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 32, 200 << 10));
    ck_assert_int_eq(blocks, 0);
    ck_cu(cuOccupancyMaxPotentialBlockSize(&grid, &block, f, NULL, 0, 0));
    ck_assert_int_eq(block, 1024);
    ck_assert_int_gt(grid, 0);
    ck_cu(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, f, 2, 128));
    ck_assert_uint_gt(bytes, 70u << 10);
    ck_assert_uint_lt(bytes, 82u << 10);
}
END_TEST

Suite *api_module_suite(void)
{
    Suite *suite = suite_create("softgpu modules");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, fatbin_forms, RAW, ZSTD + 1);
    tcase_add_test(tc, fatbin_choice);
    tcase_add_loop_test(tc, fatbin_hostile, RAW, ZSTD + 1);
    tcase_add_test(tc, fatbin_bomb);
    tcase_add_test(tc, jit_log);
    tcase_add_test(tc, linking);
    tcase_add_test(tc, module_contents);
    tcase_add_test(tc, module_from_file);
    tcase_add_test(tc, library_in_two_contexts);
    tcase_add_loop_test(tc, launch_parameters, 0, 2);
    tcase_add_test(tc, launch_checks);
    tcase_add_test(tc, function_attributes_and_occupancy);
    suite_add_tcase(suite, tc);
    return suite;
}
