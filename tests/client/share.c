/* SPDX-License-Identifier: MIT */
/*
 * Two processes that share what is on the GPU: memory and events by handle, as
 * frameworks pass tensors between workers, mapped memory and pools by descriptor.
 *
 *   share                 a process and its child, which runs the same program
 *   share --offer FILE    writes the handle of some memory to FILE, waits for its end
 *   share --take FILE     opens that handle; status 3: refused as unknown
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define WORDS   100003u
#define KEY     11u
#define REFUSED 3
#define CHILD_PEER 100          /* where the child finds its parent */

static CUfunction mix;
static int peer = -1;           /* the other process */

static const char *self(void)
{
    return peer == CHILD_PEER ? "child" : "parent";
}

static void expect(bool ok, const char *what)
{
    if (!ok)
        vg_drv_fail("%s: %s", self(), what);
}

/* ---- talking ---- */

static void say(const void *p, size_t size, int fd)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = size};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } c = {.buf = {0}};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        h.msg_control = c.buf;
        h.msg_controllen = sizeof(c.buf);
        struct cmsghdr *m = CMSG_FIRSTHDR(&h);
        m->cmsg_level = SOL_SOCKET;
        m->cmsg_type = SCM_RIGHTS;
        m->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(m), &fd, sizeof(int));
    }
    expect(sendmsg(peer, &h, MSG_NOSIGNAL) == (ssize_t)size, "the other process is gone");
}

static void hear(void *p, size_t size, int *ret_fd)
{
    struct iovec iov = {.iov_base = p, .iov_len = size};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } c;
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf,
                       .msg_controllen = sizeof(c.buf)};

    expect(recvmsg(peer, &h, 0) == (ssize_t)size, "the other process is gone");
    struct cmsghdr *m = CMSG_FIRSTHDR(&h);
    if (ret_fd)
        expect(m != NULL, "no descriptor came");
    if (ret_fd)
        memcpy(ret_fd, CMSG_DATA(m), sizeof(int));
}

/* Both processes come here, then both go on. */
static void meet(void)
{
    char c = '.';

    say(&c, 1, -1);
    hear(&c, 1, NULL);
}

/* ---- data: word i is i, then mixed n times ---- */

static uint32_t mixed(uint32_t i, unsigned times)
{
    while (times-- > 0)
        i = i * 3 + KEY;
    return i;
}

static void fill(CUdeviceptr p)
{
    uint32_t *w = malloc(WORDS * 4);

    for (uint32_t i = 0; i < WORDS; i++)
        w[i] = i;
    VG_CU(cuMemcpyHtoD_v2(p, w, WORDS * 4));
    free(w);
}

static void run_mix(CUdeviceptr p, CUstream stream)
{
    uint32_t key = KEY, count = WORDS;
    void *args[] = {&p, &key, &count};

    VG_CU(cuLaunchKernel(mix, (WORDS + 127) / 128, 1, 1, 128, 1, 1, 0, stream, args, NULL));
}

static void check(CUdeviceptr p, unsigned times)
{
    uint32_t *w = malloc(WORDS * 4);

    VG_CU(cuMemcpyDtoH_v2(w, p, WORDS * 4));
    for (uint32_t i = 0; i < WORDS; i++)
        if (w[i] != mixed(i, times))
            vg_drv_fail("%s: word %u is %u, not %u", self(), i, w[i], mixed(i, times));
    free(w);
}

static bool has(CUdevice_attribute attribute)
{
    int v = 0;

    VG_CU(cuDeviceGetAttribute(&v, attribute, 0));
    return v & 1;
}

static CUstream new_stream(void)
{
    CUstream s;

    VG_CU(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    return s;
}

static CUevent new_event(void)
{
    CUevent e;

    VG_CU(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
    return e;
}

/* ---- memory and events by handle ---- */

struct tensor {
    CUipcMemHandle memory;
    CUipcEventHandle ready;
};

static void give_tensor(void)
{
    struct tensor t;
    CUipcMemHandle again;
    CUipcEventHandle done_handle;
    CUdeviceptr p = vg_drv_alloc(WORDS * 4);
    CUstream stream = new_stream();
    CUevent ready = new_event(), done;

    fill(p);
    VG_CU(cuCtxSynchronize());
    for (int i = 0; i < 20; i++)
        run_mix(p, stream);
    VG_CU(cuEventRecord(ready, stream));
    VG_CU(cuIpcGetMemHandle(&t.memory, p));
    VG_CU(cuIpcGetMemHandle(&again, p));
    expect(memcmp(&again, &t.memory, sizeof(again)) == 0, "two handles of one allocation");
    VG_CU(cuIpcGetEventHandle(&t.ready, ready));
    expect(vg_drv.cuIpcOpenMemHandle_v2(&p, t.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) !=
           CUDA_SUCCESS, "opened by the process that it is of");
    say(&t, sizeof(t), -1);
    hear(&done_handle, sizeof(done_handle), NULL);
    VG_CU(cuIpcOpenEventHandle(&done, done_handle));
    VG_CU(cuStreamWaitEvent(stream, done, 0));
    run_mix(p, stream);
    VG_CU(cuStreamSynchronize(stream));
    VG_CU(cuEventSynchronize(done));
    VG_CU(cuEventQuery(done));
    check(p, 22);
    meet();
    meet();
    VG_CU(cuEventDestroy_v2(done));
    VG_CU(cuEventDestroy_v2(ready));
    VG_CU(cuMemFree_v2(p));
}

static void take_tensor(void)
{
    struct tensor t;
    CUipcEventHandle done_handle;
    CUdeviceptr p, again;
    CUstream stream = new_stream();
    CUevent done = new_event(), ready;
    uint64_t size = 0;

    hear(&t, sizeof(t), NULL);
    VG_CU(cuIpcOpenMemHandle_v2(&p, t.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    VG_CU(cuIpcOpenMemHandle_v2(&again, t.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    expect(again == p, "opened twice at two places");
    VG_CU(cuIpcOpenEventHandle(&ready, t.ready));
    VG_CU(cuStreamWaitEvent(stream, ready, 0));
    run_mix(p, stream);
    VG_CU(cuEventRecord(done, stream));
    VG_CU(cuIpcGetEventHandle(&done_handle, done));
    say(&done_handle, sizeof(done_handle), -1);
    VG_CU(cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, p));
    expect(size >= WORDS * 4, "the range is shorter than the memory");
    meet();
    check(p, 22);
    VG_CU(cuIpcCloseMemHandle(p));
    check(p, 22);
    VG_CU(cuIpcCloseMemHandle(p));
    expect(vg_drv.cuIpcCloseMemHandle(p) != CUDA_SUCCESS, "closed once too often");
    expect(vg_drv.cuMemsetD8_v2(p, 0, 16) != CUDA_SUCCESS, "used after it was closed");
    meet();
}

/* ---- mapped memory by descriptor ---- */

static CUmemAllocationProp shared_prop(void)
{
    return (CUmemAllocationProp){
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
    };
}

static CUdeviceptr map(CUmemGenericAllocationHandle h, size_t size)
{
    CUmemAccessDesc desc = {shared_prop().location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUdeviceptr p;

    VG_CU(cuMemAddressReserve(&p, size, 0, 0, 0));
    VG_CU(cuMemMap(p, size, 0, h, 0));
    VG_CU(cuMemSetAccess(p, size, &desc, 1));
    return p;
}

static void unmap(CUdeviceptr p, size_t size, CUmemGenericAllocationHandle h)
{
    VG_CU(cuCtxSynchronize());
    VG_CU(cuMemUnmap(p, size));
    VG_CU(cuMemRelease(h));
    VG_CU(cuMemAddressFree(p, size));
}

static void give_mapping(void)
{
    CUmemAllocationProp prop = shared_prop();
    CUmemGenericAllocationHandle h;
    size_t grain;
    int fd = -1;

    VG_CU(cuMemGetAllocationGranularity(&grain, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    VG_CU(cuMemCreate(&h, grain, &prop, 0));
    CUdeviceptr p = map(h, grain);
    fill(p);
    VG_CU(cuMemExportToShareableHandle(&fd, h, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    expect(fd >= 0, "no descriptor was made");
    say(&grain, sizeof(grain), fd);
    close(fd);
    meet();
    check(p, 1);
    unmap(p, grain, h);
}

static void take_mapping(void)
{
    CUmemGenericAllocationHandle h, none;
    size_t grain;
    int fd = -1, null = open("/dev/null", O_RDONLY);

    hear(&grain, sizeof(grain), &fd);
    VG_CU(cuMemImportFromShareableHandle(&h, (void *)(intptr_t)fd,
                                         CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    close(fd);
    expect(vg_drv.cuMemImportFromShareableHandle(&none, (void *)(intptr_t)null,
           CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) != CUDA_SUCCESS, "memory from /dev/null");
    close(null);
    CUdeviceptr p = map(h, grain);
    check(p, 0);
    run_mix(p, NULL);
    VG_CU(cuCtxSynchronize());
    meet();
    unmap(p, grain, h);
}

/* ---- pools ---- */

static void give_pool(void)
{
    CUmemPoolProps props = {
        .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
        .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
    };
    CUmemPoolPtrExportData data;
    CUmemoryPool pool;
    CUdeviceptr p;
    int fd = -1;

    VG_CU(cuMemPoolCreate(&pool, &props));
    VG_CU(cuMemAllocFromPoolAsync(&p, WORDS * 4, pool, NULL));
    VG_CU(cuCtxSynchronize());
    fill(p);
    VG_CU(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                           0));
    VG_CU(cuMemPoolExportPointer(&data, p));
    say(&data, sizeof(data), fd);
    close(fd);
    meet();
    check(p, 1);
    VG_CU(cuMemFreeAsync(p, NULL));
    VG_CU(cuCtxSynchronize());
    VG_CU(cuMemPoolDestroy(pool));
}

static void take_pool(void)
{
    CUmemPoolPtrExportData data;
    CUmemoryPool pool;
    CUdeviceptr p;
    int fd = -1;

    hear(&data, sizeof(data), &fd);
    VG_CU(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)fd,
                                             CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    close(fd);
    VG_CU(cuMemPoolImportPointer(&p, pool, &data));
    check(p, 0);
    run_mix(p, NULL);
    VG_CU(cuCtxSynchronize());
    VG_CU(cuMemFreeAsync(p, NULL));
    VG_CU(cuCtxSynchronize());
    meet();
    VG_CU(cuMemPoolDestroy(pool));
}

/* ---- the program ---- */

static void start(void)
{
    vg_drv_start();
    mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
}

static void run(bool child)
{
    bool pools = has(CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES);

    (child ? take_tensor : give_tensor)();
    if (has(CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED))
        (child ? take_mapping : give_mapping)();
    if (pools)
        (child ? take_pool : give_pool)();
    if (!child)
        printf("memory, events, mappings%s passed between two processes\n",
               pools ? ", pools" : "");
}

/* The child is a program of its own, as CUDA does not survive a fork. */
static int parent(char *self)
{
    int pair[2], status = 1;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || (pid = fork()) < 0)
        vg_drv_fail("cannot start another process: errno %d", errno);
    if (pid == 0) {
        dup2(pair[1], CHILD_PEER);
        execl("/proc/self/exe", self, "--child", (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    peer = pair[0];
    start();
    if (!has(CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED))
        return 77;
    run(false);
    close(peer);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int offer(const char *path)
{
    CUipcMemHandle h;
    CUdeviceptr p;

    start();
    p = vg_drv_alloc(WORDS * 4);
    fill(p);
    VG_CU(cuIpcGetMemHandle(&h, p));
    FILE *f = fopen(path, "w");
    expect(f && fwrite(&h, sizeof(h), 1, f) == 1 && fclose(f) == 0, "cannot write the handle");
    printf("offered by %d\n", (int)getpid());
    fflush(stdout);
    pause();
    return 0;
}

static int take(const char *path)
{
    CUipcMemHandle h = {.reserved = ""};
    CUdeviceptr p;
    FILE *f = fopen(path, "r");

    expect(f && fread(&h, sizeof(h), 1, f) == 1, "cannot read the handle");
    start();
    CUresult got = vg_drv.cuIpcOpenMemHandle_v2(&p, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
    if (got == CUDA_ERROR_INVALID_VALUE)
        return REFUSED;
    VG_CU_IS(CUDA_SUCCESS, cuIpcCloseMemHandle(p));
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "--offer") == 0)
        return offer(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--take") == 0)
        return take(argv[2]);
    if (argc < 2)
        return parent(argv[0]);
    peer = CHILD_PEER;
    start();
    run(true);
    return 0;
}
