/* SPDX-License-Identifier: MIT */
/*
 * Attributes that promise a feature follow the API table: while the function behind
 * one is not supported, the attribute is 0 and programs take their other way, as on
 * a GPU without it. All other attributes are the host GPU's own.
 */
#include "guest-shim/features.h"

#include "vg_api.h"

#define NEVER VG_API_COUNT  /* no function: it cannot work across the guest's border */

static const struct {
    CUdevice_attribute attribute;
    unsigned row;           /* enum vg_api_index of the function that the attribute promises */
} features[] = {
    {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, VG_INDEX_cuMemAllocManaged},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, VG_INDEX_cuMemAllocManaged},
    {CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST, NEVER},
    {CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, NEVER},
    {CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES, NEVER},
    {CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH,
     VG_INDEX_cuLaunchCooperativeKernelMultiDevice},
    {CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, VG_INDEX_cuMemCreate},
    {CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
     VG_INDEX_cuMemExportToShareableHandle},
    {CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES,
     VG_INDEX_cuMemPoolExportToShareableHandle},
    {CU_DEVICE_ATTRIBUTE_SPARSE_CUDA_ARRAY_SUPPORTED, VG_INDEX_cuMemMapArrayAsync},
    {CU_DEVICE_ATTRIBUTE_DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED, VG_INDEX_cuMemMapArrayAsync},
    {CU_DEVICE_ATTRIBUTE_TIMELINE_SEMAPHORE_INTEROP_SUPPORTED, VG_INDEX_cuImportExternalSemaphore},
    {CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS, NEVER},
    {CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING, NEVER},
    {CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED, VG_INDEX_cuMemGetHandleForAddressRange},
    {CU_DEVICE_ATTRIBUTE_HOST_ALLOC_DMA_BUF_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED, VG_INDEX_cuIpcGetEventHandle},
    {CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED, VG_INDEX_cuTensorMapEncodeTiled},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS, VG_INDEX_cuLibraryGetUnifiedFunction},
    {CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED, VG_INDEX_cuMulticastCreate},
    {CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_ALGORITHM_MASK, VG_INDEX_cuMemBatchDecompressAsync},
    {CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_MAXIMUM_LENGTH, VG_INDEX_cuMemBatchDecompressAsync},
    {CU_DEVICE_ATTRIBUTE_D3D12_CIG_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_VULKAN_CIG_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_HOST_NUMA_MEMORY_POOLS_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_HOST_NUMA_MULTINODE_IPC_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED, NEVER},
    {CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, NEVER},
};

void vg_features_limit(struct vg_device_info *device)
{
    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        unsigned row = features[i].row;
        if (row == NEVER || vg_api_rows[row].mode == VG_MODE_NOSUP)
            device->attr[features[i].attribute] = 0;
    }
}
