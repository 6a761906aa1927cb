/* SPDX-License-Identifier: MIT */
/*
 * Notifications of a device. The one kind there is tells of a memory budget that
 * only Windows has, so a registration here, as natively on Linux, waits for nothing.
 */
#include <stdlib.h>

#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "vg_api.h"

struct CUasyncCallbackEntry_st {
    struct CUasyncCallbackEntry_st *next;
    CUdevice dev;
};

static struct vg_lock lock;
static struct CUasyncCallbackEntry_st *all;

CUresult cuDeviceRegisterAsyncNotification(CUdevice device, CUasyncCallback callbackFunc,
                                           void *userData, CUasyncCallbackHandle *callback)
{
    CUresult r = vg_enter();

    (void)userData;
    if (r)
        return r;
    if (!vg_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!callbackFunc || !callback)
        return CUDA_ERROR_INVALID_VALUE;
    struct CUasyncCallbackEntry_st *c = malloc(sizeof(*c));
    if (!c)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_lock(&lock);
    *c = (struct CUasyncCallbackEntry_st){all, device};
    all = c;
    vg_unlock(&lock);
    *callback = c;
    return CUDA_SUCCESS;
}

CUresult cuDeviceUnregisterAsyncNotification(CUdevice device, CUasyncCallbackHandle callback)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!vg_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    vg_lock(&lock);
    struct CUasyncCallbackEntry_st **p = &all;
    while (*p && (*p != callback || (*p)->dev != device))
        p = &(*p)->next;
    struct CUasyncCallbackEntry_st *c = *p;
    if (c)
        *p = c->next;
    vg_unlock(&lock);
    free(c);
    return c ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
