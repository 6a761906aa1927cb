/* SPDX-License-Identifier: MIT */
/*
 * cuGetProcAddress over our own symbols, and the calls that exist but have nothing to do.
 */
#include <dlfcn.h>
#include <string.h>

#include "ctx.h"
#include "device.h"

#define VG_NAME_MAX 128
/* ----------------------------------------------------------------------- lookup */

/* A handle to this library itself: the symbols of another libcuda must not be found. */
static void *self(void)
{
    static void *handle;
    Dl_info info;

    if (handle == NULL && dladdr((void *)(uintptr_t)&vg_init_check, &info) != 0)
        handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    return handle;
}

/* A symbol that the table knows and this library lacks is one that does not exist here. */
static void *proc_find(const char *base, int version, bool per_thread,
                       CUdriverProcAddressQueryResult *ret)
{
    const struct vg_api_row *row;
    void *found = NULL;

    switch (vg_api_resolve(base, version, per_thread, &row)) {
    case VG_API_FOUND:
        found = dlsym(self(), row->symbol);
        *ret = found != NULL ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
        break;
    case VG_API_TOO_NEW:
        *ret = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
        break;
    default:
        *ret = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    }
    return found;
}

VG_ENTRY(cuGetProcAddress_v2, (const char *symbol, void **fn, int version, uint64_t flags,
                             CUdriverProcAddressQueryResult *status))
{
    CUdriverProcAddressQueryResult result;

    if (symbol == NULL || fn == NULL || version > VG_DRIVER_VERSION || version < 2000 ||
        flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM || strlen(symbol) >= VG_NAME_MAX ||
        strncmp(symbol, "cu", 2) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    *fn = proc_find(symbol, version, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM,
                    &result);
    if (status != NULL)
        *status = result;
    return CUDA_SUCCESS;
}

/* The first form says with its own status that there is nothing. */
VG_ENTRY(cuGetProcAddress, (const char *symbol, void **fn, int version, uint64_t flags))
{
    CUresult rc = cuGetProcAddress_v2(symbol, fn, version, flags, NULL);

    return rc == CUDA_SUCCESS && *fn == NULL ? CUDA_ERROR_NOT_FOUND : rc;
}

/* -------------------------------------------------------------- nothing to do here */

/* No private tables: what they are for is answered in front of this library. */
VG_ENTRY(cuGetExportTable, (const void **table, const CUuuid *id))
{
    (void)id;
    if (table != NULL)
        *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

VG_ENTRY(cuProfilerStart, (void))
{
    struct vg_ctx *ctx;

    return vg_ctx_enter(&ctx);
}

VG_ENTRY(cuProfilerStop, (void))
{
    struct vg_ctx *ctx;

    return vg_ctx_enter(&ctx);
}

VG_ENTRY(cuFlushGPUDirectRDMAWrites,
         (CUflushGPUDirectRDMAWritesTarget target, CUflushGPUDirectRDMAWritesScope scope))
{
    struct vg_ctx *ctx;

    (void)target;
    (void)scope;
    return vg_ctx_enter(&ctx);
}
