/* SPDX-License-Identifier: MIT */
/*
 * What calls cost, one line each: `name value unit`.
 *
 *   costs [--quick]
 *
 * enqueue      what cuLaunchKernel takes in the caller, nobody waiting: the
 *              median and p99 of single calls while the queue has room
 * launches     completed launches per second, queue kept full
 * round trip   one empty kernel and cuStreamSynchronize
 * query        cuCtxGetCurrent, answered locally
 * calls        cuMemGetInfo per second: must cross and come back
 * copies       bandwidth, host to device and back, pageable and pinned
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

static CUfunction empty;
static CUstream stream;
static int scale = 10;      /* 1 for --quick */

static void report(const char *name, double value, const char *unit)
{
    printf("%s %.6g %s\n", name, value, unit);
    fflush(stdout);
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

static void query_rates(void)
{
    const int local = 50000 * scale, remote = 500 * scale;
    double start = vg_drv_now();
    size_t available, total;
    CUcontext ctx;

    for (int i = 0; i < local; i++)
        VG_CU(cuCtxGetCurrent(&ctx));
    report("local_query", (vg_drv_now() - start) / local * 1e9, "ns");
    start = vg_drv_now();
    for (int i = 0; i < remote; i++)
        VG_CU(cuMemGetInfo_v2(&available, &total));
    report("calls", remote / (vg_drv_now() - start), "per_s");
}

static double gib_per_s(CUdeviceptr device, void *host, size_t bytes, bool up)
{
    const int n = 2 * scale;
    double start = 0;

    for (int i = -1; i < n; i++) { /* the first one is not counted */
        if (i == 0)
            start = vg_drv_now();
        if (up)
            VG_CU(cuMemcpyHtoD_v2(device, host, bytes));
        else
            VG_CU(cuMemcpyDtoH_v2(host, device, bytes));
    }
    return n * (double)bytes / (vg_drv_now() - start) / (1 << 30);
}

static void copy_rates(void)
{
    static const size_t sizes[] = {64 << 10, 1 << 20, 16 << 20};
    static const char *const names[] = {"64k", "1m", "16m"};
    CUdeviceptr device = vg_drv_alloc(16 << 20);
    void *pageable = malloc(16 << 20), *pinned;
    char name[64];

    if (!pageable)
        vg_drv_fail("out of memory");
    memset(pageable, 1, 16 << 20);
    VG_CU(cuMemHostAlloc(&pinned, 16 << 20, 0));
    memset(pinned, 1, 16 << 20);
    for (int i = 0; i < 3; i++)
        for (int way = 0; way < 4; way++) {
            snprintf(name, sizeof(name), "%s_%s_%s", way & 1 ? "dtoh" : "htod",
                     way & 2 ? "pinned" : "pageable", names[i]);
            report(name, gib_per_s(device, way & 2 ? pinned : pageable, sizes[i], !(way & 1)),
                   "GiB/s");
        }
    VG_CU(cuMemFreeHost(pinned));
    VG_CU(cuMemFree_v2(device));
    free(pageable);
}

int main(int argc, char **argv)
{
    double start = vg_drv_now();

    if (argc > 1 && strcmp(argv[1], "--quick") == 0)
        scale = 1;
    vg_drv_start();
    report("first_context", (vg_drv_now() - start) * 1e3, "ms");
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    empty = vg_drv_function(vg_drv_module(vg_client_ptx), "empty");
    launch_empty();
    VG_CU(cuStreamSynchronize(stream));
    enqueue_cost();
    launch_rate();
    round_trip();
    query_rates();
    copy_rates();
    VG_CU(cuStreamDestroy_v2(stream));
    return 0;
}
