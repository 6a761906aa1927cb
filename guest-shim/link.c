/* SPDX-License-Identifier: MIT */
/*
 * The linker calls. The host's driver links; what it made is read back once and stays
 * here until the state ends, as CUDA promises. Files are read in the guest. Messages go
 * to the buffers that the application named when it made the state.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest-shim/call.h"
#include "guest-shim/handle_map.h"
#include "guest-shim/module.h"
#include "guest-shim/upload.h"
#include "vg_api.h"


struct vg_link {
    uint64_t handle;            /* the host's */
    struct vg_jit jit;
    double ms;                  /* spent so far */
    void *image;                /* what cuLinkComplete made */
};

static struct vg_handle_map link_of;    /* by CUlinkState */

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static CUresult enter_link(CUlinkState state, struct vg_link **ret_link)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    *ret_link = vg_handle_map_find(&link_of, (uintptr_t)state);
    return *ret_link ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* ---- creation -------------------------------------------------------------------- */

static CUresult create(struct vg_link *l)
{
    size_t bytes = l->jit.count * sizeof(l->jit.option[0]);
    struct vg_reply reply;
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_cuLinkCreate_v2, bytes);

    if (r)
        return r;
    tx.call->arg[0] = l->jit.count;
    memcpy(tx.payload, l->jit.option, bytes);
    r = vg_finish(&tx, &reply);
    if (r)
        return r;
    l->handle = reply.val[0];
    if (vg_handle_map_put(&link_of, l->handle, l))
        return CUDA_SUCCESS;
    vg_call_reply(VG_CALL_cuLinkDestroy, VG_WORDS(l->handle), NULL);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuLinkCreate_v2(unsigned numOptions, CUjit_option *options, void **optionValues,
                         CUlinkState *stateOut)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!stateOut)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_link *l = calloc(1, sizeof(*l));
    if (!l)
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = vg_jit_init(&l->jit, numOptions, options, optionValues);
    if (!r)
        r = create(l);
    if (r)
        free(l);
    else
        *stateOut = (CUlinkState)(uintptr_t)l->handle;
    return r;
}

/* ---- input ----------------------------------------------------------------------- */

/* Of a fat binary what suits the GPU; anything else as it is. */
static CUresult choose(CUjitInputType type, const void *data, size_t size, struct vg_image *image)
{
    char why[VG_WHY_MAX];

    if (type == CU_JIT_INPUT_FATBINARY)
        return vg_module_choose(data, size, image, why);
    memset(image, 0, sizeof(*image));
    image->size = size;
    image->pieces = 1;
    image->piece[0].bytes = data;
    image->piece[0].size = size;
    return CUDA_SUCCESS;
}

/* The numbers of this call, the buffers of the state. */
static CUresult add(struct vg_link *l, const struct vg_link_input *input, const void *data,
                    size_t size, struct vg_jit *jit)
{
    struct vg_image image;
    CUresult r = choose(input->type, data, size, &image);

    if (r)
        return r;
    jit->error = l->jit.error;
    jit->info = l->jit.info;
    double start = now_ms();
    r = vg_upload_input(&image, input, jit);
    l->ms += now_ms() - start;
    return r;
}

CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t size,
                          const char *name, unsigned numOptions, CUjit_option *options,
                          void **optionValues)
{
    const struct vg_link_input input = {(uintptr_t)state, type, name};
    struct vg_link *l;
    struct vg_jit jit;
    CUresult r = enter_link(state, &l);

    if (r)
        return r;
    if (!data || size == 0 || (unsigned)type >= CU_JIT_NUM_INPUT_TYPES)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_jit_init(&jit, numOptions, options, optionValues);
    return r ? r : add(l, &input, data, size, &jit);
}

CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path,
                          unsigned numOptions, CUjit_option *options, void **optionValues)
{
    const struct vg_link_input input = {(uintptr_t)state, type, path};
    struct vg_link *l;
    struct vg_jit jit;
    char *bytes;
    size_t size;
    CUresult r = enter_link(state, &l);

    if (r)
        return r;
    if (!path || (unsigned)type >= CU_JIT_NUM_INPUT_TYPES)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_jit_init(&jit, numOptions, options, optionValues);
    if (!r)
        r = vg_module_read_file(path, &bytes, &size);
    if (r)
        return r;
    /* The NUL behind a file is ours: only text has use for it. */
    r = add(l, &input, bytes, type == CU_JIT_INPUT_PTX ? size : size - 1, &jit);
    free(bytes);
    return r;
}

/* ---- the result ------------------------------------------------------------------ */

/* The next bytes at pos, through `window`. */
static CUresult read_part(const struct vg_link *l, void *window, uint64_t pos, uint32_t *ret_bytes)
{
    struct vg_reply reply;
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_LINK_READ, 0);

    if (r)
        return r;
    tx.call->arg[0] = l->handle;
    tx.call->arg[1] = pos;
    tx.call->flags |= VG_F_BULK;
    tx.call->arg[6] = vg_window_off(window);
    tx.call->arg[7] = VG_EXTENT_SIZE;
    r = vg_finish(&tx, &reply);
    if (!r && (reply.len == 0 || reply.len > VG_EXTENT_SIZE))
        r = CUDA_ERROR_UNKNOWN;
    *ret_bytes = r ? 0 : reply.len;
    return r;
}

static CUresult read_image(const struct vg_link *l, uint8_t *image, uint64_t size)
{
    size_t room;
    uint8_t *window = vg_window_get(VG_EXTENT_SIZE, VG_EXTENT_SIZE, &room);
    CUresult r = window ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

    for (uint64_t pos = 0; pos < size && !r;) {
        uint32_t n;
        r = read_part(l, window, pos, &n);
        if (n > size - pos)
            n = (uint32_t)(size - pos);
        memcpy(image + pos, window, n);
        pos += n;
    }
    if (window)
        vg_window_put(window, room);
    return r;
}

/* Links; the messages arrive whether or not that succeeds. */
static CUresult complete(struct vg_link *l, uint64_t *ret_size)
{
    size_t room = 0;
    char *log = vg_jit_wants_log(&l->jit) ? vg_window_get(VG_EXTENT_SIZE, VG_EXTENT_SIZE, &room)
                                          : NULL;
    struct vg_reply reply = {.len = 0};
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_cuLinkComplete, 0);

    if (!r) {
        tx.call->arg[0] = l->handle;
        if (log) {
            tx.call->flags |= VG_F_BULK;
            tx.call->arg[6] = vg_window_off(log);
            tx.call->arg[7] = VG_EXTENT_SIZE;
        }
        r = vg_finish(&tx, &reply);
        if (log && reply.len <= VG_EXTENT_SIZE)
            vg_jit_report(&l->jit, log, reply.len);
    }
    if (log)
        vg_window_put(log, room);
    *ret_size = reply.val[0];
    return r;
}

static CUresult fetch(struct vg_link *l, uint64_t size)
{
    uint8_t *image = size && size <= VG_IMAGE_MAX ? malloc(size) : NULL;
    CUresult r = image ? read_image(l, image, size) : CUDA_ERROR_OUT_OF_MEMORY;

    if (r) {
        free(image);
        return r;
    }
    free(l->image);
    l->image = image;
    return CUDA_SUCCESS;
}

CUresult cuLinkComplete(CUlinkState state, void **cubinOut, size_t *sizeOut)
{
    struct vg_link *l;
    uint64_t size;
    CUresult r = enter_link(state, &l);

    if (r)
        return r;
    if (!cubinOut)
        return CUDA_ERROR_INVALID_VALUE;
    double start = now_ms();
    r = complete(l, &size);
    if (!r)
        r = fetch(l, size);
    l->ms += now_ms() - start;
    vg_jit_took(&l->jit, l->ms);
    if (r)
        return r;
    *cubinOut = l->image;
    if (sizeOut)
        *sizeOut = size;
    return CUDA_SUCCESS;
}

/* A state that ended with its context is still ours to free. */
CUresult cuLinkDestroy(CUlinkState state)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    struct vg_link *l = vg_handle_map_take(&link_of, (uintptr_t)state);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    r = vg_call_reply(VG_CALL_cuLinkDestroy, VG_WORDS(l->handle), NULL);
    free(l->image);
    free(l);
    return r;
}
