/* SPDX-License-Identifier: MIT */
/*
 * What travels: the 80-byte call header, the 40-byte result, the ids of calls
 * that are not CUDA symbols, and the layout of their arguments.
 *
 * All integers are little-endian. A call is one ring record: the header,
 * immediately followed by payload_len bytes, padded to VG_RECORD_ALIGN.
 * The ids of CUDA calls (0x0100 and up) are in vg_api.def.
 */
#ifndef VG_WIRE_H
#define VG_WIRE_H

#include <stdint.h>

#include "vg_limits.h"

#define VG_PROTOCOL_VERSION  3u

/* vg_call.flags */
enum {
    VG_F_REPLY = 1u << 0,   /* the guest waits for the result in `cell` */
    VG_F_BULK  = 1u << 1,   /* reply payload goes to the region: arg[6] = offset, arg[7] = capacity */
};

struct vg_call {
    uint32_t call;          /* enum vg_internal_call or enum vg_api_call */
    uint32_t seq;           /* the guest's running number; a reply repeats it */
    uint64_t arg[8];
    uint32_t payload_len;   /* bytes after the header, at most VG_PAYLOAD_MAX */
    uint16_t flags;         /* VG_F_*; unknown bits are an error */
    uint16_t cell;          /* reply cell index when VG_F_REPLY, else 0 */
};

struct vg_result {
    uint32_t payload_len;   /* bytes of reply payload */
    uint16_t result;        /* CUresult: every value of CUDA fits 16 bits */
    uint16_t seq;           /* low half of vg_call.seq, a cross-check of `done` */
    uint64_t val[4];
};

/* What a guest thread polls. One cache line. */
struct vg_cell {
    uint32_t done;          /* host: set to vg_call.seq, with release, when `result` is complete */
    uint32_t waiting;       /* guest: 1 while it sleeps on `done` (futex), so the host wakes it */
    struct vg_result result;
    uint8_t  reserved[16];
};

typedef char vg_assert_call_size[sizeof(struct vg_call) == 80 ? 1 : -1];
typedef char vg_assert_result_size[sizeof(struct vg_result) == 40 ? 1 : -1];
typedef char vg_assert_cell_size[sizeof(struct vg_cell) == 64 ? 1 : -1];

/*
 * Calls that are not CUDA symbols. "off" is an offset into the region, "stage"
 * a staging index plus one (0: none): the host clears vg_slot.stage_busy[stage-1]
 * once the GPU has finished with the bytes at off. Replies only where VG_F_REPLY
 * is set; a copy with a reply is answered when the copy is complete.
 */
enum vg_internal_call {
    VG_CALL_PAD          = 0x0001, /* skip payload_len; fills the end of the ring */
    VG_CALL_NOP          = 0x0002, /* answered at once; measures the round trip */
    VG_CALL_SET_CONTEXT  = 0x0003, /* arg0 CUcontext for the calls that follow, 0: none */
    VG_CALL_SNAPSHOT     = 0x0004, /* BULK reply: struct vg_snapshot */
    VG_CALL_COPY_IN      = 0x0005, /* arg0 dst, 1 off, 2 bytes, 3 stream, 4 stage */
    VG_CALL_COPY_OUT     = 0x0006, /* arg0 src, 1 off, 2 bytes, 3 stream */
    VG_CALL_COPY_INLINE  = 0x0007, /* arg0 dst, 1 stream; payload: the bytes */
    VG_CALL_COPY_3D      = 0x0008, /* arg0 stream, 1 stage; payload: CUDA_MEMCPY3D whose host
                                      pointers lie in the region */
    VG_CALL_LAUNCH       = 0x0009, /* see VG_LAUNCH_* below */
    VG_CALL_SYNC         = 0x000a, /* arg0 enum vg_sync_kind, 1 handle; answered when idle */
    VG_CALL_IMAGE_LOAD   = 0x000b, /* arg0 enum vg_image_kind, 1 off (0: in payload), 2 bytes (0: what
                                      IMAGE_PART has brought), 3 JIT options, which stand in the
                                      payload behind the image, padded to 8. BULK reply, even of a
                                      failure: error log and info log, each with NUL. val0 handle.
                                      VG_IMAGE_LINK_INPUT: 4 CUlinkState, 5 CUjitInputType | bytes
                                      of the name << 32, which stands behind the options; no val0.
                                      VG_IMAGE_MANAGED: 4 off, 5 bytes for its managed variables, 0:
                                      none. val1: bytes they need; if more, nothing is loaded and val0
                                      is 0. The guest zeroes the bytes and keeps them for the library */
    VG_CALL_FUNCTION_GET = 0x000c, /* arg0 enum vg_image_kind, 1 module or library; payload: name.
                                      val0 handle, reply payload: struct vg_function_info */
    VG_CALL_HOST_FUNC    = 0x000d, /* arg0 stream, 1 cookie, 2 enum vg_callback_kind */
    VG_CALL_ALIAS        = 0x000f, /* arg0 address, 1 off, 2 bytes: make the region's bytes visible
                                      to the GPU at a second address too (registered memory) */
    VG_CALL_UNALIAS      = 0x0010, /* arg0 address, 1 bytes */
    VG_CALL_IMAGE_PART   = 0x0011, /* arg0 off (0: in payload), 1 bytes, 2 total, 3 position: a piece of
                                      an image for the next IMAGE_LOAD; position 0 starts afresh */
    VG_CALL_FUNCTION_INFO = 0x0012, /* arg0 handle, 1 enum vg_image_kind: FUNCTION_GET's payload */
    VG_CALL_FUNCTION_ATTRS = 0x0013, /* arg0 handle, 1 enum vg_image_kind, 2 device (kernels). val0 mask
                                      of those known; reply payload: int32_t[VG_FUNC_ATTRS] */
    VG_CALL_FUNCTION_NAME = 0x0014, /* arg0 handle, 1 enum vg_image_kind. BULK reply: the name, NUL */
    VG_CALL_LINK_READ    = 0x0015, /* arg0 CUlinkState, 1 position. BULK reply: bytes of its image */
    VG_CALL_MARK         = 0x0016, /* arg0 stream, 1 stage: cleared when the stream has come here.
                                      Only where the slot's features have VG_HOST_MARKS_STREAMS */
    VG_CALL_PIN          = 0x0017, /* arg0 off, 1 bytes: the GPU is to see them before the answer.
                                      val0 1: it does, 0: this host's GPU cannot. Only where the
                                      slot's features have VG_HOST_PINS_PARTS */
    VG_CALL_INTERNAL_END = 0x0100,
};

/* VG_CALL_LAUNCH: the payload is the packed parameters, padded to 8, then the attributes. */
#define VG_LAUNCH_FUNC       0  /* arg: CUfunction or CUkernel */
#define VG_LAUNCH_GRID_XY    1  /* arg: x | y << 32 */
#define VG_LAUNCH_GRIDZ_BX   2  /* arg: grid z | block x << 32 */
#define VG_LAUNCH_BLOCK_YZ   3  /* arg: y | z << 32 */
#define VG_LAUNCH_SMEM_FLAGS 4  /* arg: dynamic shared bytes | VG_LAUNCH_F_* << 32 */
#define VG_LAUNCH_STREAM     5  /* arg: CUstream */
#define VG_LAUNCH_SIZES      6  /* arg: parameter bytes | attribute count << 32 */
enum {
    VG_LAUNCH_F_COOPERATIVE = 1u << 0,
    VG_LAUNCH_F_EX          = 1u << 1,  /* was cuLaunchKernelEx */
};

/* Second word of the answer to a stream-ordered allocation that became a graph's node. */
#define VG_ALLOC_BY_GRAPH 1u

enum vg_sync_kind { VG_SYNC_CONTEXT = 0, VG_SYNC_STREAM = 1, VG_SYNC_EVENT = 2 };
enum vg_image_kind { VG_IMAGE_MODULE = 0, VG_IMAGE_LIBRARY = 1, VG_IMAGE_LINK_INPUT = 2 };
/* With MODULE or LIBRARY: the entries of the fat binary are units to be linked first. */
#define VG_IMAGE_UNITS 0x100u
/* With LIBRARY: its managed variables are to lie in the region, at the place given. */
#define VG_IMAGE_MANAGED 0x200u

/*
 * Or'ed to MODULE or LIBRARY, without MANAGED, where the host keeps images: the payload begins with the digest of the
 * image (vg_digest.h), the options follow. KNOWN: no image comes along, arg 2 is its length; one
 * that the host does not know is answered with success and val0 0. KEEP: the image comes in the
 * window or has come in parts, and the next process may name it.
 */
#define VG_IMAGE_KNOWN 0x400u
#define VG_IMAGE_KEEP  0x800u
/* What HOST_FUNC asks for, and what the callback ring brings. */
enum vg_callback_kind {
    VG_CALLBACK_HOST_FUNC = 0,
    VG_CALLBACK_STREAM = 1,
    VG_CALLBACK_GONE = 2,       /* posted: the cookie will not come again; nothing to be answered */
    VG_CALLBACK_NODE = 3,       /* posted: a HOST_FUNC that a graph may run again, until GONE */
    VG_CALLBACK_TRANSFER = 4,   /* asked: a HOST_FUNC which is a copy; captured, a copy node */
};

/*
 * Reply of VG_CALL_FUNCTION_GET: what a launch needs to pack its parameters. As many
 * entries follow as fit VG_REPLY_MAX; the others can be had by cuFuncGetParamInfo.
 */
struct vg_function_info {
    uint32_t param_bytes;   /* size of the packed parameter block */
    uint32_t param_count;   /* VG_PARAMS_UNKNOWN: the host's driver cannot tell */
    struct { uint16_t offset, size; } param[];  /* bytes */
};
#define VG_PARAMS_UNKNOWN 0xffffffffu

/* VG_CALL_FUNCTION_ATTRS: CUfunction_attribute values 0..15. */
#define VG_FUNC_ATTRS 16u

/* One of the numbers that VG_CALL_IMAGE_LOAD passes to the JIT. */
struct vg_jit_option {
    uint64_t option;        /* CUjit_option */
    uint64_t value;
};
#define VG_JIT_OPTIONS_MAX 16u

#define VG_ATTRS_MAX 160u   /* CUdevice_attribute values 0..159 */

/* What a guest learns once, at attach: everything a query can be answered from. */
struct vg_device_info {
    char     name[256];
    uint8_t  uuid[16];
    char     pci_bus_id[16];            /* 0000:00:00.0 */
    uint64_t total_memory;              /* bytes, as this VM may see it */
    uint64_t default_pool;              /* CUmemoryPool, 0 if the device has none */
    int32_t  priority_least, priority_greatest;
    int32_t  attr[VG_ATTRS_MAX];
    uint8_t  attr_known[VG_ATTRS_MAX];  /* 1 where attr holds the driver's own answer */
};

struct vg_snapshot {
    uint32_t size;                      /* bytes of this struct with its devices */
    uint32_t driver_version;            /* cuDriverGetVersion */
    uint32_t device_count;
    uint32_t software;                  /* 1: the software GPU */
    struct vg_device_info device[];
};

#endif
