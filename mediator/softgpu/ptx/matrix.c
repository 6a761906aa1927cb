/* SPDX-License-Identifier: MIT */
/*
 * Matrix instructions of a warp: mma, wmma, ldmatrix. mma and ldmatrix place
 * elements in registers as PTX documents; wmma fragments are opaque, so element
 * e of a matrix (row by row) is simply element e % n of lane e / n, n per lane.
 * Products are exact, sums are made in double and rounded once.
 */
#include "newops.h"

#include "half.h"

#include <string.h>

enum { MAX_DIM = 32, MAX_ELEMS = MAX_DIM * MAX_DIM };

#define ALL4 FULL_MASK, FULL_MASK, FULL_MASK, FULL_MASK
static const uint32_t everybody[PTX_LANES] = {ALL4, ALL4, ALL4, ALL4, ALL4, ALL4, ALL4, ALL4};

/* These are .sync.aligned: lanes that came another way are waited for. */
#define GATHER_WARP(rc)                                                                           \
    do {                                                                                          \
        mask = ptx_gather(w, u, mask, everybody, &(rc));                                          \
        if (!mask)                                                                                \
            return rc;                                                                            \
    } while (0)

static unsigned elem_bits(enum matrix_type t)
{
    switch (t) {
    case MX_F16: case MX_BF16: return 16;
    case MX_S8: case MX_U8: return 8;
    case MX_F64: return 64;
    default: return 32;
    }
}

static double decode(enum matrix_type t, uint64_t v)
{
    uint32_t w = (uint32_t)v;
    double d;
    float f;

    switch (t) {
    case MX_F16: return (double)vg_half_to_float((uint16_t)v);
    case MX_BF16: return (double)vg_bf16_to_float((uint16_t)v);
    case MX_S8: return (int8_t)v;
    case MX_U8: return (uint8_t)v;
    case MX_S32: return (int32_t)w;
    case MX_F64: memcpy(&d, &v, 8); return d;
    case MX_TF32:
        w &= 0xffffe000u; /* the hardware reads ten bits of fraction */
        break;
    default:
        break;
    }
    memcpy(&f, &w, 4);
    return (double)f;
}

static uint64_t encode_int(double d, int saturate)
{
    if (saturate)
        return (uint32_t)(d > 2147483647.0    ? INT32_MAX
                          : d < -2147483648.0 ? INT32_MIN
                                              : (int32_t)d);
    return (uint32_t)(int64_t)d;
}

static uint64_t encode(enum matrix_type t, double d, int saturate)
{
    uint64_t v;

    switch (t) {
    case MX_F16: return vg_double_to(&vg_f16, d, VG_RN, 0);
    case MX_F64: memcpy(&v, &d, 8); return v;
    case MX_S32: return encode_int(d, saturate);
    default: return vg_double_to(&vg_f32_format, d, VG_RN, 0);
    }
}

/* Element e of a lane's part: registers hold them from the low bits up. */
static uint64_t get_elem(const struct warp *w, const struct matrix_part *p, uint32_t lane,
                         uint32_t e)
{
    unsigned bits = elem_bits(p->type), per = bits >= 32 ? 1 : 32 / bits;

    if (bits == 64)
        return reg64(w, p->slots[e])[lane];
    return reg32(w, p->slots[e / per])[lane] >> (e % per * bits);
}

static void set_elem(struct warp *w, const struct matrix_part *p, uint32_t lane, uint32_t e,
                     uint64_t v)
{
    unsigned bits = elem_bits(p->type), per = bits >= 32 ? 1 : 32 / bits, at = e % per * bits;
    uint32_t *r, m;

    if (bits == 64) {
        reg64(w, p->slots[e])[lane] = v;
        return;
    }
    r = &reg32(w, p->slots[e / per])[lane];
    m = bits == 32 ? FULL_MASK : ((1u << bits) - 1) << at;
    *r = (*r & ~m) | ((uint32_t)v << at & m);
}

static uint32_t elems_per_lane(const struct matrix_part *p)
{
    unsigned bits = elem_bits(p->type);

    return bits >= 32 ? p->n : p->n * (32 / bits);
}

static void multiply(const struct matrix_op *x, const double *a, const double *b, double *c)
{
    uint32_t i, j, k;

    for (i = 0; i < x->m; i++)
        for (j = 0; j < x->n; j++)
            for (k = 0; k < x->k; k++)
                c[i * x->n + j] += a[i * x->k + k] * b[k * x->n + j];
}

/* ------------------------------------------------------------------------ mma */

/* Where element e of a lane lies, by part. f64 (m8n8k4) is one row per four lanes. */
static uint32_t a_index(const struct matrix_op *x, uint32_t lane, uint32_t e)
{
    uint32_t per = x->a.type == MX_F64 ? 1 : 32 / elem_bits(x->a.type), r = e / per, j = e % per;
    uint32_t row = lane / 4 + (r & 1) * 8, col = lane % 4 * per + j + 4 * per * (r >> 1);

    return row * x->k + col;
}

static uint32_t b_index(const struct matrix_op *x, uint32_t lane, uint32_t e)
{
    uint32_t per = x->b.type == MX_F64 ? 1 : 32 / elem_bits(x->b.type), r = e / per, j = e % per;

    return (lane % 4 * per + j + 4 * per * r) * x->n + lane / 4;
}

static uint32_t c_index(const struct matrix_op *x, uint32_t lane, uint32_t e)
{
    return (lane / 4 + e / 2 * 8) * x->n + lane % 4 * 2 + e % 2;
}

typedef uint32_t (*index_fn)(const struct matrix_op *x, uint32_t lane, uint32_t e);

static void gather(const struct warp *w, const struct matrix_op *x, const struct matrix_part *p,
                   index_fn index, double *to)
{
    uint32_t lane, e, n = elems_per_lane(p);

    for (lane = 0; lane < PTX_LANES; lane++)
        for (e = 0; e < n; e++)
            to[index(x, lane, e)] = decode(p->type, get_elem(w, p, lane, e));
}

static void scatter(struct warp *w, const struct matrix_op *x, index_fn index, const double *from,
                    uint32_t mask)
{
    uint32_t e, n = elems_per_lane(&x->d);

    FOR_LANES(lane, mask)
        for (e = 0; e < n; e++)
            set_elem(w, &x->d, lane, e, encode(x->d.type, from[index(x, lane, e)], x->saturate));
}

HANDLER(ptx_op_mma)
{
    const struct matrix_op *x = u->aux;
    double a[MAX_ELEMS] = {0}, b[MAX_ELEMS] = {0}, c[MAX_ELEMS] = {0};
    int rc;

    GATHER_WARP(rc);
    gather(w, x, &x->a, a_index, a);
    gather(w, x, &x->b, b_index, b);
    gather(w, x, &x->c, c_index, c);
    multiply(x, a, b, c);
    scatter(w, x, c_index, c, mask);
    return rc;
}

/* ----------------------------------------------------------------------- wmma */

static void wmma_gather(const struct warp *w, const struct matrix_part *p, uint32_t count,
                        double *to)
{
    uint32_t n = count / PTX_LANES, e;

    for (e = 0; e < count; e++)
        to[e] = decode(p->type, get_elem(w, p, e / n, e % n));
}

HANDLER(ptx_op_wmma_mma)
{
    const struct matrix_op *x = u->aux;
    double a[MAX_ELEMS], b[MAX_ELEMS], c[MAX_ELEMS];
    uint32_t n = x->m * x->n / PTX_LANES, e;
    int rc;

    GATHER_WARP(rc);
    wmma_gather(w, &x->a, x->m * x->k, a);
    wmma_gather(w, &x->b, x->k * x->n, b);
    wmma_gather(w, &x->c, x->m * x->n, c);
    multiply(x, a, b, c);
    FOR_LANES(lane, mask)
        for (e = 0; e < n; e++)
            set_elem(w, &x->d, lane, e, encode(x->d.type, c[lane * n + e], x->saturate));
    return rc;
}

/* Byte offset of element e of the matrix from the lane's address. */
static uint64_t wmma_offset(const struct warp *w, const struct matrix_op *x, uint32_t lane,
                            uint32_t e, unsigned bytes)
{
    uint64_t row = e / x->cols, col = e % x->cols, ld = x->col_major ? x->rows : x->cols;

    if (x->has_stride)
        ld = reg32(w, x->stride)[lane];
    return (x->col_major ? col * ld + row : row * ld + col) * bytes;
}

/* One element through the same checks as any access. */
static int wmma_access(struct warp *w, const struct uop *u, uint32_t lane, uint64_t offset,
                       unsigned bytes, int write, unsigned char **at)
{
    struct uop one = *u;
    unsigned char *p[PTX_LANES];

    one.imm = (int64_t)((uint64_t)u->imm + offset);
    if (ptx_resolve(w, &one, 1u << lane, bytes, bytes, write, p))
        return CTL_FAULT;
    *at = p[lane];
    return 0;
}

HANDLER(ptx_op_wmma_load)
{
    const struct matrix_op *x = u->aux;
    unsigned bytes = elem_bits(x->d.type) / 8;
    uint32_t n = x->rows * x->cols / PTX_LANES, e;
    unsigned char *at;

    FOR_LANES(lane, mask) {
        for (e = 0; e < n; e++) {
            uint64_t v = 0;

            if (wmma_access(w, u, lane, wmma_offset(w, x, lane, lane * n + e, bytes), bytes, 0, &at))
                return CTL_FAULT;
            memcpy(&v, at, bytes);
            set_elem(w, &x->d, lane, e, v);
        }
        /* Registers the hardware needs and we do not: a defined value. */
        for (; e < elems_per_lane(&x->d); e++)
            set_elem(w, &x->d, lane, e, 0);
    }
    return CTL_NEXT;
}

HANDLER(ptx_op_wmma_store)
{
    const struct matrix_op *x = u->aux;
    unsigned bytes = elem_bits(x->d.type) / 8;
    uint32_t n = x->rows * x->cols / PTX_LANES, e;
    unsigned char *at;

    FOR_LANES(lane, mask)
        for (e = 0; e < n; e++) {
            uint64_t v = get_elem(w, &x->d, lane, e);

            if (wmma_access(w, u, lane, wmma_offset(w, x, lane, lane * n + e, bytes), bytes, 1, &at))
                return CTL_FAULT;
            memcpy(at, &v, bytes);
        }
    return CTL_NEXT;
}

/* ------------------------------------------------------------------- ldmatrix */

static void matrix_rows(const struct matrix_op *x, uint32_t lane, uint32_t half, uint32_t *row,
                        uint32_t *col)
{
    *row = x->trans ? lane % 4 * 2 + half : lane / 4;
    *col = x->trans ? lane / 4 : lane % 4 * 2 + half;
}

HANDLER(ptx_op_ldmatrix)
{
    const struct matrix_op *x = u->aux;
    unsigned char *p[PTX_LANES] = {NULL};
    uint32_t givers = x->count == 4 ? FULL_MASK : (1u << 8 * x->count) - 1, k, half, row, col;
    int rc;

    GATHER_WARP(rc);
    if (mask != FULL_MASK)
        return ptx_fault(w, u, __builtin_ctz(mask), PTX_FAULT_TRAP, 0,
                         "ldmatrix with inactive lanes");
    if (ptx_resolve(w, u, givers, 16, 16, x->is_store, p))
        return CTL_FAULT;
    for (k = 0; k < x->count; k++)
        FOR_LANES(lane, mask) {
            uint32_t *r = &reg32(w, x->d.slots[k])[lane];
            uint16_t part[2];

            memcpy(part, r, 4);
            for (half = 0; half < 2; half++) {
                unsigned char *at;

                matrix_rows(x, lane, half, &row, &col);
                at = p[8 * k + row] + 2 * col;
                if (x->is_store)
                    memcpy(at, &part[half], 2);
                else
                    memcpy(&part[half], at, 2);
            }
            memcpy(r, part, 4);
        }
    return rc;
}
