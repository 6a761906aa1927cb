/* SPDX-License-Identifier: MIT */
/*
 * Images on their way in: copied to private memory before anything looks at them, from the window,
 * in parts where they are larger than that, or from the VM's shelf. Serve thread.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mediator/executor/args.h"
#include "mediator/executor/load.h"

#define IMAGE_PAD 64u /* zero bytes behind an image: text ends, headers stay in bounds */
#define NAMED (VG_IMAGE_KNOWN | VG_IMAGE_KEEP)
#define HUGE_PAGE (2u << 20)

/*
 * Room for an image. cuBLASLt decompresses its code itself and loads large pieces: to make
 * those of small pages takes longer than to fill them.
 */
uint8_t *vg_image_new(uint64_t len)
{
    void *p;

    if (len < 2 * HUGE_PAGE)
        return malloc(len + IMAGE_PAD);
    if (posix_memalign(&p, HUGE_PAGE, len + IMAGE_PAD) != 0)
        return NULL;
    madvise(p, len / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return p;
}

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
    x->upload.bytes = vg_image_new(total);
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

void vg_image_was_asked(struct vg_exec *x, const uint8_t digest[VG_DIGEST_BYTES])
{
    if (!x->alone)
        vg_fetch_after(&x->fetch, &x->shelf, digest);
}

/* What is not there takes no memory either. */
static uint8_t *copy_known(struct vg_exec *x, const uint8_t *digest, uint64_t len)
{
    uint8_t *p = vg_shelf_has(&x->shelf, digest, len) ? vg_image_new(len) : NULL;

    if (p && vg_shelf_take(&x->shelf, digest, len, p))
        return p;
    free(p);
    return NULL;
}

/* One that the guest only names. */
static uint8_t *take_known(struct vg_exec *x, const struct vg_req *r, uint64_t len)
{
    const uint8_t *digest = vg_image_digest(r);
    uint8_t *p;

    if (!digest || len > VG_IMAGE_MAX)
        return NULL;
    p = vg_fetch_claim(&x->fetch, digest, len);
    if (p)
        VG_STAT_ADD(x, images_fetched, 1);
    else
        p = copy_known(x, digest, len);
    if (p) {
        VG_STAT_ADD(x, images_known, 1);
        vg_image_was_asked(x, digest);
    }
    return p;
}

uint8_t *vg_image_take(struct vg_exec *x, struct vg_req *r, uint64_t *ret_len)
{
    uint64_t off = r->call.arg[1], len = r->call.arg[2];
    uint8_t *p = NULL;

    if (r->call.arg[0] & VG_IMAGE_KNOWN) {
        p = take_known(x, r, len);
    } else if (len == 0 && x->upload.got == x->upload.total) {
        p = x->upload.bytes;
        len = x->upload.total;
        memset(&x->upload, 0, sizeof(x->upload));
    } else if (len != 0 && len <= VG_IMAGE_MAX) {
        const void *src = source(x, r, off, len);
        p = src ? vg_image_new(len) : NULL;
        if (p)
            memcpy(p, src, len);
    }
    if (p)
        memset(p + len, 0, IMAGE_PAD);
    *ret_len = len;
    return p;
}

uint64_t vg_image_kind(const struct vg_req *r)
{
    return r->call.arg[0] & ~(uint64_t)(VG_IMAGE_UNITS | VG_IMAGE_MANAGED | NAMED);
}

bool vg_image_is_named(const struct vg_req *r)
{
    return (r->call.arg[0] & NAMED) != 0;
}

const uint8_t *vg_image_digest(const struct vg_req *r)
{
    return vg_image_is_named(r) && r->call.payload_len >= VG_DIGEST_BYTES ? r->payload : NULL;
}

uint64_t vg_image_options_at(const struct vg_req *r)
{
    if (vg_image_is_named(r))
        return VG_DIGEST_BYTES;
    return r->call.arg[1] == 0 ? (r->call.arg[2] + 7) & ~7ull : 0;
}
