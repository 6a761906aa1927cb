/* SPDX-License-Identifier: MIT */
/*
 * Bodies: sharing between the processes of one VM. The guest gives and gets tokens;
 * the driver's descriptors and handles go from executor to executor. Serve thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mediator/executor/args.h"
#include "mediator/vg_soft_ipc.h"

/* The driver returns a descriptor through a void pointer and takes one by value. */
static void *as_pointer(int fd)
{
    return (void *)(intptr_t)fd;
}

static bool is_fd(uint64_t type)
{
    return type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
}

/* The software GPU has no kernel driver that finds memory by a handle: the memory goes along. */
static int soft_fd(struct vg_exec *x, const struct vg_share_msg *m)
{
    struct vg_soft_ipc h;

    if (!x->opt.software)
        return -1;
    memcpy(&h, m->data, sizeof(h));
    return fcntl(h.fd, F_DUPFD_CLOEXEC, 0);
}

static void soft_adopt(struct vg_exec *x, struct vg_share_msg *m, int fd)
{
    struct vg_soft_ipc h;

    if (!x->opt.software)
        return;
    memcpy(&h, m->data, sizeof(h));
    h.fd = fd;
    h.adopted = 1;
    memcpy(m->data, &h, sizeof(h));
}

/* Reads the request's words; false: malformed. */
static bool words(struct vg_req *r, uint64_t *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        w[i] = vg_dec_word(&r->dec);
    return vg_req_decoded(r);
}

/* ---- Memory that programs map, by descriptor ---- */

CUresult vg_do_cuMemExportToShareableHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[3]; /* handle, type, flags */
    int fd = -1;

    if (!words(r, w, 3))
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUmemGenericAllocationHandle, w[0]);
    if (!o)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_fd(w[1]))
        return CUDA_ERROR_NOT_SUPPORTED;
    if (w[2] == 0 && vg_share_offered(x, r, VG_SHARE_MEMORY, o->info))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuMemExportToShareableHandle(
        &fd, w[0], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, w[2]);
    struct vg_share_msg m = {.kind = VG_SHARE_MEMORY, .size = vg_vmm_size(&x->vmm, o->info)};
    return rc ? rc : vg_share_offer(x, r, o->info, &m, fd);
}

static CUresult import_memory(struct vg_exec *x, struct vg_req *r, struct vg_share_msg *m, int fd,
                              uint64_t type)
{
    CUmemGenericAllocationHandle handle = 0;
    CUresult rc = x->cuda.cuMemImportFromShareableHandle(&handle, as_pointer(fd),
                                                         (CUmemAllocationHandleType)type);

    if (rc == CUDA_SUCCESS)
        rc = vg_vmm_keep(x, handle, m->size);
    vg_enc_word(&r->enc, handle);
    return rc;
}

CUresult vg_do_cuMemImportFromShareableHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[3]; /* token, type */

    if (!words(r, w, 3))
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_fd(w[2]))
        return CUDA_ERROR_NOT_SUPPORTED;
    return vg_share_fetch(x, r, VG_SHARE_MEMORY, w, import_memory, w[2]);
}

/* ---- Pools ---- */

CUresult vg_do_cuMemPoolExportToShareableHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[3]; /* pool, type, flags */
    int fd = -1;

    if (!words(r, w, 3))
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_obj_find(&x->obj, VG_OBJ_CUmemoryPool, w[0]))
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_fd(w[1]))
        return CUDA_ERROR_NOT_SUPPORTED;
    if (w[2] == 0 && vg_share_offered(x, r, VG_SHARE_POOL, w[0]))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuMemPoolExportToShareableHandle(
        &fd, (CUmemoryPool)(uintptr_t)w[0], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, w[2]);
    struct vg_share_msg m = {.kind = VG_SHARE_POOL};
    return rc ? rc : vg_share_offer(x, r, w[0], &m, fd);
}

static CUresult import_pool(struct vg_exec *x, struct vg_req *r, struct vg_share_msg *m, int fd,
                            uint64_t flags)
{
    CUmemoryPool pool = NULL;
    CUresult rc = x->cuda.cuMemPoolImportFromShareableHandle(
        &pool, as_pointer(fd), CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, flags);

    (void)m;
    if (rc == CUDA_SUCCESS)
        rc = vg_own_add(x, VG_OBJ_CUmemoryPool, (uintptr_t)pool, 0, 0);
    vg_enc_word(&r->enc, (uintptr_t)pool);
    return rc;
}

CUresult vg_do_cuMemPoolImportFromShareableHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[4]; /* token, type, flags */

    if (!words(r, w, 4))
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_fd(w[2]))
        return CUDA_ERROR_NOT_SUPPORTED;
    return vg_share_fetch(x, r, VG_SHARE_POOL, w, import_pool, w[3]);
}

CUresult vg_do_cuMemPoolExportPointer(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[1]; /* pointer */
    struct vg_share_msg m = {.kind = VG_SHARE_POINTER};

    if (!words(r, w, 1))
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_range *n = vg_range_find(&x->ranges, w[0]);
    if (!n || n->base != w[0] || n->kind != VG_RANGE_POOL)
        return CUDA_ERROR_INVALID_VALUE;
    if (vg_share_offered(x, r, VG_SHARE_POINTER, w[0]))
        return CUDA_SUCCESS;
    m.size = n->size;
    CUresult rc = x->cuda.cuMemPoolExportPointer((CUmemPoolPtrExportData *)m.data, w[0]);
    return rc ? rc : vg_share_offer(x, r, w[0], &m, -1);
}

static CUresult import_pointer(struct vg_exec *x, struct vg_req *r, struct vg_share_msg *m, int fd,
                               uint64_t pool)
{
    CUdeviceptr p = 0;

    (void)fd;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUmemoryPool, pool);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemPoolImportPointer(&p, (CUmemoryPool)(uintptr_t)pool,
                                            (CUmemPoolPtrExportData *)m->data);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_add_range(x, p, m->size, VG_RANGE_POOL, 0);
    vg_enc_word(&r->enc, p);
    vg_enc_word(&r->enc, m->size);
    return rc;
}

CUresult vg_do_cuMemPoolImportPointer(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[3]; /* token, pool */

    if (!words(r, w, 3))
        return CUDA_ERROR_INVALID_VALUE;
    if (!w[2] || !vg_obj_find(&x->obj, VG_OBJ_CUmemoryPool, w[2]))
        return CUDA_ERROR_INVALID_VALUE;
    return vg_share_fetch(x, r, VG_SHARE_POINTER, w, import_pointer, w[2]);
}

/* ---- cuMemAlloc's memory, by handle ---- */

CUresult vg_do_cuIpcGetMemHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[1]; /* pointer */
    struct vg_share_msg m = {.kind = VG_SHARE_IPC_MEM};

    if (!words(r, w, 1))
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_range *n = vg_range_find(&x->ranges, w[0]);
    if (!n || n->kind != VG_RANGE_ALLOC)
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t base = n->base;
    if (vg_share_offered(x, r, VG_SHARE_IPC_MEM, base))
        return CUDA_SUCCESS;
    m.size = n->size;
    CUresult rc = x->cuda.cuIpcGetMemHandle((CUipcMemHandle *)m.data, base);
    return rc ? rc : vg_share_offer(x, r, base, &m, soft_fd(x, &m));
}

/* Opened again in the same context it is the same range, once more. */
static CUresult keep_opened(struct vg_exec *x, CUdeviceptr p, uint64_t size)
{
    if (vg_range_open_again(&x->ranges, p))
        return CUDA_SUCCESS;
    CUresult rc = vg_own_add_range(x, p, size, VG_RANGE_IPC, 0);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuIpcCloseMemHandle(p);
    return rc;
}

static CUresult open_memory(struct vg_exec *x, struct vg_req *r, struct vg_share_msg *m, int fd,
                            uint64_t flags)
{
    CUipcMemHandle h;
    CUdeviceptr p = 0;

    soft_adopt(x, m, fd);
    memcpy(&h, m->data, sizeof(h));
    CUresult rc = x->cuda.cuIpcOpenMemHandle_v2(&p, h, (unsigned)flags);
    if (rc == CUDA_SUCCESS)
        rc = keep_opened(x, p, m->size);
    vg_enc_word(&r->enc, p);
    vg_enc_word(&r->enc, m->size);
    return rc;
}

CUresult vg_do_cuIpcOpenMemHandle_v2(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[3]; /* token, flags */

    if (!words(r, w, 3))
        return CUDA_ERROR_INVALID_VALUE;
    return vg_share_fetch(x, r, VG_SHARE_IPC_MEM, w, open_memory, w[2]);
}

CUresult vg_do_cuIpcCloseMemHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[1]; /* pointer */

    if (!words(r, w, 1))
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_range *n = vg_range_find(&x->ranges, w[0]);
    if (!n || n->base != w[0] || n->kind != VG_RANGE_IPC)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_wait_drained(x, r))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuIpcCloseMemHandle(w[0]);
    bool ended = rc == CUDA_SUCCESS && vg_range_close_again(&x->ranges, w[0]);
    if (ended)
        vg_own_remove_range(x, w[0]);
    vg_enc_word(&r->enc, ended);
    return rc;
}

/* ---- Events ---- */

CUresult vg_do_cuIpcGetEventHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[1]; /* event */
    struct vg_share_msg m = {.kind = VG_SHARE_IPC_EVENT};

    if (!words(r, w, 1))
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_obj_find(&x->obj, VG_OBJ_CUevent, w[0]))
        return CUDA_ERROR_INVALID_HANDLE;
    if (vg_share_offered(x, r, VG_SHARE_IPC_EVENT, w[0]))
        return CUDA_SUCCESS;
    CUresult rc =
        x->cuda.cuIpcGetEventHandle((CUipcEventHandle *)m.data, (CUevent)(uintptr_t)w[0]);
    return rc ? rc : vg_share_offer(x, r, w[0], &m, soft_fd(x, &m));
}

static CUresult open_event(struct vg_exec *x, struct vg_req *r, struct vg_share_msg *m, int fd,
                           uint64_t unused)
{
    CUipcEventHandle h;
    CUevent event = NULL;

    (void)unused;
    soft_adopt(x, m, fd);
    memcpy(&h, m->data, sizeof(h));
    CUresult rc = x->cuda.cuIpcOpenEventHandle(&event, h);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_add(x, VG_OBJ_CUevent, (uintptr_t)event, (uintptr_t)x->ctx, 0);
    vg_enc_word(&r->enc, (uintptr_t)event);
    return rc;
}

CUresult vg_do_cuIpcOpenEventHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t w[2]; /* token */

    if (!words(r, w, 2))
        return CUDA_ERROR_INVALID_VALUE;
    return vg_share_fetch(x, r, VG_SHARE_IPC_EVENT, w, open_event, 0);
}
