/* SPDX-License-Identifier: MIT */
/*
 * Which driver library the next executor loads. Looked up for every start, so a
 * driver that is installed later is found without a restart. The daemon itself
 * never loads either.
 */
#ifndef VG_BACKEND_H
#define VG_BACKEND_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* What a driver and its user may need of our environment; nothing that changes which code is loaded. */
extern const char *const vg_backend_env[];

/*
 * GPUs are counted by PCI address, as nvidia-smi and NVML count them, unless the daemon's own
 * environment says otherwise. For vg_proc_env's extra; NULL: it does.
 */
char *vg_backend_order(void);

/*
 * What drivers make of large images they put into memory of malloc's, where one page costs as
 * much as to fill it: C libraries from 2.35 on can take large pages. As above.
 */
char *vg_backend_pages(void);

struct vg_backend {
    bool software;
    char library[PATH_MAX];     /* what the executor passes to dlopen */
};

/* 0, or -ENOENT with what was searched in `why`. */
int vg_backend_find(const struct vg_config *c, struct vg_backend *ret_backend, char *why,
                    size_t why_cap);

/* "cuda" or "soft". */
const char *vg_backend_name(const struct vg_backend *b);

/* Where the host's NVML lies: as configured, beside the driver, or where the loader looks. */
void vg_backend_nvml(const struct vg_config *c, const struct vg_backend *b, char *ret_path,
                     size_t cap);

/* The program vgpu-telemetry: as configured, beside the daemon, or in libexec. 0 or -errno. */
int vg_backend_telemetry(const struct vg_config *c, char *ret_path, size_t cap);

/* The program vgpu-xenstore, found likewise. */
int vg_backend_watcher(const struct vg_config *c, char *ret_path, size_t cap);

/* The executor program: as configured, beside the daemon, or in libexec. 0 or -ENOENT. */
int vg_backend_executor(const struct vg_config *c, char *ret_path, size_t cap);

/* Tells one build of a program from another that takes its place at the same path. */
uint64_t vg_backend_id(const char *path);

/* The program vgpu-keeper: beside the daemon, or in libexec. 0 or -ENOENT. */
int vg_backend_keeper(char *ret_path, size_t cap);

#endif
