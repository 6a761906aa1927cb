/* SPDX-License-Identifier: MIT */
/*
 * Modules: one note per CUmodule that the application loaded, and per context in which
 * a library's kernels or variables were used. Owns the notes about functions and
 * variables in it. Lists are guarded by vg_modules_lock, which is not held across calls.
 */
#ifndef VG_SHIM_MODULE_H
#define VG_SHIM_MODULE_H

#include "guest-shim/call.h"
#include "guest-shim/function.h"
#include "guest-shim/image.h"
#include "guest-shim/lock.h"

struct vg_global {
    struct vg_global *next;
    CUdeviceptr addr;
    size_t size;
    char name[];
};

struct vg_module {
    uint64_t handle;                /* the host's; 0: a library's module not asked for yet */
    struct vg_ctx *ctx;
    struct vg_library *library;     /* NULL: loaded by cuModuleLoad* */
    struct vg_func *funcs;
    struct vg_global *globals;
    struct vg_module *next;         /* of all */
};

extern struct vg_lock vg_modules_lock;

/* The module of a library in the current context; made at the first question. */
struct vg_module *vg_module_of_library(struct vg_library *library);
/* Forgets the modules of a library: it is about to go. */
void vg_modules_drop(struct vg_library *library);

/* A module's handle, which a library's has to be asked for. */
CUresult vg_module_handle(struct vg_module *m, uint64_t *ret_handle);

/* Where a variable is: the known place, or the answer to call `id` about the owner `host`. */
CUresult vg_module_global(struct vg_module *m, uint32_t id, uint64_t host, const char *name,
                          CUdeviceptr *ret_addr, size_t *ret_size);

/* The question alone: val 0 and 1 of the answer. */
CUresult vg_module_ask_global(uint32_t id, uint64_t host, const char *name,
                              struct vg_reply *ret_reply);

/*
 * Chooses from an image for the current context's device, or the first one. size: of the image,
 * or SIZE_MAX where only its headers tell. On failure `why` is what vg_module_blame is to say
 * at level 1, or empty.
 */
#define VG_WHY_MAX 256u
CUresult vg_module_choose(const void *image, size_t size, struct vg_image *ret_image,
                          char why[VG_WHY_MAX]);
/* The same among PTX and what is not compressed, from an image whose headers tell its length. */
CUresult vg_module_choose_plain(const void *image, struct vg_image *ret_image);
void vg_module_blame(const char *why);

/* The bytes of a file with a NUL behind them, to be freed. CUDA's errors. */
CUresult vg_module_read_file(const char *name, char **ret_bytes, size_t *ret_size);

#endif
