/* SPDX-License-Identifier: MIT */
/*
 * cuMemCreate and what goes with it; sharing by descriptor.
 */
#include "phys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "handle.h"
#include "memfile.h"

/* The last page of the file: what an importer must know. */
struct vg_phys_label {
    uint64_t magic;
    CUmemAllocationProp prop;
};
#define VG_PHYS_MAGIC 0x7973796870746f73ull
#define VG_LABEL_SIZE 4096u

static pthread_mutex_t vmm_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t next_id = 1;

void vg_vmm_lock(void)
{
    pthread_mutex_lock(&vmm_mutex);
}

void vg_vmm_unlock(void)
{
    pthread_mutex_unlock(&vmm_mutex);
}

uint64_t vg_phys_next_id(void)
{
    return __atomic_fetch_add(&next_id, 1, __ATOMIC_RELAXED);
}

/* ---------------------------------------------------------------- physical memory */

static CUresult prop_check(const CUmemAllocationProp *prop)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (prop == NULL || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (vg_device_get(prop->location.id) == NULL)
        return CUDA_ERROR_INVALID_DEVICE;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemGetAllocationGranularity, (size_t *granularity, const CUmemAllocationProp *prop,
                                         CUmemAllocationGranularity_flags option))
{
    CUresult rc = prop_check(prop);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (granularity == NULL || (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
                                option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
        return CUDA_ERROR_INVALID_VALUE;
    *granularity = VG_VMM_GRANULARITY;
    return CUDA_SUCCESS;
}

/* The label of a file of `size` bytes of memory; NULL: it cannot be mapped. */
static struct vg_phys_label *label_map(int fd, size_t size)
{
    void *at = mmap(NULL, VG_LABEL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)size);

    return at != MAP_FAILED ? at : NULL;
}

static int memory_new(size_t size, const CUmemAllocationProp *prop)
{
    int fd = size + VG_LABEL_SIZE > size ? vg_memfile_new("vgpu-soft-memory", size + VG_LABEL_SIZE)
                                         : -ENOMEM;
    struct vg_phys_label *label = fd >= 0 ? label_map(fd, size) : NULL;

    if (label != NULL) {
        label->magic = VG_PHYS_MAGIC;
        label->prop = *prop;
        munmap(label, VG_LABEL_SIZE);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -ENOMEM;
}

/* Takes fd over, also when it fails. */
static struct vg_phys *phys_new(int fd, size_t size, const CUmemAllocationProp *prop, bool charged)
{
    struct vg_phys *p = fd >= 0 ? calloc(1, sizeof(*p)) : NULL;

    if (p != NULL) {
        p->refs = 1;
        p->size = size;
        p->prop = *prop;
        p->fd = fd;
        p->charged = charged;
        p->id = vg_phys_next_id();
        p->handle = vg_handle_new(VG_HANDLE_PHYS, p);
        if (p->handle != NULL)
            return p;
    }
    if (fd >= 0)
        close(fd);
    free(p);
    return NULL;
}

void vg_phys_settle_locked(struct vg_phys *p)
{
    if (p->refs == 0 && p->handle != NULL) {
        vg_handle_end(p->handle);
        p->handle = NULL;
    }
    if (p->refs != 0 || p->maps != 0)
        return;
    if (p->fd >= 0)
        close(p->fd);
    if (p->charged)
        vg_arena_refund((unsigned)p->prop.location.id, p->size);
    free(p);
}

VG_ENTRY(cuMemCreate, (CUmemGenericAllocationHandle *handle, size_t size,
                       const CUmemAllocationProp *prop, unsigned long long flags))
{
    struct vg_phys *p;
    CUresult rc = prop_check(prop);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (handle == NULL || size == 0 || !vg_is_granular(size) || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if ((prop->requestedHandleTypes & ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (vg_arena_charge((unsigned)prop->location.id, size) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p = phys_new(memory_new(size, prop), size, prop, true);
    if (p == NULL) {
        vg_arena_refund((unsigned)prop->location.id, size);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *handle = (uintptr_t)p->handle;
    return CUDA_SUCCESS;
}

struct vg_phys *vg_phys_get_locked(CUmemGenericAllocationHandle handle)
{
    return vg_handle_get((void *)(uintptr_t)handle, VG_HANDLE_PHYS);
}

VG_ENTRY(cuMemRelease, (CUmemGenericAllocationHandle handle))
{
    struct vg_phys *p;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_vmm_lock();
    p = vg_phys_get_locked(handle);
    if (p != NULL) {
        p->refs--;
        vg_phys_settle_locked(p);
    }
    vg_vmm_unlock();
    return p != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuMemGetAllocationPropertiesFromHandle,
         (CUmemAllocationProp *prop, CUmemGenericAllocationHandle handle))
{
    struct vg_phys *p;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_vmm_lock();
    p = prop != NULL ? vg_phys_get_locked(handle) : NULL;
    if (p != NULL)
        *prop = p->prop;
    vg_vmm_unlock();
    return p != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult vg_phys_retain_locked(struct vg_phys *p, CUmemGenericAllocationHandle *ret)
{
    if (p->handle == NULL)
        p->handle = vg_handle_new(VG_HANDLE_PHYS, p);
    if (p->handle == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p->refs++;
    *ret = (uintptr_t)p->handle;
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------- by descriptor */

VG_ENTRY(cuMemExportToShareableHandle,
         (void *out, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
          unsigned long long flags))
{
    struct vg_phys *p;
    int fd = -1;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    vg_vmm_lock();
    p = out != NULL && flags == 0 ? vg_phys_get_locked(handle) : NULL;
    if (p == NULL || (p->prop.requestedHandleTypes & type) == 0)
        rc = CUDA_ERROR_INVALID_VALUE;
    else if ((fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0)) < 0)
        rc = CUDA_ERROR_OPERATING_SYSTEM;
    vg_vmm_unlock();
    if (rc == CUDA_SUCCESS)
        memcpy(out, &fd, sizeof(fd));
    return rc;
}

/* Believes nothing: whoever can pass a descriptor can pass any. */
static CUresult read_label(int fd, size_t *ret_size, CUmemAllocationProp *ret_prop)
{
    size_t size = vg_memfile_size(fd);
    struct vg_phys_label *label;
    bool ok;

    if (size <= VG_LABEL_SIZE || !vg_is_granular(size - VG_LABEL_SIZE))
        return CUDA_ERROR_INVALID_VALUE;
    *ret_size = size - VG_LABEL_SIZE;
    label = label_map(fd, *ret_size);
    if (label == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    ok = label->magic == VG_PHYS_MAGIC;
    *ret_prop = label->prop;
    munmap(label, VG_LABEL_SIZE);
    return ok && prop_check(ret_prop) == CUDA_SUCCESS ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuMemImportFromShareableHandle, (CUmemGenericAllocationHandle *handle, void *os_handle,
                                          CUmemAllocationHandleType type))
{
    int fd = (int)(intptr_t)os_handle;
    CUmemAllocationProp prop;
    struct vg_phys *p;
    size_t size;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    rc = handle != NULL ? read_label(fd, &size, &prop) : CUDA_ERROR_INVALID_VALUE;
    if (rc != CUDA_SUCCESS)
        return rc;
    p = phys_new(fcntl(fd, F_DUPFD_CLOEXEC, 0), size, &prop, false);
    if (p == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *handle = (uintptr_t)p->handle;
    return CUDA_SUCCESS;
}

