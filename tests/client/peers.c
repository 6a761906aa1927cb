/* SPDX-License-Identifier: MIT */
/*
 * Two devices: memory of each, copies between them, and a kernel of one on memory of
 * the other where they can. 77: there is one device only.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define WORDS 50000u
#define KEY   5u

static CUcontext ctx[2];
static CUdeviceptr data[2];

static void expect(bool ok, const char *what)
{
    if (!ok)
        vg_drv_fail("%s", what);
}

static void check(CUdeviceptr p, unsigned times)
{
    uint32_t *w = malloc(WORDS * 4);

    VG_CU(cuMemcpyDtoH_v2(w, p, WORDS * 4));
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t want = i;
        for (unsigned t = 0; t < times; t++)
            want = want * 3 + KEY;
        if (w[i] != want)
            vg_drv_fail("word %u is %u, not %u", i, w[i], want);
    }
    free(w);
}

static void fill(CUdeviceptr p)
{
    uint32_t *w = malloc(WORDS * 4);

    for (uint32_t i = 0; i < WORDS; i++)
        w[i] = i;
    VG_CU(cuMemcpyHtoD_v2(p, w, WORDS * 4));
    free(w);
}

static void run_mix(CUdeviceptr p)
{
    CUfunction mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    uint32_t key = KEY, count = WORDS;
    void *args[] = {&p, &key, &count};

    VG_CU(cuLaunchKernel(mix, (WORDS + 127) / 128, 1, 1, 128, 1, 1, 0, NULL, args, NULL));
    VG_CU(cuCtxSynchronize());
}

static void open_devices(void)
{
    for (int i = 0; i < 2; i++) {
        VG_CU(cuDevicePrimaryCtxRetain(&ctx[i], i));
        VG_CU(cuCtxSetCurrent(ctx[i]));
        data[i] = vg_drv_alloc(WORDS * 4);
    }
}

/* Works with and without direct access. */
static void copies(void)
{
    VG_CU(cuCtxSetCurrent(ctx[0]));
    fill(data[0]);
    VG_CU(cuMemcpyPeer(data[1], ctx[1], data[0], ctx[0], WORDS * 4));
    VG_CU(cuCtxSynchronize());
    VG_CU(cuCtxSetCurrent(ctx[1]));
    VG_CU(cuCtxSynchronize());
    check(data[1], 0);
    run_mix(data[1]);
    VG_CU(cuMemcpyPeer(data[0], ctx[0], data[1], ctx[1], WORDS * 4));
    VG_CU(cuCtxSynchronize());
    VG_CU(cuCtxSetCurrent(ctx[0]));
    VG_CU(cuCtxSynchronize());
    check(data[0], 1);
}

/* The second device's kernel on the first one's memory. */
static void direct(void)
{
    VG_CU(cuCtxSetCurrent(ctx[1]));
    VG_CU(cuCtxEnablePeerAccess(ctx[0], 0));
    VG_CU_IS(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, cuCtxEnablePeerAccess(ctx[0], 0));
    run_mix(data[0]);
    VG_CU(cuCtxDisablePeerAccess(ctx[0]));
    VG_CU_IS(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, cuCtxDisablePeerAccess(ctx[0]));
    VG_CU(cuCtxSetCurrent(ctx[0]));
    check(data[0], 2);
}

int main(void)
{
    int count = 0, can = -1, back = -1, value = -1, self = -1;

    vg_drv_open();
    VG_CU(cuInit(0));
    VG_CU(cuDeviceGetCount(&count));
    if (count < 2)
        return 77;
    open_devices();
    VG_CU(cuDeviceCanAccessPeer(&can, 1, 0));
    VG_CU(cuDeviceCanAccessPeer(&back, 0, 1));
    VG_CU(cuDeviceCanAccessPeer(&self, 0, 0));
    VG_CU(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1, 0));
    expect(can == back && can == value && self == 0, "the answers about access disagree");
    copies();
    if (can)
        direct();
    printf("%d devices, %s access\n", count, can ? "direct" : "no direct");
    return 0;
}
