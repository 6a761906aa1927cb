/* SPDX-License-Identifier: MIT */
/* Handlers of texture and surface instructions; what lower_tex.c puts into a uop. */
#ifndef VG_PTX_TEXOPS_H
#define VG_PTX_TEXOPS_H

#include "handlers.h"
#include "sample.h"

/* tex, tld4: a = handle (64-bit), aux = struct tex_op. Slots are of 32 bits. */
struct tex_op {
    enum sample_shape shape;
    bool integer;       /* coordinates are .s32 */
    bool layered, has_lod, has_gradient;
    int channel;        /* tld4: which; tex: -1 */
    uint32_t coord[3], layer, lod, dx[3], dy[3];
    uint32_t dst[4];    /* PTX_NO_REG: not wanted */
};
HANDLER(ptx_op_tex);

/* suld, sust, sured: a = handle, aux = struct surf_op. */
enum surf_bounds { SURF_TRAP, SURF_CLAMP, SURF_ZERO };
enum surf_kind { SURF_LOAD, SURF_STORE, SURF_REDUCE };
struct surf_op {
    enum surf_kind kind;
    enum surf_bounds bounds;
    enum sample_shape shape;
    bool layered;
    unsigned bytes;     /* of an element: 1, 2, 4, 8 */
    unsigned count;     /* elements: 1, 2, 4 */
    int reduce, type;   /* enum atom_op, enum ast_type */
    uint32_t coord[3], layer;
    uint32_t data[4];   /* registers read or written, of 64 bits if bytes is 8 */
};
HANDLER(ptx_op_surf);

/* txq, suq: d, a = handle, x[0] = enum tex_query, x[1] = surface; b = level (x[2] given) */
enum tex_query {
    QUERY_WIDTH, QUERY_HEIGHT, QUERY_DEPTH, QUERY_CHANNEL_TYPE, QUERY_CHANNEL_ORDER,
    QUERY_NORMALIZED, QUERY_ARRAY_SIZE, QUERY_LEVELS
};
HANDLER(ptx_op_txq);

#endif
