/* SPDX-License-Identifier: MIT */
/*
 * Asks for a GPU as Ollama does, and fails as Ollama would go on without one: its present probe of
 * both libraries by name, its engine's question to NVML for the memory of the device that CUDA
 * names, and the probe of versions to 0.11, which looks for files, wants all its symbols or none,
 * makes a context, and closes the library behind itself. Prints what each found; exit status 0
 * if all agree on one GPU.
 *
 *   ollama [--all]     --all: a file must be found by the old search, too (LD_LIBRARY_PATH helps)
 */
#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/vg_cuda.h"

#define UUID_TEXT 41
#define FILES_MAX 16u
#define DRIVER_NEEDED 570   /* below that it leaves out older GPUs, without NVML it warns */

struct found {
    char name[128], pci[32], uuid[UUID_TEXT];
    int major, minor, integrated, driver;
    size_t total, left;
};

struct nv_memory { unsigned long long total, free, used; };

static void fail(const char *what, int code)
{
    printf("FAILED: %s (%d)\n", what, code);
    exit(1);
}

static void ok(int rc, const char *what)
{
    if (rc)
        fail(what, rc);
}

static void *open_first(const char *const *names, int how)
{
    void *library = NULL;

    for (; *names && !library; names++)
        library = dlopen(*names, how);
    if (!library)
        fail(dlerror(), 0);
    return library;
}

/* All or none: `into` gets what stands in `names`, in this order. */
static bool find_all(void *library, const char *const *names, unsigned count, void *into)
{
    void *function;

    for (unsigned i = 0; i < count; i++) {
        function = dlsym(library, names[i]);
        if (!function) {
            printf("no symbol %s\n", names[i]);
            return false;
        }
        memcpy((char *)into + i * sizeof(function), &function, sizeof(function));
    }
    return true;
}
#define FIND(library, names, into) \
    find_all(library, names, sizeof(names) / sizeof((names)[0]), into)

/* ---- as it is now: libraries by name, no context ---- */

struct native {
    CUresult (*init)(unsigned);
    CUresult (*version)(int *);
    CUresult (*count)(int *);
    CUresult (*get)(CUdevice *, int);
    CUresult (*attribute)(int *, int, CUdevice);
    CUresult (*name)(char *, int, CUdevice);
    CUresult (*total)(size_t *, CUdevice);
    CUresult (*pci)(char *, int, CUdevice);
};

static int driver_major(void)
{
    static const char *const files[] = { "libnvidia-ml.so.1", "libnvidia-ml.so", NULL };
    static const char *const names[] = { "nvmlInit_v2", "nvmlShutdown", "nvmlSystemGetDriverVersion" };
    struct { int (*init)(void), (*shutdown)(void), (*version)(char *, unsigned); } nv;
    char text[80] = "";

    if (!FIND(open_first(files, RTLD_NOW | RTLD_LOCAL), names, &nv))
        fail("NVML's symbols", 0);
    ok(nv.init(), "nvmlInit_v2");
    ok(nv.version(text, sizeof(text)), "nvmlSystemGetDriverVersion");
    ok(nv.shutdown(), "nvmlShutdown");
    return atoi(text);
}

static void probe_native(struct found *f)
{
    static const char *const files[] = { "libcuda.so.1", "libcuda.so", NULL };
    static const char *const names[] = {
        "cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetAttribute",
        "cuDeviceGetName", "cuDeviceTotalMem_v2", "cuDeviceGetPCIBusId",
    };
    struct native cu;
    int version = 0, count = 0;
    CUdevice device;

    if (!FIND(open_first(files, RTLD_NOW | RTLD_LOCAL), names, &cu))
        fail("libcuda's symbols", 0);
    ok(cu.init(0), "cuInit");
    ok(cu.version(&version), "cuDriverGetVersion");
    f->driver = driver_major();
    ok(cu.count(&count), "cuDeviceGetCount");
    if (count < 1)
        fail("devices", count);
    ok(cu.get(&device, 0), "cuDeviceGet");
    ok(cu.attribute(&f->major, 75, device), "compute capability");
    ok(cu.attribute(&f->minor, 76, device), "compute capability");
    ok(cu.attribute(&f->integrated, 18, device), "integrated");
    ok(cu.name(f->name, sizeof(f->name), device), "cuDeviceGetName");
    ok(cu.total(&f->total, device), "cuDeviceTotalMem");
    ok(cu.pci(f->pci, sizeof(f->pci), device), "cuDeviceGetPCIBusId");
    printf("native: %s, %d.%d, %zu MiB, %s, CUDA %d, driver %d\n", f->name, f->major, f->minor,
           f->total >> 20, f->pci, version, f->driver);
    if (f->driver < DRIVER_NEEDED || f->integrated || f->major < 5 || !f->total)
        fail("Ollama would leave this GPU out", f->driver);
}

/* ---- its engine: the memory of a device that is named by CUDA's uuid ---- */

static void probe_engine(const struct found *f)
{
    static const char *const files[] = { "/usr/lib/wsl/lib/libnvidia-ml.so.1", "libnvidia-ml.so.1",
                                         NULL };
    static const char *const names[] = {
        "nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetName", "nvmlErrorString",
    };
    struct {
        int (*init)(void), (*shutdown)(void), (*by_uuid)(const char *, void **);
        int (*memory)(void *, struct nv_memory *), (*name)(void *, char *, unsigned);
        const char *(*error)(int);
    } nv;
    void *library = open_first(files, RTLD_LAZY), *device;
    struct nv_memory memory = { 0 };
    char name[128] = "";

    if (!FIND(library, names, &nv))
        fail("NVML's symbols", 0);
    ok(nv.init(), "nvmlInit_v2");
    ok(nv.by_uuid(f->uuid, &device), "nvmlDeviceGetHandleByUUID of CUDA's uuid");
    ok(nv.memory(device, &memory), "nvmlDeviceGetMemoryInfo");
    ok(nv.name(device, name, sizeof(name)), "nvmlDeviceGetName");
    ok(nv.shutdown(), "nvmlShutdown");
    dlclose(library);
    printf("engine: %s, %llu MiB, %llu free\n", name, memory.total >> 20, memory.free >> 20);
    /* A GPU keeps a little for itself, which only NVML counts. */
    if (strcmp(name, f->name) != 0 || memory.total < f->total || memory.total > f->total * 11 / 10 ||
        !memory.free || memory.free > memory.total)
        fail("the libraries tell of different GPUs", 0);
}

/* ---- as it was: files, all symbols or none, a context ---- */

static void add_files(const char *pattern, char files[][PATH_MAX], unsigned *count)
{
    glob_t g;
    char path[PATH_MAX];

    if (glob(pattern, 0, NULL, &g) != 0)
        return;
    for (size_t i = 0; i < g.gl_pathc && *count < FILES_MAX; i++) {
        unsigned k = 0;

        if (!realpath(g.gl_pathv[i], path))
            continue;
        while (k < *count && strcmp(files[k], path) != 0)
            k++;
        if (k == *count)
            strcpy(files[(*count)++], path);
    }
    globfree(&g);
}

static unsigned search(char files[][PATH_MAX])
{
    static const char *const usual[] = {
        "/usr/local/cuda*/targets/*/lib/libcuda.so*", "/usr/lib/*-linux-gnu/nvidia/current/libcuda.so*",
        "/usr/lib/*-linux-gnu/libcuda.so*", "/usr/lib/wsl/lib/libcuda.so*",
        "/usr/lib/wsl/drivers/*/libcuda.so*", "/opt/cuda/lib*/libcuda.so*",
        "/usr/local/cuda/lib*/libcuda.so*", "/usr/lib*/libcuda.so*", "/usr/local/lib*/libcuda.so*",
    };
    char *dirs = strdup(getenv("LD_LIBRARY_PATH") ? getenv("LD_LIBRARY_PATH") : ""), *rest = dirs, *dir;
    char pattern[PATH_MAX];
    unsigned count = 0;

    while ((dir = strsep(&rest, ":")) != NULL) {
        if (*dir && snprintf(pattern, sizeof(pattern), "%s/libcuda.so*", dir) < (int)sizeof(pattern))
            add_files(pattern, files, &count);
    }
    for (unsigned i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        add_files(usual[i], files, &count);
    free(dirs);
    return count;
}

struct old {
    CUresult (*init)(unsigned);
    CUresult (*version)(int *);
    CUresult (*count)(int *);
    CUresult (*get)(CUdevice *, int);
    CUresult (*attribute)(int *, int, CUdevice);
    CUresult (*uuid)(CUuuid *, CUdevice);
    CUresult (*name)(char *, int, CUdevice);
    CUresult (*create)(CUcontext *, void *, int, unsigned, CUdevice);
    CUresult (*memory)(size_t *, size_t *);
    CUresult (*destroy)(CUcontext);
};

static void uuid_text(char *text, const unsigned char *b)
{
    unsigned n = (unsigned)sprintf(text, "GPU-");

    for (unsigned i = 0; i < 16; i++)
        n += (unsigned)sprintf(text + n, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                               b[i]);
}

/* For the sake of free memory it makes a context, each time. */
static void old_memory(const struct old *cu, CUdevice device, struct found *f)
{
    CUcontext context;

    ok(cu->create(&context, NULL, 0, 0, device), "cuCtxCreate_v3");
    ok(cu->memory(&f->left, &f->total), "cuMemGetInfo_v2");
    ok(cu->destroy(context), "cuCtxDestroy");
}

static void probe_old(const char *file, struct found *f)
{
    static const char *const names[] = {
        "cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetAttribute",
        "cuDeviceGetUuid", "cuDeviceGetName", "cuCtxCreate_v3", "cuMemGetInfo_v2", "cuCtxDestroy",
    };
    void *library = dlopen(file, RTLD_LAZY);
    int version, count = 0;
    CUdevice device;
    CUuuid uuid;
    struct old cu;

    if (!library || !FIND(library, names, &cu))
        fail(file, 0);
    ok(cu.init(0), "cuInit");
    ok(cu.version(&version), "cuDriverGetVersion");
    ok(cu.count(&count), "cuDeviceGetCount");
    if (count < 1)
        fail("devices", count);
    ok(cu.get(&device, 0), "cuDeviceGet");
    ok(cu.attribute(&f->major, 75, device), "compute capability");
    ok(cu.attribute(&f->minor, 76, device), "compute capability");
    ok(cu.uuid(&uuid, device), "cuDeviceGetUuid");
    ok(cu.name(f->name, sizeof(f->name), device), "cuDeviceGetName");
    uuid_text(f->uuid, (const unsigned char *)&uuid);
    old_memory(&cu, device, f);
    old_memory(&cu, device, f);
    dlclose(library);
    printf("old: %s: %s, %s, %d.%d, %zu of %zu MiB free\n", file, f->name, f->uuid, f->major, f->minor,
           f->left >> 20, f->total >> 20);
}

int main(int argc, char **argv)
{
    static char files[FILES_MAX][PATH_MAX];
    struct found now = { .driver = 0 }, then = { .driver = 0 };
    unsigned count = search(files);

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--all") != 0))
        return 2;
    if (argc == 2 && !count)
        fail("the old search finds no libcuda.so*: is LD_LIBRARY_PATH set?", 0);
    /* Its discovery runs again and again, each time from the start. */
    for (unsigned round = 0; round < 2; round++) {
        probe_old(count ? files[0] : "libcuda.so.1", &then);
        probe_native(&now);
        if (strcmp(now.name, then.name) != 0 || now.major != then.major || now.minor != then.minor ||
            now.total != then.total)
            fail("the two probes tell of different GPUs", 0);
        strcpy(now.uuid, then.uuid);
        probe_engine(&now);
    }
    puts("found");
    return 0;
}
