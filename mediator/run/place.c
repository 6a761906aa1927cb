/* SPDX-License-Identifier: MIT */
/* Finding the parts, see place.h. */
#include "place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mediator/base/util.h"

static const char *const guest_places[] = {
    "../lib/guest", "../lib/vgpu", "../lib64/vgpu", "/usr/lib/vgpu", "/usr/lib64/vgpu",
};

static const char *const mediator_places[] = {
    "vgpu-mediator", "../sbin/vgpu-mediator", "/usr/sbin/vgpu-mediator",
    "/usr/bin/vgpu-mediator",
};

static int own_directory(char *dir, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", dir, cap - 1);
    char *slash;

    if (n <= 0)
        return -ENOENT;
    dir[n] = '\0';
    slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    return 0;
}

/* The first place that has `file` (NULL: that is itself one that we may run). */
static int find(const char *const *places, size_t count, const char *file, char *ret, size_t cap)
{
    char dir[PATH_MAX], place[PATH_MAX + 64], probe[PATH_MAX + 128];

    if (own_directory(dir, sizeof(dir)) < 0)
        return -ENOENT;
    for (size_t i = 0; i < count; i++) {
        snprintf(place, sizeof(place), "%s%s%s", places[i][0] == '/' ? "" : dir,
                 places[i][0] == '/' ? "" : "/", places[i]);
        snprintf(probe, sizeof(probe), "%s%s%s", place, file ? "/" : "", file ? file : "");
        if (access(probe, file ? R_OK : X_OK) == 0 && strlen(place) < cap) {
            strcpy(ret, place);
            return 0;
        }
    }
    return -ENOENT;
}

/* Absolute and without "..", as it goes into the environment of others. */
static int find_real(const char *const *places, size_t count, const char *file, char *ret,
                     size_t cap)
{
    char found[PATH_MAX], real[PATH_MAX];
    int rc = find(places, count, file, found, sizeof(found));

    if (rc < 0)
        return rc;
    if (!realpath(found, real) || strlen(real) >= cap)
        return -ENOENT;
    strcpy(ret, real);
    return 0;
}

int vg_place_guest(char *ret_dir, size_t cap)
{
    return find_real(guest_places, VG_ARRAY_LEN(guest_places), "libcuda.so.1", ret_dir, cap);
}

int vg_place_mediator(char *ret_path, size_t cap)
{
    return find_real(mediator_places, VG_ARRAY_LEN(mediator_places), NULL, ret_path, cap);
}
