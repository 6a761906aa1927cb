/* SPDX-License-Identifier: MIT */
/*
 * Sharing with other processes of this VM. What the application passes on, a
 * descriptor or the bytes of a handle, carries a token of the host's; the real thing
 * never enters the VM. A descriptor is a sealed memory file with the token in it,
 * which can go where descriptors go.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/lock.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "guest-shim/vmm.h"
#include "vg_api.h"

#ifndef SYS_memfd_create
#define SYS_memfd_create 319
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
#define MEMFD_CLOEXEC  1u
#define MEMFD_SEALABLE 2u
#define ALL_SEALS      15       /* no writing, growing, shrinking, no change of seals */

enum paper_kind { PAPER_MEMORY = 1, PAPER_POOL, PAPER_POINTER, PAPER_IPC_MEM, PAPER_IPC_EVENT };

/* What an application carries from process to process. 64 bytes, as CUDA's own handles. */
struct paper {
    char magic[8];
    uint64_t kind;
    uint64_t token[2];
    uint64_t zero[4];
};

static const char magic[8] = {'v', 'G', 'P', 'U', 's', 'h', 'r', '1'};
typedef char vg_assert_paper_size[sizeof(struct paper) == sizeof(CUipcMemHandle) ? 1 : -1];

static struct paper paper_of(enum paper_kind kind, const struct vg_reply *reply)
{
    struct paper p = {.kind = kind, .token = {reply->val[0], reply->val[1]}};

    memcpy(p.magic, magic, sizeof(magic));
    return p;
}

static bool read_paper(const void *bytes, enum paper_kind kind, struct paper *ret_paper)
{
    memcpy(ret_paper, bytes, sizeof(*ret_paper));
    return memcmp(ret_paper->magic, magic, sizeof(magic)) == 0 && ret_paper->kind == kind;
}

/* ---- descriptors ----------------------------------------------------------------- */

static int paper_file(const struct paper *p)
{
    int fd = (int)syscall(SYS_memfd_create, "vgpu-share", MEMFD_CLOEXEC | MEMFD_SEALABLE);

    if (fd < 0)
        return -1;
    if (write(fd, p, sizeof(*p)) == (ssize_t)sizeof(*p) && fcntl(fd, F_ADD_SEALS, ALL_SEALS) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool read_file(int fd, enum paper_kind kind, struct paper *ret_paper)
{
    uint8_t bytes[sizeof(*ret_paper)];

    return pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
           read_paper(bytes, kind, ret_paper);
}

/* The call's answer is the token of something exported: *handle becomes a descriptor. */
static CUresult export_file(uint32_t call, enum paper_kind kind, uint64_t what, uint64_t type,
                            uint64_t flags, void *handle)
{
    struct vg_reply reply;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!handle)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(call, VG_WORDS(what, type, flags), &reply);
    if (r != CUDA_SUCCESS)
        return r;
    struct paper p = paper_of(kind, &reply);
    int fd = paper_file(&p);
    if (fd < 0)
        return CUDA_ERROR_OPERATING_SYSTEM;
    memcpy(handle, &fd, sizeof(fd));
    return CUDA_SUCCESS;
}

CUresult cuMemExportToShareableHandle(void *shareableHandle, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType handleType,
                                      unsigned long long flags)
{
    return export_file(VG_CALL_cuMemExportToShareableHandle, PAPER_MEMORY, handle, handleType,
                       flags, shareableHandle);
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *osHandle,
                                        CUmemAllocationHandleType shHandleType)
{
    struct vg_reply reply;
    struct paper p;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!handle || (shHandleType == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR &&
                    !read_file((int)(intptr_t)osHandle, PAPER_MEMORY, &p)))
        return CUDA_ERROR_INVALID_VALUE;
    if (shHandleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return vg_unsupported("cuMemImportFromShareableHandle of this type");
    r = vg_call_reply(VG_CALL_cuMemImportFromShareableHandle,
                      VG_WORDS(p.token[0], p.token[1], shHandleType), &reply);
    if (r != CUDA_SUCCESS)
        return r;
    *handle = reply.val[0];
    vg_vmm_imported(*handle);
    return CUDA_SUCCESS;
}

CUresult cuMemPoolExportToShareableHandle(void *handle_out, CUmemoryPool pool,
                                          CUmemAllocationHandleType handleType,
                                          unsigned long long flags)
{
    return export_file(VG_CALL_cuMemPoolExportToShareableHandle, PAPER_POOL, (uintptr_t)pool,
                       handleType, flags, handle_out);
}

CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool_out, void *handle,
                                            CUmemAllocationHandleType handleType,
                                            unsigned long long flags)
{
    struct vg_reply reply;
    struct paper p;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return vg_unsupported("cuMemPoolImportFromShareableHandle of this type");
    if (!pool_out || !read_file((int)(intptr_t)handle, PAPER_POOL, &p))
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuMemPoolImportFromShareableHandle,
                      VG_WORDS(p.token[0], p.token[1], handleType, flags), &reply);
    if (r == CUDA_SUCCESS)
        *pool_out = (CUmemoryPool)(uintptr_t)reply.val[0];
    return r;
}

/* ---- handles of 64 bytes ------------------------------------------------------------- */

static CUresult export_paper(uint32_t call, enum paper_kind kind, uint64_t what, void *ret_bytes)
{
    struct vg_reply reply;
    CUresult r = vg_call_reply(call, VG_WORDS(what), &reply);

    if (r != CUDA_SUCCESS)
        return r;
    struct paper p = paper_of(kind, &reply);
    memcpy(ret_bytes, &p, sizeof(p));
    return CUDA_SUCCESS;
}

/* Another process's memory, at an address that must be free here as well. */
static CUresult keep_range(CUdeviceptr base, size_t size, enum vg_mem_kind kind, CUmemoryPool pool)
{
    struct vg_ctx *ctx = vg_ctx_current();
    struct vg_mem m = {.base = base, .size = size, .kind = kind, .pool = pool,
                       .ctx = ctx ? ctx->handle : NULL, .dev = ctx ? ctx->dev : 0};

    return vg_mem_reserve(base, size) && vg_mem_add(m) ? CUDA_SUCCESS : CUDA_ERROR_MAP_FAILED;
}

CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData *shareData_out, CUdeviceptr ptr)
{
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!shareData_out)
        return CUDA_ERROR_INVALID_VALUE;
    return export_paper(VG_CALL_cuMemPoolExportPointer, PAPER_POINTER, ptr, shareData_out);
}

CUresult cuMemPoolImportPointer(CUdeviceptr *ptr_out, CUmemoryPool pool,
                                CUmemPoolPtrExportData *shareData)
{
    struct vg_reply reply;
    struct paper p;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!ptr_out || !shareData || !read_paper(shareData, PAPER_POINTER, &p))
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuMemPoolImportPointer,
                      VG_WORDS(p.token[0], p.token[1], (uintptr_t)pool), &reply);
    if (r != CUDA_SUCCESS)
        return r;
    r = keep_range(reply.val[0], reply.val[1], VG_MEM_POOLED, pool);
    if (r != CUDA_SUCCESS)
        vg_call_reply(VG_CALL_cuMemFree_v2, VG_WORDS(reply.val[0]), NULL);
    else
        *ptr_out = reply.val[0];
    return r;
}

CUresult cuIpcGetMemHandle(CUipcMemHandle *pHandle, CUdeviceptr dptr)
{
    struct vg_mem m;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!pHandle || !vg_mem_find(dptr, &m) || m.kind != VG_MEM_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    return export_paper(VG_CALL_cuIpcGetMemHandle, PAPER_IPC_MEM, dptr, pHandle);
}

static struct vg_lock lock;     /* opening and closing, so that their counts agree with the host's */

static CUresult keep_opened(CUdeviceptr base, size_t size)
{
    struct vg_mem m;

    /* Opened again it is the same memory; the host counts. */
    if (vg_mem_find(base, &m) && m.kind == VG_MEM_IPC && m.base == base)
        return CUDA_SUCCESS;
    CUresult r = keep_range(base, size, VG_MEM_IPC, NULL);
    if (r != CUDA_SUCCESS)
        vg_call_reply(VG_CALL_cuIpcCloseMemHandle, VG_WORDS(base), NULL);
    return r;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned Flags)
{
    struct vg_reply reply;
    struct paper p;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!pdptr || Flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS ||
        !read_paper(&handle, PAPER_IPC_MEM, &p))
        return CUDA_ERROR_INVALID_VALUE;
    vg_lock(&lock);
    r = vg_call_reply(VG_CALL_cuIpcOpenMemHandle_v2, VG_WORDS(p.token[0], p.token[1], Flags),
                      &reply);
    if (r == CUDA_SUCCESS)
        r = keep_opened(reply.val[0], reply.val[1]);
    vg_unlock(&lock);
    if (r == CUDA_SUCCESS)
        *pdptr = reply.val[0];
    return r;
}

CUresult cuIpcCloseMemHandle(CUdeviceptr dptr)
{
    struct vg_reply reply;
    struct vg_mem m;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    vg_lock(&lock);
    r = vg_call_reply(VG_CALL_cuIpcCloseMemHandle, VG_WORDS(dptr), &reply);
    if (r == CUDA_SUCCESS && reply.val[0])
        vg_mem_take(dptr, 1u << VG_MEM_IPC, &m);
    vg_unlock(&lock);
    return r;
}

CUresult cuIpcGetEventHandle(CUipcEventHandle *pHandle, CUevent event)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!pHandle)
        return CUDA_ERROR_INVALID_VALUE;
    return export_paper(VG_CALL_cuIpcGetEventHandle, PAPER_IPC_EVENT, (uintptr_t)event, pHandle);
}

CUresult cuIpcOpenEventHandle(CUevent *phEvent, CUipcEventHandle handle)
{
    struct vg_reply reply;
    struct paper p;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!phEvent || !read_paper(&handle, PAPER_IPC_EVENT, &p))
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuIpcOpenEventHandle, VG_WORDS(p.token[0], p.token[1]), &reply);
    if (r == CUDA_SUCCESS)
        *phEvent = (CUevent)(uintptr_t)reply.val[0];
    return r;
}

/* A pool whose memory can be shared is made like any other. */
CUresult cuMemPoolCreate(VG_PARAMS(cuMemPoolCreate)) VG_FWD_BODY(cuMemPoolCreate)
