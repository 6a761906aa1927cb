/* SPDX-License-Identifier: MIT */
/*
 * A few bytes there and back, again and again and from several threads at once, bit by bit: as
 * llama.cpp's test-backend-ops does it. Each round has memory of its own, a source that is written
 * over as soon as the copy from it has returned, and a result whose place held something else.
 *
 *   readback [ROUNDS [THREADS]]      of each thread; 10s: for so many seconds
 *
 * A wrong word is told and counted; the status is 1 if there was one.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define WORDS_MAX   6144u   /* of a copy: some take a staging chunk, most ride in the ring */
#define THREADS_MAX 16u
#define SCRATCH     64u
#define AHEAD       40u     /* launches that a stream may have to do before what is looked at */
#define TELL        10u     /* of wrong words, each */

/* In which way the bytes are asked back. */
enum way { OWN_STREAM, SAME_STREAM, WHOLE_CALL, BY_GRAPH, WAYS };
static const char *const way_name[WAYS] = {"own stream", "same stream", "whole call", "graph"};

struct worker {
    pthread_t thread;
    uint32_t number, random;
    CUstream stream;
    uint64_t rounds, words;
    double slowest;             /* round, seconds */
    uint32_t sent[WORDS_MAX], want[WORDS_MAX], got[WORDS_MAX];
};

static unsigned rounds = 40, threads = 4;
static double end;
static CUcontext context;
static CUfunction mix;
static struct worker workers[THREADS_MAX];
static uint32_t wrongs;

/* ---- Looking at what has come ---- */

static void wrong(const struct worker *w, const char *what, uint32_t words, uint32_t i)
{
    if (__atomic_fetch_add(&wrongs, 1, __ATOMIC_RELAXED) < TELL)
        fprintf(stderr, "readback: thread %u, round %llu, %s of %u words: word %u is %#x, not %#x\n",
                w->number, (unsigned long long)w->rounds, what, words, i, w->got[i], w->want[i]);
}

static void compare(struct worker *w, const char *what, uint32_t words)
{
    w->words += words;
    for (uint32_t i = 0; i < words; i++) {
        if (w->got[i] == w->want[i])
            continue;
        wrong(w, what, words, i);
        return;
    }
}

/* ---- One round ---- */

/* Mostly few words: 1 to 16 of them in half of all cases, 128 and 129 are the limits of a cell. */
static uint32_t some_words(struct worker *w)
{
    static const uint32_t most[] = {16, 16, 16, 129, 128, 704, 4096, WORDS_MAX};

    return 1 + vg_drv_random(&w->random) % most[vg_drv_random(&w->random) % 8];
}

static void fill(struct worker *w, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++)
        w->want[i] = w->sent[i] = vg_drv_random(&w->random);
}

static bool one_of(struct worker *w, uint32_t count)
{
    return vg_drv_random(&w->random) % count == 0;
}

/* The source is the program's again when the call is over. */
static void send(struct worker *w, CUdeviceptr to, uint32_t words, CUstream stream)
{
    VG_CU(cuMemcpyHtoDAsync_v2(to, w->sent, words * sizeof(w->sent[0]), stream));
    memset(w->sent, 0x55, words * sizeof(w->sent[0]));
}

/* To ordinary memory: the bytes are there when the call is over, waited for or not. */
static void take(struct worker *w, CUdeviceptr from, uint32_t words, CUstream stream)
{
    memset(w->got, 0xee, words * sizeof(w->got[0]));
    VG_CU(cuMemcpyDtoHAsync_v2(w->got, from, words * sizeof(w->got[0]), stream));
    if (one_of(w, 2))
        VG_CU(cuStreamSynchronize(stream));
}

static void launch(struct worker *w, CUdeviceptr at, uint32_t words, uint32_t key)
{
    void *args[] = {&at, &key, &words};

    VG_CU(cuLaunchKernel(mix, (words + 63) / 64, 1, 1, 64, 1, 1, 0, w->stream, args, NULL));
}

static void compute(struct worker *w, CUdeviceptr at, uint32_t words)
{
    for (uint32_t n = 1 + vg_drv_random(&w->random) % 3; n > 0; n--) {
        uint32_t key = vg_drv_random(&w->random);
        launch(w, at, words, key);
        for (uint32_t i = 0; i < words; i++)
            w->want[i] = w->want[i] * 3 + key;
    }
}

static void compute_by_graph(struct worker *w, CUdeviceptr at, uint32_t words)
{
    CUgraph graph;
    CUgraphExec exec;

    VG_CU(cuStreamBeginCapture_v2(w->stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    compute(w, at, words);
    VG_CU(cuStreamEndCapture(w->stream, &graph));
    VG_CU(cuGraphInstantiateWithFlags(&exec, graph, 0));
    VG_CU(cuGraphLaunch(exec, w->stream));
    VG_CU(cuStreamSynchronize(w->stream));
    VG_CU(cuGraphExecDestroy(exec));
    VG_CU(cuGraphDestroy(graph));
}

/* The stream has something to do first, so that it comes to the copies after they were asked for. */
static void keep_busy(struct worker *w, CUdeviceptr scratch)
{
    for (uint32_t n = vg_drv_random(&w->random) % AHEAD; n > 0; n--)
        launch(w, scratch, SCRATCH, n);
}

static void back(struct worker *w, CUdeviceptr at, uint32_t words, enum way way)
{
    if (way == SAME_STREAM) {
        take(w, at, words, w->stream);
        return;
    }
    VG_CU(cuStreamSynchronize(w->stream));
    memset(w->got, 0xee, words * sizeof(w->got[0]));
    if (way == WHOLE_CALL)
        VG_CU(cuMemcpyDtoH_v2(w->got, at, words * sizeof(w->got[0])));
    else
        take(w, at, words, CU_STREAM_PER_THREAD);
}

/* What is sent in a stream of its own must have come before the stream that computes goes on. */
static void there(struct worker *w, CUdeviceptr at, uint32_t words, CUdeviceptr scratch)
{
    CUstream stream = one_of(w, 2) ? w->stream : CU_STREAM_PER_THREAD;

    fill(w, words);
    if (stream == w->stream)
        keep_busy(w, scratch);
    send(w, at, words, stream);
    if (stream != w->stream)
        VG_CU(cuStreamSynchronize(stream));
    if (one_of(w, 2)) {
        take(w, at, words, stream);
        compare(w, "what was sent", words);
    }
}

static void round_of(struct worker *w)
{
    enum way way = (enum way)(vg_drv_random(&w->random) % WAYS);
    uint32_t words = some_words(w);
    CUdeviceptr at = vg_drv_alloc((words + SCRATCH) * sizeof(uint32_t));
    CUdeviceptr scratch = at + words * sizeof(uint32_t);

    VG_CU(cuMemsetD8_v2(scratch, 0, SCRATCH * sizeof(uint32_t)));
    there(w, at, words, scratch);
    if (way == BY_GRAPH)
        compute_by_graph(w, at, words);
    else
        compute(w, at, words);
    back(w, at, words, way);
    compare(w, way_name[way], words);
    VG_CU(cuMemFree_v2(at));
}

/* ---- All of them ---- */

static bool goes_on(const struct worker *w)
{
    return end > 0 ? vg_drv_now() < end : w->rounds < rounds;
}

static void *work(void *arg)
{
    struct worker *w = arg;

    VG_CU(cuCtxSetCurrent(context));
    VG_CU(cuStreamCreate(&w->stream, CU_STREAM_NON_BLOCKING));
    for (; goes_on(w); w->rounds++) {
        double start = vg_drv_now();
        round_of(w);
        double took = vg_drv_now() - start;
        w->slowest = took > w->slowest ? took : w->slowest;
    }
    VG_CU(cuStreamDestroy_v2(w->stream));
    return arg;
}

int main(int argc, char **argv)
{
    uint64_t all = 0, words = 0;
    double seconds = 0, slowest = 0;

    if (argc > 1 && strchr(argv[1], 's'))
        seconds = atof(argv[1]);
    else if (argc > 1)
        rounds = (unsigned)atoi(argv[1]);
    threads = argc > 2 ? (unsigned)atoi(argv[2]) : threads;
    if (argc > 3 || threads < 1 || threads > THREADS_MAX)
        vg_drv_fail("usage: readback [ROUNDS [THREADS]]");
    context = vg_drv_start();
    mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    end = seconds > 0 ? vg_drv_now() + seconds : 0;
    for (unsigned i = 0; i < threads; i++) {
        workers[i].number = i;
        workers[i].random = i * 7919 + 1;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            vg_drv_fail("readback: no thread");
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        all += workers[i].rounds;
        words += workers[i].words;
        slowest = workers[i].slowest > slowest ? workers[i].slowest : slowest;
    }
    printf("info slowest round %.1f ms\n", slowest * 1e3);
    printf("readback: %llu rounds, %llu words, %u wrong\n", (unsigned long long)all,
           (unsigned long long)words, wrongs);
    return wrongs != 0;
}
