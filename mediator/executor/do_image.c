/* SPDX-License-Identifier: MIT */
/*
 * Bodies: loading module images, which image_take.c has made private. Serve thread, and
 * the one beside it (aside.h).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/aside.h"
#include "mediator/executor/image.h"
#include "mediator/executor/jit_cache.h"
#include "mediator/executor/load.h"
#include "mediator/executor/managed.h"

#define SLOW_BYTES (64u << 10)
#define CHECK_BYTES (1u << 20) /* more: their names are checked beside the driver */
#define FAT_HEADER 16u        /* bytes before the first entry, which begins with its kind */
#define FAT_CUBIN  2u

/* ---- Images that libraries are made of ---- */

/*
 * The driver is told that an image stays, as cudart and cuBLASLt tell it natively: then it does
 * not copy what may be 16 MiB. It may look there until the library ends.
 */
struct vg_kept {
    struct vg_kept *next;
    uint64_t library;
    uint8_t *image;
};

static void keep_image(struct vg_exec *x, struct vg_kept *k, uint64_t library, uint8_t *image)
{
    *k = (struct vg_kept){.next = x->kept, .library = library, .image = image};
    x->kept = k;
}

void vg_image_drop(struct vg_exec *x, uint64_t library)
{
    for (struct vg_kept **at = &x->kept, *k; (k = *at);) {
        if (library && k->library != library) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        free(k->image);
        free(k);
    }
}

/* ---- Loading ---- */

struct load {
    struct vg_aside aside;
    unsigned kind;
    CUcontext ctx, home; /* current, and the one that it belongs to */
    uint8_t *image;
    uint64_t handle;
    uint64_t bytes; /* of GPU memory that it took */
    CUresult rc;
    uint64_t len;   /* of image */
    bool keep;      /* on the shelf, if it can be loaded */
    bool named;     /* by its digest: to see that takes as long as to load it, and is done meanwhile */
    bool kept;      /* it was */
    struct vg_kept *stays; /* the driver looks at image as long as the library lives; else NULL */
    uint8_t digest[VG_DIGEST_BYTES];
    struct vg_jit jit;
};

/* Driver calls only: it may run beside the serve thread. */
static CUresult make(struct vg_exec *x, unsigned kind, const void *image, bool stays,
                     struct vg_jit *j, uint64_t *ret_handle)
{
    CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
    unsigned n = j ? j->count : 0;
    CUjit_option *option = j ? j->option : NULL;
    void **value = j ? j->value : NULL;
    CUlibrary library = NULL;
    CUmodule module = NULL;
    CUresult rc;

    if (kind == VG_IMAGE_LIBRARY) {
        rc = vg_placing ? vg_placing_load(x, image, j, &library)
                        : x->cuda.cuLibraryLoadData(&library, image, option, value, n, &preserved,
                                                    NULL, stays ? 1 : 0);
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
static CUresult make_measured(struct vg_exec *x, unsigned kind, const void *image, bool stays,
                              struct vg_jit *j, uint64_t *ret_handle, uint64_t *ret_bytes)
{
    uint64_t before = vg_quota_gpu_left(x);
    CUresult rc = make(x, kind, image, stays, j, ret_handle);

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
    l->handle = 0;
    /* Another wait of this round may have made its own context current. */
    if (vg_context_set(x, l->ctx) != CUDA_SUCCESS)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    rc = make_measured(x, l->kind, l->image, l->stays != NULL, NULL, &l->handle, &l->bytes);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = own(x, l->kind, l->handle, l->bytes, l->home);
    if (rc != CUDA_ERROR_OUT_OF_MEMORY)
        return rc;
    unmake(x, l->kind, l->handle);
    l->handle = 0;
    return rc;
}

static CUresult load_linked(struct vg_exec *x, unsigned kind, const void *image, struct vg_jit *j,
                            uint64_t *ret_handle)
{
    uint64_t bytes;
    CUresult rc = make_measured(x, kind, image, false, j, ret_handle, &bytes);

    if (rc != CUDA_SUCCESS)
        return rc;
    rc = own(x, kind, *ret_handle, bytes, x->home);
    if (rc == CUDA_ERROR_OUT_OF_MEMORY)
        unmake(x, kind, *ret_handle);
    return rc;
}

/* By code that was compiled before, or is now for later. False: what is wrong, the image must tell. */
static bool make_compiled(struct vg_exec *x, struct load *l)
{
    uint8_t *code = x->opt.jit_cache && l->jit.count == 0 ? vg_jit_cached(x, l->image, l->len)
                                                          : NULL;

    if (!code)
        return false;
    l->rc = make_measured(x, l->kind, code, false, NULL, &l->handle, &l->bytes);
    free(code);
    return l->rc == CUDA_SUCCESS;
}

static void *check_name(void *load)
{
    struct load *l = load;

    l->named = vg_shelf_is_name(l->digest, l->image, l->len);
    return NULL;
}

/* False: not worth a thread, or there is none. */
static bool check_beside(const struct vg_exec *x, struct load *l, pthread_t *ret_thread)
{
    return l->keep && l->len > CHECK_BYTES && !x->alone && x->shelf.map &&
           pthread_create(ret_thread, NULL, check_name, l) == 0;
}

static void load_work(struct vg_exec *x, struct vg_aside *a)
{
    struct load *l = (struct load *)a;
    pthread_t checker;
    bool beside = check_beside(x, l, &checker);

    if (!make_compiled(x, l)) {
        l->stays = l->kind == VG_IMAGE_LIBRARY ? malloc(sizeof(*l->stays)) : NULL;
        l->rc = make_measured(x, l->kind, l->image, l->stays != NULL, &l->jit, &l->handle, &l->bytes);
    }
    if (beside)
        pthread_join(checker, NULL);
    if (l->rc != CUDA_SUCCESS || !l->keep)
        return;
    l->kept = beside ? l->named && vg_shelf_put_as(&x->shelf, l->digest, l->image, l->len)
                     : vg_shelf_put(&x->shelf, l->digest, l->image, l->len);
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
    CUresult rc = l->rc ? l->rc : own_or_again(x, l);

    if (l->kept)
        vg_image_was_asked(x, l->digest);
    if (l->stays && l->rc == CUDA_SUCCESS && l->handle) {
        keep_image(x, l->stays, l->handle, l->image);
        l->stays = NULL;
        l->image = NULL;
    }
    free(l->stays);
    return load_end(r, l, rc);
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
    vg_placing = &place;
    rc = make_managed(x, r, l, len);
    vg_placing = NULL;
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
    bool known = r->call.arg[0] & VG_IMAGE_KNOWN;

    l->image = vg_image_take(x, r, &l->len);
    if (!l->image && known)
        return load_end(r, l, CUDA_SUCCESS);
    VG_STAT_ADD(x, images, 1);
    VG_STAT_ADD(x, bytes_in, l->image && r->call.arg[1] && !known ? l->len : 0);
    if (!l->image || !vg_image_ok(l->image, l->len))
        return load_end(r, l, CUDA_ERROR_INVALID_IMAGE);
    if (r->call.arg[0] & VG_IMAGE_MANAGED)
        return load_managed(x, r, l, l->len);
    if (r->call.arg[0] & VG_IMAGE_UNITS)
        return load_end(r, l, vg_link_units(x, l->image, &l->jit, load_linked, l->kind,
                                            &l->handle));
    /* Behind contexts that are being made: they would be taken for part of it. */
    l->aside.bytes = l->len;
    if (is_slow(l->image, l->len) || x->quota.contexts_coming > 0)
        return vg_aside_run(x, r, &l->aside);
    load_work(x, &l->aside);
    return load_finish(x, r, &l->aside);
}

/* The guest's options stand in the payload behind the image, if that is there. */
static bool options_ok(struct vg_req *r, struct vg_jit *j)
{
    uint64_t at = vg_image_options_at(r);

    if (vg_image_kind(r) > VG_IMAGE_LIBRARY ||
        ((r->call.arg[0] & VG_IMAGE_MANAGED) &&
         (vg_image_kind(r) != VG_IMAGE_LIBRARY || vg_image_is_named(r))))
        return false;
    if (r->call.arg[3] == 0)
        return true;
    return at <= r->call.payload_len &&
           vg_jit_add_numbers(j, r->payload + at, r->call.arg[3], r->call.payload_len - at);
}

/* True if the image is to be kept by that name. */
static bool take_digest(const struct vg_req *r, uint8_t digest[VG_DIGEST_BYTES])
{
    const uint8_t *p = r->call.arg[0] & VG_IMAGE_KEEP ? vg_image_digest(r) : NULL;

    if (p)
        memcpy(digest, p, VG_DIGEST_BYTES);
    return p != NULL;
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
    l->kind = (unsigned)vg_image_kind(r);
    l->keep = take_digest(r, l->digest);
    l->ctx = x->ctx;
    l->home = x->home;
    l->aside.work = load_work;
    l->aside.finish = load_finish;
    return load_checked(x, r, l);
}
