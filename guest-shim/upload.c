/* SPDX-License-Identifier: MIT */
/*
 * Images on their way to the host. A small one rides in the ring. A larger one is named first, as
 * another process of this VM may have sent it; else it stands in the data window, or goes in
 * parts where there is no room. Parts are gathered by the executor, one image at a time: hence the lock.
 */
#include "guest-shim/upload.h"

#include <string.h>
#include <time.h>

#include "guest-shim/call.h"
#include "guest-shim/digest.h"
#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "vg_error.h"

#define WINDOW_MAX (16u << 20)  /* bytes of the window that one image may take */
#define LOG_BYTES  VG_EXTENT_SIZE

struct load {
    const struct vg_image *image;
    const struct vg_jit *jit;
    enum vg_image_kind kind;
    const struct vg_link_input *input;  /* NULL: a module or library */
    size_t name;                /* bytes of its name, with the NUL */
    char *log;                  /* in the window, or NULL */
    unsigned named;             /* VG_IMAGE_KNOWN, VG_IMAGE_KEEP, or 0: no digest goes with it */
    uint8_t digest[VG_DIGEST_BYTES];
    uint64_t handle;
    struct vg_placed *placed;   /* of a library with managed variables, or NULL */
};

static struct vg_lock parts_lock;

/* ---- the call that loads ------------------------------------------------------ */

static void fill_input(struct vg_tx *tx, const struct load *l, size_t at)
{
    tx->call->arg[4] = l->input->link;
    tx->call->arg[5] = (uint32_t)l->input->type | (uint64_t)l->name << 32;
    if (l->name)
        memcpy(tx->payload + at, l->input->name, l->name - 1);
    if (l->name)
        tx->payload[at + l->name - 1] = '\0';
}

/* Bytes of the payload before the options: the image, or its digest. */
static size_t room_before_options(const struct load *l, size_t inside)
{
    return l->named ? VG_DIGEST_BYTES : (inside + 7) & ~(size_t)7;
}

/* Image bytes in the record: `inside`; in the window: off; neither: they came in parts, or are known. */
static void fill(struct vg_tx *tx, const struct load *l, size_t inside, uint64_t off)
{
    size_t at = room_before_options(l, inside);

    tx->call->arg[0] = l->kind | l->named | (l->image->units ? VG_IMAGE_UNITS : 0);
    tx->call->arg[1] = off;
    tx->call->arg[2] = inside || off || l->named == VG_IMAGE_KNOWN ? l->image->size : 0;
    tx->call->arg[3] = l->jit->count;
    if (l->named)
        memcpy(tx->payload, l->digest, VG_DIGEST_BYTES);
    if (inside) {
        vg_image_read(l->image, 0, tx->payload, inside);
        memset(tx->payload + inside, 0, at - inside);
    }
    memcpy(tx->payload + at, l->jit->option, l->jit->count * sizeof(l->jit->option[0]));
    if (l->placed) {
        tx->call->arg[0] |= VG_IMAGE_MANAGED;
        tx->call->arg[4] = l->placed->at ? vg_window_off(l->placed->at) : 0;
        tx->call->arg[5] = l->placed->room;
    }
    if (l->input)
        fill_input(tx, l, at + l->jit->count * sizeof(l->jit->option[0]));
    if (l->log) {
        tx->call->flags |= VG_F_BULK;
        tx->call->arg[6] = vg_window_off(l->log);
        tx->call->arg[7] = LOG_BYTES;
    }
}

static CUresult load_call(struct load *l, size_t inside, uint64_t off)
{
    size_t behind = l->jit->count * sizeof(l->jit->option[0]) + l->name;
    struct vg_reply reply;
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_IMAGE_LOAD, room_before_options(l, inside) + behind);

    if (r)
        return r;
    fill(&tx, l, inside, off);
    memset(&reply, 0, sizeof(reply.val) + sizeof(reply.len));
    r = vg_finish(&tx, &reply);
    l->handle = reply.val[0];
    if (l->placed && !r)
        l->placed->needed = reply.val[1];
    if (l->log)
        vg_jit_report(l->jit, l->log, reply.len < LOG_BYTES ? reply.len : LOG_BYTES);
    return r;
}

/* ---- parts --------------------------------------------------------------------- */

/* A part at `window`, which may be used again when this returns. */
static CUresult send_part(const struct load *l, uint8_t *window, size_t pos, size_t bytes)
{
    vg_image_read(l->image, pos, window, bytes);
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_IMAGE_PART, 0);
    if (r)
        return r;
    tx.call->arg[0] = vg_window_off(window);
    tx.call->arg[1] = bytes;
    tx.call->arg[2] = l->image->size;
    tx.call->arg[3] = pos;
    return vg_finish(&tx, NULL);
}

static CUresult send_part_inside(const struct load *l, size_t pos, size_t bytes)
{
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_IMAGE_PART, bytes);

    if (r)
        return r;
    tx.call->arg[1] = bytes;
    tx.call->arg[2] = l->image->size;
    tx.call->arg[3] = pos;
    vg_image_read(l->image, pos, tx.payload, bytes);
    return vg_finish(&tx, NULL);
}

/* window NULL: no room in it at all. */
static CUresult load_in_parts(struct load *l, uint8_t *window, size_t room)
{
    size_t part = window ? room : VG_PAYLOAD_MAX;
    CUresult r = CUDA_SUCCESS;

    vg_lock(&parts_lock);
    for (size_t pos = 0; pos < l->image->size && !r; pos += part) {
        size_t n = l->image->size - pos < part ? l->image->size - pos : part;
        r = window ? send_part(l, window, pos, n) : send_part_inside(l, pos, n);
    }
    if (!r)
        r = load_call(l, 0, 0);
    vg_unlock(&parts_lock);
    return r;
}

/* ---- images that the host knows ---------------------------------------------------- */

/* True if the host had it, with the answer. False: it must be sent, to be kept. */
static bool load_known(struct load *l, CUresult *ret_result)
{
    if (l->input || l->placed || !(vg_process.slot->features & VG_HOST_KEEPS_IMAGES))
        return false;
    vg_image_digest(l->image, l->digest);
    l->named = VG_IMAGE_KNOWN;
    l->handle = 0;
    *ret_result = load_call(l, 0, 0);
    l->named = VG_IMAGE_KEEP;
    return *ret_result != CUDA_SUCCESS || l->handle != 0;
}

/* ---- entry point ---------------------------------------------------------------- */

static CUresult load(struct load *l)
{
    size_t size = l->image->size, room = 0;
    CUresult r;

    if (size + 8 + sizeof(l->jit->option) + l->name <= VG_PAYLOAD_MAX)
        return load_call(l, size, 0);
    if (load_known(l, &r))
        return r;
    uint8_t *window = vg_window_get(size < WINDOW_MAX ? size : WINDOW_MAX, VG_EXTENT_SIZE, &room);
    if (window && room >= size) {
        vg_image_read(l->image, 0, window, size);
        r = load_call(l, 0, vg_window_off(window));
    } else {
        r = load_in_parts(l, window, room);
    }
    if (window)
        vg_window_put(window, room);
    return r;
}

/* ---- failures ------------------------------------------------------------------- */

bool vg_upload_unfit(CUresult r)
{
    switch (r) {
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_INVALID_SOURCE:
        return true;
    default:
        return false;
    }
}

/* The error log stands first in l->log. */
static void say(const struct load *l, CUresult r)
{
    char line[256] = "";

    if (l->log)
        memcpy(line, l->log, sizeof(line) - 1);
    char *first = line + strspn(line, "\r\n");
    first[strcspn(first, "\r\n")] = '\0';
    vg_log(1, "the GPU cannot load this module: %s", *first ? first : vg_error_text(r));
}

/* Loads, with the compiler's messages if `logged` and there is room for them. */
static CUresult load_once(struct load *l, bool logged)
{
    size_t log_bytes = 0;

    l->log = logged ? vg_window_get(LOG_BYTES, LOG_BYTES, &log_bytes) : NULL;
    if (l->log)
        l->log[0] = '\0';
    else if (logged)
        vg_jit_report(l->jit, "", 0);
    CUresult r = load(l);
    if (logged && vg_upload_unfit(r))
        say(l, r);
    if (l->log)
        vg_window_put(l->log, log_bytes);
    return r;
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static CUresult upload(const struct vg_image *image, enum vg_image_kind kind,
                       const struct vg_jit *jit, struct vg_placed *placed, uint64_t *ret_handle)
{
    struct load l = {.image = image, .jit = jit, .kind = kind, .placed = placed};
    bool logged = vg_jit_wants_log(jit);

    if (image->size == 0 || image->size > VG_IMAGE_MAX)
        return CUDA_ERROR_INVALID_IMAGE;
    double start = now_ms();
    CUresult r = load_once(&l, logged);
    if (vg_upload_unfit(r) && !logged && vg_log_level > 0)
        r = load_once(&l, true);    /* again, for the reason: logs cost time where all is well */
    vg_jit_took(jit, now_ms() - start);
    if (r == CUDA_SUCCESS)
        *ret_handle = l.handle;
    return r;
}

CUresult vg_upload(const struct vg_image *image, enum vg_image_kind kind, const struct vg_jit *jit,
                   uint64_t *ret_handle)
{
    return upload(image, kind, jit, NULL, ret_handle);
}

CUresult vg_upload_placed(const struct vg_image *image, const struct vg_jit *jit,
                          struct vg_placed *placed, uint64_t *ret_handle)
{
    CUresult r = upload(image, VG_IMAGE_LIBRARY, jit, placed, ret_handle);

    if (r || placed->needed <= placed->room)
        return r;
    placed->at = vg_window_get(placed->needed, placed->needed, &placed->room);
    if (!placed->at) {
        vg_log(1, "no room for %zu bytes of managed variables in the shared region",
               placed->needed);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memset(placed->at, 0, placed->room);
    r = vg_window_pin(placed->at, placed->room);
    if (r == CUDA_SUCCESS && !vg_window_is_seen(placed->at, placed->room))
        r = vg_unsupported("managed variables: this host's GPU cannot see the shared region");
    if (r == CUDA_SUCCESS)
        r = upload(image, VG_IMAGE_LIBRARY, jit, placed, ret_handle);
    if (r) {
        vg_window_put(placed->at, placed->room);
        *placed = (struct vg_placed){0};
    }
    return r;
}

#define NAME_MAX_SENT 256u      /* bytes of an input's name; the rest is left out */

CUresult vg_upload_input(const struct vg_image *image, const struct vg_link_input *input,
                         const struct vg_jit *jit)
{
    struct load l = {.image = image, .jit = jit, .kind = VG_IMAGE_LINK_INPUT, .input = input};
    size_t log_bytes;

    if (image->size == 0 || image->size > VG_IMAGE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (input->name)
        l.name = strnlen(input->name, NAME_MAX_SENT - 1) + 1;
    if (vg_jit_wants_log(jit))
        l.log = vg_window_get(LOG_BYTES, LOG_BYTES, &log_bytes);
    if (l.log)
        l.log[0] = '\0';
    CUresult r = load(&l);
    if (l.log)
        vg_window_put(l.log, log_bytes);
    return r;
}
