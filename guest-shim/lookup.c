/* SPDX-License-Identifier: MIT */
/* Symbols by name, error names, and other answers that need neither host nor context. */
#include "guest-shim/entry.h"
#include "guest-shim/process.h"
#include "guest-shim/state.h"
#include "guest-shim/stats.h"
#include "vg_api.h"
#include "vg_error.h"

/* Before the host has been asked, the table's own version is the limit. */
static int version_limit(void)
{
    return vg_process.snapshot ? vg_driver_version() : CUDA_VERSION;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, uint64_t flags,
                             CUdriverProcAddressQueryResult *symbolStatus)
{
    const struct vg_api_row *row;
    CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;

    if (!symbol || !pfn || cudaVersion > version_limit() ||
        flags & ~(uint64_t)(CU_GET_PROC_ADDRESS_LEGACY_STREAM |
                            CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM))
        return CUDA_ERROR_INVALID_VALUE;
    *pfn = NULL;
    bool per_thread = flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    switch (vg_api_resolve(symbol, cudaVersion, per_thread, &row)) {
    case VG_API_FOUND:
        status = CU_GET_PROC_ADDRESS_SUCCESS;
        *pfn = (void *)(uintptr_t)vg_entry[row - vg_api_rows];
        break;
    case VG_API_TOO_NEW:
        status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
        break;
    case VG_API_UNKNOWN:
        break;
    }
    if (symbolStatus)
        *symbolStatus = status;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, uint64_t flags)
{
    CUresult r = cuGetProcAddress_v2(symbol, pfn, cudaVersion, flags, NULL);

    return !r && !*pfn ? CUDA_ERROR_NOT_FOUND : r;
}

CUresult cuGetErrorName(CUresult error, const char **pStr)
{
    if (!pStr)
        return CUDA_ERROR_INVALID_VALUE;
    *pStr = vg_error_name(error);
    return *pStr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **pStr)
{
    if (!pStr)
        return CUDA_ERROR_INVALID_VALUE;
    *pStr = vg_error_text(error);
    return *pStr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/*
 * No profiler is attached to this process: starting and stopping one does nothing, as natively,
 * but for our own counters.
 */
CUresult cuProfilerInitialize(const char *configFile, const char *outputFile,
                              CUoutput_mode outputMode)
{
    (void)configFile;
    (void)outputFile;
    (void)outputMode;
    return vg_unsupported("cuProfilerInitialize");
}

CUresult cuProfilerStart(void)
{
    CUresult r = vg_enter_ctx();

    if (!r)
        vg_stats_begin();
    return r;
}

CUresult cuProfilerStop(void)
{
    CUresult r = vg_enter_ctx();

    if (!r)
        vg_stats_end();
    return r;
}
