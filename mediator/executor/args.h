/* SPDX-License-Identifier: MIT */
/*
 * The arguments of each call as a typed struct, made from the table, and the
 * bodies written by hand for the CUSTOM rows.
 *
 * An OUT, OUTH or INOUT argument is the value, with has_<name> telling whether the
 * guest wants it; an INBUF comes with bytes_<name>. Pointers point into the
 * request's private payload or the reply buffer. PTR arguments do not cross.
 */
#ifndef VG_ARGS_H
#define VG_ARGS_H

#include "mediator/executor/executor.h"

#define VG_MEMBER(kind, type, name, aux) VG_MEMBER_##kind(type, name)
#define VG_MEMBER_VAL(type, name) type name;
#define VG_MEMBER_HND(type, name) type name;
#define VG_MEMBER_STRM(type, name) type name;
#define VG_MEMBER_DPTR(type, name) type name;
#define VG_MEMBER_OUT(type, name) type name; bool has_##name;
#define VG_MEMBER_OUTH(type, name) type name; bool has_##name;
#define VG_MEMBER_IN(type, name) const type *name;
#define VG_MEMBER_INOUT(type, name) type name; bool has_##name;
#define VG_MEMBER_STR(type, name) const type *name;
#define VG_MEMBER_INBUF(type, name) const type *name; size_t bytes_##name;
#define VG_MEMBER_OUTBUF(type, name) type *name;
#define VG_MEMBER_PTR(type, name)
#define VG_MEMBER_NONE(type, name)

/* The member `_` stands where the table names no length: one byte must be owned. */
#define VG_API(id, symbol, base, since, mode, class) \
    struct vg_args_##symbol { uint64_t _; VG_ARGS_##symbol(VG_MEMBER) };
#include "vg_api.def"

/* CUSTOM rows decoded from the table. */
#define VG_NATURAL_CALLS(X)                                                                    \
    X(cuLinkDestroy) X(cuDeviceGetDevResource) X(cuCtxGetDevResource)                          \
    X(cuGreenCtxGetDevResource) X(cuGreenCtxCreate) X(cuGreenCtxDestroy)                       \
    X(cuCtxFromGreenCtx) X(cuGreenCtxStreamCreate)                                             \
    X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease_v2) X(cuDevicePrimaryCtxReset_v2)    \
    X(cuCtxCreate_v2) X(cuCtxDestroy_v2)                                                       \
    X(cuCtxSynchronize) X(cuCtxSynchronize_v2)                                                 \
    X(cuModuleUnload) X(cuModuleGetFunction) X(cuModuleGetFunctionCount)                       \
    X(cuModuleEnumerateFunctions) X(cuModuleGetGlobal_v2) X(cuLibraryUnload)                   \
    X(cuLibraryGetKernel) X(cuLibraryGetKernelCount) X(cuLibraryEnumerateKernels)              \
    X(cuLibraryGetModule) X(cuKernelGetFunction) X(cuLibraryGetGlobal) X(cuLibraryGetManaged)  \
    X(cuKernelGetAttribute) X(cuKernelSetAttribute) X(cuKernelGetParamInfo)                    \
    X(cuFuncGetAttribute) X(cuFuncSetAttribute) X(cuFuncGetParamInfo)                          \
    X(cuMemGetInfo_v2) X(cuCtxSetLimit) X(cuMemAlloc_v2) X(cuMemAllocPitch_v2) X(cuMemFree_v2) X(cuMemAllocAsync)                  \
    X(cuMemAddressReserve) X(cuMemAddressFree) X(cuMemCreate) X(cuMemRelease) X(cuMemMap)      \
    X(cuMemPoolCreate) X(cuMulticastCreate) X(cuMemUnmap) X(cuMemSetAccess) X(cuMemGetAccess) X(cuMemGetAllocationGranularity)         \
    X(cuMemAllocFromPoolAsync) X(cuMemFreeAsync) X(cuMemcpyDtoD_v2) X(cuMemcpyDtoDAsync_v2)    \
    X(cuStreamCreate) X(cuStreamCreateWithPriority) X(cuStreamQuery) X(cuStreamSynchronize)    \
    X(cuStreamDestroy_v2) X(cuEventSynchronize) X(cuStreamBeginCapture_v2)                     \
    X(cuStreamBeginCaptureToGraph) X(cuStreamEndCapture) X(cuStreamIsCapturing)                \
    X(cuGraphLaunch) X(cuGraphInstantiateWithParams) X(cuGraphInstantiateWithFlags)            \
    X(cuGraphUpload) X(cuGraphDestroy) X(cuGraphExecDestroy)                                   \
    X(cuUserObjectRetain) X(cuUserObjectRelease) X(cuGraphRetainUserObject)                    \
    X(cuGraphKernelNodeSetAttribute)                                                           \
    X(cuGraphNodeGetType) X(cuGraphChildGraphNodeGetGraph) X(cuGraphAddDependencies)           \
    X(cuGraphAddDependencies_v2) X(cuGraphRemoveDependencies) X(cuGraphRemoveDependencies_v2) \
    X(cuTensorMapEncodeTiled) X(cuTensorMapEncodeIm2col) X(cuTensorMapEncodeIm2colWide)        \
    X(cuTensorMapReplaceAddress)                                                               \
    X(cuArrayCreate_v2) X(cuArray3DCreate_v2) X(cuArrayDestroy) X(cuArray3DGetDescriptor_v2)   \
    X(cuArrayGetPlane) X(cuMipmappedArrayCreate) X(cuMipmappedArrayGetLevel)                   \
    X(cuMipmappedArrayDestroy) X(cuTexObjectCreate) X(cuSurfObjectCreate)                      \
    X(cuModuleGetTexRef) X(cuModuleGetSurfRef) X(cuTexRefSetAddress2D_v3)

/* Decoded by hand: rows with PTR arguments, and the internal calls of vg_wire.h. */
#define VG_RAW_CALLS(X)                                                                        \
    X(cuTexRefSetBorderColor) X(cuTexRefGetBorderColor)                                        \
    X(cuLinkCreate_v2) X(cuLinkComplete) X(cuDevSmResourceSplitByCount)                        \
    X(cuDevResourceGenerateDesc)                                                               \
    X(cuMemPoolSetAttribute) X(cuMemPoolGetAttribute) X(cuDeviceGetGraphMemAttribute)          \
    X(cuDeviceSetGraphMemAttribute) X(cuStreamBatchMemOp_v2) X(cuStreamGetCaptureInfo_v2)      \
    X(cuStreamUpdateCaptureDependencies) X(cuGraphGetNodes) X(cuGraphGetRootNodes)             \
    X(cuGraphGetEdges) X(cuGraphGetEdges_v2) X(cuGraphNodeGetDependencies)                     \
    X(cuGraphNodeGetDependencies_v2) X(cuGraphNodeGetDependentNodes)                           \
    X(cuGraphNodeGetDependentNodes_v2) X(cuOccupancyMaxPotentialClusterSize)                   \
    X(cuOccupancyMaxActiveClusters) X(cuMemRetainAllocationHandle)                             \
    X(cuMemExportToShareableHandle) X(cuMemImportFromShareableHandle)                          \
    X(cuMemPoolExportToShareableHandle) X(cuMemPoolImportFromShareableHandle)                  \
    X(cuMemPoolExportPointer) X(cuMemPoolImportPointer) X(cuIpcGetMemHandle)                   \
    X(cuIpcOpenMemHandle_v2) X(cuIpcCloseMemHandle) X(cuIpcGetEventHandle)                     \
    X(cuIpcOpenEventHandle)                                                                    \
    X(cuGraphAddKernelNode_v2) X(cuGraphAddMemcpyNode) X(cuGraphAddMemsetNode)                 \
    X(cuGraphAddHostNode) X(cuGraphAddChildGraphNode) X(cuGraphAddEmptyNode)                   \
    X(cuGraphAddEventRecordNode) X(cuGraphAddEventWaitNode) X(cuGraphAddBatchMemOpNode)        \
    X(cuGraphAddMemAllocNode) X(cuGraphAddMemFreeNode) X(cuGraphAddNode) X(cuGraphAddNode_v2)  \
    X(cuGraphKernelNodeSetParams_v2) X(cuGraphMemcpyNodeSetParams)                             \
    X(cuGraphMemsetNodeSetParams) X(cuGraphHostNodeSetParams)                                  \
    X(cuGraphBatchMemOpNodeSetParams) X(cuGraphNodeSetParams)                                  \
    X(cuGraphExecKernelNodeSetParams_v2) X(cuGraphExecMemcpyNodeSetParams)                     \
    X(cuGraphExecMemsetNodeSetParams) X(cuGraphExecHostNodeSetParams)                          \
    X(cuGraphExecBatchMemOpNodeSetParams) X(cuGraphExecNodeSetParams)                          \
    X(cuGraphKernelNodeGetParams_v2) X(cuGraphMemcpyNodeGetParams) X(cuGraphHostNodeGetParams) \
    X(cuGraphBatchMemOpNodeGetParams) X(cuGraphMemAllocNodeGetParams)                          \
    X(cuGraphExecUpdate_v2) X(cuUserObjectCreate) X(cuGraphDebugDotPrint)

#define VG_INTERNAL_CALLS(X)                                                                   \
    X(LINK_READ)                                                                               \
    X(MARK) X(PIN)                                                                             \
    X(NOP) X(SET_CONTEXT) X(SNAPSHOT) X(COPY_IN) X(COPY_OUT) X(COPY_INLINE) X(COPY_3D)         \
    X(LAUNCH) X(SYNC) X(IMAGE_LOAD) X(FUNCTION_GET) X(HOST_FUNC) X(ALIAS)         \
    X(UNALIAS) X(IMAGE_PART) X(FUNCTION_INFO) X(FUNCTION_ATTRS) X(FUNCTION_NAME)

/*
 * Each returns the call's CUresult. A natural body fills a's outputs; a raw one
 * reads r->dec, must end with vg_req_decoded, and writes r->enc.
 */
#define VG_DECLARE_NATURAL(symbol) \
    CUresult vg_do_##symbol(struct vg_exec *x, struct vg_req *r, struct vg_args_##symbol *a);
VG_NATURAL_CALLS(VG_DECLARE_NATURAL)
#define VG_DECLARE_RAW(symbol) CUresult vg_do_##symbol(struct vg_exec *x, struct vg_req *r);
VG_RAW_CALLS(VG_DECLARE_RAW)
VG_INTERNAL_CALLS(VG_DECLARE_RAW)

/* True if the request was well-formed and used up; else it is a breach. */
bool vg_req_decoded(struct vg_req *r);

#endif
