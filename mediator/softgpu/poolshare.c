/* SPDX-License-Identifier: MIT */
/*
 * Pools that other processes see. A pool's file is the exporter's whole arena; what may be touched
 * of it is said by each exported pointer (vg_soft_ipc.h).
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"
#include "memfile.h"
#include "mediator/vg_soft_ipc.h"
#include "pool.h"
#include "vmm.h"

static CUresult pool_enter(CUmemoryPool handle, struct vg_pool **ret)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get(handle, VG_HANDLE_POOL);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuMemPoolExportToShareableHandle, (void *out, CUmemoryPool pool,
                                            CUmemAllocationHandleType type,
                                            unsigned long long flags))
{
    struct vg_pool *p;
    uint64_t offset;
    int fd;
    CUresult rc = pool_enter(pool, &p);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (out == NULL || flags != 0 || !p->shareable)
        return CUDA_ERROR_INVALID_VALUE;
    fd = vg_arena_file(vg_arena_base(), &offset);
    fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return CUDA_ERROR_OPERATING_SYSTEM;
    memcpy(out, &fd, sizeof(fd));
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemPoolImportFromShareableHandle,
         (CUmemoryPool *pool, void *handle, CUmemAllocationHandleType type,
          unsigned long long flags))
{
    struct vg_ctx *ctx;
    struct vg_pool *p;
    int fd = (int)(intptr_t)handle;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (pool == NULL || flags != 0 || vg_memfile_size(fd) == 0)
        return CUDA_ERROR_INVALID_VALUE;
    p = vg_pool_new(ctx->dev);
    if (p == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p->file = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    *pool = p->handle;
    if (p->file >= 0)
        return CUDA_SUCCESS;
    cuMemPoolDestroy(p->handle);
    return CUDA_ERROR_OPERATING_SYSTEM;
}

VG_ENTRY(cuMemPoolExportPointer, (CUmemPoolPtrExportData *data, CUdeviceptr ptr))
{
    struct vg_soft_ipc h = { .magic = VG_SOFT_IPC_MAGIC, .kind = VG_SOFT_IPC_POINTER };
    struct vg_block_info block;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (data == NULL || vg_arena_find(ptr, &block) != 0 || block.base != ptr ||
        block.owner.kind != VG_BLOCK_POOL || !block.owner.pool->shareable)
        return CUDA_ERROR_INVALID_VALUE;
    h.pid = (uint32_t)getpid();
    h.fd = vg_arena_file(block.base, &h.offset);
    h.size = block.size;
    h.id = block.id;
    memcpy(data, &h, sizeof(h));
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemPoolImportPointer,
         (CUdeviceptr *ptr, CUmemoryPool pool, CUmemPoolPtrExportData *data))
{
    struct vg_soft_ipc h;
    struct vg_pool *p;
    size_t file;
    CUresult rc = pool_enter(pool, &p);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ptr == NULL || data == NULL || p->file < 0)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&h, data, sizeof(h));
    file = vg_memfile_size(p->file);
    if (h.magic != VG_SOFT_IPC_MAGIC || h.kind != VG_SOFT_IPC_POINTER || h.size == 0 ||
        h.offset % VG_ARENA_UNIT != 0 || h.offset > file || h.size > file - h.offset)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_vmm_attach(p->file, &(struct vg_foreign){ h.pid, true, h.id, h.offset, h.size },
                         p->dev->ordinal, ptr);
}
