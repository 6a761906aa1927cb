/* SPDX-License-Identifier: MIT */
/* The statuses of the CUDA driver API, ascending by code. Guest and host, any thread. */
#include "vg_error.h"

#include <errno.h>
#include <string.h>

struct error_entry {
    CUresult code;
    const char *name;
    const char *text;
};

#define E(name, text) { name, #name, text }

static const struct error_entry errors[] = {
    E(CUDA_SUCCESS, "no error"),
    E(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    E(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    E(CUDA_ERROR_NOT_INITIALIZED, "the driver is not initialized: cuInit comes first"),
    E(CUDA_ERROR_DEINITIALIZED, "the driver is shutting down"),
    E(CUDA_ERROR_PROFILER_DISABLED, "profiling is disabled for this run"),
    E(CUDA_ERROR_PROFILER_NOT_INITIALIZED, "the profiler was not initialized"),
    E(CUDA_ERROR_PROFILER_ALREADY_STARTED, "the profiler is running already"),
    E(CUDA_ERROR_PROFILER_ALREADY_STOPPED, "the profiler is stopped already"),
    E(CUDA_ERROR_STUB_LIBRARY, "a link-time stub of the driver is loaded in place of the driver"),
    E(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, "this call needs a newer driver"),
    E(CUDA_ERROR_DEVICE_UNAVAILABLE, "the device is busy or unavailable"),
    E(CUDA_ERROR_NO_DEVICE, "no CUDA device was found"),
    E(CUDA_ERROR_INVALID_DEVICE, "no device has this ordinal"),
    E(CUDA_ERROR_DEVICE_NOT_LICENSED, "the device lacks a licence for this use"),
    E(CUDA_ERROR_INVALID_IMAGE, "the module image is invalid"),
    E(CUDA_ERROR_INVALID_CONTEXT, "no valid context"),
    E(CUDA_ERROR_CONTEXT_ALREADY_CURRENT, "the context is current already"),
    E(CUDA_ERROR_MAP_FAILED, "mapping failed"),
    E(CUDA_ERROR_UNMAP_FAILED, "unmapping failed"),
    E(CUDA_ERROR_ARRAY_IS_MAPPED, "the array is mapped and cannot be destroyed"),
    E(CUDA_ERROR_ALREADY_MAPPED, "the resource is mapped already"),
    E(CUDA_ERROR_NO_BINARY_FOR_GPU, "the module has no image that fits this device"),
    E(CUDA_ERROR_ALREADY_ACQUIRED, "the resource is acquired already"),
    E(CUDA_ERROR_NOT_MAPPED, "the resource is not mapped"),
    E(CUDA_ERROR_NOT_MAPPED_AS_ARRAY, "the resource is not mapped as an array"),
    E(CUDA_ERROR_NOT_MAPPED_AS_POINTER, "the resource is not mapped as a pointer"),
    E(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable memory (ECC) error"),
    E(CUDA_ERROR_UNSUPPORTED_LIMIT, "the device does not have this limit"),
    E(CUDA_ERROR_CONTEXT_ALREADY_IN_USE, "the context is bound to another thread"),
    E(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "these devices cannot access each other"),
    E(CUDA_ERROR_INVALID_PTX, "PTX compilation failed"),
    E(CUDA_ERROR_INVALID_GRAPHICS_CONTEXT, "invalid graphics context"),
    E(CUDA_ERROR_NVLINK_UNCORRECTABLE, "uncorrectable NVLink error"),
    E(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "no PTX compiler is installed"),
    E(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "this PTX version is too new for the compiler"),
    E(CUDA_ERROR_JIT_COMPILATION_DISABLED, "PTX compilation is disabled"),
    E(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, "the device does not have this execution affinity"),
    E(CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC, "the code synchronizes on the device, unsupported here"),
    E(CUDA_ERROR_CONTAINED, "a contained hardware error ended the context"),
    E(CUDA_ERROR_INVALID_SOURCE, "the device code is invalid"),
    E(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    E(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND, "a shared object lacks a symbol"),
    E(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "a shared object failed to initialize"),
    E(CUDA_ERROR_OPERATING_SYSTEM, "the operating system refused a request"),
    E(CUDA_ERROR_INVALID_HANDLE, "invalid handle"),
    E(CUDA_ERROR_ILLEGAL_STATE, "the object is not in a state that allows this"),
    E(CUDA_ERROR_LOSSY_QUERY, "the answer would lose information"),
    E(CUDA_ERROR_NOT_FOUND, "no such name"),
    E(CUDA_ERROR_NOT_READY, "not finished yet"),
    E(CUDA_ERROR_ILLEGAL_ADDRESS, "the device code accessed an illegal address"),
    E(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "the launch needs more resources than there are"),
    E(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch ran too long and was ended"),
    E(CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING, "incompatible texturing mode"),
    E(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is enabled already"),
    E(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access is not enabled"),
    E(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "the primary context is active already"),
    E(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the current context was destroyed"),
    E(CUDA_ERROR_ASSERT, "an assertion in the device code failed"),
    E(CUDA_ERROR_TOO_MANY_PEERS, "no more peers can be mapped"),
    E(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "this host memory is registered already"),
    E(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "this host memory is not registered"),
    E(CUDA_ERROR_HARDWARE_STACK_ERROR, "stack error in the device code"),
    E(CUDA_ERROR_ILLEGAL_INSTRUCTION, "illegal instruction in the device code"),
    E(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned access in the device code"),
    E(CUDA_ERROR_INVALID_ADDRESS_SPACE, "access to the wrong address space in the device code"),
    E(CUDA_ERROR_INVALID_PC, "the program counter left the device code"),
    E(CUDA_ERROR_LAUNCH_FAILED, "the launch failed on the device"),
    E(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks for a cooperative launch"),
    E(CUDA_ERROR_TENSOR_MEMORY_LEAK, "the device code ended with tensor memory allocated"),
    E(CUDA_ERROR_NOT_PERMITTED, "not permitted"),
    E(CUDA_ERROR_NOT_SUPPORTED, "not supported"),
    E(CUDA_ERROR_SYSTEM_NOT_READY, "the system is not ready for CUDA yet"),
    E(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "the parts of the driver have different versions"),
    E(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, "the device does not allow forward compatibility"),
    E(CUDA_ERROR_MPS_CONNECTION_FAILED, "no connection to the MPS server"),
    E(CUDA_ERROR_MPS_RPC_FAILURE, "the exchange with the MPS server failed"),
    E(CUDA_ERROR_MPS_SERVER_NOT_READY, "the MPS server is not ready"),
    E(CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, "the MPS server has no room for another client"),
    E(CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED, "the MPS server has no connection left"),
    E(CUDA_ERROR_MPS_CLIENT_TERMINATED, "the MPS client was ended"),
    E(CUDA_ERROR_CDP_NOT_SUPPORTED, "launches from device code are not supported"),
    E(CUDA_ERROR_CDP_VERSION_MISMATCH, "two versions of device-side launches in one program"),
    E(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "not allowed while a stream is captured"),
    E(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier error invalidated the capture"),
    E(CUDA_ERROR_STREAM_CAPTURE_MERGE, "this would merge two captures"),
    E(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture did not begin in this stream"),
    E(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "captured work was not joined to the first stream"),
    E(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "this would reach from a capture to outside it"),
    E(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "this would make the default stream join the capture"),
    E(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capture"),
    E(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture was begun by another thread"),
    E(CUDA_ERROR_TIMEOUT, "the wait timed out"),
    E(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the graph differs too much for an update"),
    E(CUDA_ERROR_EXTERNAL_DEVICE, "an external device failed"),
    E(CUDA_ERROR_INVALID_CLUSTER_SIZE, "invalid cluster size"),
    E(CUDA_ERROR_FUNCTION_NOT_LOADED, "the function is not loaded"),
    E(CUDA_ERROR_INVALID_RESOURCE_TYPE, "the resource is of the wrong type"),
    E(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION, "the resource is configured wrongly"),
    E(CUDA_ERROR_KEY_ROTATION, "a key rotation ended the launch"),
    E(CUDA_ERROR_UNKNOWN, "unknown error"),
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

static const struct error_entry *find(CUresult code)
{
    size_t low = 0, high = ERRORS;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (errors[middle].code == code)
            return &errors[middle];
        if (errors[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *vg_error_name(CUresult code)
{
    const struct error_entry *error = find(code);

    return error ? error->name : NULL;
}

const char *vg_error_text(CUresult code)
{
    const struct error_entry *error = find(code);

    return error ? error->text : NULL;
}

int vg_error_by_name(const char *name, CUresult *ret_code)
{
    size_t i;

    for (i = 0; i < ERRORS; i++) {
        if (strcmp(errors[i].name, name) == 0) {
            *ret_code = errors[i].code;
            return 0;
        }
    }
    return -ENOENT;
}
