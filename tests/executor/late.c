/* SPDX-License-Identifier: MIT */
/*
 * A driver for tests/client/readback.sh: the software GPU, whose streams come to copies and to some
 * kernels late, each time by another time, as those of a GPU do that is shared. Until then
 * memory that a copy is to fill holds nothing that anybody has sent. Loaded by the executor.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vg_atomic.h"
#include "vg_cuda.h"

#define NAP_NS  200000u /* at most */
#define NOTHING 0xdd
#define SOME    4u      /* one kernel of so many is late */

/* ISO C has no cast from object to function pointer. */
static void find(const char *symbol, void *ret_entry)
{
    void *p = dlsym(RTLD_NEXT, symbol);

    if (!p)
        abort();
    memcpy(ret_entry, &p, sizeof(p));
}

static uint32_t number(void)
{
    static uint32_t state;
    uint32_t x = vg_fetch_add(&state, 0x9e3779b9u);

    x = (x ^ x >> 16) * 0x7feb352du;
    return x ^ x >> 15;
}

static void nap(void *arg)
{
    const struct timespec t = {.tv_nsec = (long)(number() % NAP_NS)};

    (void)arg;
    nanosleep(&t, NULL);
}

/* What the stream is given next comes late. Not in a capture, which would keep it. */
static void delay(CUstream stream)
{
    CUresult (*launch)(CUstream, CUhostFn, void *), (*ask)(CUstream, CUstreamCaptureStatus *);
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

    find("cuLaunchHostFunc", &launch);
    find("cuStreamIsCapturing", &ask);
    if (ask(stream, &status) == CUDA_SUCCESS && status == CU_STREAM_CAPTURE_STATUS_NONE)
        launch(stream, nap, NULL);
}

#define LATE(symbol, before, params, ...)                                                          \
    CUresult symbol params __attribute__((visibility("default")));                                 \
    CUresult symbol params                                                                         \
    {                                                                                              \
        CUresult(*real) params;                                                                    \
                                                                                                   \
        find(#symbol, &real);                                                                      \
        before;                                                                                    \
        return real(__VA_ARGS__);                                                                  \
    }

LATE(cuMemcpyHtoDAsync_v2, delay(stream),
     (CUdeviceptr dst, const void *src, size_t n, CUstream stream), dst, src, n, stream)
LATE(cuMemcpyDtoHAsync_v2, (memset(dst, NOTHING, n), delay(stream)),
     (void *dst, CUdeviceptr src, size_t n, CUstream stream), dst, src, n, stream)
LATE(cuStreamWriteValue32_v2, delay(stream),
     (CUstream stream, CUdeviceptr at, uint32_t value, unsigned flags), stream, at, value, flags)
LATE(cuGraphLaunch, delay(stream), (CUgraphExec exec, CUstream stream), exec, stream)
LATE(cuLaunchKernel, if (number() % SOME == 0) delay(stream),
     (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
      unsigned shared, CUstream stream, void **params, void **extra),
     f, gx, gy, gz, bx, by, bz, shared, stream, params, extra)
