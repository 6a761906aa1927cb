/* SPDX-License-Identifier: MIT */
/*
 * Asks a driver which calls return while the GPU is busy. Each is asked behind a kernel in the legacy
 * stream, which is the call's own where it has one, and beside a kernel in a stream that waits for no
 * other: `call, behind = 1` says that it returned only when the kernel was over. waits.txt holds
 * NVIDIA's answers.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "vg_atomic.h"

#define HOLD_MS 150     /* that the kernel goes on if the call waits for it */
#define TRIES   4       /* to be held up by the other groups is not to wait */

enum place { IDLE, BEHIND, BESIDE };

static struct {
    CUfunction spin, other;
    CUmodule module;
    CUstream aside;         /* waits for no other, and holds the kernel beside */
    CUstream own;           /* the same, for calls that name a stream */
    uint32_t *flag;
    CUdeviceptr p, q;       /* BYTES each */
    uint8_t *plain, *pinned;
} at;

#define BYTES (1u << 20)

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ask;
    bool end;
    bool over;              /* it was let go because the time was up */
} hold = {.lock = PTHREAD_MUTEX_INITIALIZER, .ask = PTHREAD_COND_INITIALIZER};

/* Lets the kernel go when told so, or when the time is up: then the call has waited. */
static void *let_go_later(void *arg)
{
    struct timespec end;

    (void)arg;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += HOLD_MS * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&hold.lock);
    while (!hold.end && !hold.over)
        hold.over = pthread_cond_timedwait(&hold.ask, &hold.lock, &end) != 0;
    pthread_mutex_unlock(&hold.lock);
    vg_store_release(at.flag, 1);
    return NULL;
}

static void hold_begin(enum place place)
{
    CUdeviceptr flag = (CUdeviceptr)(uintptr_t)at.flag;

    if (place == IDLE)
        return;
    vg_store_release(at.flag, 0);
    hold.end = hold.over = false;
    if (ask_launch(at.spin, place == BESIDE ? at.aside : NULL, flag) != CUDA_SUCCESS ||
        pthread_create(&hold.thread, NULL, let_go_later, NULL) != 0)
        exit(1);
}

/* Whether the call that has just returned waited. */
static bool hold_end(enum place place)
{
    if (place == IDLE)
        return false;
    pthread_mutex_lock(&hold.lock);
    bool waited = hold.over;
    hold.end = true;
    pthread_cond_signal(&hold.ask);
    pthread_mutex_unlock(&hold.lock);
    pthread_join(hold.thread, NULL);
    cu.cuCtxSynchronize();
    return waited;
}

static void begin(void)
{
    void *plain = malloc(BYTES), *pinned = NULL;

    ask_start();
    at.module = ask_module();
    cu.cuModuleGetFunction(&at.spin, at.module, "spin");
    cu.cuModuleGetFunction(&at.other, at.module, "poke");
    at.p = ask_memory(BYTES);
    at.q = ask_memory(BYTES);
    if (!plain || cu.cuMemHostAlloc(&pinned, BYTES, 0) != CUDA_SUCCESS ||
        cu.cuStreamCreate(&at.aside, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS ||
        cu.cuStreamCreate(&at.own, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS)
        exit(1);
    at.plain = memset(plain, 1, BYTES);
    at.pinned = memset(pinned, 1, BYTES);
    at.flag = (uint32_t *)(void *)(at.pinned + BYTES - 64);
    ask_launch(at.other, NULL, at.p);
    cu.cuCtxSynchronize();
}

static void say(const char *what, enum place place, CUresult r, bool waited)
{
    char line[160];

    snprintf(line, sizeof(line), "%s, %s", what, place == BEHIND ? "behind" : "beside");
    ask_say(line, r ? -(long long)r : waited);
}

/* Once while nothing runs, so that nothing is done for the first time, and at both places. */
#define WAITS_AT(what, before, call, after)                                                        \
    do {                                                                                           \
        if (!ask_may(what))                                                                        \
            break;                                                                                 \
        for (enum place place = IDLE; place <= BESIDE; place++) {                                  \
            CUresult r_ = CUDA_SUCCESS;                                                            \
            bool waited_ = true;                                                                   \
            for (int try_ = 0; try_ < TRIES && waited_; try_++) {                                  \
                before;                                                                            \
                hold_begin(place);                                                                 \
                r_ = cu.call;                                                                      \
                waited_ = hold_end(place);                                                         \
                after;                                                                             \
            }                                                                                      \
            if (place != IDLE)                                                                     \
                say(what, place, r_, waited_);                                                     \
        }                                                                                          \
    } while (0)
#define WAITS(call) WAITS_AT(#call, (void)0, call, (void)0)
#define NAMED(what, call) WAITS_AT(what, (void)0, call, (void)0)

/* ---- copies and fills ---- */

static void copies_to_the_gpu(void)
{
    begin();
    NAMED("to the GPU, ordinary, 4", cuMemcpyHtoD_v2(at.p, at.plain, 4));
    NAMED("to the GPU, ordinary, 64 KiB", cuMemcpyHtoD_v2(at.p, at.plain, 65536));
    NAMED("to the GPU, ordinary, 1 MiB", cuMemcpyHtoD_v2(at.p, at.plain, BYTES));
    NAMED("to the GPU, pinned, 4", cuMemcpyHtoD_v2(at.p, at.pinned, 4));
    NAMED("to the GPU, ordinary, any to any",
          cuMemcpy(at.p, (CUdeviceptr)(uintptr_t)at.plain, 4096));
    NAMED("to the GPU, async, ordinary, 4", cuMemcpyHtoDAsync_v2(at.p, at.plain, 4, NULL));
    NAMED("to the GPU, async, ordinary, 64 KiB", cuMemcpyHtoDAsync_v2(at.p, at.plain, 65536, NULL));
    NAMED("to the GPU, async, ordinary, 1 MiB", cuMemcpyHtoDAsync_v2(at.p, at.plain, BYTES, NULL));
    NAMED("to the GPU, async, pinned", cuMemcpyHtoDAsync_v2(at.p, at.pinned, 4096, NULL));
    NAMED("to the GPU, async, ordinary, another stream",
          cuMemcpyHtoDAsync_v2(at.p, at.plain, 65536, at.own));
}

static void copies_from_the_gpu(void)
{
    begin();
    NAMED("from the GPU, ordinary", cuMemcpyDtoH_v2(at.plain, at.p, 4));
    NAMED("from the GPU, pinned", cuMemcpyDtoH_v2(at.pinned, at.p, 4));
    NAMED("from the GPU, async, ordinary, 4", cuMemcpyDtoHAsync_v2(at.plain, at.p, 4, NULL));
    NAMED("from the GPU, async, ordinary, 1 MiB", cuMemcpyDtoHAsync_v2(at.plain, at.p, BYTES, NULL));
    NAMED("from the GPU, async, pinned", cuMemcpyDtoHAsync_v2(at.pinned, at.p, 4096, NULL));
    NAMED("from the GPU, async, ordinary, another stream",
          cuMemcpyDtoHAsync_v2(at.plain, at.p, 4, at.own));
    NAMED("on the GPU", cuMemcpyDtoD_v2(at.q, at.p, 4096));
    NAMED("on the GPU, any to any", cuMemcpy(at.q, at.p, 4096));
    NAMED("on the GPU, async", cuMemcpyDtoDAsync_v2(at.q, at.p, 4096, NULL));
    NAMED("on the host", cuMemcpy((CUdeviceptr)(uintptr_t)at.plain,
                                  (CUdeviceptr)(uintptr_t)(at.plain + 8192), 4096));
    NAMED("on the host, pinned", cuMemcpy((CUdeviceptr)(uintptr_t)at.pinned,
                                          (CUdeviceptr)(uintptr_t)(at.pinned + 8192), 4096));
    NAMED("on the host, async", cuMemcpyAsync((CUdeviceptr)(uintptr_t)at.plain,
                                              (CUdeviceptr)(uintptr_t)(at.plain + 8192), 4096, NULL));
}

static CUDA_MEMCPY2D lines(CUmemorytype from, CUmemorytype to)
{
    return (CUDA_MEMCPY2D){.srcMemoryType = from, .srcHost = at.plain, .srcDevice = at.p,
                           .srcPitch = 128, .dstMemoryType = to, .dstHost = at.plain,
                           .dstDevice = at.q, .dstPitch = 256, .WidthInBytes = 64, .Height = 16};
}

static void copies_of_lines(void)
{
    begin();
    CUDA_MEMCPY2D in = lines(CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE);
    CUDA_MEMCPY2D out = lines(CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST);
    CUDA_MEMCPY2D on = lines(CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_DEVICE);
    CUDA_MEMCPY2D pinned = in;
    pinned.srcHost = at.pinned;

    NAMED("lines to the GPU", cuMemcpy2D_v2(&in));
    NAMED("lines to the GPU, pinned", cuMemcpy2D_v2(&pinned));
    NAMED("lines to the GPU, async", cuMemcpy2DAsync_v2(&in, NULL));
    NAMED("lines from the GPU", cuMemcpy2D_v2(&out));
    NAMED("lines from the GPU, async", cuMemcpy2DAsync_v2(&out, NULL));
    NAMED("lines on the GPU", cuMemcpy2D_v2(&on));
    NAMED("lines on the GPU, async", cuMemcpy2DAsync_v2(&on, NULL));
}

static void fills(void)
{
    begin();
    NAMED("fill", cuMemsetD8_v2(at.p, 1, 4096));
    NAMED("fill, large", cuMemsetD32_v2(at.p, 1, BYTES / 4));
    NAMED("fill of pinned memory", cuMemsetD8_v2((CUdeviceptr)(uintptr_t)at.pinned, 1, 4096));
    NAMED("fill of lines", cuMemsetD2D8_v2(at.p, 256, 1, 64, 16));
    NAMED("fill, async", cuMemsetD8Async(at.p, 1, 4096, NULL));
}

static void arrays(void)
{
    CUDA_ARRAY_DESCRIPTOR d = {.Width = 64, .Height = 16, .Format = CU_AD_FORMAT_UNSIGNED_INT8,
                               .NumChannels = 1};
    CUarray a = NULL, b = NULL;

    begin();
    if (cu.cuArrayCreate_v2(&a, &d) || cu.cuArrayCreate_v2(&b, &d))
        exit(1);
    NAMED("array from the host", cuMemcpyHtoA_v2(a, 0, at.plain, 64));
    NAMED("array from the host, async, pinned", cuMemcpyHtoAAsync_v2(a, 0, at.pinned, 64, NULL));
    NAMED("array to the host", cuMemcpyAtoH_v2(at.plain, a, 0, 64));
    NAMED("array from the GPU", cuMemcpyDtoA_v2(a, 0, at.p, 64));
    NAMED("array to the GPU", cuMemcpyAtoD_v2(at.p, a, 0, 64));
    NAMED("array to array", cuMemcpyAtoA_v2(b, 0, a, 0, 64));
    NAMED("ask for an array's shape", cuArrayGetDescriptor_v2(&d, a));
    WAITS_AT("end an array", cu.cuArrayCreate_v2(&b, &d), cuArrayDestroy(b), (void)0);
}

/* ---- memory ---- */

static void memory(void)
{
    CUdeviceptr p = 0;
    void *h = NULL;
    size_t a, b;

    begin();
    WAITS_AT("allocate 4 KiB", (void)0, cuMemAlloc_v2(&p, 4096), cu.cuMemFree_v2(p));
    WAITS_AT("free 4 KiB", cu.cuMemAlloc_v2(&p, 4096), cuMemFree_v2(p), (void)0);
    WAITS_AT("free 64 MiB", cu.cuMemAlloc_v2(&p, 64 << 20), cuMemFree_v2(p), (void)0);
    WAITS_AT("allocate managed memory", (void)0, cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL),
             cu.cuMemFree_v2(p));
    WAITS_AT("free managed memory", cu.cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL),
             cuMemFree_v2(p), (void)0);
    WAITS_AT("free pinned memory", cu.cuMemHostAlloc(&h, 4096, 0), cuMemFreeHost(h), (void)0);
    WAITS_AT("unregister", cu.cuMemHostRegister_v2(at.plain, 65536, 0),
             cuMemHostUnregister(at.plain), (void)0);
    WAITS_AT("allocate in a stream", (void)0, cuMemAllocAsync(&p, 4096, NULL),
             cu.cuMemFreeAsync(p, NULL));
    WAITS_AT("free in a stream", cu.cuMemAllocAsync(&p, 4096, NULL), cuMemFreeAsync(p, NULL), (void)0);
    WAITS_AT("free at once what a stream allocated", cu.cuMemAllocAsync(&p, 4096, NULL),
             cuMemFree_v2(p), (void)0);
    WAITS(cuMemGetInfo_v2(&a, &b));
    WAITS(cuMemGetAddressRange_v2(&p, &a, at.p));
    WAITS(cuPointerGetAttribute(&p, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, at.p));
}

static CUmemAllocationProp on_device_0(void)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
}

static void mapped_memory(void)
{
    const size_t size = 2 << 20;
    CUmemAllocationProp prop = on_device_0();
    CUmemAccessDesc access = {.location = prop.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle h = 0;
    CUdeviceptr va = 0;

    begin();
    if (cu.cuMemAddressReserve(&va, size, 0, 0, 0))
        exit(1);
    WAITS_AT("create memory", (void)0, cuMemCreate(&h, size, &prop, 0), cu.cuMemRelease(h));
    WAITS_AT("release memory", cu.cuMemCreate(&h, size, &prop, 0), cuMemRelease(h), (void)0);
    cu.cuMemCreate(&h, size, &prop, 0);
    WAITS_AT("map", (void)0, cuMemMap(va, size, 0, h, 0), cu.cuMemUnmap(va, size));
    WAITS_AT("set access", cu.cuMemMap(va, size, 0, h, 0), cuMemSetAccess(va, size, &access, 1),
             cu.cuMemUnmap(va, size));
    WAITS_AT("unmap", (cu.cuMemMap(va, size, 0, h, 0), cu.cuMemSetAccess(va, size, &access, 1)),
             cuMemUnmap(va, size), (void)0);
}

/* ---- streams, graphs, contexts ---- */

static void CUDA_CB nothing(void *arg)
{
    (void)arg;
}

static void streams(void)
{
    CUstream s;
    CUevent e = NULL;
    int v;

    begin();
    WAITS_AT("make a stream", (void)0, cuStreamCreate(&s, 0), cu.cuStreamDestroy_v2(s));
    WAITS_AT("end a stream", cu.cuStreamCreate(&s, 0), cuStreamDestroy_v2(s), (void)0);
    WAITS_AT("make an event", (void)0, cuEventCreate(&e, 0), cu.cuEventDestroy_v2(e));
    cu.cuEventCreate(&e, 0);
    NAMED("record", cuEventRecord(e, NULL));
    WAITS_AT("end a recorded event", (cu.cuEventCreate(&e, 0), cu.cuEventRecord(e, NULL)),
             cuEventDestroy_v2(e), (void)0);
    NAMED("launch", cuLaunchKernel(at.other, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&at.p}, NULL));
    NAMED("host function", cuLaunchHostFunc(NULL, nothing, NULL));
    NAMED("wait for another stream", cuStreamSynchronize(at.own));
    NAMED("wait for the legacy stream", cuStreamSynchronize(NULL));
    NAMED("wait for the context", cuCtxSynchronize());
    NAMED("ask the device", cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
}

static void contexts(void)
{
    CUcontext c = NULL, before = NULL;
    size_t v = 0;

    begin();
    cu.cuCtxGetCurrent(&before);
    WAITS_AT("make a context", (void)0, cuCtxCreate_v2(&c, 0, 0), cu.cuCtxDestroy_v2(c));
    WAITS_AT("end another context", (cu.cuCtxCreate_v2(&c, 0, 0), cu.cuCtxSetCurrent(before)),
             cuCtxDestroy_v2(c), (void)0);
    WAITS(cuCtxGetLimit(&v, CU_LIMIT_PRINTF_FIFO_SIZE));
    cu.cuCtxGetLimit(&v, CU_LIMIT_STACK_SIZE);
    NAMED("raise the stack", cuCtxSetLimit(CU_LIMIT_STACK_SIZE, v += 1024));
}

static void modules(void)
{
    CUmodule m = NULL;
    CUfunction f;
    CUdeviceptr p;
    size_t n;
    int v;

    begin();
    WAITS_AT("load a module", (void)0, cuModuleLoadData(&m, ask_ptx), cu.cuModuleUnload(m));
    WAITS_AT("unload a module", cu.cuModuleLoadData(&m, ask_ptx), cuModuleUnload(m), (void)0);
    NAMED("ask for a function", cuModuleGetFunction(&f, at.module, "none"));
    NAMED("ask for a variable", cuModuleGetGlobal_v2(&p, &n, at.module, "counter"));
    NAMED("ask about a function", cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, at.other));
    NAMED("occupancy", cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, at.other, 128, 0));
}

static CUgraph graph_of_a_fill(void)
{
    CUgraph g = NULL;

    cu.cuStreamBeginCapture_v2(at.own, CU_STREAM_CAPTURE_MODE_RELAXED);
    cu.cuMemsetD8Async(at.p, 1, 64, at.own);
    cu.cuStreamEndCapture(at.own, &g);
    return g;
}

static void graphs(void)
{
    CUgraphExec x = NULL;

    begin();
    CUgraph g = graph_of_a_fill();
    WAITS_AT("make a graph's instance", (void)0, cuGraphInstantiateWithFlags(&x, g, 0),
             cu.cuGraphExecDestroy(x));
    cu.cuGraphInstantiateWithFlags(&x, g, 0);
    NAMED("launch a graph", cuGraphLaunch(x, NULL));
    NAMED("launch a graph in another stream", cuGraphLaunch(x, at.own));
    NAMED("upload a graph", cuGraphUpload(x, at.own));
    WAITS_AT("end a graph's instance", cu.cuGraphInstantiateWithFlags(&x, g, 0),
             cuGraphExecDestroy(x), (void)0);
}

static const struct ask_group groups[] = {
    ASK_GROUP(copies_to_the_gpu), ASK_GROUP(copies_from_the_gpu), ASK_GROUP(copies_of_lines),
    ASK_GROUP(fills), ASK_GROUP(arrays), ASK_GROUP(memory), ASK_GROUP(mapped_memory),
    ASK_GROUP(streams), ASK_GROUP(contexts), ASK_GROUP(modules), ASK_GROUP(graphs),
};

int main(void)
{
    return ask_main(groups, sizeof(groups) / sizeof(groups[0]));
}
