/* SPDX-License-Identifier: MIT */
/*
 * Memory and events of other processes, by the 64-byte handles of cuIpcGetMemHandle and
 * cuIpcGetEventHandle (vg_soft_ipc.h says what stands in them).
 */
#include "ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctx.h"
#include "device.h"
#include "memfile.h"
#include "mediator/vg_soft_ipc.h"
#include "stream.h"
#include "vmm.h"

#define VG_COUNTS_SIZE 4096u

/* ------------------------------------------------------------------------ handles */

static bool handle_is(const struct vg_soft_ipc *h, uint32_t kind)
{
    return h->magic == VG_SOFT_IPC_MAGIC && h->kind == kind;
}

/* A descriptor for what the handle means, for us to close; -1: its owner is gone, or not ours. */
static int handle_file(const struct vg_soft_ipc *h)
{
    char path[64];

    if (h->adopted)
        return fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
    snprintf(path, sizeof(path), "/proc/%u/fd/%d", h->pid, h->fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* ------------------------------------------------------------------------- memory */

VG_ENTRY(cuIpcGetMemHandle, (CUipcMemHandle *handle, CUdeviceptr dptr))
{
    struct vg_soft_ipc h = { .magic = VG_SOFT_IPC_MAGIC, .kind = VG_SOFT_IPC_MEMORY };
    struct vg_block_info block;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (handle == NULL || vg_arena_find(dptr, &block) != 0 || block.owner.kind != VG_BLOCK_PLAIN)
        return CUDA_ERROR_INVALID_VALUE;
    h.pid = (uint32_t)getpid();
    h.fd = vg_arena_file(block.base, &h.offset);
    h.size = block.size;
    h.id = block.id;
    if (h.fd < 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    memcpy(handle, &h, sizeof(h));
    return CUDA_SUCCESS;
}

static CUresult open_memory(const struct vg_soft_ipc *h, int device, CUdeviceptr *ret)
{
    struct vg_foreign who = { h->pid, false, h->id, h->offset, h->size };
    int fd = handle_file(h);
    size_t file = fd >= 0 ? vg_memfile_size(fd) : 0;
    CUresult rc = CUDA_ERROR_INVALID_VALUE;

    if (h->size != 0 && h->offset % VG_ARENA_UNIT == 0 && h->offset <= file &&
        h->size <= file - h->offset)
        rc = vg_vmm_attach(fd, &who, device, ret);
    if (fd >= 0)
        close(fd);
    return rc;
}

VG_ENTRY(cuIpcOpenMemHandle_v2, (CUdeviceptr *dptr, CUipcMemHandle handle, unsigned flags))
{
    struct vg_soft_ipc h;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    memcpy(&h, &handle, sizeof(h));
    if (dptr == NULL || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS || !handle_is(&h, VG_SOFT_IPC_MEMORY))
        return CUDA_ERROR_INVALID_VALUE;
    if (h.pid == (uint32_t)getpid())
        return CUDA_ERROR_INVALID_CONTEXT;
    return open_memory(&h, ctx->dev->ordinal, dptr);
}

VG_ENTRY(cuIpcOpenMemHandle, (CUdeviceptr *dptr, CUipcMemHandle handle, unsigned flags))
{
    return cuIpcOpenMemHandle_v2(dptr, handle, flags);
}

VG_ENTRY(cuIpcCloseMemHandle, (CUdeviceptr dptr))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_ctx_synchronize(ctx);
    if (rc != CUDA_SUCCESS)
        return rc;
    return vg_vmm_detach(dptr, false) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ------------------------------------------------------------------------- events */

static struct vg_event_counts *counts_map(int fd)
{
    void *at = mmap(NULL, VG_COUNTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return at != MAP_FAILED ? at : NULL;
}

int vg_ipc_counts_new(struct vg_event_counts **ret, int *ret_fd)
{
    int fd = vg_memfile_new("vgpu-soft-event", VG_COUNTS_SIZE);

    if (fd < 0)
        return fd;
    *ret = counts_map(fd);
    if (*ret == NULL) {
        close(fd);
        return -ENOMEM;
    }
    *ret_fd = fd;
    return 0;
}

void vg_ipc_counts_free(struct vg_event_counts *counts, int fd)
{
    if (counts == NULL)
        return;
    munmap(counts, VG_COUNTS_SIZE);
    close(fd);
}

bool vg_ipc_is_done(const struct vg_event_counts *counts)
{
    uint64_t recorded = __atomic_load_n(&counts->recorded, __ATOMIC_ACQUIRE);

    return (int64_t)(__atomic_load_n(&counts->completed, __ATOMIC_ACQUIRE) - recorded) >= 0;
}

static CUresult counts_op(struct vg_event *e, CUstreamBatchMemOpType type, uint64_t value,
                          struct vg_op *op)
{
    CUstreamBatchMemOpParams *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p->waitValue.operation = type;      /* a write has the same members */
    p->waitValue.address = (uintptr_t)&e->counts->completed;
    p->waitValue.value64 = value;
    op->type = VG_OP_MEMOPS;
    op->u.memops = (struct vg_op_memops){ .list = p, .count = 1 };
    vg_engine_lock();
    op->u.memops.hold = vg_event_get_locked(e);
    vg_engine_unlock();
    return CUDA_SUCCESS;
}

CUresult vg_ipc_record_op(struct vg_event *e, struct vg_op *op)
{
    return counts_op(e, CU_STREAM_MEM_OP_WRITE_VALUE_64,
                     __atomic_add_fetch(&e->counts->recorded, 1, __ATOMIC_ACQ_REL), op);
}

CUresult vg_ipc_wait_op(struct vg_event *e, struct vg_op *op)
{
    return counts_op(e, CU_STREAM_MEM_OP_WAIT_VALUE_64,
                     __atomic_load_n(&e->counts->recorded, __ATOMIC_ACQUIRE), op);
}

VG_ENTRY(cuIpcGetEventHandle, (CUipcEventHandle *handle, CUevent event))
{
    struct vg_soft_ipc h = { .magic = VG_SOFT_IPC_MAGIC, .kind = VG_SOFT_IPC_EVENT };
    struct vg_event *e;
    CUresult rc = vg_event_from_handle(event, &e);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (e->counts == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    h.pid = (uint32_t)getpid();
    h.fd = e->counts_fd;
    h.size = VG_COUNTS_SIZE;
    memcpy(handle, &h, sizeof(h));
    return CUDA_SUCCESS;
}

VG_ENTRY(cuIpcOpenEventHandle, (CUevent *event, CUipcEventHandle handle))
{
    struct vg_event_counts *counts;
    struct vg_soft_ipc h;
    struct vg_ctx *ctx;
    int fd;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    memcpy(&h, &handle, sizeof(h));
    if (event == NULL || !handle_is(&h, VG_SOFT_IPC_EVENT))
        return CUDA_ERROR_INVALID_VALUE;
    if (h.pid == (uint32_t)getpid())
        return CUDA_ERROR_INVALID_CONTEXT;
    fd = handle_file(&h);
    counts = fd >= 0 && vg_memfile_size(fd) == VG_COUNTS_SIZE ? counts_map(fd) : NULL;
    rc = counts != NULL ? vg_event_new(ctx, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING,
                                       counts, fd, event)
                        : CUDA_ERROR_INVALID_VALUE;
    if (rc != CUDA_SUCCESS && counts != NULL)
        vg_ipc_counts_free(counts, fd);
    else if (rc != CUDA_SUCCESS && fd >= 0)
        close(fd);
    return rc;
}
