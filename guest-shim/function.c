/* SPDX-License-Identifier: MIT */
/* Notes about functions and kernels; see function.h. */
#include "guest-shim/function.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/module.h"
#include "guest-shim/occupancy.h"
#include "vg_api.h"

struct vg_handle_map vg_funcs;

/* ---- making a note ----------------------------------------------------------- */

static struct vg_func *func_new(uint64_t handle, const char *name, const struct vg_function_info *info)
{
    unsigned params = info->param_count == VG_PARAMS_UNKNOWN ? 0 : info->param_count;
    size_t name_bytes = name ? strlen(name) + 1 : 0;
    struct vg_func *f = calloc(1, sizeof(*f) + params * sizeof(f->param[0]) + name_bytes);

    if (!f)
        return NULL;
    f->handle = handle;
    f->param_bytes = info->param_bytes;
    f->param_count = info->param_count;
    if (name)
        f->name = memcpy((char *)&f->param[params], name, name_bytes);
    return f;
}

static void func_free(struct vg_func *f)
{
    vg_occupancy_forget(f);
    free(f->asked);
    free(f->legacy);
    free(f);
}

/* Parameters that did not fit the answer. */
static CUresult learn_more_params(struct vg_func *f, unsigned from)
{
    uint32_t id = f->kind == VG_IMAGE_LIBRARY ? VG_CALL_cuKernelGetParamInfo
                                              : VG_CALL_cuFuncGetParamInfo;

    for (unsigned i = from; i < f->param_count; i++) {
        struct vg_reply reply;
        CUresult r = vg_call_reply(id, VG_WORDS(f->handle, i, 1, 1), &reply);
        if (r)
            return r;
        f->param[i].offset = (uint16_t)reply.val[0];
        f->param[i].size = (uint16_t)reply.val[1];
    }
    return CUDA_SUCCESS;
}

static bool params_ok(const struct vg_func *f)
{
    if (f->param_count == VG_PARAMS_UNKNOWN)
        return true;
    for (unsigned i = 0; i < f->param_count; i++)
        if ((unsigned)f->param[i].offset + f->param[i].size > f->param_bytes)
            return false;
    return f->param_bytes <= VG_PARAMS_MAX;
}

/* From the answer of FUNCTION_GET or FUNCTION_INFO. */
static CUresult func_from_reply(const struct vg_func_owner *o, uint64_t handle, const char *name,
                                enum vg_image_kind kind, const struct vg_reply *reply,
                                struct vg_func **ret_func)
{
    struct vg_function_info info;

    if (reply->len < sizeof(info) || handle == 0)
        return CUDA_ERROR_UNKNOWN;
    memcpy(&info, reply->data, sizeof(info));
    if (info.param_count != VG_PARAMS_UNKNOWN && info.param_count > VG_PARAMS_MAX)
        return CUDA_ERROR_UNKNOWN;
    struct vg_func *f = func_new(handle, name, &info);
    if (!f)
        return CUDA_ERROR_OUT_OF_MEMORY;
    f->kind = kind;
    f->module = o->module;
    f->library = o->library;
    unsigned here = f->param_count == VG_PARAMS_UNKNOWN ? 0 : f->param_count;
    unsigned sent = (unsigned)((reply->len - sizeof(info)) / sizeof(f->param[0]));
    memcpy(f->param, reply->data + sizeof(info), (here < sent ? here : sent) * sizeof(f->param[0]));
    CUresult r = here > sent ? learn_more_params(f, sent) : CUDA_SUCCESS;
    if (!r && !params_ok(f))
        r = CUDA_ERROR_UNKNOWN;
    if (r) {
        func_free(f);
        return r;
    }
    *ret_func = f;
    return CUDA_SUCCESS;
}

/* The name of one that an enumeration brought without. Under vg_modules_lock. */
static void set_name(struct vg_func *f, const char *name)
{
    if (f->name || !name)
        return;
    f->asked = strdup(name);
    vg_store_release(&f->name, f->asked);
}

/* Another thread may have been faster: then its note stays and this one goes. */
static CUresult keep(const struct vg_func_owner *o, struct vg_func *f, struct vg_func **ret_func)
{
    CUresult r = CUDA_SUCCESS;

    vg_lock(&vg_modules_lock);
    struct vg_func *known = vg_handle_map_find(&vg_funcs, f->handle);
    if (known && known->module == f->module && known->library == f->library) {
        set_name(known, f->name);
        func_free(f);
        f = known;
    } else if (vg_handle_map_put(&vg_funcs, f->handle, f)) {
        f->next = *o->list;
        *o->list = f;
    } else {
        func_free(f);
        r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    vg_unlock(&vg_modules_lock);
    if (!r)
        *ret_func = f;
    return r;
}

/* ---- finding ------------------------------------------------------------------ */

static struct vg_func *find_name(struct vg_func *list, const char *name)
{
    while (list && !(list->name && strcmp(list->name, name) == 0))
        list = list->next;
    return list;
}

static CUresult ask(const struct vg_func_owner *o, const char *name, struct vg_reply *ret_reply)
{
    size_t bytes = strlen(name) + 1;
    struct vg_tx tx;

    if (bytes > VG_NAME_MAX)
        return CUDA_ERROR_NOT_FOUND;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_FUNCTION_GET, bytes);
    if (r)
        return r;
    tx.call->arg[0] = o->library ? VG_IMAGE_LIBRARY : VG_IMAGE_MODULE;
    tx.call->arg[1] = o->host;
    memcpy(tx.payload, name, bytes);
    return vg_finish(&tx, ret_reply);
}

CUresult vg_func_get(const struct vg_func_owner *o, const char *name, struct vg_func **ret_func)
{
    struct vg_reply reply;

    vg_lock(&vg_modules_lock);
    struct vg_func *f = find_name(*o->list, name);
    vg_unlock(&vg_modules_lock);
    if (f) {
        *ret_func = f;
        return CUDA_SUCCESS;
    }
    CUresult r = ask(o, name, &reply);
    if (!r)
        r = func_from_reply(o, reply.val[0], name, o->library ? VG_IMAGE_LIBRARY : VG_IMAGE_MODULE,
                            &reply, &f);
    return r ? r : keep(o, f, ret_func);
}

CUresult vg_func_adopt(const struct vg_func_owner *o, uint64_t handle, const char *name,
                       struct vg_func **ret_func)
{
    enum vg_image_kind kind = o->library ? VG_IMAGE_LIBRARY : VG_IMAGE_MODULE;
    struct vg_func *f = vg_handle_map_find(&vg_funcs, handle);
    struct vg_reply reply;

    if (f && f->module == o->module && f->library == o->library) {
        *ret_func = f;
        return CUDA_SUCCESS;
    }
    CUresult r = vg_call_reply(VG_CALL_FUNCTION_INFO, VG_WORDS(handle, kind), &reply);
    if (!r)
        r = func_from_reply(o, handle, name, kind, &reply, &f);
    return r ? r : keep(o, f, ret_func);
}

CUresult vg_func_of_kernel(struct vg_func *kernel, struct vg_module *m, uint64_t handle,
                           struct vg_func **ret_func)
{
    const struct vg_func_owner o = {.module = m, .list = &m->funcs};
    size_t params = kernel->param_count == VG_PARAMS_UNKNOWN ? 0 : kernel->param_count;
    const struct vg_function_info info = {kernel->param_bytes, kernel->param_count};
    struct vg_func *f = handle ? func_new(handle, kernel->name, &info) : NULL;

    if (!f)
        return handle ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_UNKNOWN;
    f->kind = VG_IMAGE_MODULE;
    f->module = m;
    f->of_kernel = kernel;
    memcpy(f->param, kernel->param, params * sizeof(f->param[0]));
    return keep(&o, f, ret_func);
}

static CUresult list_handles(uint64_t host, uint32_t id, unsigned count, uint64_t *ret_handles)
{
    size_t bytes = (size_t)count * sizeof(*ret_handles), room;
    uint8_t *window = vg_window_get(bytes, bytes, &room);
    struct vg_reply reply;
    struct vg_tx tx;

    if (!window)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = vg_begin_quiet(&tx, id, 0);
    if (!r) {
        tx.call->flags |= VG_F_BULK;
        tx.call->arg[0] = 1;
        tx.call->arg[1] = count;
        tx.call->arg[2] = host;
        tx.call->arg[6] = vg_window_off(window);
        tx.call->arg[7] = room;
        r = vg_finish(&tx, &reply);
    }
    if (!r)
        memcpy(ret_handles, window, reply.len < bytes ? reply.len : bytes);
    vg_window_put(window, room);
    return r;
}

CUresult vg_func_enumerate(const struct vg_func_owner *o, uint32_t id, unsigned count,
                           uint64_t *ret_handles)
{
    CUresult r = list_handles(o->host, id, count, ret_handles);

    for (unsigned i = 0; i < count && !r; i++) {
        struct vg_func *f;
        if (ret_handles[i])
            r = vg_func_adopt(o, ret_handles[i], NULL, &f);
    }
    return r;
}

void vg_func_forget_all(struct vg_func **list)
{
    while (*list) {
        struct vg_func *f = *list;
        *list = f->next;
        if (vg_handle_map_find(&vg_funcs, f->handle) == f)
            vg_handle_map_take(&vg_funcs, f->handle);
        func_free(f);
    }
}

/* ---- attributes ---------------------------------------------------------------- */

CUdevice vg_func_device(void)
{
    struct vg_ctx *ctx = vg_ctx_current();

    return ctx ? ctx->dev : 0;
}

static CUresult learn_attributes(struct vg_func *f, CUdevice dev, int32_t *attr, uint32_t *ret_known)
{
    struct vg_reply reply;
    CUresult r = vg_call_reply(VG_CALL_FUNCTION_ATTRS,
                               VG_WORDS(f->handle, f->kind, (uint64_t)dev), &reply);

    if (r)
        return r;
    if (reply.len < VG_FUNC_ATTRS * sizeof(*attr))
        return CUDA_ERROR_UNKNOWN;
    memcpy(attr, reply.data, VG_FUNC_ATTRS * sizeof(*attr));
    *ret_known = (uint32_t)reply.val[0] & ((1u << VG_FUNC_ATTRS) - 1);
    return CUDA_SUCCESS;
}

/* A kernel's answers differ from device to device: they are kept where there is only one. */
static bool may_cache(const struct vg_func *f)
{
    return f->kind == VG_IMAGE_MODULE || vg_process.snapshot->device_count == 1;
}

static bool cached_attributes(struct vg_func *f, int32_t *attr, uint32_t *ret_known)
{
    uint32_t stamp = vg_load_acquire(&f->attrs_stamp);

    if (!(stamp & 0xffff) || (stamp & ~0xffffu) != vg_func_stamp(f))
        return false;
    for (unsigned i = 0; i < VG_FUNC_ATTRS; i++)
        attr[i] = vg_load_relaxed(&f->attr[i]);
    *ret_known = stamp & 0xffff;
    return true;
}

static CUresult attributes(struct vg_func *f, CUdevice dev, int32_t *attr, uint32_t *ret_known)
{
    uint32_t stamp = vg_func_stamp(f);

    if (cached_attributes(f, attr, ret_known))
        return CUDA_SUCCESS;
    CUresult r = learn_attributes(f, dev, attr, ret_known);
    if (r || !may_cache(f))
        return r;
    for (unsigned i = 0; i < VG_FUNC_ATTRS; i++)
        vg_store_relaxed(&f->attr[i], attr[i]);
    vg_store_release(&f->attrs_stamp, stamp | *ret_known);
    return CUDA_SUCCESS;
}

CUresult vg_func_attribute(struct vg_func *f, CUfunction_attribute attr, CUdevice dev, int *ret)
{
    int32_t value[VG_FUNC_ATTRS];
    uint32_t known;

    if ((unsigned)attr >= VG_FUNC_ATTRS)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = attributes(f, dev, value, &known);
    if (r)
        return r;
    if (!(known >> attr & 1u))
        return CUDA_ERROR_INVALID_VALUE;
    *ret = value[attr];
    return CUDA_SUCCESS;
}

void vg_func_attributes_changed(struct vg_func *f)
{
    vg_fetch_add(f->of_kernel ? &f->of_kernel->version : &f->version, 1);
}

static uint32_t known_or(uint32_t known, const int32_t *value, CUfunction_attribute attr,
                         uint32_t fallback)
{
    return known >> attr & 1u ? (uint32_t)value[attr] : fallback;
}

/* What the host cannot tell is taken narrowly: a launch beyond it waits for the host's verdict. */
CUresult vg_func_learn_limits(struct vg_func *f)
{
    CUdevice dev = vg_func_device();
    const int32_t *of_device = vg_process.snapshot->device[dev].attr;
    int32_t value[VG_FUNC_ATTRS];
    uint32_t known = 0, stamp = vg_func_stamp(f);
    CUresult r = attributes(f, dev, value, &known);

    if (r)
        return r;
    vg_store_relaxed(&f->limits.max_threads,
                     known_or(known, value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
                              (uint32_t)of_device[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK]));
    vg_store_relaxed(&f->limits.max_dynamic,
                     known_or(known, value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 0));
    vg_store_release(&f->limits.stamp, stamp | 1);
    return CUDA_SUCCESS;
}

/* ---- names and parameters -------------------------------------------------------- */

static CUresult ask_name(struct vg_func *f, char *window, size_t room)
{
    struct vg_reply reply;
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_FUNCTION_NAME, 0);

    if (r)
        return r;
    tx.call->flags |= VG_F_BULK;
    tx.call->arg[0] = f->handle;
    tx.call->arg[1] = f->kind;
    tx.call->arg[6] = vg_window_off(window);
    tx.call->arg[7] = room;
    r = vg_finish(&tx, &reply);
    if (r)
        return r;
    window[room - 1] = '\0';
    vg_lock(&vg_modules_lock);
    set_name(f, window);
    vg_unlock(&vg_modules_lock);
    return f->name ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vg_func_name(struct vg_func *f, const char **ret_name)
{
    size_t room;

    if (!ret_name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_load_acquire(&f->name)) {
        char *window = vg_window_get(VG_EXTENT_SIZE, VG_EXTENT_SIZE, &room);
        CUresult r = window ? ask_name(f, window, room) : CUDA_ERROR_OUT_OF_MEMORY;
        if (window)
            vg_window_put(window, room);
        if (r)
            return r;
    }
    *ret_name = f->name;
    return CUDA_SUCCESS;
}

CUresult vg_func_param(const struct vg_func *f, size_t index, size_t *ret_offset, size_t *ret_size)
{
    if (f->param_count == VG_PARAMS_UNKNOWN)
        return vg_unsupported("parameters of a kernel that the host cannot describe");
    if (!ret_offset || index >= f->param_count)
        return CUDA_ERROR_INVALID_VALUE;
    *ret_offset = f->param[index].offset;
    if (ret_size)
        *ret_size = f->param[index].size;
    return CUDA_SUCCESS;
}

/* ---- entry points: CUfunction alone, a CUkernel will not do ------------------------ */

CUresult vg_func_enter(CUfunction hfunc, struct vg_func **ret_func)
{
    CUresult r = vg_enter();

    if (!r)
        r = vg_sticky();
    if (r)
        return r;
    struct vg_func *f = vg_func_find(hfunc);
    if (!f || f->kind != VG_IMAGE_MODULE)
        return CUDA_ERROR_INVALID_HANDLE;
    *ret_func = f;
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
    struct vg_func *f;
    CUresult r = vg_func_enter(hfunc, &f);

    if (r)
        return r;
    return pi ? vg_func_attribute(f, attrib, vg_func_device(), pi) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuFuncGetModule(CUmodule *hmod, CUfunction hfunc)
{
    struct vg_func *f;
    uint64_t handle;
    CUresult r = vg_func_enter(hfunc, &f);

    if (r)
        return r;
    if (!hmod)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_module_handle(f->module, &handle);
    if (!r)
        *hmod = (CUmodule)(uintptr_t)handle;
    return r;
}

CUresult cuFuncGetName(const char **name, CUfunction hfunc)
{
    struct vg_func *f;

    if (!hfunc)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = vg_func_enter(hfunc, &f);
    return r ? r : vg_func_name(f, name);
}

CUresult cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t *paramOffset,
                            size_t *paramSize)
{
    struct vg_func *f;
    CUresult r = func ? vg_func_enter(func, &f) : CUDA_ERROR_INVALID_VALUE;

    return r ? r : vg_func_param(f, paramIndex, paramOffset, paramSize);
}
