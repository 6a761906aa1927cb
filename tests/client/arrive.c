/* SPDX-License-Identifier: MIT */
/*
 * What a synchronous copy from ordinary memory has done when it returns. The reference says that the
 * last bytes may still be on their way; the driver has them there up to 128 KiB (seen on an H200 with
 * 580), and has always waited for what the stream had to do before. Programs rely on both: they go on
 * in a stream that waits for no other, and read what the kernels before the copy left to the host.
 *
 *   arrive [ROUNDS]
 *
 * Prints for each size how often a kernel in a non-blocking stream came before the copy's last
 * bytes, with the copy's stream idle and with a kernel before the copy, and how often that kernel
 * was not over when the copy returned. What no driver promises, the end of larger copies, is only
 * printed.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL 256u               /* words that the kernel looks at, at the end */
#define BUSY_S 0.003            /* that a kernel before a copy lasts, at least */
#define THERE (128u << 10)      /* bytes; so many are there when the call returns, also natively */

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");
VG_IMAGE(vg_spin_ptx, "tests/client/spin.ptx");

struct stage {
    CUfunction mix, spin;
    CUstream aside;             /* waits for no other */
    CUdeviceptr data, sum;
    uint32_t *host;
    uint64_t *seen;             /* by the GPU and the host: begun, rounds, ended */
    uint64_t rounds;            /* of the kernel before a copy */
};

static void be_busy(struct stage *s)
{
    void *args[] = {&s->rounds, &s->rounds, &s->sum, &s->seen};

    VG_CU(cuLaunchKernel(s->spin, 1, 1, 1, 32, 1, 1, 0, NULL, args, NULL));
}

/* So many rounds that the kernel lasts a while. */
static void learn_rounds(struct stage *s)
{
    double start;

    s->rounds = 2500;
    do {
        s->rounds *= 2;
        start = vg_drv_now();
        be_busy(s);
        VG_CU(cuCtxSynchronize());
    } while (vg_drv_now() - start < BUSY_S);
}

static void stage_init(struct stage *s, size_t most)
{
    s->mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    s->spin = vg_drv_function(vg_drv_module(vg_spin_ptx), "spin");
    s->data = vg_drv_alloc(most);
    s->sum = vg_drv_alloc(64);
    s->host = malloc(most);
    if (!s->host)
        vg_drv_fail("no memory");
    VG_CU(cuMemHostAlloc((void **)&s->seen, 64, 0));
    VG_CU(cuStreamCreate(&s->aside, CU_STREAM_NON_BLOCKING));
    VG_CU(cuMemsetD8_v2(s->sum, 0, 64));
    memset(s->seen, 0, 64);
    learn_rounds(s);
}

/* Copies as lines of 64 bytes that lie apart on the GPU, or all at once. */
static void copy(CUdeviceptr to, const void *from, size_t bytes, bool lines)
{
    CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = from, .srcPitch = 64,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = to, .dstPitch = 128,
                       .WidthInBytes = 64, .Height = bytes / 64, .Depth = 1};

    if (lines)
        VG_CU(cuMemcpy3D_v2(&c));
    else
        VG_CU(cuMemcpyHtoD_v2(to, from, bytes));
}

/* Whether the kernel aside saw a word of the copy's end as it was before. */
static bool is_late(struct stage *s, size_t bytes, uint32_t key)
{
    uint32_t words = (uint32_t)(bytes / 4), count = words < TAIL ? words : TAIL;
    CUdeviceptr tail = s->data + bytes - 4ull * count;
    void *args[] = {&tail, &key, &count};
    uint32_t got[TAIL];
    bool late = false;

    VG_CU(cuMemcpyHtoD_v2(s->data, s->host, bytes));
    VG_CU(cuLaunchKernel(s->mix, 2, 1, 1, TAIL / 2, 1, 1, 0, s->aside, args, NULL));
    VG_CU(cuStreamSynchronize(s->aside));
    VG_CU(cuCtxSynchronize());
    VG_CU(cuMemcpyDtoH_v2(got, tail, 4ull * count));
    for (uint32_t i = 0; i < count; i++)
        late |= got[i] != s->host[words - count + i] * 3 + key;
    return late;
}

static void prepare(struct stage *s, size_t bytes, uint32_t round)
{
    for (size_t k = 0; k < bytes / 4; k++)
        s->host[k] = (uint32_t)k + round * 7919u;
    VG_CU(cuMemsetD8_v2(s->data, 0xee, bytes));
    VG_CU(cuCtxSynchronize());
}

/* Whether the kernel before a copy was over when the copy returned. */
static bool is_over(struct stage *s, size_t bytes, bool lines, double *took)
{
    uint64_t before = *(volatile uint64_t *)&s->seen[2];

    be_busy(s);
    double start = vg_drv_now();
    copy(s->data, s->host, bytes, lines);
    *took += vg_drv_now() - start;
    bool over = *(volatile uint64_t *)&s->seen[2] != before;
    VG_CU(cuCtxSynchronize());
    return over;
}

static int try_size(struct stage *s, size_t bytes, int rounds)
{
    int late = 0, behind = 0, early = 0, few = rounds / 10 + 1;
    double took = 0;

    for (int i = 0; i < rounds; i++) {
        prepare(s, bytes, (uint32_t)i);
        late += is_late(s, bytes, 5);
    }
    for (int i = 0; i < few; i++) {
        prepare(s, bytes, (uint32_t)i);
        be_busy(s);
        behind += is_late(s, bytes, 9);
        early += !is_over(s, bytes, bytes >= 64 && i % 2, &took);
    }
    printf("%9zu bytes: late %d of %d, behind a kernel %d of %d; %d returned before it was over; %.0f us\n",
           bytes, late, rounds, behind, few, early, took / few * 1e6);
    return (bytes <= THERE ? late + behind : 0) + early;
}

/* What a host function writes before the copy is what is copied. */
static void CUDA_CB write_late(void *p)
{
    usleep(3000);
    memset(p, 0x5a, 64);
}

static int try_source(struct stage *s, bool lines)
{
    uint8_t got[64] = {0};

    memset(s->host, 0, 4096);
    VG_CU(cuLaunchHostFunc(NULL, write_late, s->host));
    copy(s->data, s->host, 4096, lines);
    VG_CU(cuMemcpyDtoH_v2(got, s->data, sizeof(got)));
    if (got[0] == 0x5a && got[63] == 0x5a)
        return 0;
    printf("what was copied %s is older than what the stream had to do before\n",
           lines ? "in lines" : "at once");
    return 1;
}

/* A copy is in none of the captures that there may be: it is as complete as without them. */
static int try_capture(struct stage *s, bool lines)
{
    CUstream other;
    CUgraph graph;

    prepare(s, 4096, 3);
    VG_CU(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    VG_CU(cuStreamBeginCapture_v2(other, CU_STREAM_CAPTURE_MODE_RELAXED));
    uint64_t before = *(volatile uint64_t *)&s->seen[2];
    be_busy(s);
    copy(s->data, s->host, 4096, lines);
    bool over = *(volatile uint64_t *)&s->seen[2] != before;
    int wrong = !over + try_source(s, lines);
    VG_CU(cuStreamEndCapture(other, &graph));
    VG_CU(cuGraphDestroy(graph));
    VG_CU(cuStreamDestroy_v2(other));
    if (!over)
        printf("beside a capture a copy %s returned before its stream was done\n",
               lines ? "in lines" : "at once");
    return wrong;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {4, 4096, 16384, 20480, 65536, 65540, 131072, 262144, 1 << 20,
                                   4 << 20, 16 << 20};
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    struct stage s;
    int wrong = 0;

    vg_drv_start();
    stage_init(&s, 32 << 20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        wrong += try_size(&s, sizes[i], rounds);
    wrong += try_source(&s, false) + try_source(&s, true);
    wrong += try_capture(&s, false) + try_capture(&s, true);
    printf("%d not as it should be\n", wrong);
    return wrong > 0;
}
