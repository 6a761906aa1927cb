/* SPDX-License-Identifier: MIT */
/*
 * A program that uses libnvidia-ml.so.1 and libcuda.so.1 together, and compares what
 * they say. Both are found by the loader, so it runs on ours under vgpu-run and in a
 * VM. Exits with 1 at the first thing that is wrong.
 *
 *   nvml             what NVIDIA's own may be asked too
 *   nvml --ours      and what it may crash at: handles that are none, and arguments that are none
 *                    before nvmlInit; and settings, which we refuse and it would change
 *   nvml --queries   the second, without CUDA
 *   nvml --nonsense  a line for each call that it may crash at, made in a process of its own: what it
 *                    answers, or the signal that ends it. Settings only of handles that are none.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vg_drv.h"
#include "vg_nvml.h"

#define HELD   ((size_t)96 << 20)   /* bytes of GPU memory that this program takes */
#define BAD    ((void *)0x1234)     /* no handle */

#define NEED(x) do { if (!(x)) fail(__LINE__, #x); } while (0)
#define IS(expression, want) is(__LINE__, #expression, expression, want)

static void fail(int line, const char *what)
{
    fprintf(stderr, "client.c:%d: %s\n", line, what);
    exit(1);
}

static void is(int line, const char *what, int got, int want)
{
    if (got == want)
        return;
    fprintf(stderr, "client.c:%d: %s is %d, not %d\n", line, what, got, want);
    exit(1);
}

/* A function of NVML, with the arguments as the caller writes them. */
static int (*nv(const char *symbol))()
{
    static void *library;
    int (*function)();

    if (!library)
        library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!library)
        fail(__LINE__, dlerror());
    void *p = dlsym(library, symbol);
    if (!p)
        fail(__LINE__, symbol);
    memcpy(&function, &p, sizeof(p));
    return function;
}

/* ---- every function, by the way it is served ---- */

struct row {
    const char *symbol;
    bool device;
    int answer;
};

static const struct row refused[] = {
#define NV_HOST(symbol)
#define NV_OWN(symbol)
#define NV_DEV(symbol) {#symbol, true, VG_NV_NOT_SUPPORTED},
#define NV_SET(symbol) {#symbol, true, VG_NV_NO_PERMISSION},
#define NV_ANY(symbol) {#symbol, false, VG_NV_NOT_SUPPORTED},
#include "guest-shim/nvml/nvml.def"
#undef NV_HOST
#undef NV_OWN
};

static const char *const served[] = {
#undef NV_DEV
#undef NV_SET
#undef NV_ANY
#define NV_HOST(symbol) #symbol,
#define NV_OWN(symbol) #symbol,
#define NV_DEV(symbol)
#define NV_SET(symbol)
#define NV_ANY(symbol)
#include "guest-shim/nvml/nvml.def"
};

static bool needs_no_device(const char *symbol)
{
    return strncmp(symbol, "nvmlDevice", 10) != 0 || strstr(symbol, "GetHandleBy") ||
           strstr(symbol, "GetCount");
}

static bool is_start(const char *symbol)
{
    return strncmp(symbol, "nvmlInit", 8) == 0 || strcmp(symbol, "nvmlErrorString") == 0 ||
           strcmp(symbol, "nvmlInternalGetExportTable") == 0 ||
           strcmp(symbol, "nvmlSystemGetNVMLVersion") == 0;
}

/* A buffer that any of them may fill; the versions it begins with are all wrong. */
static uint64_t room[4096];

static void check_uninitialised(void)
{
    char version[80] = "";

    IS(nv("nvmlSystemGetNVMLVersion")(version, 80u), 0);
    NEED(version[0] != '\0');
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        is(__LINE__, refused[i].symbol, nv(refused[i].symbol)(BAD), VG_NV_UNINITIALIZED);
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
        if (!is_start(served[i]))
            is(__LINE__, served[i], nv(served[i])(room, room, room, room, room),
               VG_NV_UNINITIALIZED);
    }
}

static void check_bad_handles(void)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (refused[i].device)
            is(__LINE__, refused[i].symbol, nv(refused[i].symbol)(BAD), VG_NV_INVALID_ARGUMENT);
    }
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
        if (!needs_no_device(served[i]))
            is(__LINE__, served[i], nv(served[i])(BAD, 0, 0, 0, 0), VG_NV_INVALID_ARGUMENT);
    }
}

static void check_refused(void *dev)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        is(__LINE__, refused[i].symbol, nv(refused[i].symbol)(dev), refused[i].answer);
}

/* ---- the same, one by one, where a crash is an answer ---- */

static void call_alone(const char *when, const char *symbol, void *first, void *others)
{
    int (*function)() = nv(symbol), status;

    fflush(stdout);
    pid_t pid = fork();
    NEED(pid >= 0);
    if (pid == 0) {
        int rc = function(first, others, others, others, others);
        _exit(rc > 255 ? 255 : rc);
    }
    NEED(waitpid(pid, &status, 0) == pid);
    printf("%s %s %s %d\n", when, symbol, WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void print_nonsense(void)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        call_alone("uninitialised", refused[i].symbol, BAD, room);
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
        if (!is_start(served[i]))
            call_alone("uninitialised", served[i], room, room);
    }
    IS(nv("nvmlInit_v2")(), 0);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (refused[i].device)
            call_alone("no-device", refused[i].symbol, BAD, room);
    }
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
        if (!needs_no_device(served[i]))
            call_alone("no-device", served[i], BAD, NULL);
    }
}

/* ---- against CUDA ---- */

static void uuid_text(const CUuuid *u, char *text)
{
    strcpy(text, "GPU-");
    for (unsigned i = 0; i < 16; i++)
        sprintf(text + strlen(text), "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                (unsigned char)u->bytes[i]);
}

static void check_identity(void *cuda, void *dev)
{
    CUresult (*get_uuid)(CUuuid *, CUdevice);
    CUresult (*get_pci)(char *, int, CUdevice);
    char want[96], got[96], name[96];
    struct vg_nv_pci pci;
    void *again = NULL;
    CUuuid uuid;
    int version, cuda_version;

    *(void **)&get_uuid = dlsym(cuda, "cuDeviceGetUuid_v2");
    *(void **)&get_pci = dlsym(cuda, "cuDeviceGetPCIBusId");
    NEED(get_uuid(&uuid, 0) == CUDA_SUCCESS);
    uuid_text(&uuid, want);
    IS(nv("nvmlDeviceGetUUID")(dev, got, (unsigned)sizeof(got)), 0);
    NEED(strcmp(got, want) == 0);
    IS(nv("nvmlDeviceGetHandleByUUID")(want, &again), 0);
    NEED(again == dev);
    NEED(get_pci(want, sizeof(want), 0) == CUDA_SUCCESS);
    IS(nv("nvmlDeviceGetPciInfo_v3")(dev, &pci), 0);
    NEED(strcasecmp(pci.bus_id_legacy, want) == 0 && strcasecmp(pci.bus_id + 4, want) == 0);
    again = NULL;
    IS(nv("nvmlDeviceGetHandleByPciBusId_v2")(want, &again), 0);
    NEED(again == dev);
    IS(nv("nvmlDeviceGetHandleByPciBusId_v2")("0000:00:1f.0", &again), VG_NV_NOT_FOUND);
    IS(nv("nvmlDeviceGetHandleByUUID")("GPU-0", &again), VG_NV_NOT_FOUND);
    NEED(vg_drv.cuDeviceGetName(want, sizeof(want), 0) == CUDA_SUCCESS);
    IS(nv("nvmlDeviceGetName")(dev, name, (unsigned)sizeof(name)), 0);
    NEED(strcmp(name, want) == 0);
    IS(nv("nvmlDeviceGetName")(dev, name, 3u), VG_NV_INSUFFICIENT_SIZE);
    IS(nv("nvmlSystemGetCudaDriverVersion_v2")(&version), 0);
    NEED(vg_drv.cuDriverGetVersion(&cuda_version) == CUDA_SUCCESS && version == cuda_version);
}

/* ---- memory and processes ---- */

static void check_memory(void *dev)
{
    struct { uint32_t version; uint64_t total, reserved, free, used; } v2 = {.version = 0};
    struct vg_nv_memory m;

    IS(nv("nvmlDeviceGetMemoryInfo")(dev, &m), 0);
    NEED(m.used >= HELD && m.free <= m.total - m.used);
    IS(nv("nvmlDeviceGetMemoryInfo_v2")(dev, &v2), VG_NV_VERSION_MISMATCH);
    v2.version = VG_NV_VERSION(sizeof(v2), 2);
    IS(nv("nvmlDeviceGetMemoryInfo_v2")(dev, &v2), 0);
    NEED(v2.total == v2.used + v2.free + v2.reserved && v2.used >= HELD);
}

/*
 * A whole list, in memory that the caller frees. Natively others are on the GPU, and come meanwhile: so
 * the room needed is asked for until it is enough.
 */
static void *take_list(const char *symbol, void *dev, size_t entry, unsigned *ret_count)
{
    bool samples = strstr(symbol, "Utilization") != NULL;
    void *list = NULL;

    *ret_count = 0;
    for (unsigned tries = 0; tries < 20; tries++) {
        int rc = samples ? nv(symbol)(dev, list, ret_count, 0ull) : nv(symbol)(dev, ret_count, list);
        if (rc != VG_NV_INSUFFICIENT_SIZE) {
            is(__LINE__, symbol, rc, 0);
            return list;
        }
        NEED(*ret_count > 0);
        list = realloc(list, *ret_count * entry);
        NEED(list);
    }
    fail(__LINE__, symbol);
    return NULL;
}

/* Whether we are in a list of processes, with at least so much memory. */
static bool is_listed(const char *symbol, void *dev, uint64_t memory)
{
    unsigned count;
    struct vg_nv_process *list = take_list(symbol, dev, sizeof(*list), &count);
    bool found = false;

    for (unsigned i = 0; i < count; i++)
        found = found || (list[i].pid == (unsigned)getpid() && list[i].memory >= memory &&
                          list[i].memory != VG_NV_NO_VALUE);
    free(list);
    return found;
}

static void check_samples(void *dev)
{
    unsigned count, timed = 0;
    struct vg_nv_sample *s = take_list("nvmlDeviceGetProcessUtilization", dev, sizeof(*s), &count);

    for (unsigned i = 0; i < count; i++) {
        NEED(s[i].sm <= 100);
        timed += s[i].time > 0;
    }
    NEED(timed > 0);
    IS(nv("nvmlDeviceGetProcessUtilization")(dev, s, &count, ~0ull), VG_NV_NOT_FOUND);
    free(s);
}

static void check_processes(void *dev)
{
    static const char compute[] = "nvmlDeviceGetComputeRunningProcesses_v3";
    unsigned count = 0;
    char name[256];

    for (int tenths = 0; !is_listed(compute, dev, HELD); tenths++) {
        NEED(tenths < 50);
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    IS(nv(compute)(dev, &count, NULL), VG_NV_INSUFFICIENT_SIZE);
    NEED(count >= 1);
    NEED(!is_listed("nvmlDeviceGetGraphicsRunningProcesses_v3", dev, 0));
    check_samples(dev);
    IS(nv("nvmlSystemGetProcessName")((unsigned)getpid(), name, (unsigned)sizeof(name)), 0);
    NEED(strstr(name, "nvml"));
}

/* ---- the rest ---- */

static void check_shapes(void *dev)
{
    struct vg_nv_field field[2] = {{.id = 82}, {.id = 60000}};
    uint32_t util[2] = {101, 101}, number;
    void *set = NULL;

    IS(nv("nvmlDeviceGetIndex")(dev, &number), 0);
    NEED(number == 0);
    IS(nv("nvmlDeviceGetUtilizationRates")(dev, util), 0);
    NEED(util[0] <= 100 && util[1] <= 100);
    IS(nv("nvmlDeviceGetTemperature")(dev, 7u, &number), VG_NV_INVALID_ARGUMENT);
    IS(nv("nvmlDeviceGetUtilizationRates")(dev, NULL), VG_NV_INVALID_ARGUMENT);
    IS(nv("nvmlDeviceGetPdi")(dev, room), VG_NV_VERSION_MISMATCH);
    IS(nv("nvmlDeviceGetFieldValues")(dev, 2, field), 0);
    NEED(field[1].result == VG_NV_NOT_SUPPORTED);
    IS(nv("nvmlDeviceGetFieldValues")(dev, 0, field), VG_NV_INVALID_ARGUMENT);
    IS(nv("nvmlEventSetCreate")(&set), 0);
    IS(nv("nvmlEventSetWait_v2")(set, room, 10u), VG_NV_TIMEOUT);
    IS(nv("nvmlEventSetFree")(set), 0);
    IS(nv("nvmlDeviceGetHandleByIndex_v2")(99u, &set), VG_NV_INVALID_ARGUMENT);
}

/* Before the start and after the end, with arguments that are right. */
static void check_life(void)
{
    unsigned count = 0;

    IS(nv("nvmlShutdown")(), VG_NV_UNINITIALIZED);
    IS(nv("nvmlDeviceGetCount_v2")(&count), VG_NV_UNINITIALIZED);
    IS(nv("nvmlInit_v2")(), 0);
    IS(nv("nvmlDeviceGetCount_v2")(&count), 0);
    NEED(count >= 1);
    IS(nv("nvmlShutdown")(), 0);
    IS(nv("nvmlDeviceGetCount_v2")(&count), VG_NV_UNINITIALIZED);
}

/* As nvidia-smi alone: no CUDA, so there must be no executor for us. */
static void check_queries(void)
{
    void *dev = NULL;

    check_uninitialised();
    IS(nv("nvmlInit_v2")(), 0);
    IS(nv("nvmlDeviceGetHandleByIndex_v2")(0u, &dev), 0);
    check_bad_handles();
    check_refused(dev);
    check_shapes(dev);
    IS(nv("nvmlShutdown")(), 0);
}

static void check_with_cuda(void)
{
    CUdeviceptr memory;
    CUcontext ctx;
    void *dev = NULL;

    vg_drv_open();
    NEED(vg_drv.cuInit(0) == CUDA_SUCCESS);
    NEED(vg_drv.cuDevicePrimaryCtxRetain(&ctx, 0) == CUDA_SUCCESS);
    NEED(vg_drv.cuCtxSetCurrent(ctx) == CUDA_SUCCESS);
    NEED(vg_drv.cuMemAlloc_v2(&memory, HELD) == CUDA_SUCCESS);
    IS(nv("nvmlInit_v2")(), 0);
    IS(nv("nvmlDeviceGetHandleByIndex_v2")(0u, &dev), 0);
    check_identity(dlopen("libcuda.so.1", RTLD_NOW), dev);
    check_processes(dev);
    check_memory(dev);
    check_shapes(dev);
    IS(nv("nvmlShutdown")(), 0);
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";
    bool queries = strcmp(part, "--queries") == 0;

    if (strcmp(part, "--nonsense") == 0) {
        print_nonsense();
        return 0;
    }
    check_life();
    if (queries || strcmp(part, "--ours") == 0)
        check_queries();
    if (!queries)
        check_with_cuda();
    printf("nvml: ok\n");
    return 0;
}
