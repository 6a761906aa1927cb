/* SPDX-License-Identifier: MIT */
/*
 * The memory this process knows: which addresses are the GPU's, which are pinned
 * host memory, and everything else, which is ordinary. Copies choose their way by
 * it and pointer queries are answered from it. Any thread.
 */
#ifndef VG_SHIM_MEM_H
#define VG_SHIM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_cuda.h"

enum vg_mem_kind {
    VG_MEM_NONE = 0,        /* not known to CUDA: ordinary memory of the application */
    VG_MEM_DEVICE,          /* cuMemAlloc and its kin */
    VG_MEM_POOLED,          /* stream-ordered allocation */
    VG_MEM_GLOBAL,          /* a module's variable */
    VG_MEM_GRAPH,           /* allocated by a graph's node: comes and goes as graphs run, and is
                               forgotten when the address is given to something else */
    VG_MEM_PINNED,          /* host memory in the shared region: the GPU sees it at its own address */
    VG_MEM_LOOSE,           /* host memory that CUDA calls pinned but that had to stay outside the
                               region: copies are staged, kernels cannot reach it */
    VG_MEM_ALIAS,           /* the application's own pages, replaced by the region's (mapped) */
    VG_MEM_MAPPED,          /* mapped by cuMemMap; such ranges may continue one another */
    VG_MEM_IPC,             /* another process's, opened by cuIpcOpenMemHandle */
    VG_MEM_MANAGED,         /* cuMemAllocManaged: in the shared region, as PINNED */
};

struct vg_mem {
    uintptr_t base;
    size_t size;            /* bytes the application asked for */
    size_t span;            /* bytes of extents behind PINNED, ALIAS and MANAGED */
    uint64_t off;           /* region offset of PINNED, ALIAS and MANAGED */
    enum vg_mem_kind kind;
    unsigned flags;         /* CU_MEMHOSTALLOC_* or CU_MEMHOSTREGISTER_* */
    bool registered;        /* made by cuMemHostRegister */
    bool sync_memops;       /* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS */
    CUcontext ctx;
    CUdevice dev;
    CUmemoryPool pool;      /* of POOLED */
    uint32_t access;        /* of MAPPED: bit per device that may use it */
    uint32_t handle_types;  /* of MAPPED: CUmemAllocationHandleType bits of its memory */
    uint64_t id;            /* CU_POINTER_ATTRIBUTE_BUFFER_ID; set by vg_mem_add if 0 */
};

/* False if it overlaps a known range or memory is short. */
bool vg_mem_add(struct vg_mem m) __attribute__((warn_unused_result));

/* The memory of a node of a graph, at an address that the driver gave. */
CUresult vg_graph_memory_add(CUdeviceptr base, size_t bytes, CUdevice dev);

/* The range that holds p. */
bool vg_mem_find(uintptr_t p, struct vg_mem *ret_mem);

/*
 * The same for an access to [p, p+bytes): ret_mem->size includes the MAPPED ranges that
 * continue the first as far as they matter, and ends where no device has access.
 */
bool vg_mem_find_run(uintptr_t p, size_t bytes, struct vg_mem *ret_mem);

/* Sets or takes a device's access to the MAPPED ranges in [base, base+size); forgets them. */
void vg_mem_set_access(uintptr_t base, size_t size, CUdevice dev, bool may);
void vg_mem_forget_mapped(uintptr_t base, size_t size);

/* Whether copies and memsets of the range around p which are not asynchronous wait for their end. */
bool vg_mem_syncs(uintptr_t p);
bool vg_mem_set_syncs(uintptr_t p, bool syncs);     /* false: no such range */

/* Whether a graph allocates and frees it: copies may be refused, as graphs go. */
bool vg_mem_is_graphs(uintptr_t p);

/* Forgets the range that begins at base, if `kinds` (bits 1 << kind) has its kind. */
bool vg_mem_take(uintptr_t base, unsigned kinds, struct vg_mem *ret_mem);

/* The same for any one range of the context. */
bool vg_mem_take_of(CUcontext ctx, unsigned kinds, struct vg_mem *ret_mem);

/* Forgets a module variable's range when its module goes; no error if it is not there. */
void vg_mem_forget_global(uintptr_t base);

#define VG_MEM_ON_GPU  (1u << VG_MEM_DEVICE | 1u << VG_MEM_POOLED | 1u << VG_MEM_GLOBAL | \
                        1u << VG_MEM_MAPPED | 1u << VG_MEM_GRAPH | 1u << VG_MEM_IPC)
#define VG_MEM_SHARED  (1u << VG_MEM_PINNED | 1u << VG_MEM_ALIAS | 1u << VG_MEM_MANAGED)
#define VG_MEM_HOST    (1u << VG_MEM_PINNED | 1u << VG_MEM_ALIAS | 1u << VG_MEM_LOOSE)
static inline bool vg_mem_is(const struct vg_mem *m, unsigned kinds)
{
    return kinds >> m->kind & 1u;
}

/* True if a kernel may use [p, p+bytes): what entry points check device addresses with. */
bool vg_mem_on_gpu(CUdeviceptr p, size_t bytes);

/*
 * Keeps the application's own mappings out of [base, base+size), so that a number
 * is either a device address or a host address and never both. False: something
 * is already there. What was reserved once stays so.
 */
bool vg_mem_reserve(uintptr_t base, size_t size) __attribute__((warn_unused_result));

/* Reserves a range that is free here. alignment: a power of two, at least 2 MiB counts. 0: none. */
uintptr_t vg_mem_place(size_t size, size_t alignment);

/*
 * Staging: chunks of the region through which ordinary memory travels. A chunk is
 * held by one thread until vg_stage_release, or handed to the host, which frees it
 * when the GPU has read it.
 */
#define VG_STAGE_CHUNKS 16u  /* staging indexes in use; the others are flow.c's */
struct vg_stage {
    unsigned index;         /* arg of COPY_IN is index + 1 */
    uint8_t *bytes;         /* valid at the same address in the executor */
    size_t size;
};

/* Waits for a chunk. */
CUresult vg_stage_acquire(struct vg_stage *ret_stage) __attribute__((warn_unused_result));
/* The same without waiting; false if none is free. */
bool vg_stage_try(struct vg_stage *ret_stage) __attribute__((warn_unused_result));
void vg_stage_release(const struct vg_stage *stage);
/* Lets go of a chunk that was lent: the host frees it. */
void vg_stage_unhold(const struct vg_stage *stage);
/* One chunk is for copies of the callback thread alone from now on. Any number of times. */
void vg_stage_reserve(void);
/*
 * Places for what a reply cell's thread reads back: VG_REPLY_MAX bytes for each cell, one behind the
 * other. NULL: there is no room for them.
 */
uint8_t *vg_stage_places(void);
/* Call before the COPY_IN that names it; undo with vg_stage_release if that call was not sent. */
void vg_stage_lend(const struct vg_stage *stage);

#endif
