/* SPDX-License-Identifier: MIT */
/* See memset.h. */
#include "mediator/executor/memset.h"

#include "mediator/executor/executor.h"
#include "mediator/executor/node.h"
#include "vg_api.h"

static const struct row {
    uint16_t call;
    uint8_t element; /* bytes */
    bool pitched;    /* words dst, pitch, value, width, height; else dst, value, count */
} rows[] = {
    {VG_CALL_cuMemsetD8_v2, 1, false},     {VG_CALL_cuMemsetD8Async, 1, false},
    {VG_CALL_cuMemsetD16_v2, 2, false},    {VG_CALL_cuMemsetD16Async, 2, false},
    {VG_CALL_cuMemsetD32_v2, 4, false},    {VG_CALL_cuMemsetD32Async, 4, false},
    {VG_CALL_cuMemsetD2D8_v2, 1, true},    {VG_CALL_cuMemsetD2D8Async, 1, true},
    {VG_CALL_cuMemsetD2D16_v2, 2, true},   {VG_CALL_cuMemsetD2D16Async, 2, true},
    {VG_CALL_cuMemsetD2D32_v2, 4, true},   {VG_CALL_cuMemsetD2D32Async, 4, true},
};

enum linear { DST, VALUE, COUNT };
enum pitched { PITCH = 1, WIDTH = 3, HEIGHT = 4 };

static const struct row *row_of(const struct vg_call *c)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].call == c->call)
            return &rows[i];
    return NULL;
}

bool vg_memset_is(const struct vg_call *c)
{
    return c->call >> 8 == VG_CALL_cuMemsetD8_v2 >> 8;
}

CUresult vg_memset_owned(struct vg_exec *x, const struct vg_call *c)
{
    const struct row *m = row_of(c);
    const uint64_t *w = c->arg;

    if (!m)
        return CUDA_SUCCESS;
    if (m->pitched)
        return vg_memset_check(x, w[DST], w[PITCH], m->element, w[WIDTH], w[HEIGHT]);
    return vg_memset_check(x, w[DST], 0, m->element, w[COUNT], 1);
}

/* ---- Seams ---- */

typedef CUresult (*forward_fn)(struct vg_exec *, struct vg_req *);

static CUresult forward_part(struct vg_exec *x, struct vg_req *r, forward_fn forward)
{
    vg_dec_init_call(&r->dec, &r->call, r->payload);
    return forward(x, r);
}

/* Elements from dst on that one call may fill; all if a seam is within one, which the driver refuses. */
static uint64_t fit(const struct vg_exec *x, uint64_t dst, uint64_t count, unsigned element)
{
    uint64_t n = vg_pins_reach(x, dst, count * element) / element;

    return n ? n : count;
}

/* The elements of one row, which are *ret_count words of the call. */
static CUresult row_by_parts(struct vg_exec *x, struct vg_req *r, unsigned element,
                             uint64_t *ret_count, forward_fn forward)
{
    uint64_t *dst = &r->call.arg[DST];
    CUresult rc = CUDA_SUCCESS;

    for (uint64_t left = *ret_count; left > 0 && rc == CUDA_SUCCESS; left -= *ret_count) {
        *ret_count = fit(x, *dst, left, element);
        rc = forward_part(x, r, forward);
        *dst += *ret_count * element;
    }
    return rc;
}

/* As many rows at a time as lie before a seam; the driver looks to the end of the pitch of the last. */
static CUresult rows_by_parts(struct vg_exec *x, struct vg_req *r, unsigned element,
                              forward_fn forward)
{
    uint64_t *w = r->call.arg;
    const uint64_t dst = w[DST], pitch = w[PITCH], width = w[WIDTH], height = w[HEIGHT];
    CUresult rc = CUDA_SUCCESS;

    for (uint64_t y = 0, n; y < height && rc == CUDA_SUCCESS; y += n) {
        w[DST] = dst + y * pitch;
        w[WIDTH] = width;
        n = height > 1 ? vg_pins_reach(x, w[DST], (height - y) * pitch) / pitch : 0;
        w[HEIGHT] = n ? n : 1;
        rc = n ? forward_part(x, r, forward)
               : row_by_parts(x, r, element, &w[WIDTH], forward);
        n = w[HEIGHT];
    }
    return rc;
}

CUresult vg_memset_forward(struct vg_exec *x, struct vg_req *r, forward_fn forward)
{
    const struct row *m = row_of(&r->call);
    const struct vg_call whole = r->call;
    uint64_t *w = r->call.arg;
    CUresult rc;

    /* Rows that overlap the driver refuses. */
    if (!m || !vg_guest_owns(&x->guest, w[DST], 1) ||
        (m->pitched && w[HEIGHT] > 1 && w[PITCH] < w[WIDTH] * m->element) ||
        w[m->pitched ? WIDTH : COUNT] == 0 || (m->pitched && w[HEIGHT] == 0))
        return forward(x, r);
    rc = m->pitched ? rows_by_parts(x, r, m->element, forward)
                    : row_by_parts(x, r, m->element, &w[COUNT], forward);
    r->call = whole;
    return rc;
}
