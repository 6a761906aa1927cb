/* SPDX-License-Identifier: MIT */
/*
 * The exported symbols that follow from the table alone: forwarded, posted, aliases
 * and those not supported. Rows of mode CUSTOM and LOCAL are functions of other
 * files; a row whose function this build lacks answers CUDA_ERROR_NOT_SUPPORTED
 * through a weak definition. Forwarded and posted rows are weak as well: a file that
 * knows the answer already puts its own function in front (occupancy.c, event.c). Also the addresses
 * of all, for cuGetProcAddress.
 */
#include "guest-shim/entry.h"

#include "guest-shim/fwd.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define DEFINE_FWD(symbol, target)                                                                 \
    __attribute__((weak)) CUresult symbol(VG_PARAMS(symbol)) VG_FWD_BODY(symbol)
#define DEFINE_POST(symbol, target)                                                                \
    __attribute__((weak)) CUresult symbol(VG_PARAMS(symbol)) VG_POST_BODY(symbol)
#define DEFINE_PTSZ(symbol, target)                                                                \
    CUresult symbol(VG_PARAMS(symbol))                                                             \
    {                                                                                              \
        return target(VG_NAMES_PTSZ(symbol));                                                      \
    }
#define DEFINE_PTDS(symbol, target)                                                                \
    CUresult symbol(VG_PARAMS(symbol))                                                             \
    {                                                                                              \
        CUresult r = target(VG_NAMES(symbol), CU_STREAM_PER_THREAD);                               \
        return r ? r : cuStreamSynchronize(CU_STREAM_PER_THREAD);                                  \
    }
#define DEFINE_OLD(symbol, target)                                                                 \
    CUresult symbol(VG_PARAMS(symbol))                                                             \
    {                                                                                              \
        return target(VG_NAMES(symbol));                                                           \
    }
#define DEFINE_NOSUP(symbol, target)                                                               \
    CUresult symbol(VG_PARAMS(symbol))                                                             \
    {                                                                                              \
        static uint32_t said;                                                                      \
        VG_UNUSED(symbol)                                                                          \
        return vg_unsupported_once(&said, #symbol);                                                \
    }
#define DEFINE_WEAK(symbol)                                                                        \
    __attribute__((weak)) CUresult symbol(VG_PARAMS(symbol))                                       \
    {                                                                                              \
        static uint32_t said;                                                                      \
        VG_UNUSED(symbol)                                                                          \
        return vg_unsupported_once(&said, #symbol);                                                \
    }
#define DEFINE_CUSTOM(symbol, target) DEFINE_WEAK(symbol)
#define DEFINE_LOCAL(symbol, target) DEFINE_WEAK(symbol)

#define VG_API(id, symbol, base, since, mode, class) DEFINE_##mode(symbol, _)
#define VG_ALIAS(id, symbol, base, since, mode, class, target) DEFINE_##mode(symbol, target)
#include "vg_api.def"

vg_function *const vg_entry[VG_API_COUNT] = {
#define VG_API(id, symbol, base, since, mode, class) \
        [VG_INDEX_##symbol] = (vg_function *)(uintptr_t)symbol,
#include "vg_api.def"
};
