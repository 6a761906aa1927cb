/* SPDX-License-Identifier: MIT */
/*
 * Loads images of many sizes, by every way an image takes to the host: in the ring, in
 * the data window, and in parts because it is too large or the window is full. A kernel
 * at the very end of each says that the whole of it arrived. Runs on any driver.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/client/vg_drv.h"

/* What vg_drv does not have. */
#include <dlfcn.h>
static __typeof__(cuLibraryLoadData) *library_load;
static __typeof__(cuLibraryGetKernel) *get_kernel;
static __typeof__(cuLibraryUnload) *library_unload;
static __typeof__(cuModuleLoad) *module_load;
static __typeof__(cuLibraryLoadFromFile) *library_from_file;

static void open_more(void)
{
    void *lib = dlopen("libcuda.so.1", RTLD_NOW);

    library_load = (__typeof__(library_load))(uintptr_t)dlsym(lib, "cuLibraryLoadData");
    get_kernel = (__typeof__(get_kernel))(uintptr_t)dlsym(lib, "cuLibraryGetKernel");
    library_unload = (__typeof__(library_unload))(uintptr_t)dlsym(lib, "cuLibraryUnload");
    module_load = (__typeof__(module_load))(uintptr_t)dlsym(lib, "cuModuleLoad");
    library_from_file = (__typeof__(library_from_file))(uintptr_t)dlsym(lib, "cuLibraryLoadFromFile");
}

/* PTX of exactly `size` bytes and a NUL, with comments in the middle; its kernel stores `mark`. */
static char *make_ptx(size_t size, unsigned mark)
{
    static const char head[] = ".version 7.0\n.target sm_70\n.address_size 64\n//";
    char tail[400];
    int n = snprintf(tail, sizeof(tail),
                     "\n.visible .entry last(.param .u64 p) {\n"
                     " .reg .u64 %%rd<3>; .reg .u32 %%r<2>; ld.param.u64 %%rd1, [p];\n"
                     " cvta.to.global.u64 %%rd2, %%rd1; mov.u32 %%r1, %u;\n"
                     " st.global.u32 [%%rd2], %%r1; ret; }\n", mark);
    char *text = malloc(size + 1);

    if (!text || size < sizeof(head) + (size_t)n)
        vg_drv_fail("no PTX of %zu bytes", size);
    memset(text, 'x', size);
    for (size_t i = 4096; i + 3 < size; i += 4096)
        memcpy(text + i, "\n//", 3);
    memcpy(text, head, sizeof(head) - 1);
    memcpy(text + size - (size_t)n, tail, (size_t)n + 1);
    return text;
}

static void run_last(CUfunction f, unsigned mark, const char *how, size_t size)
{
    CUdeviceptr p = vg_drv_alloc(4);
    void *params[] = {&p};
    unsigned got = 0;

    VG_CU(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    VG_CU(cuMemcpyDtoH_v2(&got, p, 4));
    VG_CU(cuMemFree_v2(p));
    if (got != mark)
        vg_drv_fail("%s of %zu bytes: the kernel stored %u, not %u", how, size, got, mark);
}

static void ok(CUresult r, const char *what, size_t size)
{
    if (r)
        vg_drv_fail("%s of %zu bytes: %s", what, size, vg_drv_error(r));
}

static void by_module(size_t size, unsigned mark)
{
    char *text = make_ptx(size, mark);
    CUmodule m;

    ok(vg_drv.cuModuleLoadData(&m, text), "module", size);
    free(text);
    run_last(vg_drv_function(m, "last"), mark, "module", size);
    VG_CU(cuModuleUnload(m));
}

/* Preserved: the text stays where it is until the kernel is asked for. Else it goes at once. */
static void by_library(size_t size, unsigned mark, bool preserved)
{
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *yes = (void *)1;
    char *text = make_ptx(size, mark);
    CUlibrary l;
    CUkernel k;

    ok(library_load(&l, text, NULL, NULL, 0, &option, &yes, preserved), "library", size);
    if (!preserved) {
        memset(text, 0, size);
        free(text);
    }
    ok(get_kernel(&k, l, "last"), "kernel of a library", size);
    run_last((CUfunction)k, mark, "library", size);
    ok(library_unload(l), "unload of a library", size);
    if (preserved)
        free(text);
}

static void by_file(size_t size, unsigned mark)
{
    char name[] = "/tmp/vgpu-image-XXXXXX", *text = make_ptx(size, mark);
    int fd = mkstemp(name);
    CUmodule m;
    CUlibrary l;
    CUkernel k;

    if (fd < 0 || write(fd, text, size) != (ssize_t)size)
        vg_drv_fail("cannot write %s", name);
    close(fd);
    free(text);
    ok(module_load(&m, name), "file", size);
    run_last(vg_drv_function(m, "last"), mark, "file", size);
    VG_CU(cuModuleUnload(m));
    ok(library_from_file(&l, name, NULL, NULL, 0, NULL, NULL, 0), "library file", size);
    unlink(name);
    ok(get_kernel(&k, l, "last"), "kernel of a library file", size);
    run_last((CUfunction)k, mark, "library file", size);
    ok(library_unload(l), "unload of a library", size);
    ok(module_load(&m, "/nonexistent") == CUDA_ERROR_FILE_NOT_FOUND ? CUDA_SUCCESS
                                                                     : CUDA_ERROR_UNKNOWN,
       "no file", 0);
}

static void all_ways(size_t size)
{
    static unsigned mark = 1000;

    by_module(size, ++mark);
    by_library(size, ++mark, true);
    by_library(size, ++mark, false);
}

/* As large as a region is, and no more: without one, a driver pins all the host's memory. */
#define WINDOW_MAX ((size_t)2 << 30)

/* Pinned memory takes the window, piece after piece, as long as it is found there. */
static unsigned fill_window(void **held, unsigned max, size_t least)
{
    unsigned n = 0;
    size_t total = 0;

    for (size_t size = 256u << 20; size >= least; size /= 2)
        while (n < max && total + size <= WINDOW_MAX &&
               vg_drv.cuMemHostAlloc(&held[n], size, CU_MEMHOSTALLOC_DEVICEMAP) == 0) {
            CUdeviceptr p;
            if (vg_drv.cuMemHostGetDevicePointer_v2(&p, held[n], 0) != CUDA_SUCCESS) {
                vg_drv.cuMemFreeHost(held[n]);
                break;
            }
            total += size;
            n++;
        }
    return n;
}

static void *one_thread(void *arg)
{
    CUcontext *ctx = arg;

    VG_CU(cuCtxSetCurrent(*ctx));
    for (unsigned i = 0; i < 6; i++) {
        by_module(20000u << i, 5000 + i);
        by_library(20000u << i, 6000 + i, i & 1);
    }
    return NULL;
}

static void many_threads(CUcontext ctx)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, one_thread, &ctx);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

int main(void)
{
    static const size_t sizes[] = {1000, 40000, 40960 - 300, 40960, 65535, 65536, 1 << 20,
                                   (16 << 20) - 1, 16 << 20, 17 << 20};
    static void *held[256];
    CUcontext ctx = vg_drv_start();

    open_more();
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        all_ways(sizes[i]);
    by_file(100000, 77);
    many_threads(ctx);
    unsigned n = fill_window(held, 256, 64 << 10);
    printf("%u pinned pieces\n", n);
    all_ways(3 << 20);
    all_ways(100000);
    while (n)
        VG_CU(cuMemFreeHost(held[--n]));
    all_ways(3 << 20);
    printf("images: ok\n");
    return 0;
}
