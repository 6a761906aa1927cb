/* SPDX-License-Identifier: MIT */
/*
 * Names and one-line descriptions of every status. Any thread, before cuInit too.
 */
#include "api.h"

struct vg_error {
    CUresult code;
    const char *name;
    const char *text;
};

#define VG_ERROR(code, text) { code, #code, text }

static const struct vg_error errors[] = {
    VG_ERROR(CUDA_SUCCESS, "no error"),
    VG_ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    VG_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    VG_ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    VG_ERROR(CUDA_ERROR_DEINITIALIZED, "driver shutting down"),
    VG_ERROR(CUDA_ERROR_PROFILER_DISABLED, "profiler disabled"),
    VG_ERROR(CUDA_ERROR_PROFILER_NOT_INITIALIZED, "profiler not initialized"),
    VG_ERROR(CUDA_ERROR_PROFILER_ALREADY_STARTED, "profiler already started"),
    VG_ERROR(CUDA_ERROR_PROFILER_ALREADY_STOPPED, "profiler already stopped"),
    VG_ERROR(CUDA_ERROR_STUB_LIBRARY, "stub library"),
    VG_ERROR(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, "call requires newer driver"),
    VG_ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE, "device unavailable"),
    VG_ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    VG_ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    VG_ERROR(CUDA_ERROR_DEVICE_NOT_LICENSED, "device not licensed"),
    VG_ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    VG_ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    VG_ERROR(CUDA_ERROR_CONTEXT_ALREADY_CURRENT, "context already current"),
    VG_ERROR(CUDA_ERROR_MAP_FAILED, "map failed"),
    VG_ERROR(CUDA_ERROR_UNMAP_FAILED, "unmap failed"),
    VG_ERROR(CUDA_ERROR_ARRAY_IS_MAPPED, "array is mapped"),
    VG_ERROR(CUDA_ERROR_ALREADY_MAPPED, "already mapped"),
    VG_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU,
             "no kernel image is available for execution on the device"),
    VG_ERROR(CUDA_ERROR_ALREADY_ACQUIRED, "already acquired"),
    VG_ERROR(CUDA_ERROR_NOT_MAPPED, "not mapped"),
    VG_ERROR(CUDA_ERROR_NOT_MAPPED_AS_ARRAY, "not mapped as array"),
    VG_ERROR(CUDA_ERROR_NOT_MAPPED_AS_POINTER, "not mapped as pointer"),
    VG_ERROR(CUDA_ERROR_ECC_UNCORRECTABLE, "ecc uncorrectable"),
    VG_ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT, "limit is not supported on this architecture"),
    VG_ERROR(CUDA_ERROR_CONTEXT_ALREADY_IN_USE, "context already in use"),
    VG_ERROR(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "peer access unsupported"),
    VG_ERROR(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
    VG_ERROR(CUDA_ERROR_INVALID_GRAPHICS_CONTEXT, "invalid graphics context"),
    VG_ERROR(CUDA_ERROR_NVLINK_UNCORRECTABLE, "nvlink uncorrectable"),
    VG_ERROR(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "jit compiler not found"),
    VG_ERROR(CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
             "the provided PTX was compiled with an unsupported toolchain."),
    VG_ERROR(CUDA_ERROR_JIT_COMPILATION_DISABLED, "jit compilation disabled"),
    VG_ERROR(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, "unsupported exec affinity"),
    VG_ERROR(CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC, "unsupported devside sync"),
    VG_ERROR(CUDA_ERROR_CONTAINED, "contained"),
    VG_ERROR(CUDA_ERROR_INVALID_SOURCE, "device kernel image is invalid"),
    VG_ERROR(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    VG_ERROR(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND, "shared object symbol not found"),
    VG_ERROR(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "shared object init failed"),
    VG_ERROR(CUDA_ERROR_OPERATING_SYSTEM, "OS call failed or operation not supported on this OS"),
    VG_ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    VG_ERROR(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
    VG_ERROR(CUDA_ERROR_LOSSY_QUERY, "lossy query"),
    VG_ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    VG_ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
    VG_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    VG_ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    VG_ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    VG_ERROR(CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING, "launch incompatible texturing"),
    VG_ERROR(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is already enabled"),
    VG_ERROR(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access has not been enabled"),
    VG_ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE,
             "cannot set while device is active in this process"),
    VG_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    VG_ERROR(CUDA_ERROR_ASSERT, "device-side assert triggered"),
    VG_ERROR(CUDA_ERROR_TOO_MANY_PEERS, "too many peers"),
    VG_ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
             "part or all of the requested memory range is already mapped"),
    VG_ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
             "pointer does not correspond to a registered memory region"),
    VG_ERROR(CUDA_ERROR_HARDWARE_STACK_ERROR, "hardware stack error"),
    VG_ERROR(CUDA_ERROR_ILLEGAL_INSTRUCTION, "an illegal instruction was encountered"),
    VG_ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    VG_ERROR(CUDA_ERROR_INVALID_ADDRESS_SPACE,
             "operation not supported on global/shared address space"),
    VG_ERROR(CUDA_ERROR_INVALID_PC, "invalid program counter"),
    VG_ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    VG_ERROR(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks in cooperative launch"),
    VG_ERROR(CUDA_ERROR_TENSOR_MEMORY_LEAK, "tensor memory leak"),
    VG_ERROR(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
    VG_ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    VG_ERROR(CUDA_ERROR_SYSTEM_NOT_READY, "system not ready"),
    VG_ERROR(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "system driver mismatch"),
    VG_ERROR(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, "compat not supported on device"),
    VG_ERROR(CUDA_ERROR_MPS_CONNECTION_FAILED, "mps connection failed"),
    VG_ERROR(CUDA_ERROR_MPS_RPC_FAILURE, "mps rpc failure"),
    VG_ERROR(CUDA_ERROR_MPS_SERVER_NOT_READY, "mps server not ready"),
    VG_ERROR(CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, "mps max clients reached"),
    VG_ERROR(CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED, "mps max connections reached"),
    VG_ERROR(CUDA_ERROR_MPS_CLIENT_TERMINATED, "mps client terminated"),
    VG_ERROR(CUDA_ERROR_CDP_NOT_SUPPORTED, "cdp not supported"),
    VG_ERROR(CUDA_ERROR_CDP_VERSION_MISMATCH, "cdp version mismatch"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
             "operation not permitted when stream is capturing"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
             "operation failed due to a previous error during capture"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_MERGE,
             "operation would result in a merge of separate capture sequences"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
             "capture was not ended in the same stream as it began"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "capturing stream has unjoined work"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
             "dependency created on uncaptured work in another stream"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
             "operation would make the legacy stream depend on a capturing blocking stream"),
    VG_ERROR(CUDA_ERROR_CAPTURED_EVENT,
             "operation not permitted on an event last recorded in a capturing stream"),
    VG_ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
             "attempt to terminate a thread-local capture sequence from another thread"),
    VG_ERROR(CUDA_ERROR_TIMEOUT, "wait operation timed out"),
    VG_ERROR(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
             "the graph update was not performed because it included changes which violated "
             "constraints specific to instantiated graph update"),
    VG_ERROR(CUDA_ERROR_EXTERNAL_DEVICE, "external device"),
    VG_ERROR(CUDA_ERROR_INVALID_CLUSTER_SIZE, "invalid cluster size"),
    VG_ERROR(CUDA_ERROR_FUNCTION_NOT_LOADED, "function not loaded"),
    VG_ERROR(CUDA_ERROR_INVALID_RESOURCE_TYPE, "invalid resource type"),
    VG_ERROR(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION, "invalid resource configuration"),
    VG_ERROR(CUDA_ERROR_KEY_ROTATION, "key rotation"),
    VG_ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
};

static const struct vg_error *error_find(CUresult code)
{
    size_t i;

    for (i = 0; i < VG_ARRAY_LEN(errors); i++)
        if (errors[i].code == code)
            return &errors[i];
    return NULL;
}

VG_API(cuGetErrorName, (CUresult code, const char **name))
{
    const struct vg_error *e = error_find(code);

    if (name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *name = e != NULL ? e->name : NULL;
    return e != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_API(cuGetErrorString, (CUresult code, const char **text))
{
    const struct vg_error *e = error_find(code);

    if (text == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *text = e != NULL ? e->text : NULL;
    return e != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
