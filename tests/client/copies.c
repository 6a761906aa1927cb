/* SPDX-License-Identifier: MIT */
/*
 * Copies through the driver API: every size around every boundary, in every
 * direction, pageable and pinned, synchronous and on streams, odd offsets; and small ones of
 * many threads.
 *
 *   copies [MAX_MIB]      default 17; up to 1024
 */
#include "vg_drv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64

struct side {
    const char *name;
    uint8_t *up, *down;         /* host buffers, GUARD bytes before and after */
};

static const size_t boundaries[] = {1, 16, 64, 512, 2048, 4096, 8192, 65536, 131072, 1 << 20, 4 << 20,
                                    16 << 20, 64 << 20, 256 << 20, 1 << 30};

/* Word i of a buffer filled for seed; written and checked eight bytes at a time. */
static uint64_t word_at(size_t i, uint64_t seed)
{
    return (i + 1) * 0x9e3779b97f4a7c15ull ^ seed * 0xbf58476d1ce4e5b9ull;
}

static void fill(uint8_t *p, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t w = word_at(i / 8, seed);

        memcpy(p + i, &w, bytes - i < 8 ? bytes - i : 8);
    }
}

static void check(const uint8_t *p, size_t bytes, uint64_t seed, const char *what)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t w = word_at(i / 8, seed);

        if (memcmp(p + i, &w, bytes - i < 8 ? bytes - i : 8) != 0)
            vg_drv_fail("%s: %zu bytes differ near offset %zu", what, bytes, i);
    }
}

static void copy_sync(const struct side *s, CUdeviceptr a, CUdeviceptr b, size_t bytes, size_t odd)
{
    VG_CU(cuMemsetD8_v2(b, 0x5c, bytes + odd + 1));
    VG_CU(cuMemcpyHtoD_v2(a + odd, s->up + GUARD, bytes));
    VG_CU(cuMemcpyDtoD_v2(b + odd, a + odd, bytes));
    VG_CU(cuMemcpyDtoH_v2(s->down + GUARD, b + odd, bytes));
}

static void copy_async(const struct side *s, CUdeviceptr a, CUdeviceptr b, size_t bytes, size_t odd,
                       CUstream stream)
{
    VG_CU(cuMemsetD8Async(b, 0x5c, bytes + odd + 1, stream));
    VG_CU(cuMemcpyHtoDAsync_v2(a + odd, s->up + GUARD, bytes, stream));
    VG_CU(cuMemcpyDtoDAsync_v2(b + odd, a + odd, bytes, stream));
    VG_CU(cuMemcpyDtoHAsync_v2(s->down + GUARD, b + odd, bytes, stream));
    VG_CU(cuStreamSynchronize(stream));
}

static void one_size(const struct side *s, CUdeviceptr a, CUdeviceptr b, size_t bytes,
                     CUstream stream, uint64_t seed)
{
    size_t odd = 1 + bytes % 13;
    uint8_t edge[2];

    fill(s->up + GUARD, bytes, seed);
    memset(s->down, 0xa5, GUARD);
    memset(s->down + GUARD + bytes, 0xa5, GUARD);
    if (seed & 1)
        copy_sync(s, a, b, bytes, odd);
    else
        copy_async(s, a, b, bytes, odd, stream);
    check(s->down + GUARD, bytes, seed, s->name);
    if (s->down[GUARD - 1] != 0xa5 || s->down[GUARD + bytes] != 0xa5)
        vg_drv_fail("%s: %zu bytes: the copy wrote beside the buffer", s->name, bytes);
    VG_CU(cuMemcpyDtoH_v2(&edge[0], b + odd - 1, 1));
    VG_CU(cuMemcpyDtoH_v2(&edge[1], b + odd + bytes, 1));
    if (edge[0] != 0x5c || edge[1] != 0x5c)
        vg_drv_fail("%s: %zu bytes: device memory beside the buffer changed", s->name, bytes);
}

static int all_sizes(const struct side *s, CUdeviceptr a, CUdeviceptr b, size_t most,
                     CUstream stream)
{
    int count = 0;

    for (size_t i = 0; i < sizeof(boundaries) / sizeof(boundaries[0]); i++)
        for (size_t bytes = boundaries[i] - 1; bytes <= boundaries[i] + 1; bytes++)
            if (bytes > 0 && bytes <= most + 1) {
                one_size(s, a, b, bytes, stream, 1000 + count);
                one_size(s, a, b, bytes, stream, 1001 + count);
                count++;
            }
    return count;
}

/* ---- small ones, of many threads at once: each must get its own ---- */

#define THREADS 8
#define ROUNDS  100

static CUcontext context;
static CUdeviceptr numbers;

static void *read_numbers(void *arg)
{
    uint64_t me = (uintptr_t)arg;
    CUdeviceptr mine = numbers + 1024 * me;
    uint8_t up[600], down[600];

    VG_CU(cuCtxSetCurrent(context));
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t bytes = 4 + round * 7 % (sizeof(up) - 4);
        fill(up, bytes, me << 32 | round);
        memset(down, 0, sizeof(down));
        VG_CU(cuMemcpyHtoDAsync_v2(mine, up, bytes, NULL));
        VG_CU(cuMemcpyDtoHAsync_v2(down, mine, bytes, NULL));
        VG_CU(cuStreamSynchronize(NULL));
        check(down, bytes, me << 32 | round, "a thread's");
    }
    return NULL;
}

static void many_threads(void)
{
    pthread_t thread[THREADS];

    VG_CU(cuCtxGetCurrent(&context));
    numbers = vg_drv_alloc(1024 * THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, read_numbers, (void *)i) != 0)
            vg_drv_fail("no thread");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    VG_CU(cuMemFree_v2(numbers));
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 17;
    size_t room = (mib << 20) + 2 * GUARD + 1;
    struct side pageable = {.name = "pageable"}, pinned = {.name = "pinned"};
    CUstream stream;
    CUdeviceptr a, b;
    void *up, *down;
    int count;

    if (mib < 1 || mib > 1024)
        vg_drv_fail("usage: copies [MAX_MIB from 1 to 1024]");
    vg_drv_start();
    a = vg_drv_alloc(room);
    b = vg_drv_alloc(room);
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));

    many_threads();
    pageable.up = malloc(room);
    pageable.down = malloc(room);
    if (!pageable.up || !pageable.down)
        vg_drv_fail("out of memory");
    count = all_sizes(&pageable, a, b, mib << 20, stream);
    free(pageable.up);
    free(pageable.down);

    VG_CU(cuMemHostAlloc(&up, room, 0));
    VG_CU(cuMemHostAlloc(&down, room, CU_MEMHOSTALLOC_PORTABLE));
    pinned.up = up;
    pinned.down = down;
    all_sizes(&pinned, a, b, mib << 20, stream);
    VG_CU(cuMemFreeHost(up));
    VG_CU(cuMemFreeHost(down));
    VG_CU(cuMemFree_v2(a));
    VG_CU(cuMemFree_v2(b));
    VG_CU(cuStreamDestroy_v2(stream));
    printf("copies: ok: %d sizes up to %zu MiB, pageable and pinned, both ways\n", count, mib);
    return 0;
}
