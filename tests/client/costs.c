/* SPDX-License-Identifier: MIT */
/*
 * What calls cost, one line each: `name value unit`.
 *
 *   costs [--quick] [--start | --queries | --copies]
 *
 * first_*        from the start of main to a context, and to the end of a kernel
 * enqueue        what cuLaunchKernel takes in the caller, nobody waiting: the
 *                median and p99 of single calls while the queue has room
 * launches       completed launches per second, queue kept full
 * round_trip     one empty kernel and cuStreamSynchronize
 * local_query    cuCtxGetCurrent, answered locally
 * memory_info    cuMemGetInfo per second
 * alloc_* event_* stream_* graph_* eager   see below; the mean of many
 * module_*       PTX that no cache can know, the same again, and small copies of it
 * memcpy         bandwidth of a processor, ordinary memory to ordinary memory
 * htod, dtoh     bandwidth, host to device and back, pageable and pinned
 *
 * --start: only the first; --queries: only those; --copies: only the last, for every size to
 * 1 GiB. With VG_ROUNDS=N in the environment each is measured N times, in turns with
 * another process (vg_drv_turn).
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

static CUfunction empty;
static CUstream stream;
static int scale = 10;      /* 1 for --quick */
static int rounds = 1;

static void report(const char *name, double value, const char *unit)
{
    printf("%s %.6g %s\n", name, value, unit);
    fflush(stdout);
}

/* Each measurement, as often as there are rounds, whenever it is this process's turn. */
static void measured(void (*what)(void))
{
    for (int i = 0; i < rounds; i++) {
        vg_drv_turn();
        what();
    }
}

static void launch_empty(void)
{
    VG_CU(cuLaunchKernel(empty, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* What reading the clock itself takes, at its best: subtracting more would flatter us. */
static double clock_cost(void)
{
    double least = 1e9;

    for (int i = 0; i < 1000; i++) {
        double start = vg_drv_now(), ns = (vg_drv_now() - start) * 1e9;

        least = ns < least ? ns : least;
    }
    return least;
}

/* Bursts far below the size of a ring, each started with an empty queue. */
static void enqueue_cost(void)
{
    const int bursts = 20 * scale, burst = 64, n = bursts * burst;
    double *ns = calloc(n, sizeof(*ns)), clock_ns;

    if (!ns)
        vg_drv_fail("out of memory");
    clock_ns = clock_cost();
    for (int b = 0; b < bursts; b++) {
        VG_CU(cuStreamSynchronize(stream));
        for (int i = 0; i < burst; i++) {
            double start = vg_drv_now();

            launch_empty();
            ns[b * burst + i] = (vg_drv_now() - start) * 1e9 - clock_ns;
        }
    }
    VG_CU(cuStreamSynchronize(stream));
    qsort(ns, n, sizeof(*ns), by_value);
    report("enqueue_median", ns[n / 2], "ns");
    report("enqueue_p99", ns[n * 99 / 100], "ns");
    free(ns);
}

static void launch_rate(void)
{
    const int n = 2000 * scale;
    double start;

    VG_CU(cuStreamSynchronize(stream));
    start = vg_drv_now();
    for (int i = 0; i < n; i++)
        launch_empty();
    VG_CU(cuStreamSynchronize(stream));
    report("launches", n / (vg_drv_now() - start), "per_s");
}

static void round_trip(void)
{
    const int n = 100 * scale;
    double *us = calloc(n, sizeof(*us));

    if (!us)
        vg_drv_fail("out of memory");
    for (int i = 0; i < n; i++) {
        double start = vg_drv_now();

        launch_empty();
        VG_CU(cuStreamSynchronize(stream));
        us[i] = (vg_drv_now() - start) * 1e6;
    }
    qsort(us, n, sizeof(*us), by_value);
    report("round_trip_median", us[n / 2], "us");
    report("round_trip_p99", us[n * 99 / 100], "us");
    free(us);
}

static void query_rate(void)
{
    const int n = 50000 * scale;
    double start = vg_drv_now();
    CUcontext ctx;

    for (int i = 0; i < n; i++)
        VG_CU(cuCtxGetCurrent(&ctx));
    report("local_query", (vg_drv_now() - start) / n * 1e9, "ns");
}

static void memory_rate(void)
{
    const int n = 1000 * scale;
    double start = vg_drv_now();
    size_t available, total;

    for (int i = 0; i < n; i++)
        VG_CU(cuMemGetInfo_v2(&available, &total));
    report("memory_info", n / (vg_drv_now() - start), "per_s");
}

/* ---- pairs of calls, mean time of one round ---- */

static CUevent event;
static CUdeviceptr block;
static CUgraphExec graph;

static void alloc_small(void)
{
    VG_CU(cuMemFree_v2(vg_drv_alloc(64 << 10)));
}

static void alloc_large(void)
{
    VG_CU(cuMemFree_v2(vg_drv_alloc(64 << 20)));
}

static void alloc_async(void)
{
    CUdeviceptr p;

    VG_CU(cuMemAllocAsync(&p, 1 << 20, stream));
    VG_CU(cuMemFreeAsync(p, stream));
}

static void event_new(void)
{
    CUevent e;

    VG_CU(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    VG_CU(cuEventDestroy_v2(e));
}

static void event_record(void)
{
    VG_CU(cuEventRecord(event, stream));
}

static void event_sync(void)
{
    VG_CU(cuEventRecord(event, stream));
    VG_CU(cuEventSynchronize(event));
}

static void stream_new(void)
{
    CUstream s;

    VG_CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    VG_CU(cuStreamDestroy_v2(s));
}

static void stream_sync(void)
{
    VG_CU(cuStreamSynchronize(stream));
}

static void context_sync(void)
{
    launch_empty();
    VG_CU(cuCtxSynchronize());
}

static void graph_replay(void)
{
    VG_CU(cuGraphLaunch(graph, stream));
    VG_CU(cuStreamSynchronize(stream));
}

/* What an eager framework does for one small operation and its result's first element. */
static void eager(void)
{
    uint32_t word;

    for (int i = 0; i < 8; i++)
        launch_empty();
    VG_CU(cuMemsetD8Async(block, 1, 4096, stream));
    VG_CU(cuEventRecord(event, stream));
    VG_CU(cuMemcpyDtoHAsync_v2(&word, block, sizeof(word), stream));
    VG_CU(cuStreamSynchronize(stream));
}

static void make_graph(void)
{
    CUgraph g;

    VG_CU(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (int i = 0; i < 64; i++)
        launch_empty();
    VG_CU(cuStreamEndCapture(stream, &g));
    VG_CU(cuGraphInstantiateWithFlags(&graph, g, 0));
    VG_CU(cuGraphDestroy(g));
}

static const struct pair {
    const char *name;
    void (*round)(void);
    int n;
} pairs[] = {
    {"alloc_free_64k", alloc_small, 20},   {"alloc_free_64m", alloc_large, 10},
    {"alloc_free_async", alloc_async, 50}, {"event_new", event_new, 50},
    {"event_record", event_record, 50},    {"event_sync", event_sync, 50},
    {"stream_new", stream_new, 10},        {"stream_sync_idle", stream_sync, 50},
    {"context_sync", context_sync, 50},    {"graph_64_replay", graph_replay, 20},
    {"eager_10_ops", eager, 20},
};
static const struct pair *pair;

static void pair_cost(void)
{
    const int n = pair->n * scale;

    for (int k = 0; k < 3; k++)
        pair->round();
    VG_CU(cuStreamSynchronize(stream));
    double start = vg_drv_now();
    for (int k = 0; k < n; k++)
        pair->round();
    VG_CU(cuStreamSynchronize(stream));
    report(pair->name, (vg_drv_now() - start) / n * 1e6, "us");
}

static void pair_costs(void)
{
    VG_CU(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    block = vg_drv_alloc(4096);
    make_graph();
    for (pair = pairs; pair < pairs + sizeof(pairs) / sizeof(pairs[0]); pair++)
        measured(pair_cost);
    VG_CU(cuGraphExecDestroy(graph));
    VG_CU(cuMemFree_v2(block));
    VG_CU(cuEventDestroy_v2(event));
}

/* ---- modules ---- */

/* A comment that was never there before makes it new to every cache. */
static double module_ms(char *text)
{
    double start = vg_drv_now();

    VG_CU(cuModuleUnload(vg_drv_module(text)));
    return (vg_drv_now() - start) * 1e3;
}

static void module_costs(void)
{
    const size_t room = strlen(vg_client_ptx) + 64;
    char *text = malloc(room);

    if (!text)
        vg_drv_fail("out of memory");
    snprintf(text, room, "%s\n// %d %.9f\n", vg_client_ptx, (int)getpid(), vg_drv_now());
    report("module_cold", module_ms(text), "ms");
    module_ms(text);
    report("module_warm", module_ms(text), "ms");
    free(text);
}

/* ---- copies ---- */

static struct {
    CUdeviceptr device;
    void *host;
    size_t bytes;
    bool up;
    char name[64];
} copy;

static void copy_once(void)
{
    if (copy.up)
        VG_CU(cuMemcpyHtoD_v2(copy.device, copy.host, copy.bytes));
    else
        VG_CU(cuMemcpyDtoH_v2(copy.host, copy.device, copy.bytes));
}

static void copy_rate(void)
{
    const size_t most = (size_t)scale << 25; /* bytes in all: long enough to be no accident */
    const int n = copy.bytes > most / 3      ? 3
                  : copy.bytes < most / 2000 ? 2000
                                             : (int)(most / copy.bytes);
    double start;

    copy_once(); /* the first one is not counted */
    start = vg_drv_now();
    for (int i = 0; i < n; i++)
        copy_once();
    report(copy.name, n * (double)copy.bytes / (vg_drv_now() - start) / (1 << 30), "GiB/s");
}

/* What a processor copies: the measure for copies that it takes part in. */
static void memcpy_rate(void)
{
    const size_t bytes = 16 << 20;
    uint8_t *a = malloc(bytes), *b = malloc(bytes);

    if (!a || !b)
        vg_drv_fail("out of memory");
    memset(a, 1, bytes);
    memset(b, 2, bytes);
    double start = vg_drv_now();
    for (int i = 0; i < 2 * scale; i++)
        memcpy(i & 1 ? a : b, i & 1 ? b : a, bytes);
    report("memcpy_16m", 2 * scale * (double)bytes / (vg_drv_now() - start) / (1 << 30), "GiB/s");
    free(a);
    free(b);
}

static const size_t sizes[] = {4ull << 10, 16ull << 10, 64ull << 10, 256ull << 10, 1ull << 20,
                               4ull << 20, 16ull << 20, 64ull << 20, 256ull << 20, 1ull << 30};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void name_of(char *name, size_t cap, int way, size_t bytes)
{
    const char *unit = bytes >= 1 << 30 ? "g" : bytes >= 1 << 20 ? "m" : "k";
    unsigned shift = bytes >= 1 << 30 ? 30 : bytes >= 1 << 20 ? 20 : 10;

    snprintf(name, cap, "%s_%s_%zu%s", way & 1 ? "dtoh" : "htod", way & 2 ? "pinned" : "pageable",
             bytes >> shift, unit);
}

/* Host memory of the largest size that the region of this process has room for. */
static void *pinned_of(size_t *bytes)
{
    void *p;

    while (vg_drv.cuMemHostAlloc(&p, *bytes, 0) != CUDA_SUCCESS)
        if ((*bytes /= 4) < sizes[0])
            vg_drv_fail("no pinned memory");
    return p;
}

static void rates_of(CUdeviceptr device, void *host, size_t most, int pinned, bool all)
{
    copy.device = device;
    copy.host = host;
    for (size_t i = 0; i < SIZES && sizes[i] <= most; i++) {
        if (!all && sizes[i] != 4 << 10 && sizes[i] != 64 << 10 && sizes[i] != 1 << 20 &&
            sizes[i] != 16 << 20)
            continue;
        for (int way = pinned * 2; way < pinned * 2 + 2; way++) {
            name_of(copy.name, sizeof(copy.name), way, sizes[i]);
            copy.bytes = sizes[i];
            copy.up = !(way & 1);
            measured(copy_rate);
        }
    }
}

static void copy_rates(bool all)
{
    size_t most = all ? sizes[SIZES - 1] : 16 << 20, most_pinned = most;
    CUdeviceptr device = vg_drv_alloc(most);
    void *pageable = malloc(most), *pinned;

    if (!pageable)
        vg_drv_fail("out of memory");
    memset(pageable, 1, most);
    measured(memcpy_rate);
    rates_of(device, pageable, most, 0, all);
    free(pageable);
    pinned = pinned_of(&most_pinned);
    memset(pinned, 1, most_pinned);
    rates_of(device, pinned, most_pinned, 1, all);
    VG_CU(cuMemFreeHost(pinned));
    VG_CU(cuMemFree_v2(device));
}

static void queries(void)
{
    measured(query_rate);
    measured(memory_rate);
}

static void everything(void)
{
    measured(enqueue_cost);
    measured(launch_rate);
    measured(round_trip);
    queries();
    pair_costs();
    measured(module_costs);
    copy_rates(false);
}

static void all_copies(void)
{
    copy_rates(true);
}

static void nothing(void)
{
}

static void start_costs(void)
{
    double start = vg_drv_now();

    vg_drv_start();
    report("first_context", (vg_drv_now() - start) * 1e3, "ms");
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    empty = vg_drv_function(vg_drv_module(vg_client_ptx), "empty");
    launch_empty();
    VG_CU(cuStreamSynchronize(stream));
    report("first_kernel", (vg_drv_now() - start) * 1e3, "ms");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*measure)(void);
    } parts[] = {{"--start", nothing}, {"--queries", queries}, {"--copies", all_copies}};
    void (*measure)(void) = everything;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            scale = 1;
        for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++)
            if (strcmp(argv[i], parts[k].name) == 0)
                measure = parts[k].measure;
    }
    rounds = vg_drv_rounds();
    start_costs();
    measure();
    VG_CU(cuStreamDestroy_v2(stream));
    return 0;
}
