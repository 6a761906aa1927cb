/* SPDX-License-Identifier: MIT */
/*
 * vgpu-guest-probe: what the two libraries say, found as programs find them, by the
 * loader, and whether a kernel computes right. With --load COUNT: only so many launches, for
 * who wants to see a limit act. A line each, "KEY VALUE"; on trouble "KEY-error TEXT" and
 * exit status 1.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"

#define UUID_TEXT 41    /* "GPU-" and 36 characters */

static int failures;

void vg_probe_complain(const char *key, const char *what, int code)
{
    printf("%s-error %s", key, what);
    if (code)
        printf(" (%d)", code);
    putchar('\n');
    failures++;
}

void *vg_probe_find(void *library, const char *key, const char *name)
{
    void *function = library ? dlsym(library, name) : NULL;

    if (library && !function)
        vg_probe_complain(key, name, 0);
    return function;
}

static void *open_library(const char *key, const char *name)
{
    void *library = dlopen(name, RTLD_NOW);

    if (!library)
        vg_probe_complain(key, dlerror(), 0);
    return library;
}

/* Calls through void *: POSIX lets dlsym's result be called, ISO C does not say how. */
#define CALL(function, type, ...) \
    (((union { void *p; __typeof__(type) f; }){ .p = (function) }).f(__VA_ARGS__))

static void print_uuid(const unsigned char *b, char *text)
{
    snprintf(text, UUID_TEXT, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x"
             "%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
             b[12], b[13], b[14], b[15]);
}

static int ask_device(void *lib, char *uuid)
{
    unsigned char bytes[16] = { 0 };
    void *name_of = vg_probe_find(lib, "cuda", "cuDeviceGetName");
    void *uuid_of = vg_probe_find(lib, "cuda", "cuDeviceGetUuid");
    void *memory_of = vg_probe_find(lib, "cuda", "cuDeviceTotalMem_v2");
    char name[128] = "";
    size_t memory = 0;
    int rc;

    if (!name_of || !uuid_of || !memory_of)
        return -1;
    rc = CALL(name_of, int (*)(char *, int, int), name, (int)sizeof(name), 0);
    rc = rc ? rc : CALL(uuid_of, int (*)(void *, int), bytes, 0);
    rc = rc ? rc : CALL(memory_of, int (*)(size_t *, int), &memory, 0);
    if (rc) {
        vg_probe_complain("cuda", "the device's attributes", rc);
        return -1;
    }
    print_uuid(bytes, uuid);
    printf("cuda-name %s\ncuda-memory-mib %zu\ncuda-uuid %s\n", name, memory >> 20, uuid);
    return 0;
}

/* The library, if it has a device. */
static void *open_cuda(void)
{
    void *lib = open_library("cuda", "libcuda.so.1");
    void *init = vg_probe_find(lib, "cuda", "cuInit");
    void *count_of = vg_probe_find(lib, "cuda", "cuDeviceGetCount");
    int count = 0, rc;

    if (!init || !count_of)
        return NULL;
    rc = CALL(init, int (*)(unsigned), 0);
    if (rc) {
        vg_probe_complain("cuda", "cuInit", rc);
        return NULL;
    }
    rc = CALL(count_of, int (*)(int *), &count);
    if (rc == 0 && count > 0)
        return lib;
    vg_probe_complain("cuda", "no device", rc);
    return NULL;
}

static void ask_cuda(char *uuid)
{
    void *lib = open_cuda();

    if (lib && ask_device(lib, uuid) == 0)
        vg_probe_kernel(lib);
}

static void load(const char *count)
{
    void *lib = open_cuda();

    if (lib)
        vg_probe_load(lib, (unsigned)strtoul(count, NULL, 10));
}

static void ask_nvml(char *uuid)
{
    void *lib = open_library("nvml", "libnvidia-ml.so.1"), *device = NULL;
    void *init = vg_probe_find(lib, "nvml", "nvmlInit_v2");
    void *handle = vg_probe_find(lib, "nvml", "nvmlDeviceGetHandleByIndex_v2");
    void *uuid_of = vg_probe_find(lib, "nvml", "nvmlDeviceGetUUID");
    int rc;

    if (!init || !handle || !uuid_of)
        return;
    rc = CALL(init, int (*)(void));
    rc = rc ? rc : CALL(handle, int (*)(unsigned, void **), 0, &device);
    rc = rc ? rc : CALL(uuid_of, int (*)(void *, char *, unsigned), device, uuid, UUID_TEXT);
    if (rc)
        vg_probe_complain("nvml", "no device", rc);
    else
        printf("nvml-uuid %s\n", uuid);
}

static void ask_both(void)
{
    char cuda[UUID_TEXT] = "", nvml[UUID_TEXT] = "";

    ask_cuda(cuda);
    ask_nvml(nvml);
    if (cuda[0] && nvml[0] && strcmp(cuda, nvml) != 0)
        vg_probe_complain("uuid", "the libraries name different devices", 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--load") == 0) {
        load(argv[2]);
    } else if (argc == 1) {
        ask_both();
    } else {
        fputs("usage: vgpu-guest-probe [--load COUNT]\n", stderr);
        return 2;
    }
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
