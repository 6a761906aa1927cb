/* SPDX-License-Identifier: MIT */
/*
 * A driver for held_stage.c: the software GPU, some of whose calls take as long as the test wants.
 * VG_TEST_HOLD is the address of a word of the region. While that is HOLD_NEXT, the next of these
 * calls makes it HOLD_INSIDE and stays until it is HOLD_NONE, or HOLD_FAIL: then it fails, and the
 * one after it is held. While it is HOLD_LOADS, launches wait for the GPU before they load code, as
 * NVIDIA's driver does; every kernel is taken for one that is not loaded yet. Loaded by the executor.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/executor/held.h"
#include "vg_atomic.h"
#include "vg_cuda.h"

static uint32_t *the_word(void)
{
    const char *where = getenv("VG_TEST_HOLD");

    return where ? (uint32_t *)(uintptr_t)strtoull(where, NULL, 0) : NULL;
}

/* False: the call is to fail. */
static bool hold(void)
{
    uint32_t *word = the_word();

    if (!word || !vg_cas(word, HOLD_NEXT, HOLD_INSIDE))
        return true;
    while (vg_load_acquire(word) == HOLD_INSIDE)
        sched_yield();
    return !vg_cas(word, HOLD_FAIL, HOLD_NEXT);
}

/* ISO C has no cast from object to function pointer. */
static void find(const char *symbol, void *ret_entry)
{
    void *p = dlsym(RTLD_NEXT, symbol);

    if (!p)
        abort();
    memcpy(ret_entry, &p, sizeof(p));
}

#define HELD_IF(may_hold, symbol, params, ...)                                                     \
    CUresult symbol params __attribute__((visibility("default")));                                 \
    CUresult symbol params                                                                         \
    {                                                                                              \
        CUresult(*real) params;                                                                    \
                                                                                                   \
        find(#symbol, &real);                                                                      \
        if ((may_hold) && !hold())                                                                 \
            return CUDA_ERROR_OUT_OF_MEMORY;                                                       \
        return real(__VA_ARGS__);                                                                  \
    }

#define HELD(symbol, params, ...) HELD_IF(true, symbol, params, __VA_ARGS__)

HELD(cuCtxCreate_v2, (CUcontext *ctx, unsigned flags, CUdevice dev), ctx, flags, dev)
HELD(cuGraphInstantiateWithFlags, (CUgraphExec *exec, CUgraph graph, unsigned long long flags),
     exec, graph, flags)
HELD(cuGraphInstantiateWithParams,
     (CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params), exec, graph, params)
HELD(cuGraphExecUpdate_v2, (CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info),
     exec, graph, info)
HELD(cuModuleLoadDataEx,
     (CUmodule *module, const void *image, unsigned n, CUjit_option *option, void **value), module,
     image, n, option, value)
HELD(cuGraphUpload, (CUgraphExec exec, CUstream stream), exec, stream)

/*
 * The linker holds things by thread, as NVIDIA's does: a state belongs to the thread that makes it,
 * which has no other meanwhile. Calls otherwise fail. They come one at a time.
 */
#define LINKS_MAX 4u

static struct {
    CUlinkState state;  /* NULL: free */
    pthread_t by;
} links[LINKS_MAX];

static bool is_its_thread(CUlinkState state)
{
    for (unsigned i = 0; i < LINKS_MAX; i++)
        if (links[i].state == state)
            return pthread_equal(links[i].by, pthread_self()) != 0;
    return false;
}

static bool has_none(void)
{
    for (unsigned i = 0; i < LINKS_MAX; i++)
        if (links[i].state && pthread_equal(links[i].by, pthread_self()))
            return false;
    return true;
}

/* Replaces what is under the one state by the other; NULL: free. */
static void note_link(CUlinkState old, CUlinkState new)
{
    unsigned i = 0;

    while (i < LINKS_MAX && links[i].state != old)
        i++;
    if (i == LINKS_MAX)
        abort();
    links[i].state = new;
    links[i].by = pthread_self();
}

#define LINKS(may, noted, symbol, params, ...)                                                     \
    CUresult symbol params __attribute__((visibility("default")));                                 \
    CUresult symbol params                                                                         \
    {                                                                                              \
        CUresult(*real) params;                                                                    \
                                                                                                   \
        find(#symbol, &real);                                                                      \
        if (!(may))                                                                                \
            return CUDA_ERROR_NOT_PERMITTED;                                                       \
        CUresult rc = hold() ? real(__VA_ARGS__) : CUDA_ERROR_OUT_OF_MEMORY;                       \
        if (rc == CUDA_SUCCESS)                                                                    \
            noted;                                                                                 \
        return rc;                                                                                 \
    }

LINKS(has_none(), note_link(NULL, *state), cuLinkCreate_v2,
      (unsigned n, CUjit_option *option, void **value, CUlinkState *state), n, option, value, state)
LINKS(is_its_thread(state), (void)0, cuLinkAddData_v2,
      (CUlinkState state, CUjitInputType type, void *data, size_t size, const char *name,
       unsigned n, CUjit_option *option, void **value), state, type, data, size, name, n, option,
      value)
LINKS(is_its_thread(state), (void)0, cuLinkComplete,
      (CUlinkState state, void **image, size_t *size), state, image, size)
LINKS(is_its_thread(state), note_link(state, NULL), cuLinkDestroy, (CUlinkState state), state)

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                        unsigned bz, unsigned shared, CUstream stream, void **params, void **extra)
    __attribute__((visibility("default")));

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                        unsigned bz, unsigned shared, CUstream stream, void **params, void **extra)
{
    __typeof__(cuLaunchKernel) *real;
    CUresult (*wait)(void);

    find("cuLaunchKernel", &real);
    find("cuCtxSynchronize", &wait);
    if (the_word() && vg_load_acquire(the_word()) == HOLD_LOADS)
        wait();
    return real(f, gx, gy, gz, bx, by, bz, shared, stream, params, extra);
}

/* That of device 0 is made before there is a region. */
HELD_IF(dev != 0, cuDevicePrimaryCtxRetain, (CUcontext *ctx, CUdevice dev), ctx, dev)
