/* SPDX-License-Identifier: MIT */
/*
 * The guest half of a table row, made from the row. VG_FWD_BODY(symbol) is the body
 * of a function with the symbol's arguments that sends the call, waits, and stores
 * what came back; VG_POST_BODY(symbol) sends it and does not wait, unless the host
 * may have something against it (known.h). Hand-written
 * files use them too, for rows that need a few lines before or after:
 *
 *     static CUresult host_cuStreamDestroy(VG_PARAMS(cuStreamDestroy_v2))
 *     VG_FWD_BODY(cuStreamDestroy_v2)
 *
 * An argument passes four stages, each a macro VG_FWD_<stage>_<kind>: what must be
 * done before the ring is taken, how many payload bytes it needs, how it is encoded,
 * and how its result is decoded. The encoding is vg_codec.h's.
 */
#ifndef VG_SHIM_FWD_H
#define VG_SHIM_FWD_H

#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/known.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_api.h"

/* Rows without an output report errors of earlier calls; those with one keep to their own. */
#define VG_FWD_BODY(symbol)                                                                        \
    {                                                                                              \
        struct vg_tx vg_tx_;                                                                       \
        struct vg_reply vg_reply_;                                                                 \
        CUresult vg_r_ = vg_enter();                                                               \
        VG_FWD_SEND(symbol, VG_FWD_PREP, VG_FWD_BEGIN(VG_FWD_OUTS(symbol)))                        \
        vg_r_ = vg_finish(&vg_tx_, &vg_reply_);                                                    \
        if (vg_r_)                                                                                 \
            return vg_r_;                                                                          \
        struct vg_dec vg_d_;                                                                       \
        vg_reply_decoder(&vg_reply_, &vg_d_);                                                      \
        VG_ARGS_##symbol(VG_FWD_DECODE)                                                            \
        return vg_d_.bad ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;                                      \
    }

#define VG_POST_BODY(symbol)                                                                       \
    {                                                                                              \
        struct vg_tx vg_tx_;                                                                       \
        bool vg_home_ = vg_enter_ctx() == CUDA_SUCCESS, vg_sure_ = vg_home_;                       \
        CUresult vg_r_ = vg_enter();                                                               \
        VG_FWD_SEND(symbol, VG_POST_PREP, vg_sure_ ? vg_begin : vg_begin_reply)                    \
        if (VG_LIKELY(vg_sure_))                                                                   \
            return vg_post(&vg_tx_);                                                               \
        vg_r_ = vg_finish(&vg_tx_, NULL);                                                          \
        if (!vg_r_ && vg_home_ && !vg_capture_possible()) {                                        \
            VG_ARGS_##symbol(VG_POST_LEARN)                                                        \
        }                                                                                          \
        return vg_r_;                                                                              \
    }

#define VG_FWD_BEGIN(outs) ((outs) ? vg_begin_quiet : vg_begin_reply)
#define VG_FWD_SEND(symbol, PREP, begin)                                                           \
    size_t vg_n_ = 0;                                                                              \
    if (vg_r_)                                                                                     \
        return vg_r_;                                                                              \
    VG_ARGS_##symbol(PREP)                                                                         \
    VG_ARGS_##symbol(VG_FWD_SIZE)                                                                  \
    if (vg_n_ > VG_PAYLOAD_MAX)                                                                    \
        return CUDA_ERROR_INVALID_VALUE;                                                           \
    vg_r_ = (begin)(&vg_tx_, VG_CALL_##symbol, vg_n_);                                             \
    if (vg_r_)                                                                                     \
        return vg_r_;                                                                              \
    struct vg_enc vg_e_;                                                                           \
    vg_tx_encoder(&vg_tx_, &vg_e_);                                                                \
    VG_ARGS_##symbol(VG_FWD_ENCODE)                                                                \
    if (!vg_tx_encoded(&vg_tx_, &vg_e_)) {                                                         \
        vg_drop(&vg_tx_);                                                                          \
        return CUDA_ERROR_INVALID_VALUE;                                                           \
    }

/* Whether a row has outputs: a sum of constants. */
#define VG_FWD_OUTS(symbol) (0 VG_ARGS_##symbol(VG_FWD_IS_OUT))
#define VG_FWD_IS_OUT(kind, type, name, aux) + VG_FWD_IS_OUT_##kind
#define VG_FWD_IS_OUT_VAL 0
#define VG_FWD_IS_OUT_HND 0
#define VG_FWD_IS_OUT_STRM 0
#define VG_FWD_IS_OUT_DPTR 0
#define VG_FWD_IS_OUT_IN 0
#define VG_FWD_IS_OUT_STR 0
#define VG_FWD_IS_OUT_INBUF 0
#define VG_FWD_IS_OUT_NONE 0
#define VG_FWD_IS_OUT_OUT 1
#define VG_FWD_IS_OUT_OUTH 1
#define VG_FWD_IS_OUT_INOUT 1
#define VG_FWD_IS_OUT_OUTBUF 1

/* Before the ring is taken: streams that stand for another, addresses nobody handed out. */
#define VG_FWD_PREP(kind, type, name, aux) VG_FWD_PREP_##kind(name) VG_FWD_ENDS_##kind(type, name, aux)
#define VG_FWD_PREP_VAL(name)
#define VG_FWD_PREP_HND(name)
#define VG_FWD_PREP_STRM(name)                                                                     \
    uint64_t vg_stream_##name##_;                                                                  \
    vg_r_ = vg_stream(name, &vg_stream_##name##_);                                                 \
    if (vg_r_)                                                                                     \
        return vg_r_;
#define VG_FWD_PREP_DPTR(name)
#define VG_FWD_PREP_IN(name)
#define VG_FWD_PREP_INOUT(name)
#define VG_FWD_PREP_STR(name)
#define VG_FWD_PREP_INBUF(name)
#define VG_FWD_PREP_OUT(name)
#define VG_FWD_PREP_OUTH(name)
#define VG_FWD_PREP_OUTBUF(name)
#define VG_FWD_PREP_NONE(name)

/* A handle that the call ends is known no more. */
#define VG_FWD_ENDS_VAL(type, name, aux)
#define VG_FWD_ENDS_HND(type, name, aux) VG_POST_ENDS_##aux(type, name)
#define VG_FWD_ENDS_STRM(type, name, aux)
#define VG_FWD_ENDS_DPTR(type, name, aux)
#define VG_FWD_ENDS_IN(type, name, aux)
#define VG_FWD_ENDS_INOUT(type, name, aux)
#define VG_FWD_ENDS_STR(type, name, aux)
#define VG_FWD_ENDS_INBUF(type, name, aux)
#define VG_FWD_ENDS_OUT(type, name, aux)
#define VG_FWD_ENDS_OUTH(type, name, aux)
#define VG_FWD_ENDS_OUTBUF(type, name, aux)
#define VG_FWD_ENDS_NONE(type, name, aux)

/*
 * What the host might reject makes the call unsure: handles that it has not accepted, a stream of
 * another context. No event is an error that is known here.
 */
#define VG_POST_PREP(kind, type, name, aux) VG_POST_PREP_##kind(type, name, aux)
#define VG_POST_PREP_VAL(type, name, aux)
#define VG_POST_PREP_HND(type, name, aux)                                                          \
    if (__builtin_types_compatible_p(type, CUevent) && !(name) && !vg_capture_possible())          \
        return CUDA_ERROR_INVALID_HANDLE;                                                          \
    vg_sure_ = vg_sure_ && vg_known(VG_KNOWN_KIND(type), vg_fwd_word(&(name), sizeof(name)));      \
    VG_POST_ENDS_##aux(type, name)                                                                 \
    if (__builtin_types_compatible_p(type, CUevent) && VG_UNLIKELY(vg_capture_possible()))         \
        VG_POST_ENDS_DIES(type, name)
#define VG_POST_PREP_STRM(type, name, aux)                                                         \
    VG_FWD_PREP_STRM(name)                                                                         \
    vg_home_ = vg_home_ && (!vg_stream_##name##_ || vg_known(VG_KNOWN_HOME, vg_stream_##name##_)); \
    vg_sure_ = vg_sure_ && vg_home_;
#define VG_POST_PREP_DPTR(type, name, aux)                                                         \
    {                                                                                              \
        enum { _ = 1 };                                                                            \
        vg_sure_ = vg_sure_ && vg_mem_on_gpu(name, (size_t)(aux));                                 \
    }
#define VG_POST_ENDS__(type, name)
#define VG_POST_ENDS_DIES(type, name)                                                              \
    vg_known_drop(VG_KNOWN_KIND(type), vg_fwd_word(&(name), sizeof(name)));

/* After the host has accepted an unsure call whose stream is of the current context. */
#define VG_POST_LEARN(kind, type, name, aux) VG_POST_LEARN_##kind(type, name, aux)
#define VG_POST_LEARN_VAL(type, name, aux)
#define VG_POST_LEARN_HND(type, name, aux) VG_POST_LEARNS_##aux(type, name)
#define VG_POST_LEARN_STRM(type, name, aux)
#define VG_POST_LEARN_DPTR(type, name, aux)
#define VG_POST_LEARNS__(type, name) VG_FWD_LEARN(type, name)
#define VG_POST_LEARNS_DIES(type, name)
#define VG_FWD_LEARN(type, name)                                                                   \
    vg_known_add(VG_KNOWN_KIND(type), vg_fwd_word(&(name), sizeof(name)));

/* Payload bytes; every argument is counted as if its word came after the eighth. */
#define VG_FWD_SIZE(kind, type, name, aux) VG_FWD_SIZE_##kind(type, name, aux)
#define VG_FWD_SIZE_VAL(type, name, aux) vg_n_ += 8;
#define VG_FWD_SIZE_HND(type, name, aux) vg_n_ += 8;
#define VG_FWD_SIZE_STRM(type, name, aux) vg_n_ += 8;
#define VG_FWD_SIZE_DPTR(type, name, aux) vg_n_ += 8;
#define VG_FWD_SIZE_IN(type, name, aux) vg_n_ += 8 + vg_fwd_up8(sizeof(type));
#define VG_FWD_SIZE_INOUT(type, name, aux) vg_n_ += 8 + vg_fwd_up8(sizeof(type));
#define VG_FWD_SIZE_STR(type, name, aux) vg_n_ += 8 + ((name) ? vg_fwd_up8(strlen(name) + 1) : 0);
#define VG_FWD_SIZE_INBUF(type, name, aux)                                                         \
    if ((name) && (size_t)(aux) > VG_PAYLOAD_MAX)                                                  \
        return CUDA_ERROR_INVALID_VALUE;                                                           \
    vg_n_ += 8 + ((name) ? vg_fwd_up8(sizeof(type) * (size_t)(aux)) : 0);
#define VG_FWD_SIZE_OUT(type, name, aux) vg_n_ += 8;
#define VG_FWD_SIZE_OUTH(type, name, aux) vg_n_ += 8;
#define VG_FWD_SIZE_OUTBUF(type, name, aux) vg_n_ += 8;
#define VG_FWD_SIZE_NONE(type, name, aux)

#define VG_FWD_ENCODE(kind, type, name, aux) VG_FWD_ENCODE_##kind(type, name, aux)
#define VG_FWD_ENCODE_VAL(type, name, aux) vg_enc_word(&vg_e_, vg_fwd_word(&(name), sizeof(name)));
#define VG_FWD_ENCODE_HND(type, name, aux) vg_enc_word(&vg_e_, vg_fwd_word(&(name), sizeof(name)));
#define VG_FWD_ENCODE_STRM(type, name, aux) vg_enc_word(&vg_e_, vg_stream_##name##_);
#define VG_FWD_ENCODE_DPTR(type, name, aux) vg_enc_word(&vg_e_, name);
#define VG_FWD_ENCODE_IN(type, name, aux) vg_enc_block(&vg_e_, name, sizeof(type));
#define VG_FWD_ENCODE_INOUT(type, name, aux) vg_enc_block(&vg_e_, name, sizeof(type));
#define VG_FWD_ENCODE_STR(type, name, aux) vg_enc_string(&vg_e_, name);
#define VG_FWD_ENCODE_INBUF(type, name, aux)                                                       \
    vg_enc_block(&vg_e_, name, sizeof(type) * (size_t)(aux));
#define VG_FWD_ENCODE_OUT(type, name, aux) vg_enc_word(&vg_e_, (name) != NULL);
#define VG_FWD_ENCODE_OUTH(type, name, aux) vg_enc_word(&vg_e_, (name) != NULL);
#define VG_FWD_ENCODE_OUTBUF(type, name, aux) vg_enc_word(&vg_e_, (name) != NULL);
#define VG_FWD_ENCODE_NONE(type, name, aux)

#define VG_FWD_DECODE(kind, type, name, aux) VG_FWD_DECODE_##kind(type, name, aux)
#define VG_FWD_DECODE_VAL(type, name, aux)
#define VG_FWD_DECODE_HND(type, name, aux)
#define VG_FWD_DECODE_STRM(type, name, aux)
#define VG_FWD_DECODE_DPTR(type, name, aux)
#define VG_FWD_DECODE_IN(type, name, aux)
#define VG_FWD_DECODE_STR(type, name, aux)
#define VG_FWD_DECODE_INBUF(type, name, aux)
#define VG_FWD_DECODE_NONE(type, name, aux)
#define VG_FWD_DECODE_OUT(type, name, aux) vg_fwd_out(&vg_d_, name, sizeof(type));
#define VG_FWD_DECODE_OUTH(type, name, aux)                                                        \
    vg_fwd_out(&vg_d_, name, sizeof(type));                                                        \
    if ((name) && VG_KNOWN_KIND(type) != VG_KNOWN_OTHER)                                           \
        VG_FWD_LEARN(type, *(name))
#define VG_FWD_DECODE_INOUT(type, name, aux) vg_fwd_block(&vg_d_, name, sizeof(type));
#define VG_FWD_DECODE_OUTBUF(type, name, aux)                                                      \
    vg_fwd_block(&vg_d_, name, sizeof(type) * (size_t)(aux));

static inline size_t vg_fwd_up8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* A scalar, handle or small struct as a word: its bytes, zero-extended (little-endian). */
static inline uint64_t vg_fwd_word(const void *p, size_t size)
{
    uint64_t w = 0;

    memcpy(&w, p, size < sizeof(w) ? size : sizeof(w));
    return w;
}

static inline void vg_fwd_block(struct vg_dec *d, void *out, size_t size)
{
    size_t len;
    const void *p;

    if (!out)
        return;
    p = vg_dec_block(d, &len);
    if (p && len <= size)
        memcpy(out, p, len);
    else if (p || size)
        d->bad = true;
}

static inline void vg_fwd_out(struct vg_dec *d, void *out, size_t size)
{
    if (!out)
        return;
    if (size > sizeof(uint64_t)) {
        vg_fwd_block(d, out, size);
        return;
    }
    uint64_t w = vg_dec_word(d);
    if (!d->bad)
        memcpy(out, &w, size);
}

#endif
