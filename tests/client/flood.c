/* SPDX-License-Identifier: MIT */
/*
 * A process that keeps the GPU busy and checks what it computed:
 *
 *   flood SECONDS [--depth N] [--words N] [--graph N] [--pause-us N] [--burst N] [--file NAME]
 *
 * launches a kernel over so many words (default 20000), again and again, with at most N launches
 * (default 4) that it has not waited for; in graphs of N nodes with --graph; with a pause after
 * each wait, or after N of them with --burst: with --depth 1 that is a language model, which
 * answers with so many tokens, one by one. Prints "ready" before the first, at the end
 * "launches N" and how long the longest, the middle and the 99th in 100 of the waits for one was.
 * With --file it goes on until that file is there.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define DEPTH_MAX 256u
#define WAITS_MAX (1u << 20) /* more are not counted */

struct flood {
    unsigned depth, graph, pause_us, burst;
    uint32_t words;
    double seconds;
    const char *file;
    CUstream stream;
    CUfunction mix;
    CUgraphExec exec;
    CUdeviceptr memory;
    CUevent event[DEPTH_MAX];
    uint64_t begun, launches;
    float *wait;        /* s */
    unsigned waits;
};

static void launch_one(struct flood *f)
{
    uint32_t key = 1;
    void *args[] = {&f->memory, &key, &f->words};

    VG_CU(cuLaunchKernel(f->mix, (f->words + 127) / 128, 1, 1, 128, 1, 1, 0, f->stream, args, NULL));
}

static void capture(struct flood *f)
{
    CUgraph graph;

    VG_CU(cuStreamBeginCapture_v2(f->stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (unsigned i = 0; i < f->graph; i++)
        launch_one(f);
    VG_CU(cuStreamEndCapture(f->stream, &graph));
    VG_CU(cuGraphInstantiateWithFlags(&f->exec, graph, 0));
    VG_CU(cuGraphDestroy(graph));
}

static void prepare(struct flood *f)
{
    vg_drv_start();
    f->mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    f->memory = vg_drv_alloc((size_t)f->words * 4);
    VG_CU(cuMemsetD32_v2(f->memory, 1, f->words));
    VG_CU(cuStreamCreate(&f->stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < f->depth; i++)
        VG_CU(cuEventCreate(&f->event[i], CU_EVENT_DISABLE_TIMING));
    if (f->graph)
        capture(f);
}

static void give(struct flood *f)
{
    if (f->graph)
        VG_CU(cuGraphLaunch(f->exec, f->stream));
    else
        launch_one(f);
    f->launches += f->graph ? f->graph : 1;
    VG_CU(cuEventRecord(f->event[f->begun++ % f->depth], f->stream));
}

static void await_oldest(struct flood *f)
{
    double before = vg_drv_now();

    VG_CU(cuEventSynchronize(f->event[f->begun % f->depth]));
    if (f->waits < WAITS_MAX)
        f->wait[f->waits++] = (float)(vg_drv_now() - before);
    if (f->pause_us && f->waits % f->burst == 0)
        usleep(f->pause_us);
}

static void check(const struct flood *f)
{
    uint32_t first, last, want = 1;

    VG_CU(cuMemcpyDtoH_v2(&first, f->memory, sizeof(first)));
    VG_CU(cuMemcpyDtoH_v2(&last, f->memory + (f->words - 1) * 4ull, sizeof(last)));
    for (uint64_t i = 0; i < f->launches; i++)
        want = want * 3 + 1;
    if (first != want || last != want)
        vg_drv_fail("wrong result: %u and %u, not %u", first, last, want);
}

static int by_length(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void tell(const struct flood *f)
{
    unsigned n = f->waits;

    qsort(f->wait, n, sizeof(*f->wait), by_length);
    printf("launches %llu", (unsigned long long)f->launches);
    if (n > 0)
        printf(" longest_ms %.3f p50_ms %.3f p99_ms %.3f", f->wait[n - 1] * 1e3, f->wait[n / 2] * 1e3,
               f->wait[(uint64_t)n * 99 / 100] * 1e3);
    printf("\n");
}

static bool is_over(const struct flood *f, double end)
{
    return f->file ? access(f->file, F_OK) == 0 : vg_drv_now() >= end;
}

static void run(struct flood *f)
{
    double end = vg_drv_now() + f->seconds;

    while (!is_over(f, end)) {
        if (f->begun >= f->depth)
            await_oldest(f);
        give(f);
    }
    VG_CU(cuStreamSynchronize(f->stream));
}

static unsigned number(const char *text, unsigned max)
{
    unsigned long n = strtoul(text, NULL, 10);

    if (n < 1 || n > max)
        vg_drv_fail("'%s' is not a number from 1 to %u", text, max);
    return (unsigned)n;
}

static void parse(struct flood *f, int argc, char **argv)
{
    static const struct option options[] = {
        {"depth", required_argument, NULL, 'd'}, {"words", required_argument, NULL, 'w'},
        {"graph", required_argument, NULL, 'g'}, {"pause-us", required_argument, NULL, 'p'},
        {"burst", required_argument, NULL, 'b'}, {"file", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };

    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 'd': f->depth = number(optarg, DEPTH_MAX); break;
        case 'w': f->words = number(optarg, 1u << 28); break;
        case 'g': f->graph = number(optarg, 10000); break;
        case 'p': f->pause_us = number(optarg, 10000000); break;
        case 'b': f->burst = number(optarg, 1000000); break;
        case 'f': f->file = optarg; break;
        default: exit(2);
        }
    }
    f->seconds = optind < argc ? strtod(argv[optind], NULL) : 1;
}

int main(int argc, char **argv)
{
    struct flood f = {.depth = 4, .words = 20000, .burst = 1};

    parse(&f, argc, argv);
    f.wait = malloc(WAITS_MAX * sizeof(*f.wait));
    if (!f.wait)
        vg_drv_fail("no memory");
    prepare(&f);
    printf("ready\n");
    fflush(stdout);
    run(&f);
    check(&f);
    tell(&f);
    return 0;
}
