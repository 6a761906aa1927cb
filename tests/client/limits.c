/* SPDX-License-Identifier: MIT */
/*
 * A process under the limits of its VM. Every result is checked; a wrong one, and an
 * error that does not belong there, ends it with status 1.
 *
 *   limits launch CALLS [THREADS]     each thread launches so often, with a stream of its own;
 *                                     no launch is lost, done twice or overtaken
 *   limits hog LIMIT                  takes all of LIMIT MiB that it can get, in every way
 *                                     there is, and once more when all is free again
 *   limits churn ROUNDS SEED LIMIT    takes and frees at random, never more than the limit
 *   limits hold MIB FILE [STREAMS]    has so much for as long as the file exists; prints its pid
 *   limits things KIND MOST           streams, events, modules, graphs: at most so many
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

VG_IMAGE(limits_ptx, "tests/client/limits.ptx");

#define MIB     ((size_t)1 << 20)
#define BLOCKS  64u

/* ---- Launches ---- */

struct worker {
    pthread_t thread;
    CUcontext ctx;
    CUfunction tally;
    CUdeviceptr counter, mine;
    uint32_t calls;
};

static void *launch_all(void *arg)
{
    struct worker *w = arg;
    uint32_t want = 0, got = 0;
    CUstream stream;

    VG_CU(cuCtxSetCurrent(w->ctx));
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (uint32_t key = 1; key <= w->calls; key++) {
        void *args[] = {&w->counter, &w->mine, &key};
        VG_CU(cuLaunchKernel(w->tally, 1, 1, 1, 1, 1, 1, 0, stream, args, NULL));
        want = want * 3 + key;
    }
    VG_CU(cuStreamSynchronize(stream));
    VG_CU(cuMemcpyDtoH_v2(&got, w->mine, sizeof(got)));
    if (got != want)
        vg_drv_fail("launches in another order: %u, not %u", got, want);
    VG_CU(cuStreamDestroy_v2(stream));
    return NULL;
}

static void launch(CUcontext ctx, uint32_t calls, unsigned threads)
{
    struct worker *w = calloc(threads, sizeof(*w));
    CUdeviceptr words = vg_drv_alloc((threads + 1) * sizeof(uint32_t));
    CUfunction tally = vg_drv_function(vg_drv_module(limits_ptx), "tally");
    uint32_t total = 0;

    if (!w)
        vg_drv_fail("out of memory");
    VG_CU(cuMemsetD32_v2(words, 0, threads + 1));
    for (unsigned i = 0; i < threads; i++) {
        w[i] = (struct worker){.ctx = ctx, .tally = tally, .counter = words,
                               .mine = words + (i + 1) * sizeof(uint32_t), .calls = calls};
        if (pthread_create(&w[i].thread, NULL, launch_all, &w[i]))
            vg_drv_fail("no thread");
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(w[i].thread, NULL);
    VG_CU(cuMemcpyDtoH_v2(&total, words, sizeof(total)));
    if (total != calls * threads)
        vg_drv_fail("%u launches arrived, not %u", total, calls * threads);
    printf("launch: ok: %u\n", total);
    free(w);
}

/* ---- Ways to get memory ---- */

static size_t grain;    /* of cuMemCreate */

struct block {
    unsigned way;
    size_t bytes;
    CUdeviceptr p;
    CUmemGenericAllocationHandle handle;
    CUarray array;
};

static CUresult take_plain(struct block *b)
{
    return vg_drv.cuMemAlloc_v2(&b->p, b->bytes);
}

static CUresult take_pitched(struct block *b)
{
    size_t pitch, height = b->bytes / 4096;

    return vg_drv.cuMemAllocPitch_v2(&b->p, &pitch, 4096, height ? height : 1, 4);
}

static CUresult take_pooled(struct block *b)
{
    CUresult r = vg_drv.cuMemAllocAsync(&b->p, b->bytes, NULL);

    return r ? r : vg_drv.cuStreamSynchronize(NULL);
}

static CUresult take_created(struct block *b)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};

    return vg_drv.cuMemCreate(&b->handle, (b->bytes + grain - 1) / grain * grain, &prop, 0);
}

static CUresult take_array(struct block *b)
{
    CUDA_ARRAY_DESCRIPTOR d = {.Width = 1024, .Height = b->bytes / 4096 + 1,
                               .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};

    return vg_drv.cuArrayCreate_v2(&b->array, &d);
}

static void free_plain(struct block *b)
{
    VG_CU(cuMemFree_v2(b->p));
}

static void free_pooled(struct block *b)
{
    VG_CU(cuMemFreeAsync(b->p, NULL));
    VG_CU(cuStreamSynchronize(NULL));
}

static void free_created(struct block *b)
{
    VG_CU(cuMemRelease(b->handle));
}

static void free_array(struct block *b)
{
    VG_CU(cuArrayDestroy(b->array));
}

static const struct {
    const char *name;
    CUresult (*take)(struct block *b);
    void (*free)(struct block *b);
} ways[] = {
    {"cuMemAlloc", take_plain, free_plain},       {"cuMemAllocPitch", take_pitched, free_plain},
    {"cuMemAllocAsync", take_pooled, free_pooled}, {"cuMemCreate", take_created, free_created},
    {"cuArrayCreate", take_array, free_array},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void find_grain(void)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};

    VG_CU(cuMemGetAllocationGranularity(&grain, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
}

/* True if there is so much; that there is not must be said as CUDA says it. */
static bool take(struct block *b, unsigned way, size_t bytes)
{
    *b = (struct block){.way = way, .bytes = bytes};
    CUresult r = ways[way].take(b);
    if (r != CUDA_SUCCESS && r != CUDA_ERROR_OUT_OF_MEMORY)
        vg_drv_fail("%s of %zu bytes: %s", ways[way].name, bytes, vg_drv_error(r));
    if (r != CUDA_SUCCESS)
        b->bytes = 0;
    return r == CUDA_SUCCESS;
}

static void give(struct block *b)
{
    if (b->bytes)
        ways[b->way].free(b);
    b->bytes = 0;
}

/* ---- Against the limit ---- */

static void check_info(size_t limit)
{
    size_t left, total, device;

    VG_CU(cuMemGetInfo_v2(&left, &total));
    VG_CU(cuDeviceTotalMem_v2(&device, 0));
    if (total > limit || device > limit || left > total)
        vg_drv_fail("limit %zu, but total %zu, free %zu, device %zu", limit, total, left, device);
}

/* How much fits, in blocks of one size; all is free again afterwards. */
static size_t fill(unsigned way, size_t bytes, size_t limit)
{
    static struct block block[4096];
    size_t held = 0, n = 0;

    while (n < 4096 && take(&block[n], way, bytes)) {
        held += bytes;
        n++;
        if (held > limit)
            vg_drv_fail("%s: %zu bytes, and the limit is %zu", ways[way].name, held, limit);
    }
    check_info(limit);
    while (n > 0)
        give(&block[--n]);
    return held;
}

static void hog(size_t limit)
{
    for (unsigned round = 0; round < 2; round++)
        for (unsigned way = 0; way < WAYS; way++) {
            size_t held = fill(way, 2 * MIB, limit);
            if (held < limit / 2)
                vg_drv_fail("%s: only %zu bytes of %zu", ways[way].name, held, limit);
            printf("hog: %s: %zu MiB\n", ways[way].name, held / MIB);
        }
    printf("hog: ok\n");
}

static void churn(unsigned rounds, uint32_t seed, size_t limit)
{
    struct block block[BLOCKS] = {{0}};
    unsigned refused = 0;
    size_t held = 0;

    for (unsigned i = 0; i < rounds; i++) {
        struct block *b = &block[vg_drv_random(&seed) % BLOCKS];
        held -= b->bytes;
        give(b);
        if (vg_drv_random(&seed) % 4 == 0)
            continue;
        refused += !take(b, vg_drv_random(&seed) % WAYS, 1 + vg_drv_random(&seed) % (limit / 8));
        held += b->bytes;
        if (held > limit)
            vg_drv_fail("round %u: %zu bytes, and the limit is %zu", i, held, limit);
        if (i % 64 == 0)
            check_info(limit);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        give(&block[i]);
    if (refused == 0)
        vg_drv_fail("nothing was refused in %u rounds", rounds);
    printf("churn: ok: %u rounds, %u refused\n", rounds, refused);
}

static void hold(size_t bytes, const char *file, unsigned streams)
{
    CUstream stream;

    for (unsigned i = 0; i < streams; i++)
        VG_CU(cuStreamCreate(&stream, 0));
    vg_drv_alloc(bytes);
    printf("hold: %d\n", (int)getpid());
    fflush(stdout);
    while (access(file, F_OK) == 0)
        usleep(20000);
}

/* ---- Numbers of things ---- */

static CUresult make_stream(void **ret)
{
    return vg_drv.cuStreamCreate((CUstream *)ret, 0);
}

static CUresult make_event(void **ret)
{
    return vg_drv.cuEventCreate((CUevent *)ret, 0);
}

static CUresult make_module(void **ret)
{
    return vg_drv.cuModuleLoadData((CUmodule *)ret, limits_ptx);
}

static CUresult make_graph(void **ret)
{
    return vg_drv.cuGraphCreate((CUgraph *)ret, 0);
}

static CUresult end_stream(void *p)
{
    return vg_drv.cuStreamDestroy_v2(p);
}

static CUresult end_event(void *p)
{
    return vg_drv.cuEventDestroy_v2(p);
}

static CUresult end_module(void *p)
{
    return vg_drv.cuModuleUnload(p);
}

static CUresult end_graph(void *p)
{
    return vg_drv.cuGraphDestroy(p);
}

static const struct {
    const char *name;
    CUresult (*make)(void **ret);
    CUresult (*end)(void *p);
} kinds[] = {
    {"streams", make_stream, end_stream},
    {"events", make_event, end_event},
    {"modules", make_module, end_module},
    {"graphs", make_graph, end_graph},
};

/* `most` can be had, one more cannot, and one instead of another can. */
static void things(unsigned kind, unsigned most)
{
    void **thing = calloc(most + 1, sizeof(*thing)), *more;

    if (!thing)
        vg_drv_fail("out of memory");
    for (unsigned i = 0; i < most; i++)
        vg_drv_check(kinds[kind].make(&thing[i]), CUDA_SUCCESS, kinds[kind].name, __FILE__, __LINE__);
    for (unsigned i = 0; i < 3; i++)
        vg_drv_check(kinds[kind].make(&more), CUDA_ERROR_OUT_OF_MEMORY, "one more", __FILE__,
                     __LINE__);
    vg_drv_check(kinds[kind].end(thing[0]), CUDA_SUCCESS, "the first's end", __FILE__, __LINE__);
    vg_drv_check(kinds[kind].make(&thing[0]), CUDA_SUCCESS, "one instead", __FILE__, __LINE__);
    for (unsigned i = 0; i < most; i++)
        vg_drv_check(kinds[kind].end(thing[i]), CUDA_SUCCESS, "the end", __FILE__, __LINE__);
    printf("%s: ok: %u\n", kinds[kind].name, most);
    free(thing);
}

static void things_named(const char *name, unsigned most)
{
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0) {
            things(i, most);
            return;
        }
    vg_drv_fail("no kind of things: %s", name);
}

static unsigned number(char **argv, int argc, int i, unsigned otherwise)
{
    return i < argc ? (unsigned)strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    CUcontext ctx = vg_drv_start();

    find_grain();
    if (strcmp(verb, "launch") == 0)
        launch(ctx, number(argv, argc, 2, 0), number(argv, argc, 3, 1));
    else if (strcmp(verb, "hog") == 0)
        hog(number(argv, argc, 2, 0) * MIB);
    else if (strcmp(verb, "churn") == 0 && argc > 4)
        churn(number(argv, argc, 2, 0), number(argv, argc, 3, 1), number(argv, argc, 4, 0) * MIB);
    else if (strcmp(verb, "hold") == 0 && argc > 3)
        hold(number(argv, argc, 2, 0) * MIB, argv[3], number(argv, argc, 4, 0));
    else if (strcmp(verb, "things") == 0 && argc > 3)
        things_named(argv[2], number(argv, argc, 3, 0));
    else
        vg_drv_fail("usage: limits launch | hog | churn | hold | things ...");
    return 0;
}
