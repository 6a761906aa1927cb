/* SPDX-License-Identifier: MIT */
/*
 * What the ways to do one thing cost on this driver, `name value unit` each. The
 * executor and the guest's library have to choose among them; run it natively on
 * the GPU for which the choice is to be right.
 *
 * wait_*    an empty kernel and learning that it has ended (median, 10 % best, us)
 * copy_*    a copy of registered memory and learning that it has ended (median, us)
 * stage_*   a copy of ordinary memory by way of registered chunks (GiB/s): chunk
 *           size in KiB, number of chunks, plain or streaming stores of the CPU
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define SHARED_BYTES (64u << 20)
#define CHUNKS_MAX 16u

static CUfunction empty;
static CUstream stream;
static CUevent event;
static uint8_t *shared;             /* registered; the last page is for words */
static volatile uint32_t *word;
static uint32_t count;

static void report(const char *name, double value, const char *unit)
{
    printf("%s %.6g %s\n", name, value, unit);
    fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- ways to learn of the end ---- */

static void by_sync(void)
{
    VG_CU(cuStreamSynchronize(stream));
}

static void by_context(void)
{
    VG_CU(cuCtxSynchronize());
}

static void by_query(void)
{
    while (vg_drv.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
        ;
}

static void by_event(void)
{
    VG_CU(cuEventRecord(event, stream));
    while (vg_drv.cuEventQuery(event) == CUDA_ERROR_NOT_READY)
        ;
}

/* As the executor did it first: asks, marks, asks again, and synchronizes for what was printed. */
static void by_all(void)
{
    if (vg_drv.cuStreamQuery(stream) == CUDA_SUCCESS)
        return;
    by_event();
    VG_CU(cuEventSynchronize(event));
}

static void by_word(void)
{
    uint32_t want = ++count;

    VG_CU(cuStreamWriteValue32_v2(stream, (CUdeviceptr)(uintptr_t)word, want, 0));
    while (*word != want)
        ;
}

static void by_event_and_word(void)
{
    VG_CU(cuEventRecord(event, stream));
    by_word();
}

static const struct {
    const char *name;
    void (*wait)(void);
} ways[] = {
    {"sync", by_sync}, {"context", by_context}, {"query", by_query}, {"event", by_event},
    {"query_event_sync", by_all}, {"word", by_word}, {"event_and_word", by_event_and_word},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* ---- what to wait for ---- */

static size_t bytes_now;
static CUdeviceptr device;

static void kernel(void)
{
    VG_CU(cuLaunchKernel(empty, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
}

static void up(void)
{
    VG_CU(cuMemcpyHtoDAsync_v2(device, shared, bytes_now, stream));
}

static void down(void)
{
    VG_CU(cuMemcpyDtoHAsync_v2(shared, device, bytes_now, stream));
}

static void none(void)
{
}

/* The ways take turns, so that a change of clocks hits all of them. */
static void compare(const char *what, void (*begin)(void), int n)
{
    static double us[WAYS][2000];
    char name[64];

    for (int i = -10; i < n; i++)
        for (size_t w = 0; w < WAYS; w++) {
            double start = vg_drv_now();

            begin();
            ways[w].wait();
            if (i >= 0)
                us[w][i] = (vg_drv_now() - start) * 1e6;
        }
    for (size_t w = 0; w < WAYS; w++) {
        qsort(us[w], n, sizeof(us[w][0]), by_value);
        snprintf(name, sizeof(name), "%s_%s", what, ways[w].name);
        report(name, us[w][n / 2], "us");
        snprintf(name, sizeof(name), "%s_%s_best", what, ways[w].name);
        report(name, us[w][n / 10], "us");
    }
}

/* The driver's own synchronous copies, pinned and ordinary, for the same sizes. */
static void own_copies(const char *what, void *host, int n)
{
    static double us[2][2000];
    char name[64];

    for (int i = -10; i < n; i++)
        for (int way = 0; way < 2; way++) {
            double start = vg_drv_now();

            if (way == 0)
                VG_CU(cuMemcpyHtoD_v2(device, host, bytes_now));
            else
                VG_CU(cuMemcpyDtoH_v2(host, device, bytes_now));
            if (i >= 0)
                us[way][i] = (vg_drv_now() - start) * 1e6;
        }
    for (int way = 0; way < 2; way++) {
        qsort(us[way], n, sizeof(us[way][0]), by_value);
        snprintf(name, sizeof(name), "%s_%s", way ? "down" : "up", what);
        report(name, us[way][n / 2], "us");
    }
}

static void compare_copies(void)
{
    static const size_t sizes[] = {4, 4 << 10, 64 << 10, 1 << 20, 16 << 20};
    uint8_t *plain = malloc(16 << 20);
    char what[64];

    if (!plain)
        vg_drv_fail("out of memory");
    memset(plain, 1, 16 << 20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        bytes_now = sizes[i];
        snprintf(what, sizeof(what), "copy_up_%zu", bytes_now);
        compare(what, up, bytes_now > 1 << 20 ? 50 : 500);
        snprintf(what, sizeof(what), "copy_down_%zu", bytes_now);
        compare(what, down, bytes_now > 1 << 20 ? 50 : 500);
        snprintf(what, sizeof(what), "%zu_own_pinned", bytes_now);
        own_copies(what, shared, bytes_now > 1 << 20 ? 50 : 500);
        snprintf(what, sizeof(what), "%zu_own_ordinary", bytes_now);
        own_copies(what, plain, bytes_now > 1 << 20 ? 50 : 500);
    }
    free(plain);
}

/* ---- staging ---- */

static void stream_copy(void *dst, const void *src, size_t bytes)
{
#ifdef __SSE2__
    __m128i *d = dst;
    const __m128i *s = src;

    for (size_t i = 0; i < bytes / 64; i++, d += 4, s += 4) {
        __m128i a = _mm_loadu_si128(s), b = _mm_loadu_si128(s + 1);
        __m128i c = _mm_loadu_si128(s + 2), e = _mm_loadu_si128(s + 3);

        _mm_stream_si128(d, a);
        _mm_stream_si128(d + 1, b);
        _mm_stream_si128(d + 2, c);
        _mm_stream_si128(d + 3, e);
    }
    _mm_sfence();
#else
    memcpy(dst, src, bytes);
#endif
}

static void plain_copy(void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
}

struct staging {
    size_t chunk;
    unsigned chunks;
    void (*copy)(void *dst, const void *src, size_t bytes);
};

static void await_word(unsigned i, uint32_t value)
{
    while ((int32_t)(word[i] - value) < 0)
        ;
}

static void stage_up(const struct staging *s, const uint8_t *src, size_t bytes)
{
    uint32_t used[CHUNKS_MAX] = {0};
    unsigned n = 0;

    for (size_t at = 0; at < bytes; at += s->chunk, n++) {
        unsigned i = n % s->chunks;

        if (n >= s->chunks)
            await_word(i, used[i]);
        s->copy(shared + i * s->chunk, src + at, s->chunk);
        VG_CU(cuMemcpyHtoDAsync_v2(device + at, shared + i * s->chunk, s->chunk, stream));
        used[i] = ++count;
        VG_CU(cuStreamWriteValue32_v2(stream, (CUdeviceptr)(uintptr_t)&word[i], used[i], 0));
    }
    await_word((n - 1) % s->chunks, used[(n - 1) % s->chunks]);
}

static void fetch(const struct staging *s, unsigned n, uint32_t *used)
{
    unsigned i = n % s->chunks;
    size_t at = n * s->chunk;

    VG_CU(cuMemcpyDtoHAsync_v2(shared + i * s->chunk, device + at, s->chunk, stream));
    used[i] = ++count;
    VG_CU(cuStreamWriteValue32_v2(stream, (CUdeviceptr)(uintptr_t)&word[i], used[i], 0));
}

static void stage_down(const struct staging *s, uint8_t *dst, size_t bytes)
{
    unsigned pieces = (unsigned)(bytes / s->chunk), sent = 0;
    uint32_t used[CHUNKS_MAX] = {0};

    for (unsigned n = 0; n < pieces; n++) {
        while (sent < pieces && sent < n + s->chunks)
            fetch(s, sent++, used);
        await_word(n % s->chunks, used[n % s->chunks]);
        s->copy(dst + n * s->chunk, shared + n % s->chunks * s->chunk, s->chunk);
    }
}

static double stage_rate(const struct staging *s, uint8_t *host, size_t bytes, bool to_gpu)
{
    const int n = bytes > 64 << 20 ? 4 : bytes > 4 << 20 ? 20 : 100;
    double best[100];

    for (int i = -2; i < n; i++) {
        double start = vg_drv_now();

        if (to_gpu)
            stage_up(s, host, bytes);
        else
            stage_down(s, host, bytes);
        if (i >= 0)
            best[i] = vg_drv_now() - start;
    }
    qsort(best, n, sizeof(best[0]), by_value);
    return bytes / best[n / 2] / (1 << 30);
}

static void compare_stages(void)
{
    static const size_t sizes[] = {1 << 20, 16 << 20, 256 << 20};
    static const size_t chunks[] = {64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20};
    uint8_t *host = malloc(256 << 20);
    char name[64];

    if (!host)
        vg_drv_fail("out of memory");
    memset(host, 1, 256 << 20);
    for (size_t z = 0; z < sizeof(sizes) / sizeof(sizes[0]); z++)
        for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++)
            for (int way = 0; way < 4; way++) {
                struct staging s = {chunks[c], 4, way & 1 ? stream_copy : plain_copy};

                if (s.chunk > sizes[z])
                    continue;
                snprintf(name, sizeof(name), "stage_%s_%zum_%zuk_%s", way & 2 ? "down" : "up",
                         sizes[z] >> 20, s.chunk >> 10, way & 1 ? "streaming" : "plain");
                report(name, stage_rate(&s, host, sizes[z], !(way & 2)), "GiB/s");
            }
    free(host);
}

int main(void)
{
    vg_drv_start();
    shared = mmap(NULL, SHARED_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                  0);
    if (shared == MAP_FAILED)
        vg_drv_fail("out of memory");
    memset(shared, 1, SHARED_BYTES + 4096);
    word = (volatile uint32_t *)(void *)(shared + SHARED_BYTES);
    memset(shared + SHARED_BYTES, 0, 4096);
    VG_CU(cuMemHostRegister_v2(shared, SHARED_BYTES + 4096,
                               CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP));
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    VG_CU(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    device = vg_drv_alloc(256 << 20);
    empty = vg_drv_function(vg_drv_module(vg_client_ptx), "empty");
    compare("wait", kernel, 2000);
    compare("idle", none, 2000);
    compare_copies();
    compare_stages();
    VG_CU(cuMemFree_v2(device));
    return 0;
}
