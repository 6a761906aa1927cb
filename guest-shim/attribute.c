/* SPDX-License-Identifier: MIT */
/*
 * Settings of functions and kernels. Libraries set the same before every launch, so what
 * is set already does not cross. Any thread; see struct vg_func_set.
 */
#include "guest-shim/call.h"
#include "guest-shim/function.h"
#include "guest-shim/fwd.h"
#include "vg_api.h"

/* Held across the call: the note must tell what the host did last. Nothing else takes it. */
static struct vg_lock set_lock;

static bool is_set(struct vg_func *f, unsigned setting, int value)
{
    const struct vg_func *root = f->of_kernel ? f->of_kernel : f;

    return root->set.last == f && f->set.known >> setting & 1u && f->set.value[setting] == value;
}

static void note(struct vg_func *f, unsigned setting, int value, bool ok)
{
    struct vg_func *root = f->of_kernel ? f->of_kernel : f;

    if (root->set.last != f)
        f->set.known = 0;
    root->set.last = f;
    f->set.value[setting] = value;
    f->set.known &= ~(1u << setting);
    f->set.known |= (uint32_t)ok << setting;
}

CUresult vg_func_set(struct vg_func *f, unsigned setting, int value,
                     CUresult (*call)(struct vg_func *f, unsigned setting, int value))
{
    CUresult r = CUDA_SUCCESS;

    if (setting >= VG_FUNC_SETTINGS)
        return CUDA_ERROR_INVALID_VALUE;
    vg_lock(&set_lock);
    if (!is_set(f, setting, value)) {
        r = call(f, setting, value);
        note(f, setting, value, r == CUDA_SUCCESS);
        vg_func_attributes_changed(f);
    }
    vg_unlock(&set_lock);
    return r;
}

/* ---- functions ------------------------------------------------------------------- */

static CUresult set_attribute(struct vg_func *f, unsigned setting, int value)
{
    return vg_call_reply(VG_CALL_cuFuncSetAttribute, VG_WORDS(f->handle, setting, (uint32_t)value),
                         NULL);
}

CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)
{
    struct vg_func *f;
    CUresult r = vg_func_enter(hfunc, &f);

    if (r)
        return r;
    if ((unsigned)attrib >= VG_FUNC_ATTRS)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_func_set(f, attrib, value, set_attribute);
}

static CUresult set_preference(struct vg_func *f, unsigned setting, int value)
{
    uint32_t id = setting == VG_SET_CACHE ? VG_CALL_cuFuncSetCacheConfig
                                          : VG_CALL_cuFuncSetSharedMemConfig;

    return vg_call_reply(id, VG_WORDS(f->handle, (uint32_t)value), NULL);
}

CUresult cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config)
{
    struct vg_func *f;
    CUresult r = vg_func_enter(hfunc, &f);

    return r ? r : vg_func_set(f, VG_SET_CACHE, (int)config, set_preference);
}

CUresult cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config)
{
    struct vg_func *f;
    CUresult r = vg_func_enter(hfunc, &f);

    return r ? r : vg_func_set(f, VG_SET_SHARED, (int)config, set_preference);
}

/* ---- kernels: per device, so what is set is known where there is one -------------------- */

static CUresult enter_kernel(CUkernel kernel, CUdevice dev, struct vg_func **ret_kernel)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    *ret_kernel = vg_kernel_find(kernel);
    if (!*ret_kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    return vg_device(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult set_of_kernel(struct vg_func *k, unsigned setting, int value, CUdevice dev)
{
    if (setting == VG_SET_CACHE)
        return vg_call_reply(VG_CALL_cuKernelSetCacheConfig,
                             VG_WORDS(k->handle, (uint32_t)value, (uint64_t)dev), NULL);
    return vg_call_reply(VG_CALL_cuKernelSetAttribute,
                         VG_WORDS(setting, (uint32_t)value, k->handle, (uint64_t)dev), NULL);
}

static CUresult set_of_only_device(struct vg_func *k, unsigned setting, int value)
{
    return set_of_kernel(k, setting, value, 0);
}

static CUresult set_kernel(struct vg_func *k, unsigned setting, int value, CUdevice dev)
{
    if (vg_process.snapshot->device_count == 1)
        return vg_func_set(k, setting, value, set_of_only_device);
    CUresult r = set_of_kernel(k, setting, value, dev);
    vg_func_attributes_changed(k);
    return r;
}

CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev)
{
    struct vg_func *k;
    CUresult r = enter_kernel(kernel, dev, &k);

    if (r)
        return r;
    if ((unsigned)attrib >= VG_FUNC_ATTRS)
        return CUDA_ERROR_INVALID_VALUE;
    return set_kernel(k, attrib, val, dev);
}

CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice dev)
{
    struct vg_func *k;
    CUresult r = enter_kernel(kernel, dev, &k);

    return r ? r : set_kernel(k, VG_SET_CACHE, (int)config, dev);
}
