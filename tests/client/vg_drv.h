/* SPDX-License-Identifier: MIT */
/*
 * The driver API for the plain C test clients and the demo: libcuda.so.1 is
 * opened at run time, as many applications do it, so the same binary runs on
 * our library and on NVIDIA's.  The types are the table's (protocol/).
 *
 * Errors end the program: these are tests.  vg_drv_open() comes first; after
 * it everything may be used from any thread.
 */
#ifndef VG_DRV_H
#define VG_DRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_api.h"

/* Every function that some client calls. */
#define VG_DRV_FUNCTIONS(X)                                                            \
    X(cuLinkCreate_v2) X(cuLinkAddData_v2) X(cuLinkAddFile_v2) X(cuLinkComplete)       \
    X(cuMemcpyBatchAsync_v2) X(cuMemcpy3DBatchAsync_v2) X(cuFuncSetBlockShape)         \
    X(cuFuncSetSharedSize) X(cuParamSetSize) X(cuParamSetv) X(cuParamSeti)             \
    X(cuLaunch) X(cuLaunchGrid) X(cuLaunchGridAsync) X(cuCtxAttach) X(cuCtxDetach)     \
    X(cuMemAllocHost) X(cuCtxCreate_v2) X(cuDeviceRegisterAsyncNotification)           \
    X(cuDeviceUnregisterAsyncNotification) X(cuLogsRegisterCallback)                   \
    X(cuLogsUnregisterCallback) X(cuLogsCurrent) X(cuLogsDumpToMemory)                 \
    X(cuDeviceGetDevResource) X(cuCtxGetDevResource) X(cuGreenCtxGetDevResource)       \
    X(cuDevSmResourceSplitByCount) X(cuDevResourceGenerateDesc) X(cuGreenCtxCreate)    \
    X(cuGreenCtxDestroy) X(cuCtxFromGreenCtx) X(cuGreenCtxRecordEvent)                 \
    X(cuGreenCtxWaitEvent) X(cuStreamGetGreenCtx) X(cuGreenCtxStreamCreate)            \
    X(cuGreenCtxGetId) X(cuStreamGetCtx_v2)                                            \
    X(cuLinkDestroy) X(cuProfilerStart) X(cuProfilerStop)                              \
    X(cuCtxGetDevice) X(cuDevicePrimaryCtxGetState) X(cuCtxGetLimit)                   \
    X(cuCtxGetStreamPriorityRange) X(cuStreamIsCapturing) X(cuStreamGetPriority)       \
    X(cuStreamGetFlags) X(cuStreamGetCtx) X(cuStreamGetCaptureInfo_v2)                 \
    X(cuThreadExchangeStreamCaptureMode) X(cuLibraryLoadData) X(cuLibraryUnload)       \
    X(cuLibraryGetKernel) X(cuKernelGetFunction) X(cuKernelGetAttribute)               \
    X(cuKernelSetAttribute) X(cuFuncGetAttribute) X(cuFuncSetAttribute)                \
    X(cuFuncSetCacheConfig) X(cuModuleGetLoadingMode)                                  \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)                            \
    X(cuInit) X(cuDriverGetVersion) X(cuGetErrorName) X(cuDeviceGetCount)              \
    X(cuDeviceGet) X(cuDeviceGetName) X(cuDeviceTotalMem_v2) X(cuDeviceGetAttribute)   \
    X(cuDeviceGetPCIBusId)                                                             \
    X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease_v2)  \
    X(cuCtxSetCurrent) X(cuCtxSynchronize) X(cuMemGetInfo_v2)                          \
    X(cuPointerGetAttribute) X(cuMemGetAddressRange_v2)                                \
    X(cuMemAddressReserve) X(cuMemAddressFree) X(cuMemCreate) X(cuMemRelease)          \
    X(cuMemMap) X(cuMemUnmap) X(cuMemSetAccess) X(cuMemGetAccess)                      \
    X(cuMemGetAllocationGranularity) X(cuMemGetAllocationPropertiesFromHandle)         \
    X(cuMemRetainAllocationHandle) X(cuMemExportToShareableHandle)                     \
    X(cuMemImportFromShareableHandle) X(cuIpcGetMemHandle) X(cuIpcOpenMemHandle_v2)    \
    X(cuIpcCloseMemHandle) X(cuIpcGetEventHandle) X(cuIpcOpenEventHandle)              \
    X(cuMemPoolCreate) X(cuMemPoolDestroy) X(cuMemAllocFromPoolAsync) X(cuMemFreeAsync) \
    X(cuMemPoolExportToShareableHandle) X(cuMemPoolImportFromShareableHandle)          \
    X(cuDeviceCanAccessPeer) X(cuDeviceGetP2PAttribute) X(cuCtxEnablePeerAccess)       \
    X(cuCtxDisablePeerAccess) X(cuMemcpyPeer) X(cuMemcpyPeerAsync) X(cuMemcpy)             \
    X(cuMemcpy3DPeer) X(cuMemPoolSetAccess) X(cuDeviceGetUuid_v2)                      \
    X(cuMemPoolExportPointer) X(cuMemPoolImportPointer) X(cuStreamWaitEvent)           \
    X(cuModuleLoadData) X(cuModuleUnload) X(cuModuleGetFunction) X(cuLaunchKernel)     \
    X(cuMemAlloc_v2) X(cuMemFree_v2) X(cuMemHostAlloc) X(cuMemFreeHost)                \
    X(cuMemHostRegister_v2) X(cuStreamWriteValue32_v2) X(cuMemAllocAsync)              \
    X(cuStreamBeginCapture_v2) X(cuStreamEndCapture)                                   \
    X(cuGraphInstantiateWithFlags) X(cuGraphLaunch) X(cuGraphDestroy)                  \
    X(cuGraphExecDestroy)                                                              \
    X(cuMemHostGetDevicePointer_v2) X(cuMemcpyHtoD_v2) X(cuMemcpyDtoH_v2)              \
    X(cuMemcpyDtoD_v2) X(cuMemcpy3D_v2) X(cuMemcpyHtoDAsync_v2) X(cuMemcpyDtoHAsync_v2)                 \
    X(cuMemcpyDtoDAsync_v2) X(cuMemsetD8_v2) X(cuMemsetD32_v2) X(cuMemsetD8Async)      \
    X(cuStreamCreate) X(cuStreamDestroy_v2) X(cuStreamSynchronize) X(cuStreamQuery)    \
    X(cuEventCreate) X(cuEventDestroy_v2) X(cuEventRecord) X(cuEventQuery)             \
    X(cuEventSynchronize) X(cuCtxGetCurrent)                                           \
    X(cuMemAllocPitch_v2) X(cuArrayCreate_v2) X(cuArrayDestroy) X(cuGraphCreate) \
    X(cuGraphGetNodes) X(cuTensorMapEncodeTiled) X(cuTensorMapReplaceAddress)          \
    X(cuLaunchCooperativeKernelMultiDevice) X(cuPointerSetAttribute)                   \
    X(cuGraphAddKernelNode_v2) X(cuGraphKernelNodeSetParams_v2)                        \
    X(cuGraphExecKernelNodeSetParams_v2) X(cuStreamWaitValue32_v2)                     \
    X(cuLaunchHostFunc) X(cuMemcpy3DAsync_v2)

struct vg_drv {
#define VG_DRV_MEMBER(name) __typeof__(name) *name;
    VG_DRV_FUNCTIONS(VG_DRV_MEMBER)
#undef VG_DRV_MEMBER
};
extern struct vg_drv vg_drv;

/* Opens the library; then also the first device, its primary context made current. */
void vg_drv_open(void);
CUcontext vg_drv_start(void);

/* The name of a result, never NULL. */
const char *vg_drv_error(CUresult result);

/* Ends the program with a message on stderr (status 1) unless the call succeeds. */
#define VG_CU(call) vg_drv_check((vg_drv.call), CUDA_SUCCESS, #call, __FILE__, __LINE__)
#define VG_CU_IS(want, call) vg_drv_check((vg_drv.call), (want), #call, __FILE__, __LINE__)
void vg_drv_check(CUresult got, CUresult want, const char *call, const char *file, int line);

void vg_drv_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

CUmodule vg_drv_module(const char *image);
CUfunction vg_drv_function(CUmodule module, const char *name);
CUdeviceptr vg_drv_alloc(size_t bytes);

/* Seconds of a clock that only goes forward. */
double vg_drv_now(void);

/*
 * Processes that measure in turns, so that what disturbs the machine disturbs all of them:
 * with VG_ROUNDS=N in the environment, vg_drv_turn says "turn" on stdout and waits for a line
 * on stdin (the end of it ends the program); without, it does nothing. vg_drv_rounds: how
 * often to measure, 1 without.
 */
int vg_drv_rounds(void);
void vg_drv_turn(void);

/* xorshift32: the same numbers everywhere. *state must not be 0. */
uint32_t vg_drv_random(uint32_t *state);

#endif
