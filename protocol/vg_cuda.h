/* SPDX-License-Identifier: MIT */
/*
 * Types of the CUDA 13.0 driver API: what `#include <cuda.h>` would give our own code, without a
 * toolkit. Written from the ABI, not from the toolkit's text. No prototypes here: vg_api.h makes
 * them from the table. Guest and host both include this; it must stay free of code.
 *
 * Where the toolkit has one shape under two names (CUfoo and CUfoo_v1), only the plain name is
 * here; where it has two shapes, both are. Never include the toolkit's cuda.h in the same file.
 */
#ifndef VG_CUDA_H
#define VG_CUDA_H

#ifdef __cuda_cuda_h__
#error "vg_cuda.h replaces cuda.h: include one of them"
#endif

#include <stddef.h>
#include <stdint.h>

#define CUDA_VERSION 13000
#define CUDAAPI
#define CUDA_CB

/* Scalars. A device is an ordinal, a device pointer is an address of the GPU's address space. */
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef unsigned long long CUtexObject;
typedef unsigned long long CUsurfObject;
typedef uint64_t CUgraphConditionalHandle;
typedef unsigned long long CUmemGenericAllocationHandle;
typedef unsigned CUlogIterator;
typedef unsigned CUdeviceptr_v1;

/* Handles: opaque to us too. */
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUarray_st *CUarray;
typedef struct CUmipmappedArray_st *CUmipmappedArray;
typedef struct CUtexref_st *CUtexref;
typedef struct CUsurfref_st *CUsurfref;
typedef struct CUevent_st *CUevent;
typedef struct CUstream_st *CUstream;
typedef struct CUgraphicsResource_st *CUgraphicsResource;
typedef struct CUextMemory_st *CUexternalMemory;
typedef struct CUextSemaphore_st *CUexternalSemaphore;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef struct CUuserObject_st *CUuserObject;
typedef struct CUgraphDeviceUpdatableNode_st *CUgraphDeviceNode;
typedef struct CUasyncCallbackEntry_st *CUasyncCallbackHandle;
typedef struct CUgreenCtx_st *CUgreenCtx;
typedef struct CUlinkState_st *CUlinkState;
typedef struct CUdevResourceDesc_st *CUdevResourceDesc;
typedef struct CUlogsCallbackEntry_st *CUlogsCallbackHandle;

#define CU_IPC_HANDLE_SIZE 64
#define CU_TENSOR_MAP_NUM_QWORDS 16
#define CU_STREAM_LEGACY ((CUstream)0x1)
#define CU_STREAM_PER_THREAD ((CUstream)0x2)
#define CU_DEVICE_CPU ((CUdevice)-1)
#define CU_DEVICE_INVALID ((CUdevice)-2)
#define CU_COMPUTE_ACCELERATED_TARGET_BASE 0x10000
#define CU_COMPUTE_FAMILY_TARGET_BASE 0x20000

#define CU_MEMHOSTALLOC_PORTABLE 0x01
#define CU_MEMHOSTALLOC_DEVICEMAP 0x02
#define CU_MEMHOSTALLOC_WRITECOMBINED 0x04
#define CU_MEMHOSTREGISTER_PORTABLE 0x01
#define CU_MEMHOSTREGISTER_DEVICEMAP 0x02
#define CU_MEMHOSTREGISTER_IOMEMORY 0x04
#define CU_MEMHOSTREGISTER_READ_ONLY 0x08

#define CU_LAUNCH_PARAM_END ((void *)0x00)
#define CU_LAUNCH_PARAM_BUFFER_POINTER ((void *)0x01)
#define CU_LAUNCH_PARAM_BUFFER_SIZE ((void *)0x02)
#define CU_LAUNCH_KERNEL_REQUIRED_BLOCK_DIM 1
#define CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC 0x01
#define CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC 0x02
#define CU_PARAM_TR_DEFAULT -1

#define CU_KERNEL_NODE_ATTRIBUTE_COOPERATIVE CU_LAUNCH_ATTRIBUTE_COOPERATIVE
#define CU_KERNEL_NODE_ATTRIBUTE_PRIORITY CU_LAUNCH_ATTRIBUTE_PRIORITY
#define CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW
#define CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY
#define CU_STREAM_ATTRIBUTE_PRIORITY CU_LAUNCH_ATTRIBUTE_PRIORITY
#define CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP
#define CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN

#define CU_GRAPH_COND_ASSIGN_DEFAULT 0x1
#define CU_GRAPH_KERNEL_NODE_PORT_DEFAULT 0
#define CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC 1
#define CU_GRAPH_KERNEL_NODE_PORT_LAUNCH_ORDER 2
#define CU_MEM_CREATE_USAGE_TILE_POOL 0x1
#define CU_MEM_CREATE_USAGE_HW_DECOMPRESS 0x2
#define CU_MEM_POOL_CREATE_USAGE_HW_DECOMPRESS 0x2
#define CUDA_ARRAY3D_LAYERED 0x01
#define CUDA_ARRAY3D_SURFACE_LDST 0x02
#define CUDA_ARRAY3D_CUBEMAP 0x04
#define CUDA_ARRAY3D_TEXTURE_GATHER 0x08
#define CUDA_ARRAY3D_SPARSE 0x40
#define CUDA_ARRAY3D_DEFERRED_MAPPING 0x80
#define CU_TRSA_OVERRIDE_FORMAT 0x01
#define CU_TRSF_READ_AS_INTEGER 0x01
#define CU_TRSF_NORMALIZED_COORDINATES 0x02
#define CU_TRSF_SRGB 0x10
#define CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION 0x20
#define CU_TRSF_SEAMLESS_CUBEMAP 0x40

#include "vg_cuda_attr.h"
#include "vg_cuda_enum.h"
#include "vg_cuda_struct.h"

/* Sizes, as measured with the toolkit's own header. A wrong one would corrupt an application. */
#define VG_CUDA_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
VG_CUDA_SIZE(CUuuid, 16);
VG_CUDA_SIZE(CUmemFabricHandle, 64);
VG_CUDA_SIZE(CUipcEventHandle, 64);
VG_CUDA_SIZE(CUipcMemHandle, 64);
VG_CUDA_SIZE(CUstreamBatchMemOpParams, 48);
VG_CUDA_SIZE(CUDA_BATCH_MEM_OP_NODE_PARAMS_v1, 32);
VG_CUDA_SIZE(CUDA_BATCH_MEM_OP_NODE_PARAMS_v2, 32);
VG_CUDA_SIZE(CUasyncNotificationInfo, 16);
VG_CUDA_SIZE(CUdevprop, 56);
VG_CUDA_SIZE(CUaccessPolicyWindow, 32);
VG_CUDA_SIZE(CUDA_KERNEL_NODE_PARAMS_v1, 56);
VG_CUDA_SIZE(CUDA_KERNEL_NODE_PARAMS_v2, 72);
VG_CUDA_SIZE(CUDA_MEMSET_NODE_PARAMS_v1, 40);
VG_CUDA_SIZE(CUDA_MEMSET_NODE_PARAMS_v2, 48);
VG_CUDA_SIZE(CUDA_HOST_NODE_PARAMS_v1, 16);
VG_CUDA_SIZE(CUDA_HOST_NODE_PARAMS_v2, 16);
VG_CUDA_SIZE(CUDA_CONDITIONAL_NODE_PARAMS, 32);
VG_CUDA_SIZE(CUgraphEdgeData, 8);
VG_CUDA_SIZE(CUDA_GRAPH_INSTANTIATE_PARAMS, 32);
VG_CUDA_SIZE(CUlaunchMemSyncDomainMap, 2);
VG_CUDA_SIZE(CUlaunchAttributeValue, 64);
VG_CUDA_SIZE(CUlaunchAttribute, 72);
VG_CUDA_SIZE(CUlaunchConfig, 56);
VG_CUDA_SIZE(CUexecAffinitySmCount, 4);
VG_CUDA_SIZE(CUexecAffinityParam, 8);
VG_CUDA_SIZE(CUctxCigParam, 16);
VG_CUDA_SIZE(CUctxCreateParams, 24);
VG_CUDA_SIZE(CUlibraryHostUniversalFunctionAndDataTable, 32);
VG_CUDA_SIZE(CUDA_MEMCPY2D_v2, 128);
VG_CUDA_SIZE(CUDA_MEMCPY3D_v2, 200);
VG_CUDA_SIZE(CUDA_MEMCPY3D_PEER, 200);
VG_CUDA_SIZE(CUDA_MEMCPY_NODE_PARAMS, 216);
VG_CUDA_SIZE(CUDA_ARRAY_DESCRIPTOR_v2, 24);
VG_CUDA_SIZE(CUDA_ARRAY3D_DESCRIPTOR_v2, 40);
VG_CUDA_SIZE(CUDA_ARRAY_SPARSE_PROPERTIES, 48);
VG_CUDA_SIZE(CUDA_ARRAY_MEMORY_REQUIREMENTS, 32);
VG_CUDA_SIZE(CUDA_RESOURCE_DESC, 144);
VG_CUDA_SIZE(CUDA_TEXTURE_DESC, 104);
VG_CUDA_SIZE(CUDA_RESOURCE_VIEW_DESC, 112);
VG_CUDA_SIZE(CUtensorMap, 128);
VG_CUDA_SIZE(CUDA_POINTER_ATTRIBUTE_P2P_TOKENS, 16);
VG_CUDA_SIZE(CUDA_LAUNCH_PARAMS, 56);
VG_CUDA_SIZE(CUDA_EXTERNAL_MEMORY_HANDLE_DESC, 104);
VG_CUDA_SIZE(CUDA_EXTERNAL_MEMORY_BUFFER_DESC, 88);
VG_CUDA_SIZE(CUDA_EXTERNAL_MEMORY_MIPMAPPED_ARRAY_DESC, 120);
VG_CUDA_SIZE(CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC, 96);
VG_CUDA_SIZE(CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS, 144);
VG_CUDA_SIZE(CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, 144);
VG_CUDA_SIZE(CUDA_EXT_SEM_SIGNAL_NODE_PARAMS_v1, 24);
VG_CUDA_SIZE(CUDA_EXT_SEM_SIGNAL_NODE_PARAMS_v2, 24);
VG_CUDA_SIZE(CUDA_EXT_SEM_WAIT_NODE_PARAMS_v1, 24);
VG_CUDA_SIZE(CUDA_EXT_SEM_WAIT_NODE_PARAMS_v2, 24);
VG_CUDA_SIZE(CUarrayMapInfo, 96);
VG_CUDA_SIZE(CUmemLocation, 8);
VG_CUDA_SIZE(CUmemAllocationProp, 32);
VG_CUDA_SIZE(CUmulticastObjectProp, 32);
VG_CUDA_SIZE(CUmemAccessDesc, 12);
VG_CUDA_SIZE(CUgraphExecUpdateResultInfo, 24);
VG_CUDA_SIZE(CUmemPoolProps, 88);
VG_CUDA_SIZE(CUmemPoolPtrExportData, 64);
VG_CUDA_SIZE(CUmemcpyAttributes, 24);
VG_CUDA_SIZE(CUoffset3D, 24);
VG_CUDA_SIZE(CUextent3D, 24);
VG_CUDA_SIZE(CUmemcpy3DOperand, 40);
VG_CUDA_SIZE(CUDA_MEMCPY3D_BATCH_OP, 112);
VG_CUDA_SIZE(CUDA_MEM_ALLOC_NODE_PARAMS_v1, 120);
VG_CUDA_SIZE(CUDA_MEM_ALLOC_NODE_PARAMS_v2, 120);
VG_CUDA_SIZE(CUDA_MEM_FREE_NODE_PARAMS, 8);
VG_CUDA_SIZE(CUDA_CHILD_GRAPH_NODE_PARAMS, 16);
VG_CUDA_SIZE(CUDA_EVENT_RECORD_NODE_PARAMS, 8);
VG_CUDA_SIZE(CUDA_EVENT_WAIT_NODE_PARAMS, 8);
VG_CUDA_SIZE(CUgraphNodeParams, 256);
VG_CUDA_SIZE(CUcheckpointLockArgs, 64);
VG_CUDA_SIZE(CUcheckpointCheckpointArgs, 64);
VG_CUDA_SIZE(CUcheckpointGpuPair, 32);
VG_CUDA_SIZE(CUcheckpointRestoreArgs, 64);
VG_CUDA_SIZE(CUcheckpointUnlockArgs, 64);
VG_CUDA_SIZE(CUmemDecompressParams, 64);
VG_CUDA_SIZE(CUdevSmResource, 12);
VG_CUDA_SIZE(CUdevResource, 144);
VG_CUDA_SIZE(CUDA_MEMCPY2D_v1, 96);
VG_CUDA_SIZE(CUDA_MEMCPY3D_v1, 144);
VG_CUDA_SIZE(CUDA_ARRAY_DESCRIPTOR_v1, 16);
VG_CUDA_SIZE(CUDA_ARRAY3D_DESCRIPTOR_v1, 24);
#undef VG_CUDA_SIZE

#endif
