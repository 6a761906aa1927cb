/* SPDX-License-Identifier: MIT */
/*
 * What everybody gets from the API table (vg_api.def) by inclusion: ids, dense indices, prototypes,
 * rows, and the resolution of cuGetProcAddress. Guest and host; no system calls, no allocation.
 * Everything is read-only once the library is loaded: any thread may call anything here.
 *
 * To generate code from the table, include this, define VG_API (and VG_ALIAS, where the target of
 * PTSZ, PTDS and OLD rows matters), and include vg_api.def, which undefines both again:
 *
 *     #define VG_API(id, symbol, base, since, mode, class) MY_##mode(symbol)
 *     #define MY_NOSUP(symbol) \
 *         CUresult symbol(VG_PARAMS(symbol)) { VG_UNUSED(symbol) return CUDA_ERROR_NOT_SUPPORTED; }
 */
#ifndef VG_API_H
#define VG_API_H

#include <stdbool.h>
#include <stdint.h>

#ifndef __cuda_cuda_h__     /* only tests/abi has brought the toolkit's own header */
#include "vg_cuda.h"
#endif

/*
 * The macros: a row's arguments as a parameter list, as a call, or as statements. VG_ARGS_symbol(A)
 * gives A(kind, type, name, aux) once per argument; each user turns that into ", something" and
 * drops the first comma with VG_TAIL. VG_C_kind(type) is the C type of an argument; VG_IF_kind
 * keeps its arguments, except for kind NONE.
 */
#define VG_PARAMS(symbol) VG_TAIL(VG_ARGS_##symbol(VG_PARAM))           /* unsigned Flags */
#define VG_NAMES(symbol) VG_TAIL(VG_ARGS_##symbol(VG_NAME))             /* Flags */
#define VG_NAMES_PTSZ(symbol) VG_TAIL(VG_ARGS_##symbol(VG_NAME_PTSZ))   /* NULL streams mapped */
#define VG_UNUSED(symbol) VG_ARGS_##symbol(VG_UNUSED_1)                 /* (void)Flags; */

#define VG_PARAM(kind, type, name, aux) , VG_C_##kind(type) VG_IF_##kind(name)
#define VG_NAME(kind, type, name, aux) VG_IF_##kind(, name)
#define VG_NAME_PTSZ(kind, type, name, aux) VG_IF_##kind(, VG_PTSZ_##kind(name))
#define VG_UNUSED_1(kind, type, name, aux) VG_IF_##kind((void)name;)
#define VG_TAIL(...) VG_TAIL_1(__VA_ARGS__)
#define VG_TAIL_1(first, ...) __VA_ARGS__

#define VG_C_VAL(type) type
#define VG_C_HND(type) type
#define VG_C_STRM(type) type
#define VG_C_DPTR(type) type
#define VG_C_OUT(type) type *
#define VG_C_OUTH(type) type *
#define VG_C_IN(type) const type *
#define VG_C_INOUT(type) type *
#define VG_C_STR(type) const type *
#define VG_C_INBUF(type) const type *
#define VG_C_OUTBUF(type) type *
#define VG_C_PTR(type) type
#define VG_C_NONE(type) type

#define VG_IF_VAL(...) __VA_ARGS__
#define VG_IF_HND(...) __VA_ARGS__
#define VG_IF_STRM(...) __VA_ARGS__
#define VG_IF_DPTR(...) __VA_ARGS__
#define VG_IF_OUT(...) __VA_ARGS__
#define VG_IF_OUTH(...) __VA_ARGS__
#define VG_IF_IN(...) __VA_ARGS__
#define VG_IF_INOUT(...) __VA_ARGS__
#define VG_IF_STR(...) __VA_ARGS__
#define VG_IF_INBUF(...) __VA_ARGS__
#define VG_IF_OUTBUF(...) __VA_ARGS__
#define VG_IF_PTR(...) __VA_ARGS__
#define VG_IF_NONE(...)

#define VG_PTSZ_VAL(name) name
#define VG_PTSZ_HND(name) name
#define VG_PTSZ_STRM(name) ((name) ? (name) : CU_STREAM_PER_THREAD)
#define VG_PTSZ_DPTR(name) name
#define VG_PTSZ_OUT(name) name
#define VG_PTSZ_OUTH(name) name
#define VG_PTSZ_IN(name) name
#define VG_PTSZ_INOUT(name) name
#define VG_PTSZ_STR(name) name
#define VG_PTSZ_INBUF(name) name
#define VG_PTSZ_OUTBUF(name) name
#define VG_PTSZ_PTR(name) name
#define VG_PTSZ_NONE(name)
/* End of the macros. */

/* The id of each call on the wire: VG_CALL_cuInit. Ids below 0x0100 are vg_wire.h's. */
enum vg_api_call {
#define VG_API(id, symbol, base, since, mode, class) VG_CALL_##symbol = id,
#include "vg_api.def"
    VG_CALL_END = 0x2000
};

/* The position of each row in vg_api_rows: for arrays that run parallel to the table. */
enum vg_api_index {
#define VG_API(id, symbol, base, since, mode, class) VG_INDEX_##symbol,
#include "vg_api.def"
    VG_API_COUNT
};

enum vg_api_mode {
    VG_MODE_FWD, VG_MODE_POST, VG_MODE_CUSTOM, VG_MODE_LOCAL, VG_MODE_PTSZ, VG_MODE_PTDS,
    VG_MODE_OLD, VG_MODE_NOSUP, VG_MODE_COUNT
};

enum vg_api_class {
    VG_CLASS_QUERY, VG_CLASS_CONTEXT, VG_CLASS_ALLOC, VG_CLASS_FREE, VG_CLASS_COPY,
    VG_CLASS_MEMSET, VG_CLASS_LAUNCH, VG_CLASS_GRAPH, VG_CLASS_STREAM, VG_CLASS_EVENT,
    VG_CLASS_SYNC, VG_CLASS_MODULE, VG_CLASS_HOST, VG_CLASS_OTHER, VG_CLASS_COUNT
};

/* Prototypes of all symbols: CUresult cuInit(unsigned Flags). */
#define VG_API(id, symbol, base, since, mode, class) \
        __attribute__((visibility("default"))) CUresult symbol(VG_PARAMS(symbol));
#include "vg_api.def"

struct vg_api_row {
    uint16_t id;            /* enum vg_api_call */
    uint16_t since;         /* CUDA version, 12030 is 12.3 */
    uint8_t mode;           /* enum vg_api_mode */
    uint8_t class;          /* enum vg_api_class */
    bool crosses;           /* a host must accept this id: FWD, POST, CUSTOM */
    const char *symbol;     /* "cuMemAlloc_v2" */
    const char *base;       /* "cuMemAlloc" */
    const char *target;     /* symbol that a PTSZ, PTDS or OLD row calls, else "" */
    const char *args;       /* "OUT CUdeviceptr dptr _;VAL size_t bytesize _;" */
};

/* All rows, ascending by id; vg_api_rows[VG_INDEX_cuInit] is cuInit's. */
extern const struct vg_api_row vg_api_rows[VG_API_COUNT];

/* The row of a wire id or of an exported symbol; NULL if there is none. */
const struct vg_api_row *vg_api_by_id(unsigned id);
const struct vg_api_row *vg_api_by_symbol(const char *symbol);

/*
 * What cuGetProcAddress(base, version, flags) means: the newest symbol that is not newer than
 * version (12030 is 12.3), in its per-thread variant if per_thread is set and one exists.
 * *ret_row is set only for VG_API_FOUND.
 */
enum vg_api_found { VG_API_FOUND, VG_API_UNKNOWN, VG_API_TOO_NEW };
enum vg_api_found vg_api_resolve(const char *base, int version, bool per_thread,
                                 const struct vg_api_row **ret_row);

/* "FWD", "QUERY"; "?" for a value that is none. */
const char *vg_api_mode_name(unsigned mode);
const char *vg_api_class_name(unsigned class_);

/* A hash of every row's id, symbol, mode and arguments: equal in two builds of the same table. */
uint64_t vg_api_hash(void);

#endif
