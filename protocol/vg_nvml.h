/* SPDX-License-Identifier: MIT */
/*
 * The part of NVML's binary interface that guest library and host share: numbers
 * and layouts as NVIDIA's API reference documents them, in names of our own.
 * A struct with a version word begins with VG_NV_VERSION(size, number).
 */
#ifndef VG_NVML_H
#define VG_NVML_H

#include <stdint.h>

enum vg_nv_result {
    VG_NV_SUCCESS             = 0,
    VG_NV_UNINITIALIZED       = 1,
    VG_NV_INVALID_ARGUMENT    = 2,
    VG_NV_NOT_SUPPORTED       = 3,
    VG_NV_NO_PERMISSION       = 4,
    VG_NV_NOT_FOUND           = 6,
    VG_NV_INSUFFICIENT_SIZE   = 7,
    VG_NV_DRIVER_NOT_LOADED   = 9,
    VG_NV_TIMEOUT             = 10,
    VG_NV_FUNCTION_NOT_FOUND  = 13,
    VG_NV_GPU_IS_LOST         = 15,
    VG_NV_OPERATING_SYSTEM    = 17,
    VG_NV_MEMORY              = 20,
    VG_NV_VERSION_MISMATCH    = 25,
    VG_NV_UNKNOWN             = 999,
};

#define VG_NV_VERSION(size, number) ((uint32_t)(size) | (uint32_t)(number) << 24)

#define VG_NV_NO_INSTANCE  0xffffffffu  /* gpuInstanceId of a process that uses no MIG slice */
#define VG_NV_NO_VALUE     UINT64_MAX   /* usedGpuMemory that nobody knows */

struct vg_nv_pci {
    char     bus_id_legacy[16]; /* 0000:3B:00.0 */
    uint32_t domain, bus, device;
    uint32_t device_id;         /* device << 16 | vendor */
    uint32_t subsystem_id;
    char     bus_id[32];        /* 00000000:3B:00.0 */
};

struct vg_nv_memory {
    uint64_t total, free, used;
};

struct vg_nv_process {          /* process lists of version 2 and 3 */
    uint32_t pid;
    uint64_t memory;
    uint32_t gpu_instance, compute_instance;
};

struct vg_nv_process_v1 {
    uint32_t pid;
    uint64_t memory;
};

struct vg_nv_sample {           /* utilisation of a process */
    uint32_t pid;
    uint64_t time;              /* us since 1970 */
    uint32_t sm, memory, encoder, decoder;  /* percent */
};

struct vg_nv_field {
    uint32_t id, scope;
    int64_t  time;              /* us since 1970 */
    int64_t  latency;           /* us */
    uint32_t type;              /* enum vg_nv_type */
    uint32_t result;
    uint64_t value;             /* a union: the low bytes */
};

enum vg_nv_type { VG_NV_DOUBLE, VG_NV_U32, VG_NV_ULONG, VG_NV_U64, VG_NV_S64, VG_NV_S32, VG_NV_U16 };

typedef char vg_assert_nv_sizes[sizeof(struct vg_nv_pci) == 68 && sizeof(struct vg_nv_process) == 24 &&
                                sizeof(struct vg_nv_process_v1) == 16 &&
                                sizeof(struct vg_nv_sample) == 32 &&
                                sizeof(struct vg_nv_field) == 40 ? 1 : -1];

#endif
