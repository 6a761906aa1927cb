/* SPDX-License-Identifier: MIT */
/*
 * From a record to a driver call: one thunk per row that crosses, made from the
 * table. Order in each: decode all, check all, call, take note of what was made
 * or ended, encode. Serve thread; reads private copies only.
 */
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/memset.h"
#include "mediator/executor/work.h"
#include "mediator/vg_classes.h"

/* ---- Decoding, by kind ---- */

#define DECODE(kind, type, name, aux) DECODE_##kind(type, name)
#define DECODE_VAL(type, name) decode_word(r, &a.name, sizeof(a.name));
#define DECODE_HND(type, name) DECODE_VAL(type, name)
#define DECODE_STRM(type, name) DECODE_VAL(type, name)
#define DECODE_DPTR(type, name) DECODE_VAL(type, name)
#define DECODE_OUT(type, name) a.has_##name = decode_flag(r);
#define DECODE_OUTH(type, name) DECODE_OUT(type, name)
#define DECODE_IN(type, name) a.name = vg_dec_struct(&r->dec, sizeof(*a.name));
#define DECODE_INOUT(type, name) a.has_##name = decode_inout(r, &a.name, sizeof(a.name));
#define DECODE_STR(type, name) a.name = vg_dec_string(&r->dec);
#define DECODE_INBUF(type, name) a.name = vg_dec_block(&r->dec, &a.bytes_##name);
#define DECODE_OUTBUF(type, name) a.name = decode_flag(r) ? (type *)x->out : NULL;
#define DECODE_PTR(type, name) PTR_ARGUMENTS_DO_NOT_CROSS
#define DECODE_NONE(type, name)

static void decode_word(struct vg_req *r, void *ret_value, size_t size)
{
    uint64_t w = vg_dec_word(&r->dec);

    memcpy(ret_value, &w, size);
}

static bool decode_flag(struct vg_req *r)
{
    uint64_t w = vg_dec_word(&r->dec);

    if (w > 1)
        r->dec.bad = true;
    return w == 1;
}

static bool decode_inout(struct vg_req *r, void *ret_value, size_t size)
{
    const void *p = vg_dec_struct(&r->dec, size);

    if (p)
        memcpy(ret_value, p, size);
    return p != NULL;
}

bool vg_req_decoded(struct vg_req *r)
{
    if (vg_dec_done(&r->dec))
        return true;
    r->breach = "malformed arguments";
    return false;
}

/* ---- Checking, by kind: rc keeps the first refusal ---- */

#define CHECK(kind, type, name, aux) CHECK_##kind(type, name, aux)
#define CHECK_VAL(type, name, aux)
#define CHECK_HND(type, name, aux) \
    check_handle(x, r, &rc, VG_OBJ_##type, (uint64_t)(uintptr_t)a.name);
#define CHECK_STRM(type, name, aux) rc = rc ? rc : vg_own_stream(x, a.name);
#define CHECK_DPTR(type, name, aux) rc = rc ? rc : check_range(x, a.name, a.aux);
#define CHECK_OUT(type, name, aux)
#define CHECK_OUTH(type, name, aux)
#define CHECK_IN(type, name, aux)
#define CHECK_INOUT(type, name, aux)
#define CHECK_STR(type, name, aux)
#define CHECK_INBUF(type, name, aux) \
    check_inbuf(r, a.name, a.bytes_##name, (uint64_t)a.aux, sizeof(*a.name));
#define CHECK_OUTBUF(type, name, aux) \
    if (a.name) check_outbuf(x, r, &rc, (uint64_t)a.aux, sizeof(*a.name));
#define CHECK_PTR(type, name, aux)
#define CHECK_NONE(type, name, aux)

static void check_handle(struct vg_exec *x, struct vg_req *r, CUresult *rc, enum vg_obj_type type,
                         uint64_t handle)
{
    if (*rc == CUDA_SUCCESS)
        *rc = vg_own_handle(x, type, handle);
    if (type == VG_OBJ_CUgraph)
        r->graph = (CUgraph)(uintptr_t)handle;
}

/* NULL goes to the driver, which knows what it means (cuMemFree of nothing is no error). */
static CUresult check_range(struct vg_exec *x, CUdeviceptr addr, uint64_t len)
{
    return addr ? vg_own_range(x, addr, len) : CUDA_SUCCESS;
}

static void check_inbuf(struct vg_req *r, const void *p, size_t bytes, uint64_t count, size_t size)
{
    if (p && (bytes % size != 0 || bytes / size != count))
        r->breach = "array length differs from its count";
}

static void check_outbuf(struct vg_exec *x, struct vg_req *r, CUresult *rc, uint64_t count,
                         size_t size)
{
    size_t cap = vg_reply_capacity(&r->call);

    if (count > cap / size)
        *rc = CUDA_ERROR_INVALID_VALUE;
    else
        memset(x->out, 0, count * size);
}

/* ---- The driver's view of the arguments ---- */

#define PASS(kind, type, name, aux) VG_IF_##kind(, PASS_##kind(name))
#define PASS_VAL(name) a.name
#define PASS_HND(name) a.name
#define PASS_STRM(name) a.name
#define PASS_DPTR(name) a.name
#define PASS_OUT(name) (a.has_##name ? &a.name : NULL)
#define PASS_OUTH(name) PASS_OUT(name)
#define PASS_IN(name) a.name
#define PASS_INOUT(name) PASS_OUT(name)
#define PASS_STR(name) a.name
#define PASS_INBUF(name) a.name
#define PASS_OUTBUF(name) a.name
#define PASS_NONE(name)

/* ---- After success: ownership and results, by kind ---- */

#define FINISH(kind, type, name, aux) FINISH_##kind(type, name, aux)
#define FINISH_VAL(type, name, aux)
#define FINISH_HND(type, name, aux) FINISH_HND_##aux(type, name)
#define FINISH_HND__(type, name)
#define FINISH_HND_DIES(type, name) vg_own_remove(x, VG_OBJ_##type, (uint64_t)(uintptr_t)a.name);
#define FINISH_STRM(type, name, aux) FINISH_HND_##aux(CUstream, name)
#define FINISH_DPTR(type, name, aux)
#define FINISH_OUT(type, name, aux) if (a.has_##name) encode(r, &a.name, sizeof(a.name));
#define FINISH_OUTH(type, name, aux) \
    if (a.has_##name) { \
        keep_handle(x, r, VG_OBJ_##type, (uint64_t)(uintptr_t)a.name); \
        encode(r, &a.name, sizeof(a.name)); \
    }
#define FINISH_IN(type, name, aux)
#define FINISH_INOUT(type, name, aux) \
    if (a.has_##name) vg_enc_block(&r->enc, &a.name, sizeof(a.name));
#define FINISH_STR(type, name, aux)
#define FINISH_INBUF(type, name, aux)
#define FINISH_OUTBUF(type, name, aux) \
    if (a.name) encode_buffer(r, a.name, (size_t)a.aux * sizeof(*a.name));
#define FINISH_PTR(type, name, aux)
#define FINISH_NONE(type, name, aux)

static void encode(struct vg_req *r, const void *p, size_t size)
{
    uint64_t w = 0;

    if (size > sizeof(w)) {
        vg_enc_block(&r->enc, p, size);
        return;
    }
    memcpy(&w, p, size);
    vg_enc_word(&r->enc, w);
}

/* The buffer already lies where replies are built: at the beginning, as the only block of it. */
static void encode_buffer(struct vg_req *r, const void *p, size_t size)
{
    if (r->enc.len == 0 && p == r->enc.payload && size + 8 <= r->enc.cap) {
        vg_enc_word(&r->enc, (uint64_t)size + 1);
        memset(r->enc.payload + size, 0, (8 - size % 8) % 8);
        r->enc.len = (size + 7) & ~(size_t)7;
    } else {
        r->enc.overflow = true;
    }
}

/* Bodies that know a better parent have added the handle already. */
static void keep_handle(struct vg_exec *x, struct vg_req *r, enum vg_obj_type type, uint64_t handle)
{
    uint64_t parent = 0;

    if (vg_obj_find(&x->obj, type, handle))
        return;
    if (type == VG_OBJ_CUevent)
        parent = (uintptr_t)x->home;
    if (type == VG_OBJ_CUgraphNode || type == VG_OBJ_CUgraphConditionalHandle)
        parent = (uintptr_t)r->graph;
    vg_own_add(x, type, handle, parent, 0); /* no room: the guest cannot use it, as it will see */
}

/* ---- Thunks ---- */

#define THUNK(name, symbol, call)                                             \
    static CUresult name##symbol(struct vg_exec *x, struct vg_req *r)         \
    {                                                                         \
        struct vg_args_##symbol a;                                            \
        CUresult rc = CUDA_SUCCESS;                                           \
                                                                              \
        memset(&a, 0, sizeof(a));                                             \
        a._ = 1;                                                              \
        VG_ARGS_##symbol(DECODE)                                              \
        if (!vg_req_decoded(r))                                               \
            return CUDA_ERROR_INVALID_VALUE;                                  \
        VG_ARGS_##symbol(CHECK)                                               \
        if (rc != CUDA_SUCCESS || r->breach)                                  \
            return rc;                                                        \
        rc = call;                                                            \
        if (rc != CUDA_SUCCESS || r->later || r->answered)                    \
            return rc;                                                        \
        VG_ARGS_##symbol(FINISH)                                              \
        return CUDA_SUCCESS;                                                  \
    }

#define CALL_DRIVER(symbol) x->cuda.symbol(VG_TAIL(VG_ARGS_##symbol(PASS)))
#define THUNK_FWD(symbol) THUNK(fwd_, symbol, CALL_DRIVER(symbol))
#define THUNK_POST(symbol) THUNK_FWD(symbol)
#define THUNK_CUSTOM(symbol)
#define THUNK_LOCAL(symbol)
#define THUNK_PTSZ(symbol)
#define THUNK_PTDS(symbol)
#define THUNK_OLD(symbol)
#define THUNK_NOSUP(symbol)
#define VG_API(id, symbol, base, since, mode, class) THUNK_##mode(symbol)
#include "vg_api.def"

#define THUNK_NATURAL(symbol) THUNK(natural_, symbol, vg_do_##symbol(x, r, &a))
VG_NATURAL_CALLS(THUNK_NATURAL)

/* ---- The tables: bodies by hand go before those made from the table ---- */

typedef CUresult (*handler)(struct vg_exec *x, struct vg_req *r);

static handler api_handler[VG_API_COUNT];
static handler internal_handler[VG_STATS_INTERNAL];
static uint16_t index_of[VG_CALL_END];      /* dense index + 1; 0: no such call */

__attribute__((constructor)) static void fill_tables(void)
{
#define FILL_FWD(symbol) api_handler[VG_INDEX_##symbol] = fwd_##symbol;
#define FILL_POST(symbol) FILL_FWD(symbol)
#define FILL_CUSTOM(symbol)
#define FILL_LOCAL(symbol)
#define FILL_PTSZ(symbol)
#define FILL_PTDS(symbol)
#define FILL_OLD(symbol)
#define FILL_NOSUP(symbol)
#define VG_API(id, symbol, base, since, mode, class)                          \
    FILL_##mode(symbol)                                                       \
    index_of[id] = VG_INDEX_##symbol + 1;
#include "vg_api.def"
#define FILL_NATURAL(symbol) api_handler[VG_INDEX_##symbol] = natural_##symbol;
#define FILL_RAW(symbol) api_handler[VG_INDEX_##symbol] = vg_do_##symbol;
#define FILL_INTERNAL(symbol) internal_handler[VG_CALL_##symbol] = vg_do_##symbol;
    VG_NATURAL_CALLS(FILL_NATURAL)
    VG_RAW_CALLS(FILL_RAW)
    VG_INTERNAL_CALLS(FILL_INTERNAL)
}

/* ---- One request ---- */

/* Counts the call too, unless it was counted before it was put aside. */
static handler find_handler(struct vg_exec *x, struct vg_req *r, bool again)
{
    const struct vg_call *c = &r->call;

    r->class = VG_CLASS_OTHER;
    if (c->call < VG_CALL_INTERNAL_END) {
        if (c->call >= VG_STATS_INTERNAL)
            return NULL;
        VG_STAT_ADD(x, call[c->call], !again);
        r->class = vg_internal_class(c->call);
        return internal_handler[c->call];
    }
    if (c->call >= VG_CALL_END || index_of[c->call] == 0)
        return NULL;
    unsigned index = index_of[c->call] - 1u;
    VG_STAT_ADD(x, call[VG_STATS_INTERNAL + index], !again);
    r->class = vg_api_rows[index].class;
    return api_handler[index];
}

static CUresult call_driver(struct vg_exec *x, struct vg_req *r, handler h)
{
    return vg_memset_is(&r->call) ? vg_memset_forward(x, r, h) : h(x, r);
}

static CUresult carry_out(struct vg_exec *x, struct vg_req *r, handler h)
{
    uint64_t key, first;

    if (vg_work_of(&r->call) != VG_WORK_GPU) {
        x->meter.clock = 0; /* it may take long */
        return call_driver(x, r, h);
    }
    key = vg_work_key(&r->call, &first);
    vg_meter_begin(x, key, first);
    CUresult rc = call_driver(x, r, h);
    vg_meter_end(x, rc == CUDA_SUCCESS);
    return rc;
}

bool vg_dispatch(struct vg_exec *x, struct vg_req *r)
{
    bool again = r->drained;
    handler h = find_handler(x, r, again);
    CUresult rc = CUDA_ERROR_NOT_SUPPORTED;

    vg_dec_init_call(&r->dec, &r->call, r->payload);
    vg_enc_init_result(&r->enc, &r->res, x->out, vg_reply_capacity(&r->call));
    r->later = r->answered = false;
    if (!again)
        vg_timing_taken(x, r);
    if (h)
        rc = vg_memset_is(&r->call) ? vg_memset_owned(x, &r->call) : vg_quota_check_object(x, &r->call);
    if (h && rc == CUDA_SUCCESS && vg_wait_to_load(x, r))
        rc = carry_out(x, r, h);
    if (x->quota.counting && !r->later)
        vg_quota_count(x);
    if (r->breach)
        return false;
    if (!r->later)
        vg_reply(x, r, rc);
    return true;
}
