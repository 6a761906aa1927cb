/* SPDX-License-Identifier: MIT */
/*
 * Bodies: loading module images. The image is copied to private memory before the
 * driver sees it, in one piece or in parts where it is larger than the window.
 * Serve thread.
 */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/aside.h"
#include "mediator/executor/image.h"
#include "mediator/executor/load.h"
#include "mediator/executor/managed.h"

#define SLOW_BYTES (64u << 10)
#define FAT_HEADER 16u        /* bytes before the first entry, which begins with its kind */
#define FAT_CUBIN  2u
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

uint8_t *vg_image_take(struct vg_exec *x, struct vg_req *r, uint64_t *ret_len)
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

uint64_t vg_image_options_at(const struct vg_req *r)
{
    return r->call.arg[1] == 0 ? (r->call.arg[2] + 7) & ~7ull : 0;
}

/* ---- Loading ---- */

struct load {
    struct vg_aside aside;
    unsigned kind;
    CUcontext home;
    uint8_t *image;
    uint64_t handle;
    uint64_t bytes; /* of GPU memory that it took */
    CUresult rc;
    struct vg_jit jit;
};

/* Driver calls only: it may run beside the serve thread. */
static CUresult make(struct vg_exec *x, unsigned kind, const void *image, struct vg_jit *j,
                     uint64_t *ret_handle)
{
    unsigned n = j ? j->count : 0;
    CUjit_option *option = j ? j->option : NULL;
    void **value = j ? j->value : NULL;
    CUlibrary library = NULL;
    CUmodule module = NULL;
    CUresult rc;

    if (kind == VG_IMAGE_LIBRARY) {
        rc = x->placing ? vg_placing_load(x, image, j, &library)
                        : x->cuda.cuLibraryLoadData(&library, image, option, value, n, NULL, NULL, 0);
        *ret_handle = (uintptr_t)library;
        return rc;
    }
    rc = x->cuda.cuModuleLoadDataEx(&module, image, n, option, value);
    *ret_handle = (uintptr_t)module;
    return rc;
}

/*
 * The driver does not tell what a module takes of the GPU, which its variables can make any
 * size. So it is measured, where it matters; what others take in that moment counts as well.
 */
static CUresult make_measured(struct vg_exec *x, unsigned kind, const void *image,
                              struct vg_jit *j, uint64_t *ret_handle, uint64_t *ret_bytes)
{
    uint64_t before = vg_quota_gpu_left(x);
    CUresult rc = make(x, kind, image, j, ret_handle);

    *ret_bytes = rc ? 0 : vg_quota_gpu_taken(x, before);
    return rc;
}

static void unmake(struct vg_exec *x, unsigned kind, uint64_t handle)
{
    if (kind == VG_IMAGE_LIBRARY)
        x->cuda.cuLibraryUnload((CUlibrary)(uintptr_t)handle);
    else
        x->cuda.cuModuleUnload((CUmodule)(uintptr_t)handle);
}

static uint32_t kib_of(uint64_t bytes)
{
    uint64_t kib = bytes >> 10;

    return kib < UINT32_MAX ? (uint32_t)kib : UINT32_MAX;
}

static CUresult own(struct vg_exec *x, unsigned kind, uint64_t handle, uint64_t bytes,
                    CUcontext home)
{
    CUresult rc = bytes ? vg_quota_reserve(x, bytes) : CUDA_SUCCESS;

    if (rc == CUDA_SUCCESS && kind == VG_IMAGE_LIBRARY)
        rc = vg_own_add(x, VG_OBJ_CUlibrary, handle, 0, kib_of(bytes));
    /* Another thread of the guest may have ended the context meanwhile. */
    else if (rc == CUDA_SUCCESS && !vg_obj_find(&x->obj, VG_OBJ_CUcontext, (uintptr_t)home))
        rc = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    else if (rc == CUDA_SUCCESS)
        rc = vg_own_add(x, VG_OBJ_CUmodule, handle, (uintptr_t)home, kib_of(bytes));
    vg_own_account(x);
    return rc;
}

/* As own. What does not fit is loaded once more: it may have been others that took the memory. */
static CUresult own_or_again(struct vg_exec *x, struct load *l)
{
    CUresult rc = own(x, l->kind, l->handle, l->bytes, l->home);

    if (rc != CUDA_ERROR_OUT_OF_MEMORY)
        return rc;
    unmake(x, l->kind, l->handle);
    rc = make_measured(x, l->kind, l->image, NULL, &l->handle, &l->bytes);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = own(x, l->kind, l->handle, l->bytes, l->home);
    if (rc == CUDA_ERROR_OUT_OF_MEMORY)
        unmake(x, l->kind, l->handle);
    return rc;
}

static CUresult load_linked(struct vg_exec *x, unsigned kind, const void *image, struct vg_jit *j,
                            uint64_t *ret_handle)
{
    uint64_t bytes;
    CUresult rc = make_measured(x, kind, image, j, ret_handle, &bytes);

    if (rc != CUDA_SUCCESS)
        return rc;
    rc = own(x, kind, *ret_handle, bytes, x->home);
    if (rc == CUDA_ERROR_OUT_OF_MEMORY)
        unmake(x, kind, *ret_handle);
    return rc;
}

static void load_work(struct vg_exec *x, struct vg_aside *a)
{
    struct load *l = (struct load *)a;

    l->rc = make_measured(x, l->kind, l->image, &l->jit, &l->handle, &l->bytes);
}

/* Answers and frees. */
static CUresult load_end(struct vg_req *r, struct load *l, CUresult rc)
{
    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, l->handle);
    vg_jit_send_logs(r, &l->jit);
    free(l->image);
    free(l);
    return rc;
}

static CUresult load_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct load *l = (struct load *)a;

    return load_end(r, l, l->rc ? l->rc : own_or_again(x, l));
}

/*
 * What the driver has to compile, or much of anything; the rest is done sooner than handed over.
 * A fat binary says what its first entry is; the guest sends the one that fits.
 */
static bool is_slow(const uint8_t *image, uint64_t len)
{
    static const uint8_t elf[4] = {0x7f, 'E', 'L', 'F'}, fat[4] = {0x50, 0xed, 0x55, 0xba};

    if (len > SLOW_BYTES)
        return true;
    if (len > FAT_HEADER + 2 && memcmp(image, fat, sizeof(fat)) == 0)
        return image[FAT_HEADER] != FAT_CUBIN;
    return memcmp(image, elf, sizeof(elf)) != 0;
}

static CUresult make_managed(struct vg_exec *x, const struct vg_req *r, struct load *l, size_t len)
{
    bool link;
    const void *image = vg_placing_image(x, l->image, len, &link);

    if (link || (r->call.arg[0] & VG_IMAGE_UNITS))
        return vg_link_units(x, l->image, &l->jit, load_linked, l->kind, &l->handle);
    return image ? load_linked(x, l->kind, image, &l->jit, &l->handle) : CUDA_ERROR_NOT_SUPPORTED;
}

/* With the managed variables in the region, if there is room for them; else the guest is told. */
static CUresult load_managed(struct vg_exec *x, struct vg_req *r, struct load *l, size_t len)
{
    struct vg_placing place;
    CUresult rc = vg_placing_init(&place, x, r);

    if (rc != CUDA_SUCCESS)
        return load_end(r, l, rc);
    x->placing = &place;
    rc = make_managed(x, r, l, len);
    x->placing = NULL;
    if (place.needed > place.room) {
        l->handle = 0;
        rc = CUDA_SUCCESS;
    }
    vg_placing_fini(&place, x, rc == CUDA_SUCCESS ? l->handle : 0);
    rc = load_end(r, l, rc);
    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, place.needed);
    return rc;
}

static CUresult load_checked(struct vg_exec *x, struct vg_req *r, struct load *l)
{
    uint64_t len;

    l->image = vg_image_take(x, r, &len);
    VG_STAT_ADD(x, bytes_in, l->image && r->call.arg[1] ? len : 0);
    if (!l->image || !vg_image_ok(l->image, len))
        return load_end(r, l, CUDA_ERROR_INVALID_IMAGE);
    if (r->call.arg[0] & VG_IMAGE_MANAGED)
        return load_managed(x, r, l, len);
    if (r->call.arg[0] & VG_IMAGE_UNITS)
        return load_end(r, l, vg_link_units(x, l->image, &l->jit, load_linked, l->kind,
                                            &l->handle));
    if (is_slow(l->image, len))
        return vg_aside_run(x, r, &l->aside);
    load_work(x, &l->aside);
    return load_finish(x, r, &l->aside);
}

/* The guest's options stand in the payload behind the image, if that is there. */
static bool options_ok(struct vg_req *r, struct vg_jit *j)
{
    const uint64_t flags = VG_IMAGE_UNITS | VG_IMAGE_MANAGED;
    uint64_t at = vg_image_options_at(r), kind = r->call.arg[0] & ~flags;

    if (kind > VG_IMAGE_LIBRARY ||
        (kind != VG_IMAGE_LIBRARY && (r->call.arg[0] & VG_IMAGE_MANAGED)))
        return false;
    if (r->call.arg[3] == 0)
        return true;
    return at <= r->call.payload_len &&
           vg_jit_add_numbers(j, r->payload + at, r->call.arg[3], r->call.payload_len - at);
}

CUresult vg_do_IMAGE_LOAD(struct vg_exec *x, struct vg_req *r)
{
    if (r->call.arg[0] == VG_IMAGE_LINK_INPUT)
        return vg_link_input(x, r);

    struct load *l = calloc(1, sizeof(*l));
    if (!l)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_jit_add_logs(&l->jit, r->call.flags & VG_F_BULK ? r->enc.cap : 0);
    if (!options_ok(r, &l->jit)) {
        free(l);
        r->breach = "malformed image load";
        return CUDA_ERROR_INVALID_VALUE;
    }
    l->kind = (unsigned)r->call.arg[0] & ~(VG_IMAGE_UNITS | VG_IMAGE_MANAGED);
    l->home = x->home;
    l->aside.work = load_work;
    l->aside.finish = load_finish;
    return load_checked(x, r, l);
}
