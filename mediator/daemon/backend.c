/* SPDX-License-Identifier: MIT */
/* Finding driver library and executor, see backend.h. Only looks at the file system. */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mediator/base/util.h"

/* Absolute paths first: what LD_LIBRARY_PATH names may be the guest's libcuda.so.1. */
static const char *const cuda_places[] = {
    "/usr/lib64/libcuda.so.1",
    "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/libcuda.so.1",
    "/usr/local/nvidia/lib64/libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
};

/* Relative to the directory of the running program: a build tree, then an installation. */
static const char *const soft_places[] = {
    "../lib/libvgpu-softcuda.so",
    "../lib/vgpu/libvgpu-softcuda.so",
    "../lib64/vgpu/libvgpu-softcuda.so",
    "../../lib/vgpu/libvgpu-softcuda.so",
    "../../lib64/vgpu/libvgpu-softcuda.so",
};

static const char *const executor_places[] = {
    "vgpu-executor",
    "../libexec/vgpu/vgpu-executor",
    "../lib/vgpu/vgpu-executor",
};

static const char *const telemetry_places[] = {
    "vgpu-telemetry",
    "../libexec/vgpu/vgpu-telemetry",
    "../lib/vgpu/vgpu-telemetry",
};

static const char *const keeper_places[] = {
    "vgpu-keeper",
    "../libexec/vgpu/vgpu-keeper",
    "../lib/vgpu/vgpu-keeper",
};

static const char *const watcher_places[] = {
    "vgpu-xenstore",
    "../libexec/vgpu/vgpu-xenstore",
    "../lib/vgpu/vgpu-xenstore",
};

const char *const vg_backend_env[] = {
    "PATH", "HOME", "LANG", "TZ", "CUDA_*", "NVIDIA_*", "VG_*", "VGPU_*", "ASAN_OPTIONS",
    "UBSAN_OPTIONS", "TSAN_OPTIONS", "GLIBC_TUNABLES", NULL,
};

char *vg_backend_order(void)
{
    return getenv("CUDA_DEVICE_ORDER") ? NULL : (char *)"CUDA_DEVICE_ORDER=PCI_BUS_ID";
}

char *vg_backend_pages(void)
{
    return getenv("GLIBC_TUNABLES") ? NULL : (char *)"GLIBC_TUNABLES=glibc.malloc.hugetlb=1";
}

static bool own_directory(char *dir, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", dir, cap - 1);
    char *slash;

    if (n <= 0)
        return false;
    dir[n] = '\0';
    slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

static int find_near(const char *const *places, size_t count, int mode, char *ret_path, size_t cap)
{
    char dir[PATH_MAX], path[PATH_MAX * 2];

    if (!own_directory(dir, sizeof(dir)))
        return -ENOENT;
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, places[i]);
        if (access(path, mode) == 0 && strlen(path) < cap) {
            strcpy(ret_path, path);
            return 0;
        }
    }
    return -ENOENT;
}

static void find_cuda(const struct vg_config *c, struct vg_backend *b)
{
    b->software = false;
    strcpy(b->library, c->cuda_library[0] ? c->cuda_library : "libcuda.so.1");
    for (unsigned i = 0; !c->cuda_library[0] && i < VG_ARRAY_LEN(cuda_places); i++) {
        if (access(cuda_places[i], R_OK) == 0) {
            strcpy(b->library, cuda_places[i]);
            return;
        }
    }
}

static int find_soft(const struct vg_config *c, struct vg_backend *b, char *why, size_t cap)
{
    int rc = 0;

    b->software = true;
    if (c->soft_library[0])
        strcpy(b->library, c->soft_library);
    else
        rc = find_near(soft_places, VG_ARRAY_LEN(soft_places), R_OK, b->library,
                       sizeof(b->library));
    if (rc < 0)
        snprintf(why, cap, "libvgpu-softcuda.so is not in ../lib of the program; "
                           "set soft_library");
    return rc;
}

/* The kernel driver is loaded, or somebody made its device nodes for this container. */
static bool has_nvidia_driver(void)
{
    return access("/proc/driver/nvidia/version", F_OK) == 0 ||
           access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
}

int vg_backend_find(const struct vg_config *c, struct vg_backend *ret_backend, char *why,
                    size_t why_cap)
{
    bool soft = c->backend == VG_BACKEND_SOFT ||
                (c->backend == VG_BACKEND_AUTO && !has_nvidia_driver());

    if (soft)
        return find_soft(c, ret_backend, why, why_cap);
    find_cuda(c, ret_backend);
    return 0;
}

const char *vg_backend_name(const struct vg_backend *b)
{
    return b->software ? "soft" : "cuda";
}

int vg_backend_executor(const struct vg_config *c, char *ret_path, size_t cap)
{
    if (c->executor[0]) {
        snprintf(ret_path, cap, "%s", c->executor);
        return access(ret_path, X_OK) < 0 ? -errno : 0;
    }
    return find_near(executor_places, VG_ARRAY_LEN(executor_places), X_OK, ret_path, cap);
}

uint64_t vg_backend_id(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return 0;
    return (uint64_t)st.st_ino ^ (uint64_t)st.st_mtim.tv_sec << 32 ^ (uint64_t)st.st_mtim.tv_nsec;
}

int vg_backend_telemetry(const struct vg_config *c, char *ret_path, size_t cap)
{
    if (c->telemetry[0]) {
        snprintf(ret_path, cap, "%s", c->telemetry);
        return access(ret_path, X_OK) < 0 ? -errno : 0;
    }
    return find_near(telemetry_places, VG_ARRAY_LEN(telemetry_places), X_OK, ret_path, cap);
}

int vg_backend_keeper(char *ret_path, size_t cap)
{
    return find_near(keeper_places, VG_ARRAY_LEN(keeper_places), X_OK, ret_path, cap);
}

int vg_backend_watcher(const struct vg_config *c, char *ret_path, size_t cap)
{
    if (c->watcher[0]) {
        snprintf(ret_path, cap, "%s", c->watcher);
        return access(ret_path, X_OK) < 0 ? -errno : 0;
    }
    return find_near(watcher_places, VG_ARRAY_LEN(watcher_places), X_OK, ret_path, cap);
}

void vg_backend_nvml(const struct vg_config *c, const struct vg_backend *b, char *ret_path,
                     size_t cap)
{
    const char *name = "libnvidia-ml.so.1", *slash = strrchr(b->library, '/');
    char path[PATH_MAX + 32];

    snprintf(ret_path, cap, "%s", c->nvml_library[0] ? c->nvml_library : name);
    if (c->nvml_library[0] || !slash)
        return;
    snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - b->library), b->library, name);
    if (access(path, R_OK) == 0 && strlen(path) < cap)
        strcpy(ret_path, path);
}
