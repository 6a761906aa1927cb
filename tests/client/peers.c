/* SPDX-License-Identifier: MIT */
/*
 * Two devices: what they are and who reaches whom, a line each; memory of each, copies between
 * them in every way there is, order across devices by events; where they can, a kernel of one on
 * memory of the other, which is an allocation, a mapping, of a pool, or of another process.
 * 77: there is one device only.
 *
 *   peers            all of it
 *   peers --take FD  what it starts for the other process; FD: a socket
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void clear(int device)
{
    VG_CU(cuCtxSetCurrent(ctx[device]));
    VG_CU(cuMemsetD8_v2(data[device], 0, WORDS * 4));
    VG_CU(cuCtxSynchronize());
}

/* The other ways: asynchronous, by address alone, and a piece of a volume. */
static void other_copies(void)
{
    CUDA_MEMCPY3D_PEER box = {
        .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = data[1], .srcContext = ctx[1],
        .srcPitch = 400, .srcHeight = 10, .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = data[0],
        .dstContext = ctx[0], .dstPitch = 400, .dstHeight = 10,
        .WidthInBytes = 400, .Height = 10, .Depth = 50,
    };
    CUstream stream;

    VG_CU(cuCtxSetCurrent(ctx[0]));
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    fill(data[0]);
    VG_CU(cuCtxSynchronize());
    clear(1);
    VG_CU(cuCtxSetCurrent(ctx[0]));
    VG_CU(cuMemcpyPeerAsync(data[1], ctx[1], data[0], ctx[0], WORDS * 4, stream));
    VG_CU(cuStreamSynchronize(stream));
    VG_CU(cuCtxSetCurrent(ctx[1]));
    check(data[1], 0);
    clear(0);
    VG_CU(cuMemcpy(data[0], data[1], WORDS * 4));
    VG_CU(cuCtxSynchronize());
    check(data[0], 0);
    clear(0);
    VG_CU(cuMemcpy3DPeer(&box));
    VG_CU(cuCtxSynchronize());
    check(data[0], 0);
    VG_CU(cuStreamDestroy_v2(stream));
}

/* Each device's stream waits for the other's event, forty times to and fro. */
static void in_turn(void)
{
    CUstream stream[2];
    CUevent done[2];
    CUfunction mix[2];
    uint32_t key = KEY, count = WORDS;

    for (int i = 0; i < 2; i++) {
        VG_CU(cuCtxSetCurrent(ctx[i]));
        VG_CU(cuStreamCreate(&stream[i], CU_STREAM_NON_BLOCKING));
        VG_CU(cuEventCreate(&done[i], CU_EVENT_DISABLE_TIMING));
        mix[i] = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    }
    VG_CU(cuCtxSetCurrent(ctx[0]));
    fill(data[0]);
    VG_CU(cuCtxSynchronize());
    for (int i = 0; i < 40; i++) {
        int me = i % 2, other = 1 - me;
        void *args[] = {&data[me], &key, &count};

        VG_CU(cuCtxSetCurrent(ctx[me]));
        if (i)
            VG_CU(cuStreamWaitEvent(stream[me], done[other], 0));
        VG_CU(cuLaunchKernel(mix[me], (WORDS + 127) / 128, 1, 1, 128, 1, 1, 0, stream[me], args, NULL));
        VG_CU(cuMemcpyPeerAsync(data[other], ctx[other], data[me], ctx[me], WORDS * 4, stream[me]));
        VG_CU(cuEventRecord(done[me], stream[me]));
    }
    VG_CU(cuEventSynchronize(done[1]));
    VG_CU(cuCtxSetCurrent(ctx[0]));
    check(data[0], 40);
}

/* The second device's kernel on the first one's memory. */
static void direct(void)
{
    VG_CU(cuCtxSetCurrent(ctx[0]));
    fill(data[0]);
    VG_CU(cuCtxSynchronize());
    VG_CU(cuCtxSetCurrent(ctx[1]));
    VG_CU(cuCtxEnablePeerAccess(ctx[0], 0));
    VG_CU_IS(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, cuCtxEnablePeerAccess(ctx[0], 0));
    run_mix(data[0]);
    VG_CU(cuCtxDisablePeerAccess(ctx[0]));
    VG_CU_IS(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, cuCtxDisablePeerAccess(ctx[0]));
    VG_CU(cuCtxSetCurrent(ctx[0]));
    check(data[0], 1);
}

/* A mapping that both may use: the memory is the second device's, the kernel the first one's. */
static void mapped(void)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1}};
    CUmemAccessDesc access[2];
    CUmemGenericAllocationHandle h;
    size_t grain;
    CUdeviceptr p;

    for (int i = 0; i < 2; i++)
        access[i] = (CUmemAccessDesc){{.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = i},
                                      CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    VG_CU(cuMemGetAllocationGranularity(&grain, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    VG_CU(cuMemCreate(&h, grain, &prop, 0));
    VG_CU(cuMemAddressReserve(&p, grain, 0, 0, 0));
    VG_CU(cuMemMap(p, grain, 0, h, 0));
    VG_CU(cuMemSetAccess(p, grain, access, 2));
    for (int i = 0; i < 2; i++) {
        VG_CU(cuCtxSetCurrent(ctx[i]));
        if (i == 0)
            fill(p);
        run_mix(p);
    }
    check(p, 2);
    VG_CU(cuMemUnmap(p, grain));
    VG_CU(cuMemRelease(h));
    VG_CU(cuMemAddressFree(p, grain));
}

/* A pool of the first device, which the second may use, too. */
static void pooled(void)
{
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUmemAccessDesc access = {{.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1},
                              CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemoryPool pool;
    CUdeviceptr p;

    VG_CU(cuCtxSetCurrent(ctx[0]));
    VG_CU(cuMemPoolCreate(&pool, &props));
    VG_CU(cuMemPoolSetAccess(pool, &access, 1));
    VG_CU(cuMemAllocFromPoolAsync(&p, WORDS * 4, pool, NULL));
    VG_CU(cuCtxSynchronize());
    fill(p);
    VG_CU(cuCtxSynchronize());
    VG_CU(cuCtxSetCurrent(ctx[1]));
    run_mix(p);
    check(p, 1);
    VG_CU(cuCtxSetCurrent(ctx[0]));
    VG_CU(cuMemFreeAsync(p, NULL));
    VG_CU(cuCtxSynchronize());
    VG_CU(cuMemPoolDestroy(pool));
}

/* ---- another process, which works on the second device ---- */

static void start_taker(int fd)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", fd);
    execl("/proc/self/exe", "peers", "--take", text, (char *)NULL);
    _exit(127);
}

static void shared(void)
{
    CUipcMemHandle handle;
    int pair[2], status = 0;
    char c = 0;

    VG_CU(cuCtxSetCurrent(ctx[0]));
    fill(data[0]);
    VG_CU(cuCtxSynchronize());
    VG_CU(cuIpcGetMemHandle(&handle, data[0]));
    expect(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "no sockets");
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        start_taker(pair[1]);
    }
    close(pair[1]);
    expect(write(pair[0], &handle, sizeof(handle)) == (ssize_t)sizeof(handle), "the child is gone");
    expect(read(pair[0], &c, 1) == 1, "the other process failed");
    check(data[0], 1);
    close(pair[0]);
    expect(waitpid(child, &status, 0) == child && status == 0, "the other process failed");
}

static int take(int fd)
{
    CUipcMemHandle handle;
    CUdeviceptr p;

    expect(read(fd, &handle, sizeof(handle)) == (ssize_t)sizeof(handle), "no handle");
    VG_CU(cuDevicePrimaryCtxRetain(&ctx[1], 1));
    VG_CU(cuCtxSetCurrent(ctx[1]));
    VG_CU(cuIpcOpenMemHandle_v2(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    run_mix(p);
    check(p, 1);
    expect(write(fd, "!", 1) == 1, "the parent is gone");
    /* It checks what we have done, then closes its end. */
    expect(read(fd, &handle, 1) == 0, "the parent says more");
    VG_CU(cuIpcCloseMemHandle(p));
    return 0;
}

/* ---- what they are ---- */

static void show_device(int i, CUuuid *ret_uuid)
{
    char name[96];
    int value;

    VG_CU(cuDeviceGetName(name, sizeof(name), i));
    VG_CU(cuDeviceGetUuid_v2(ret_uuid, i));
    VG_CU(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, i));
    printf("device %d: %s, compute capability %d\n", i, name, value);
}

static int show_pair(int from, int to)
{
    static const struct { CUdevice_P2PAttribute attribute; const char *name; } all[] = {
        {CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK, "rank"},
        {CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, "access"},
        {CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, "atomics"},
        {CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED, "arrays"},
    };
    int can = -1, value[4] = {-1, -1, -1, -1};

    VG_CU(cuDeviceCanAccessPeer(&can, from, to));
    printf("%d to %d: %d", from, to, can);
    for (int i = 0; i < 4; i++) {
        VG_CU(cuDeviceGetP2PAttribute(&value[i], all[i].attribute, from, to));
        printf(" %s %d", all[i].name, value[i]);
    }
    printf("\n");
    expect(can == value[1], "the answers about access disagree");
    return can;
}

static int show(void)
{
    CUuuid uuid[2];
    int can, value;

    for (int i = 0; i < 2; i++)
        show_device(i, &uuid[i]);
    expect(memcmp(&uuid[0], &uuid[1], sizeof(uuid[0])) != 0, "two devices with one UUID");
    can = show_pair(1, 0);
    expect(show_pair(0, 1) == can, "one way only");
    VG_CU(cuDeviceCanAccessPeer(&value, 0, 0));
    expect(value == 0, "a device is its own peer");
    VG_CU_IS(CUDA_ERROR_INVALID_DEVICE,
             cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 0));
    return can;
}

int main(int argc, char **argv)
{
    int count = 0;

    vg_drv_open();
    VG_CU(cuInit(0));
    VG_CU(cuDeviceGetCount(&count));
    if (count < 2)
        return 77;
    if (argc == 3 && strcmp(argv[1], "--take") == 0)
        return take(atoi(argv[2]));
    int can = show();
    open_devices();
    copies();
    other_copies();
    in_turn();
    if (can) {
        direct();
        mapped();
        pooled();
        shared();
    }
    printf("%d devices, %s access\n", count, can ? "direct" : "no direct");
    return 0;
}
