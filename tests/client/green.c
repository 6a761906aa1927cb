/* SPDX-License-Identifier: MIT */
/*
 * Green contexts: the device's multiprocessors are split, each part becomes a context
 * with streams of its own, kernels run in both at a time, and what was made under one
 * outlives it. Runs on any driver that has them.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <string.h>

#define WORDS 4096u

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

struct part {
    CUdevResource resource;
    CUgreenCtx green;
    CUcontext ctx;
    CUstream stream;
    CUdeviceptr data;
};

/* Which error it is may differ from driver to driver. */
static void must_fail(CUresult r, const char *what)
{
    if (r == CUDA_SUCCESS)
        vg_drv_fail("%s succeeded", what);
}

static CUdevResource whole_device(CUcontext primary)
{
    CUdevResource of_device, of_ctx;

    VG_CU(cuDeviceGetDevResource(0, &of_device, CU_DEV_RESOURCE_TYPE_SM));
    VG_CU(cuCtxGetDevResource(primary, &of_ctx, CU_DEV_RESOURCE_TYPE_SM));
    if (of_device.type != CU_DEV_RESOURCE_TYPE_SM || of_device.sm.smCount == 0 ||
        of_ctx.sm.smCount != of_device.sm.smCount)
        vg_drv_fail("device has %u multiprocessors, context %u", of_device.sm.smCount,
                    of_ctx.sm.smCount);
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuDeviceGetDevResource(0, NULL, CU_DEV_RESOURCE_TYPE_SM));
    VG_CU_IS(CUDA_ERROR_INVALID_DEVICE,
             cuDeviceGetDevResource(99, &of_ctx, CU_DEV_RESOURCE_TYPE_SM));
    return of_device;
}

/* The first group and what remains, or twice the whole where there is but one. */
static void split(const CUdevResource *whole, struct part *a, struct part *b)
{
    CUdevResource group[64], rest, forged;
    unsigned count = 0, again = 1, least = whole->sm.minSmPartitionSize;

    VG_CU(cuDevSmResourceSplitByCount(NULL, &count, whole, NULL, 0, least));
    if (count == 0 || count > 64)
        vg_drv_fail("%u groups of at least %u", count, least);
    VG_CU(cuDevSmResourceSplitByCount(group, &again, whole, &rest, 0, least));
    if (again != 1 || group[0].sm.smCount < least ||
        group[0].sm.smCount + (rest.type ? rest.sm.smCount : 0) != whole->sm.smCount)
        vg_drv_fail("%u groups, the first of %u, and %u of %u", again, group[0].sm.smCount,
                    rest.sm.smCount, whole->sm.smCount);
    a->resource = group[0];
    b->resource = rest.type == CU_DEV_RESOURCE_TYPE_SM ? rest : *whole;
    memset(&forged, 0, sizeof(forged));
    must_fail(vg_drv.cuDevSmResourceSplitByCount(group, &again, &forged, NULL, 0, least),
              "splitting nothing");
}

static void make(struct part *p)
{
    CUdevResourceDesc desc;
    CUdevResource seen;
    CUgreenCtx green, none;
    CUstream no_stream; /* a driver may leave anything in what it does not make */
    CUcontext ctx;
    unsigned long long id = 0;

    VG_CU(cuDevResourceGenerateDesc(&desc, &p->resource, 1));
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuGreenCtxCreate(&none, desc, 0, 0));
    VG_CU(cuGreenCtxCreate(&p->green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM));
    VG_CU(cuGreenCtxGetDevResource(p->green, &seen, CU_DEV_RESOURCE_TYPE_SM));
    if (seen.sm.smCount != p->resource.sm.smCount)
        vg_drv_fail("a green context of %u has %u", p->resource.sm.smCount, seen.sm.smCount);
    VG_CU(cuCtxFromGreenCtx(&p->ctx, p->green));
    VG_CU(cuGreenCtxGetId(p->green, &id));
    VG_CU(cuGreenCtxStreamCreate(&p->stream, p->green, CU_STREAM_NON_BLOCKING, 0));
    VG_CU(cuStreamGetGreenCtx(p->stream, &green));
    VG_CU(cuStreamGetCtx_v2(p->stream, &ctx, &green));
    if (green != p->green || ctx == p->ctx)
        vg_drv_fail("a stream says it is of green context %p, context %p", (void *)green,
                    (void *)ctx);
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuGreenCtxStreamCreate(&no_stream, p->green, 0, 0));
}

/* words[i] = i * 3 + key, in the part's own stream, with the part current. */
static void work(struct part *p, uint32_t key)
{
    static uint32_t host[WORDS];
    uint32_t count = WORDS;
    void *args[] = {&p->data, &key, &count};

    for (uint32_t i = 0; i < WORDS; i++)
        host[i] = i;
    VG_CU(cuCtxSetCurrent(p->ctx));
    CUfunction mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    p->data = vg_drv_alloc(sizeof(host));
    VG_CU(cuMemcpyHtoD_v2(p->data, host, sizeof(host)));
    VG_CU(cuLaunchKernel(mix, WORDS / 128, 1, 1, 128, 1, 1, 0, p->stream, args, NULL));
}

/* Through another context: memory is the primary context's, whatever was current. */
static void check(const struct part *p, uint32_t key)
{
    static uint32_t host[WORDS];

    VG_CU(cuMemcpyDtoH_v2(host, p->data, sizeof(host)));
    for (uint32_t i = 0; i < WORDS; i++)
        if (host[i] != i * 3 + key)
            vg_drv_fail("word %u is %u, not %u", i, host[i], i * 3 + key);
}

static void order(const struct part *a, const struct part *b)
{
    CUevent event;

    VG_CU(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    VG_CU(cuGreenCtxRecordEvent(a->green, event));
    VG_CU(cuGreenCtxWaitEvent(b->green, event));
    VG_CU(cuEventSynchronize(event));
    VG_CU(cuEventDestroy_v2(event));
}

int main(void)
{
    CUcontext primary = vg_drv_start();
    struct part a = {.green = NULL}, b = {.green = NULL};
    CUdevResource whole = whole_device(primary);

    split(&whole, &a, &b);
    make(&a);
    make(&b);
    work(&a, 5);
    work(&b, 9);
    VG_CU(cuCtxSetCurrent(primary));
    order(&a, &b);
    VG_CU(cuStreamSynchronize(a.stream));
    VG_CU(cuStreamSynchronize(b.stream));
    check(&a, 5);
    VG_CU(cuStreamDestroy_v2(a.stream));
    VG_CU(cuGreenCtxDestroy(a.green));
    check(&a, 5);
    check(&b, 9);
    VG_CU(cuStreamDestroy_v2(b.stream));
    VG_CU(cuGreenCtxDestroy(b.green));
    VG_CU(cuMemFree_v2(a.data));
    VG_CU(cuMemFree_v2(b.data));
    printf("%u multiprocessors in parts of %u and %u\n", whole.sm.smCount, a.resource.sm.smCount,
           b.resource.sm.smCount);
    return 0;
}
