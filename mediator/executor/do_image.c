/* SPDX-License-Identifier: MIT */
/*
 * Bodies: loading module images. The image is copied to private memory before the
 * driver sees it, in one piece or in parts where it is larger than the window.
 * Serve thread.
 */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/image.h"

#define LOG_MAX   (64u << 10) /* bytes of JIT log, each of two */
#define IMAGE_PAD 64u         /* zero bytes behind an image: text ends, headers stay in bounds */

static void drop_upload(struct vg_exec *x)
{
    free(x->upload.bytes);
    memset(&x->upload, 0, sizeof(x->upload));
}

/* Bytes the call brings: at off in the region, or in the payload where off is 0. */
static const void *source(struct vg_exec *x, const struct vg_req *r, uint64_t off, uint64_t bytes)
{
    if (off)
        return vg_guest_data(&x->guest, off, bytes);
    return bytes <= r->call.payload_len ? r->payload : NULL;
}

static bool begin_upload(struct vg_exec *x, uint64_t total)
{
    drop_upload(x);
    if (total == 0 || total > VG_IMAGE_MAX)
        return false;
    x->upload.bytes = malloc(total + IMAGE_PAD);
    x->upload.total = total;
    return x->upload.bytes != NULL;
}

CUresult vg_do_IMAGE_PART(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;
    const void *src = source(x, r, w[0], w[1]);

    if (w[3] == 0 && !begin_upload(x, w[2]))
        return CUDA_ERROR_INVALID_IMAGE;
    if (!src || !x->upload.bytes || w[2] != x->upload.total || w[3] != x->upload.got ||
        w[1] > x->upload.total - x->upload.got)
        return CUDA_ERROR_INVALID_IMAGE;
    memcpy(x->upload.bytes + x->upload.got, src, w[1]);
    x->upload.got += w[1];
    VG_STAT_ADD(x, bytes_in, w[0] ? w[1] : 0);
    return CUDA_SUCCESS;
}

/* The whole image in private memory, which the caller frees; NULL if there is none. */
static uint8_t *take_image(struct vg_exec *x, struct vg_req *r, uint64_t *ret_len)
{
    uint64_t off = r->call.arg[1], len = r->call.arg[2];
    uint8_t *p = NULL;

    if (len == 0 && x->upload.got == x->upload.total) {
        p = x->upload.bytes;
        len = x->upload.total;
        memset(&x->upload, 0, sizeof(x->upload));
    } else if (len != 0 && len <= VG_IMAGE_MAX) {
        const void *src = source(x, r, off, len);
        p = src ? malloc(len + IMAGE_PAD) : NULL;
        if (p)
            memcpy(p, src, len);
    }
    if (p)
        memset(p + len, 0, IMAGE_PAD);
    *ret_len = len;
    return p;
}

/* ---- Options: numbers from the guest, log buffers from us ---- */

#define OWN_OPTIONS 4u

struct jit {
    unsigned count;
    CUjit_option option[VG_JIT_OPTIONS_MAX + OWN_OPTIONS];
    void *value[VG_JIT_OPTIONS_MAX + OWN_OPTIONS];
    size_t log_size;
    char info[LOG_MAX], error[LOG_MAX];
};

/* Options that take a number; all others take pointers, which are never the guest's. */
static bool is_numeric(uint64_t option)
{
    switch (option) {
    case CU_JIT_MAX_REGISTERS:
    case CU_JIT_THREADS_PER_BLOCK:
    case CU_JIT_OPTIMIZATION_LEVEL:
    case CU_JIT_TARGET:
    case CU_JIT_GENERATE_DEBUG_INFO:
    case CU_JIT_LOG_VERBOSE:
    case CU_JIT_GENERATE_LINE_INFO:
    case CU_JIT_CACHE_MODE:
    case CU_JIT_FAST_COMPILE:
    case CU_JIT_POSITION_INDEPENDENT_CODE:
    case CU_JIT_MIN_CTA_PER_SM:
    case CU_JIT_MAX_THREADS_PER_BLOCK:
    case CU_JIT_OVERRIDE_DIRECTIVE_VALUES:
    case CU_JIT_SPLIT_COMPILE:
        return true;
    default:
        return false;
    }
}

static void add_option(struct jit *j, uint64_t option, uint64_t value)
{
    j->option[j->count] = (CUjit_option)option;
    j->value[j->count++] = (void *)(uintptr_t)value;
}

static void add_logs(struct jit *j, size_t reply_capacity)
{
    j->log_size = reply_capacity / 2;
    if (j->log_size > LOG_MAX)
        j->log_size = LOG_MAX;
    if (j->log_size < 16)
        return;
    add_option(j, CU_JIT_INFO_LOG_BUFFER, (uintptr_t)j->info);
    add_option(j, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, j->log_size - 8);
    add_option(j, CU_JIT_ERROR_LOG_BUFFER, (uintptr_t)j->error);
    add_option(j, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, j->log_size - 8);
}

/* The guest's options stand in the payload behind the image, if that is there. */
static bool add_guest_options(struct vg_req *r, struct jit *j)
{
    uint64_t count = r->call.arg[3];
    uint64_t at = r->call.arg[1] == 0 ? (r->call.arg[2] + 7) & ~7ull : 0;
    struct vg_jit_option o;

    if (count == 0)
        return true;
    if (count > VG_JIT_OPTIONS_MAX || at > r->call.payload_len ||
        count * sizeof(o) > r->call.payload_len - at)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        memcpy(&o, r->payload + at + i * sizeof(o), sizeof(o));
        if (is_numeric(o.option))
            add_option(j, o.option, o.value);
    }
    return true;
}

/* Two texts, error log and info log, whether or not the load succeeded. */
static void send_logs(struct vg_req *r, const struct jit *j)
{
    size_t error = strnlen(j->error, LOG_MAX - 1), info = strnlen(j->info, LOG_MAX - 1);

    if (!(r->call.flags & VG_F_BULK) || error + info + 2 > r->enc.cap)
        return;
    memcpy(r->enc.payload, j->error, error + 1);
    memcpy(r->enc.payload + error + 1, j->info, info + 1);
    r->enc.len = error + info + 2;
    r->payload_always = true;
}

/* ---- Loading ---- */

static CUresult load(struct vg_exec *x, uint64_t kind, const void *image, struct jit *j,
                     uint64_t *ret_handle)
{
    CUlibrary library = NULL;
    CUmodule module = NULL;
    CUresult rc;

    if (kind == VG_IMAGE_LIBRARY) {
        rc = x->cuda.cuLibraryLoadData(&library, image, j->option, j->value, j->count, NULL, NULL,
                                       0);
        *ret_handle = (uintptr_t)library;
        return rc ? rc : vg_own_add(x, VG_OBJ_CUlibrary, *ret_handle, 0, 0);
    }
    rc = x->cuda.cuModuleLoadDataEx(&module, image, j->count, j->option, j->value);
    *ret_handle = (uintptr_t)module;
    return rc ? rc : vg_own_add(x, VG_OBJ_CUmodule, *ret_handle, (uintptr_t)x->ctx, 0);
}

static CUresult load_checked(struct vg_exec *x, struct vg_req *r, struct jit *j)
{
    uint64_t len, handle = 0;
    uint8_t *image = take_image(x, r, &len);
    CUresult rc = CUDA_ERROR_INVALID_IMAGE;

    if (image && vg_image_ok(image, len))
        rc = load(x, r->call.arg[0], image, j, &handle);
    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, handle);
    VG_STAT_ADD(x, bytes_in, image && r->call.arg[1] ? len : 0);
    free(image);
    return rc;
}

CUresult vg_do_IMAGE_LOAD(struct vg_exec *x, struct vg_req *r)
{
    struct jit *j = calloc(1, sizeof(*j));
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

    if (!j)
        return rc;
    add_logs(j, r->call.flags & VG_F_BULK ? r->enc.cap : 0);
    if (r->call.arg[0] > VG_IMAGE_LIBRARY || !add_guest_options(r, j)) {
        r->breach = "malformed image load";
        free(j);
        return CUDA_ERROR_INVALID_VALUE;
    }
    rc = load_checked(x, r, j);
    send_logs(r, j);
    free(j);
    return rc;
}
