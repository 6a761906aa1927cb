/* SPDX-License-Identifier: MIT */
/*
 * A load whose progress the GPU itself tells, for measuring who gets how much of it:
 *
 *   spin [--blocks N] [--threads N]        (default: all that the GPU can hold at a time)
 *
 * Prints "ready", then does what lines on stdin ask, and answers each with "end" after
 * what it measured. AT is a time of CLOCK_MONOTONIC in seconds, 0: at once; a kernel has ROUNDS
 * rounds and tells its progress every CHUNK of them.
 *
 *   load AT SECONDS DEPTH GRAPH ROUNDS CHUNK
 *       Keeps at most DEPTH launches in flight; with GRAPH a launch is a graph of so many kernels.
 *       "at NS ROUNDS LAUNCHES" every 10 ms: what was done by then, from the moment of AT on; the
 *       last one, "all ...", when nothing is in flight any more.
 *   beat AT SECONDS PAUSE_US ROUNDS CHUNK
 *       One launch after another with a pause before each. "beat NS START_NS END_NS": when, until
 *       the kernel was seen to run, until the wait for it was over.
 *   time COUNT EACH ROUNDS CHUNK
 *       COUNT launches, with a wait after EACH of them. "took NS".
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

VG_IMAGE(vg_spin_ptx, "tests/client/spin.ptx");

#define DEPTH_MAX  1024u
#define GROUPS_MAX 8u       /* launches in flight are waited for in so many groups */
#define STEP_NS    10000000ull
#define STEPS_MAX  12000u   /* two minutes */
#define BEATS_MAX  100000u
#define START_NS   60000000000ull /* nothing is waited for longer than that */

static struct {
    unsigned blocks, threads;
    CUstream stream;
    CUfunction kernel;
    CUdeviceptr sum;
    CUdeviceptr seen_by_gpu;
    volatile uint64_t *seen;
    CUevent event[GROUPS_MAX];
    uint64_t rounds, chunk;
    CUgraphExec exec;       /* of the present load, if it has one */
} spin;

static struct {
    uint64_t from, until;
    unsigned count;
    struct {
        uint64_t ns, rounds, launches;
    } at[STEPS_MAX];
} steps;

static struct {
    uint64_t ns, start, end;
} beats[BEATS_MAX];

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        continue;
}

/* AT is 0: at once. */
static uint64_t begin_at(double at)
{
    uint64_t ns = (uint64_t)(at * 1e9);

    if (ns == 0)
        return now_ns();
    sleep_until(ns);
    return ns;
}

/* ---- the kernel ---- */

static void give_kernel(void)
{
    void *args[] = {&spin.rounds, &spin.chunk, &spin.sum, &spin.seen_by_gpu};

    VG_CU(cuLaunchKernel(spin.kernel, spin.blocks, 1, 1, spin.threads, 1, 1, 0, spin.stream, args, NULL));
}

static void give(void)
{
    if (spin.exec)
        VG_CU(cuGraphLaunch(spin.exec, spin.stream));
    else
        give_kernel();
}

static void make_graph(unsigned nodes)
{
    CUgraph graph;

    VG_CU(cuStreamBeginCapture_v2(spin.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (unsigned i = 0; i < nodes; i++)
        give_kernel();
    VG_CU(cuStreamEndCapture(spin.stream, &graph));
    VG_CU(cuGraphInstantiateWithFlags(&spin.exec, graph, 0));
    VG_CU(cuGraphDestroy(graph));
}

/* ---- load ---- */

static void *watch_progress(void *unused)
{
    (void)unused;
    for (uint64_t ns = steps.from; ns <= steps.until && steps.count < STEPS_MAX; ns += STEP_NS) {
        sleep_until(ns);
        steps.at[steps.count].rounds = spin.seen[1];
        steps.at[steps.count].launches = spin.seen[2];
        steps.at[steps.count++].ns = now_ns();
    }
    return NULL;
}

static void keep_busy(unsigned depth)
{
    unsigned groups = depth < GROUPS_MAX ? depth : GROUPS_MAX, each = depth / groups;

    for (uint64_t n = 0;; n++) {
        if (n >= groups)
            VG_CU(cuEventSynchronize(spin.event[n % groups]));
        if (now_ns() >= steps.until)
            return;
        for (unsigned i = 0; i < each; i++)
            give();
        VG_CU(cuEventRecord(spin.event[n % groups], spin.stream));
    }
}

static void load(double at, double seconds, unsigned depth, unsigned graph)
{
    pthread_t watcher;

    if (depth < 1 || depth > DEPTH_MAX)
        vg_drv_fail("a depth of %u", depth);
    if (graph)
        make_graph(graph);
    steps.count = 0;
    steps.from = begin_at(at);
    steps.until = steps.from + (uint64_t)(seconds * 1e9);
    if (pthread_create(&watcher, NULL, watch_progress, NULL) != 0)
        vg_drv_fail("no thread");
    keep_busy(depth);
    pthread_join(watcher, NULL);
    VG_CU(cuStreamSynchronize(spin.stream));
    if (graph)
        VG_CU(cuGraphExecDestroy(spin.exec));
    spin.exec = NULL;
    uint64_t ended = now_ns();
    for (unsigned i = 0; i < steps.count; i++)
        printf("at %llu %llu %llu\n", (unsigned long long)steps.at[i].ns,
               (unsigned long long)steps.at[i].rounds, (unsigned long long)steps.at[i].launches);
    printf("all %llu %llu %llu\n", (unsigned long long)ended, (unsigned long long)spin.seen[1],
           (unsigned long long)spin.seen[2]);
}

/* ---- beat ---- */

static void beat_once(unsigned i)
{
    uint64_t before = spin.seen[0], begin = now_ns();

    give_kernel();
    while (spin.seen[0] == before && now_ns() - begin < START_NS)
        continue;
    beats[i].start = now_ns() - begin;
    VG_CU(cuStreamSynchronize(spin.stream));
    beats[i].end = now_ns() - begin;
    beats[i].ns = begin;
}

static void beat(double at, double seconds, unsigned pause_us)
{
    uint64_t from = begin_at(at), until = from + (uint64_t)(seconds * 1e9);
    uint32_t random = 12345;
    unsigned count = 0;

    while (count < BEATS_MAX && now_ns() < until) {
        if (pause_us) /* from a half to one and a half of it: in step with nobody */
            sleep_until(now_ns() + pause_us * 500ull + vg_drv_random(&random) % (pause_us * 1000ull));
        beat_once(count++);
    }
    for (unsigned i = 0; i < count; i++)
        printf("beat %llu %llu %llu\n", (unsigned long long)beats[i].ns,
               (unsigned long long)beats[i].start, (unsigned long long)beats[i].end);
}

/* ---- time ---- */

static void take_time(unsigned count, unsigned each)
{
    uint64_t begin = now_ns();

    for (unsigned i = 1; i <= count; i++) {
        give_kernel();
        if (each && i % each == 0)
            VG_CU(cuStreamSynchronize(spin.stream));
    }
    VG_CU(cuStreamSynchronize(spin.stream));
    printf("took %llu\n", (unsigned long long)(now_ns() - begin));
}

/* ---- orders ---- */

/* Whole chunks, at least one. */
static void set_length(unsigned long long rounds, unsigned long long chunk)
{
    spin.chunk = chunk && chunk < rounds ? chunk : rounds;
    spin.rounds = (rounds + spin.chunk - 1) / spin.chunk * spin.chunk;
    if (spin.rounds == 0)
        vg_drv_fail("a kernel of no rounds");
}

static void obey(const char *line)
{
    unsigned long long rounds, chunk;
    unsigned a, b;
    double at, seconds;

    if (sscanf(line, "load %lf %lf %u %u %llu %llu", &at, &seconds, &a, &b, &rounds, &chunk) == 6) {
        set_length(rounds, chunk);
        load(at, seconds, a, b);
    } else if (sscanf(line, "beat %lf %lf %u %llu %llu", &at, &seconds, &a, &rounds, &chunk) == 5) {
        set_length(rounds, chunk);
        beat(at, seconds, a);
    } else if (sscanf(line, "time %u %u %llu %llu", &a, &b, &rounds, &chunk) == 4) {
        set_length(rounds, chunk);
        take_time(a, b);
    } else {
        vg_drv_fail("what is \"%s\"?", line);
    }
    printf("end\n");
    fflush(stdout);
}

static void prepare(void)
{
    int processors = 1, threads = 2048;
    void *seen;

    vg_drv_start();
    VG_CU(cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    VG_CU(cuDeviceGetAttribute(&threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 0));
    if (!spin.threads)
        spin.threads = 256;
    if (!spin.blocks)
        spin.blocks = (unsigned)(processors * threads) / spin.threads;
    spin.kernel = vg_drv_function(vg_drv_module(vg_spin_ptx), "spin");
    spin.sum = vg_drv_alloc(64);
    VG_CU(cuMemsetD8_v2(spin.sum, 0, 64));
    VG_CU(cuMemHostAlloc(&seen, 4096, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP));
    memset(seen, 0, 4096);
    spin.seen = seen;
    VG_CU(cuMemHostGetDevicePointer_v2(&spin.seen_by_gpu, seen, 0));
    VG_CU(cuStreamCreate(&spin.stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < GROUPS_MAX; i++)
        VG_CU(cuEventCreate(&spin.event[i], CU_EVENT_DISABLE_TIMING));
    VG_CU(cuCtxSynchronize());
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"blocks", required_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    char line[256];

    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 'b': spin.blocks = (unsigned)strtoul(optarg, NULL, 10); break;
        case 't': spin.threads = (unsigned)strtoul(optarg, NULL, 10); break;
        default: return 2;
        }
    }
    prepare();
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin))
        obey(line);
    return 0;
}
