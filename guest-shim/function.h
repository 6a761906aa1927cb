/* SPDX-License-Identifier: MIT */
/*
 * Functions and kernels: what we know about each, so that a launch can be packed and
 * checked and most questions answered without asking the host. The application holds
 * the host's handles; a note is found by the handle.
 *
 * A note belongs to the module or library it came from (its owner) and goes with it.
 * Any thread; what changes after creation is changed by atomic stores or under a lock.
 */
#ifndef VG_SHIM_FUNCTION_H
#define VG_SHIM_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-shim/handle_map.h"
#include "guest-shim/state.h"
#include "vg_cuda.h"
#include "vg_wire.h"

struct vg_module;
struct vg_library;
struct vg_occupancy;
struct vg_legacy;

struct vg_param { uint16_t offset, size; };

/*
 * Cached answers are stamped with the version of the kernel's attributes that they
 * were given for, in the high half; a stamp of 0 in the low half is no answer.
 *
 * Limits that a launch must respect; asked for at the first launch.
 */
struct vg_launch_limits {
    uint32_t stamp;                 /* low half 1; stored with release */
    uint32_t max_threads;           /* per block */
    uint32_t max_dynamic;           /* bytes of dynamic shared memory */
};

#define VG_ACCEPTED_SETS 4u          /* sets of launch attributes that are remembered */

/*
 * What was last set, so that setting the same again need not cross. A kernel and its
 * functions influence each other: only what the last of them to set has set is certain.
 */
#define VG_FUNC_SETTINGS (VG_FUNC_ATTRS + 2u)   /* attributes, cache and shared memory preferences */
struct vg_func_set {
    const struct vg_func *last;     /* of a kernel with its functions, or of a function alone */
    uint32_t known;                 /* bit per setting */
    int32_t value[VG_FUNC_SETTINGS];
};

struct vg_func {
    uint64_t handle;
    enum vg_image_kind kind;        /* MODULE: a CUfunction, LIBRARY: a CUkernel */
    struct vg_module *module;       /* owner of a function, else NULL */
    struct vg_library *library;     /* owner of a kernel, else NULL */
    struct vg_func *of_kernel;      /* function: the kernel it stands for in its module's context */
    struct vg_func *next;           /* of the owner */
    const char *name;               /* behind the parameters, or `asked`, or NULL: not known yet */
    char *asked;                    /* name of one that came from an enumeration */
    uint32_t param_bytes;
    uint32_t param_count;           /* VG_PARAMS_UNKNOWN: the host cannot tell */
    struct vg_launch_limits limits;
    uint64_t accepted[VG_ACCEPTED_SETS];    /* attributes of launches that the host has accepted */
    uint32_t version;               /* counts cu*SetAttribute; of a kernel's function: unused */
    uint32_t attrs_stamp;           /* low half: bit per CUfunction_attribute; stored with release */
    int32_t attr[VG_FUNC_ATTRS];
    struct vg_func_set set;         /* attribute.c's, under its lock */
    struct vg_legacy *legacy;       /* legacy.c's, or NULL */
    struct vg_occupancy *occupancy; /* occupancy.c's cache */
    struct vg_param param[];
};

extern struct vg_handle_map vg_funcs;

/* The note of a CUfunction or CUkernel, NULL if it is neither. */
static inline struct vg_func *vg_func_find(CUfunction f)
{
    return vg_handle_map_find(&vg_funcs, (uintptr_t)f);
}

static inline struct vg_func *vg_kernel_find(CUkernel k)
{
    struct vg_func *f = vg_handle_map_find(&vg_funcs, (uintptr_t)k);

    return f && f->kind == VG_IMAGE_LIBRARY ? f : NULL;
}

/*
 * The function `name` of a module, or the kernel of a library: the known one, or what
 * the host answers. `host` is the host's handle of the owner, `list` the owner's
 * functions. CUDA_ERROR_NOT_FOUND if there is none.
 */
struct vg_func_owner {
    struct vg_module *module;       /* exactly one of the two */
    struct vg_library *library;
    uint64_t host;
    struct vg_func **list;
};
CUresult vg_func_get(const struct vg_func_owner *o, const char *name, struct vg_func **ret_func);

/* The note of a handle that the host gave by other ways (enumeration, cuKernelGetFunction). */
CUresult vg_func_adopt(const struct vg_func_owner *o, uint64_t handle, const char *name,
                       struct vg_func **ret_func);

/* The function in m's context that stands for a kernel: `handle` is what the host calls it. */
CUresult vg_func_of_kernel(struct vg_func *kernel, struct vg_module *m, uint64_t handle,
                           struct vg_func **ret_func);

/*
 * The handles that an enumeration call `id` (words 1, count, o->host) gives, with a note
 * about each. count: at most VG_FUNCTIONS_MAX; those beyond what there is stay 0.
 */
#define VG_FUNCTIONS_MAX (1u << 16)
CUresult vg_func_enumerate(const struct vg_func_owner *o, uint32_t id, unsigned count,
                           uint64_t *ret_handles);

/* Forgets a list and leaves it empty: the owner is gone, or about to go. */
void vg_func_forget_all(struct vg_func **list);

/* Attributes, from the cache after the first question. Kernels: of the current or first device. */
CUresult vg_func_attribute(struct vg_func *f, CUfunction_attribute attr, CUdevice dev, int *ret);
/* After a change: what is cached about the kernel and all its functions no longer counts. */
void vg_func_attributes_changed(struct vg_func *f);

/*
 * Sets what `call` sets, unless that is known to be so. `setting`: a CUfunction_attribute,
 * VG_SET_CACHE or VG_SET_SHARED.
 */
#define VG_SET_CACHE  VG_FUNC_ATTRS
#define VG_SET_SHARED (VG_FUNC_ATTRS + 1u)
CUresult vg_func_set(struct vg_func *f, unsigned setting, int value,
                     CUresult (*call)(struct vg_func *f, unsigned setting, int value));

/* The function of a handle, which must not be a kernel's; and whether there is a context. */
CUresult vg_func_enter(CUfunction hfunc, struct vg_func **ret_func);

/* The version that answers must be stamped with now, in the high half. */
static inline uint32_t vg_func_stamp(const struct vg_func *f)
{
    const struct vg_func *v = f->of_kernel ? f->of_kernel : f;

    return vg_load_relaxed(&v->version) << 16;
}

/* Fills f->limits. Only from vg_func_limits. */
CUresult vg_func_learn_limits(struct vg_func *f);
static inline CUresult vg_func_limits(struct vg_func *f)
{
    bool fresh = vg_load_acquire(&f->limits.stamp) == (vg_func_stamp(f) | 1);

    return VG_LIKELY(fresh) ? CUDA_SUCCESS : vg_func_learn_limits(f);
}

CUresult vg_func_name(struct vg_func *f, const char **ret_name);
CUresult vg_func_param(const struct vg_func *f, size_t index, size_t *ret_offset, size_t *ret_size);

/* The device whose kernels' attributes are meant: the current context's, else 0. */
CUdevice vg_func_device(void);

#endif
