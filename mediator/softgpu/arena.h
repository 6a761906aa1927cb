/* SPDX-License-Identifier: MIT */
/*
 * Device memory: one stretch of address space at a fixed place, one partition per device, then the
 * space that programs map themselves (vmm.c), and the byte map that tells the interpreter which
 * 512-byte pages of all that a kernel may touch.
 *
 * The place is far from where Linux puts mappings on its own, so a device pointer can never equal
 * an address that a client's own code uses. Addresses and sizes are bytes; any thread may call.
 */
#ifndef VG_SOFTGPU_ARENA_H
#define VG_SOFTGPU_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VG_ARENA_UNIT 512u          /* alignment and granularity, as CUDA promises 256 at least */
#define VG_ARENA_SHIFT 9u

struct vg_ctx;
struct vg_graph_mem;
struct vg_pool;

enum vg_block_kind {
    VG_BLOCK_FREE,
    VG_BLOCK_PLAIN,             /* cuMemAlloc and relatives */
    VG_BLOCK_MANAGED,
    VG_BLOCK_POOL,              /* cuMemAllocAsync: live until its stream-ordered free */
    VG_BLOCK_GLOBAL,            /* module variable: not the program's to free */
    VG_BLOCK_HEAP,              /* malloc() of a kernel */
    VG_BLOCK_ARRAY,             /* a CUDA array's: no address of the program's */
    VG_BLOCK_GRAPH,             /* an allocation node's, for as long as the node lives */
    VG_BLOCK_MAPPED,            /* not the arena's: mapped by the program (vmm.h) */
    VG_BLOCK_KIND_COUNT
};

/* Who holds a block; the caller's words, kept with it. */
struct vg_block_owner {
    enum vg_block_kind kind;
    struct vg_ctx *ctx;
    struct vg_pool *pool;       /* VG_BLOCK_POOL only */
    struct vg_graph_mem *graph; /* VG_BLOCK_GRAPH only */
    uint64_t *counter;          /* goes up and down by the block's bytes, may be NULL */
};

/* A copy of what is known about one allocation. size is what was asked for. */
struct vg_block_info {
    uint64_t base;
    size_t size;
    uint64_t id;                /* never reused in this process */
    unsigned device;
    struct vg_block_owner owner;
};

/* Reserves devices x limit (plus room for fragmentation). Once per process. 0 or -errno. */
int vg_arena_init(unsigned devices, size_t limit);

/* 0, or -ENOMEM over the device's limit or when no gap is large enough. */
int vg_arena_alloc(unsigned device, size_t size, const struct vg_block_owner *owner,
                   uint64_t *ret_base);

/* Ends the allocation that starts at base and gives its pages back. -ENOENT: none starts there. */
int vg_arena_free(uint64_t base);

/* The allocation that holds addr; -ENOENT outside of all. */
int vg_arena_find(uint64_t addr, struct vg_block_info *ret);

/* Ends every allocation of ctx. */
void vg_arena_free_ctx(const struct vg_ctx *ctx);

/* Kernels may no longer write the allocation at base (.const variables). */
void vg_arena_protect(uint64_t base);

/* Bytes in use on the device, and its limit. */
void vg_arena_used(unsigned device, size_t *ret_used, size_t *ret_limit);

/* Counts memory that lies elsewhere against the device's limit, and back. -ENOMEM over it. */
int vg_arena_charge(unsigned device, size_t bytes);
void vg_arena_refund(unsigned device, size_t bytes);

/* The space behind the partitions, for the program's own mappings. */
void vg_arena_open_space(uint64_t *ret_base, uint64_t *ret_size);

/* Sets what kernels may do in [addr, addr + size) of that space: PTX_PAGE_*. */
void vg_arena_set_pages(uint64_t addr, size_t size, int how);

/*
 * The memory of [base, base + size), which one allocation holds, for another process: bytes from
 * *ret_offset on of a file. The descriptor stays ours. -ENOTSUP: there is no such file.
 */
int vg_arena_file(uint64_t base, uint64_t *ret_offset);

/* Partitions and open space. */
bool vg_arena_contains(uint64_t addr);
uint64_t vg_arena_base(void);
size_t vg_arena_size(void);
const uint8_t *vg_arena_page_map(void);

#endif
