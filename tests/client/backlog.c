/* SPDX-License-Identifier: MIT */
/*
 * A thread that launches faster than its stream gets on waits in its own calls, and no other does:
 *
 *   backlog others [graphs|copies]
 *                       a stream is held up by a kernel, a thread launches LAUNCHES more behind it;
 *                       meanwhile the main thread's work on another stream goes on. Prints how many
 *                       of the launches had returned then.
 *   backlog alone       one thread launches so many behind the kernel, and only then lets it end
 *   backlog capture     so many launches in a capture: none of them is held up, all are in the graph
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define LAUNCHES 4000u
#define ALONE    1500u
#define ROUNDS   30u
#define HELD_MAX 1024u          /* what the driver would hold */
#define PATIENCE 2u             /* seconds: the library lets some more go after that */

static CUcontext context;
static CUfunction empty, endless;
static CUstream held, other;
static volatile uint32_t *flag; /* pinned: the kernel looks at it */
static uint32_t launched;

/* What the flood consists of besides kernels. */
static CUgraphExec graph_of_one;
static CUdeviceptr target;

static void launch(CUfunction f, CUstream stream, void **args)
{
    VG_CU(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, args, NULL));
}

static void start(void)
{
    void *pinned;

    context = vg_drv_start();
    CUmodule module = vg_drv_module(vg_client_ptx);
    empty = vg_drv_function(module, "empty");
    endless = vg_drv_function(module, "endless");
    VG_CU(cuStreamCreate(&held, CU_STREAM_NON_BLOCKING));
    VG_CU(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    VG_CU(cuMemHostAlloc(&pinned, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
    flag = pinned;
    *flag = 0;
}

static void hold_stream(void)
{
    CUdeviceptr address = (CUdeviceptr)(uintptr_t)flag;
    void *args[] = {&address};

    launch(endless, held, args);
}

static void make_graph(void)
{
    CUgraph graph;

    VG_CU(cuStreamBeginCapture_v2(other, CU_STREAM_CAPTURE_MODE_RELAXED));
    launch(empty, other, NULL);
    VG_CU(cuStreamEndCapture(other, &graph));
    VG_CU(cuGraphInstantiateWithFlags(&graph_of_one, graph, 0));
}

static void post_one(uint32_t i)
{
    if (graph_of_one)
        VG_CU(cuGraphLaunch(graph_of_one, held));
    else if (target)
        VG_CU(cuMemcpyHtoDAsync_v2(target, &i, sizeof(i), held));
    else
        launch(empty, held, NULL);
}

static void *flood(void *arg)
{
    (void)arg;
    VG_CU(cuCtxSetCurrent(context));
    for (unsigned i = 0; i < LAUNCHES; i++) {
        post_one(i);
        __atomic_store_n(&launched, i + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* The other stream, through all that a program does: launch, wait, copy back. */
static void work_beside(void)
{
    CUdeviceptr memory = vg_drv_alloc(4096);
    void *args[] = {&memory};
    CUfunction poke = vg_drv_function(vg_drv_module(vg_client_ptx), "poke");

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t word = 0;
        launch(poke, other, args);
        VG_CU(cuMemcpyDtoHAsync_v2(&word, memory, sizeof(word), other));
        VG_CU(cuStreamSynchronize(other));
        if (word != 51966)
            vg_drv_fail("backlog: a kernel stored %u", word);
    }
}

static void others(const char *kind)
{
    pthread_t thread;

    if (strcmp(kind, "graphs") == 0)
        make_graph();
    else if (strcmp(kind, "copies") == 0)
        target = vg_drv_alloc(4096);
    hold_stream();
    double begun = vg_drv_now();
    pthread_create(&thread, NULL, flood, NULL);
    while (__atomic_load_n(&launched, __ATOMIC_ACQUIRE) < HELD_MAX / 16)
        usleep(1000);
    work_beside();
    uint32_t returned = __atomic_load_n(&launched, __ATOMIC_ACQUIRE);
    double bound = HELD_MAX * (1 + (vg_drv_now() - begun) / PATIENCE);
    if (*flag || returned > bound)
        vg_drv_fail("backlog: %u launches had returned", returned);
    printf("returned %u\n", returned);
    *flag = 1;
    pthread_join(thread, NULL);
    VG_CU(cuStreamSynchronize(held));
}

static void alone(void)
{
    hold_stream();
    for (unsigned i = 0; i < ALONE; i++)
        launch(empty, held, NULL);
    *flag = 1;
    VG_CU(cuStreamSynchronize(held));
}

static void capture(void)
{
    CUgraph graph;
    CUgraphExec exec;

    hold_stream();
    VG_CU(cuStreamBeginCapture_v2(other, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (unsigned i = 0; i < LAUNCHES; i++)
        launch(empty, other, NULL);
    VG_CU(cuStreamEndCapture(other, &graph));
    *flag = 1;
    VG_CU(cuGraphInstantiateWithFlags(&exec, graph, 0));
    VG_CU(cuGraphLaunch(exec, other));
    VG_CU(cuStreamSynchronize(other));
    size_t nodes = 0;
    VG_CU(cuGraphGetNodes(graph, NULL, &nodes));
    if (nodes != LAUNCHES)
        vg_drv_fail("backlog: the graph has %zu nodes", nodes);
    VG_CU(cuGraphExecDestroy(exec));
    VG_CU(cuGraphDestroy(graph));
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    start();
    if (strcmp(what, "others") == 0)
        others(argc > 2 ? argv[2] : "");
    else if (strcmp(what, "alone") == 0)
        alone();
    else if (strcmp(what, "capture") == 0)
        capture();
    else
        vg_drv_fail("usage: backlog others [graphs|copies] | alone | capture");
    printf("backlog: ok\n");
    return 0;
}
