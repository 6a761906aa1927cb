/* SPDX-License-Identifier: MIT */
/*
 * Texture and surface objects, as kernels and contexts see them.
 */
#ifndef VG_SOFTGPU_TEXTURE_H
#define VG_SOFTGPU_TEXTURE_H

#include "api.h"
#include "ptx/texture.h"

struct vg_ctx;

/* The object that a kernel of ctx means by handle, or NULL. */
const struct ptx_texture *vg_texture_find(void *ctx, uint64_t handle, bool surface);

/* Ends all of a context that has stopped. */
void vg_texture_end_ctx(struct vg_ctx *ctx);

#endif
