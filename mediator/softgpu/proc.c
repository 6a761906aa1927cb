/* SPDX-License-Identifier: MIT */
/*
 * cuGetProcAddress over our own symbols, and the calls that exist but have nothing to do.
 *
 * A base name can have several symbols (name, name_v2, ...). The table lists, for names whose
 * newest symbol is not the right answer to every version, which symbol came when.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "device.h"

#define VG_NAME_MAX 128
#define VG_VERSION_MAX 4                /* highest _vN there is */

struct vg_since {
    const char *base;
    int version;                        /* CUDA version * 1000 + minor * 10 */
    const char *symbol;
};

/* Newest first within a name. */
static const struct vg_since since[] = {
    { "cuGetProcAddress", 12000, "cuGetProcAddress_v2" },
    { "cuGetProcAddress", 11030, "cuGetProcAddress" },
    { "cuCtxCreate", 12050, "cuCtxCreate_v4" },
    { "cuCtxCreate", 11040, "cuCtxCreate_v3" },
    { "cuCtxCreate", 3020, "cuCtxCreate_v2" },
    { "cuCtxGetDevice", 13000, "cuCtxGetDevice_v2" },
    { "cuCtxGetDevice", 2000, "cuCtxGetDevice" },
    { "cuCtxSynchronize", 13000, "cuCtxSynchronize_v2" },
    { "cuCtxSynchronize", 2000, "cuCtxSynchronize" },
    { "cuEventElapsedTime", 12080, "cuEventElapsedTime_v2" },
    { "cuEventElapsedTime", 2000, "cuEventElapsedTime" },
    { "cuStreamGetCtx", 12050, "cuStreamGetCtx_v2" },
    { "cuStreamGetCtx", 9020, "cuStreamGetCtx" },
    { "cuStreamBeginCapture", 10010, "cuStreamBeginCapture_v2" },
    { "cuStreamBeginCapture", 10000, "cuStreamBeginCapture" },
    { "cuStreamGetCaptureInfo", 12030, "cuStreamGetCaptureInfo_v3" },
    { "cuStreamGetCaptureInfo", 11030, "cuStreamGetCaptureInfo_v2" },
    { "cuStreamGetCaptureInfo", 10010, "cuStreamGetCaptureInfo" },
    { "cuStreamUpdateCaptureDependencies", 12030, "cuStreamUpdateCaptureDependencies_v2" },
    { "cuStreamUpdateCaptureDependencies", 11030, "cuStreamUpdateCaptureDependencies" },
    { "cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags" },
    { "cuGraphInstantiate", 11000, "cuGraphInstantiate_v2" },
    { "cuGraphInstantiate", 10000, "cuGraphInstantiate" },
    { "cuGraphExecUpdate", 12000, "cuGraphExecUpdate_v2" },
    { "cuGraphExecUpdate", 10020, "cuGraphExecUpdate" },
    { "cuGraphAddKernelNode", 12000, "cuGraphAddKernelNode_v2" },
    { "cuGraphAddKernelNode", 10000, "cuGraphAddKernelNode" },
    { "cuGraphGetEdges", 12030, "cuGraphGetEdges_v2" },
    { "cuGraphGetEdges", 10000, "cuGraphGetEdges" },
    { "cuGraphNodeGetDependencies", 12030, "cuGraphNodeGetDependencies_v2" },
    { "cuGraphNodeGetDependencies", 10000, "cuGraphNodeGetDependencies" },
    { "cuGraphNodeGetDependentNodes", 12030, "cuGraphNodeGetDependentNodes_v2" },
    { "cuGraphNodeGetDependentNodes", 10000, "cuGraphNodeGetDependentNodes" },
    { "cuGraphAddDependencies", 12030, "cuGraphAddDependencies_v2" },
    { "cuGraphAddDependencies", 10000, "cuGraphAddDependencies" },
    { "cuGraphRemoveDependencies", 12030, "cuGraphRemoveDependencies_v2" },
    { "cuGraphRemoveDependencies", 10000, "cuGraphRemoveDependencies" },
    { "cuGraphAddNode", 12030, "cuGraphAddNode_v2" },
    { "cuGraphAddNode", 12020, "cuGraphAddNode" },
};

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

static void *symbol_find(const char *name, bool per_thread)
{
    static const char *const suffix[] = { "_ptsz", "_ptds" };
    char full[VG_NAME_MAX + 8];
    void *found = NULL;
    size_t i;

    for (i = 0; per_thread && found == NULL && i < VG_ARRAY_LEN(suffix); i++) {
        snprintf(full, sizeof(full), "%s%s", name, suffix[i]);
        found = dlsym(self(), full);
    }
    return found != NULL ? found : dlsym(self(), name);
}

/* The newest of name_v4 .. name_v2, name that exists. */
static void *newest_find(const char *base, bool per_thread)
{
    char full[VG_NAME_MAX + 8];
    void *found = NULL;
    int v;

    for (v = VG_VERSION_MAX; v >= 2 && found == NULL; v--) {
        snprintf(full, sizeof(full), "%s_v%d", base, v);
        found = symbol_find(full, per_thread);
    }
    return found != NULL ? found : symbol_find(base, per_thread);
}

static void *proc_find(const char *base, int version, bool per_thread,
                       CUdriverProcAddressQueryResult *ret)
{
    bool listed = false;
    void *found;
    size_t i;

    for (i = 0; i < VG_ARRAY_LEN(since); i++) {
        if (strcmp(since[i].base, base) != 0)
            continue;
        listed = true;
        if (since[i].version <= version) {
            *ret = CU_GET_PROC_ADDRESS_SUCCESS;
            return symbol_find(since[i].symbol, per_thread);
        }
    }
    found = listed ? NULL : newest_find(base, per_thread);
    *ret = found != NULL ? CU_GET_PROC_ADDRESS_SUCCESS
           : listed ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                    : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return found;
}

VG_API(cuGetProcAddress_v2, (const char *symbol, void **fn, int version, uint64_t flags,
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
#undef cuGetProcAddress
VG_API(cuGetProcAddress, (const char *symbol, void **fn, int version, uint64_t flags))
{
    CUresult rc = cuGetProcAddress_v2(symbol, fn, version, flags, NULL);

    return rc == CUDA_SUCCESS && *fn == NULL ? CUDA_ERROR_NOT_FOUND : rc;
}

/* -------------------------------------------------------------- nothing to do here */

/* No private tables: what they are for is answered in front of this library. */
VG_API(cuGetExportTable, (const void **table, const CUuuid *id))
{
    (void)id;
    if (table != NULL)
        *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

VG_API(cuProfilerStart, (void))
{
    struct vg_ctx *ctx;

    return vg_ctx_enter(&ctx);
}

VG_API(cuProfilerStop, (void))
{
    struct vg_ctx *ctx;

    return vg_ctx_enter(&ctx);
}

VG_API(cuFlushGPUDirectRDMAWrites,
       (CUflushGPUDirectRDMAWritesTarget target, CUflushGPUDirectRDMAWritesScope scope))
{
    struct vg_ctx *ctx;

    (void)target;
    (void)scope;
    return vg_ctx_enter(&ctx);
}
