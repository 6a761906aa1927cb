/* SPDX-License-Identifier: MIT */
/*
 * Context-local storage: values that CUDA's libraries hang on a context, by key.
 * Read on every runtime API call, so reading takes no lock.
 */
#ifndef VG_SHIM_CLS_H
#define VG_SHIM_CLS_H

#include "vg_cuda.h"

struct vg_cls;
struct vg_ctx;
typedef void vg_cls_dtor(CUcontext ctx, void *key, void *value);

/* Replaces an earlier value of the same key. 0 or -ENOMEM. */
int vg_cls_put(struct vg_ctx *ctx, void *key, void *value, vg_cls_dtor *dtor);
/* Does not call the destructor. 0 or -ENOENT. */
int vg_cls_delete(struct vg_ctx *ctx, void *key);
/* 0 or -ENOENT. */
int vg_cls_get(struct vg_ctx *ctx, void *key, void **ret_value);
/* The context ends: calls all destructors and forgets all values. */
void vg_cls_end(struct vg_ctx *ctx);

#endif
