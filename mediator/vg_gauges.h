/* SPDX-License-Identifier: MIT */
/*
 * Between the mediator and vgpu-telemetry, the one process that asks the host's
 * NVML: packets on a SOCK_SEQPACKET pair. The mediator sends an ask, the helper
 * answers it with gauges; it speaks only when asked and ends when the socket does.
 */
#ifndef VG_GAUGES_H
#define VG_GAUGES_H

#include "protocol/vg_telemetry.h"

#define VG_GAUGES_MAGIC      0x31475547u
#define VG_GAUGES_PIDS       1024u  /* executors an ask can name */
#define VG_GAUGES_PROCESSES  512u   /* entries of an answer */

struct vg_gauges_ask {              /* sent without the unused end of `executor` */
    uint32_t magic;
    uint32_t count;
    struct {
        uint32_t pid;               /* of an executor, as the host knows it */
        uint32_t device;            /* the first that it has */
    } executor[VG_GAUGES_PIDS];
};

/* What one process does on one device. */
struct vg_gauges_process {
    uint32_t pid, device;
    uint64_t memory;                /* bytes, VG_NV_NO_VALUE: ask the executor's own counters */
    uint32_t sm, memory_busy, encoder, decoder;     /* percent */
};

struct vg_gauges {
    uint32_t magic;
    uint32_t device_count;          /* 0: `failure` says why */
    uint32_t process_count;
    uint32_t software;
    uint32_t cuda_version;
    uint32_t reserved;
    uint64_t time;                  /* us since 1970 */
    char     driver_version[80], nvml_version[80];
    char     failure[160];
    struct vg_gauges_process process[VG_GAUGES_PROCESSES];
    struct vg_telemetry_device device[VG_DEVICES_MAX];      /* memory: of the whole GPU */
    struct vg_telemetry_fabric fabric[VG_DEVICES_MAX];
};

/* What vgpu-telemetry --events says unasked: first each device, then what happens to them. */
enum vg_gpu_notice_kind { VG_GPU_NOTICE_DEVICE = 1, VG_GPU_NOTICE_XID };

struct vg_gpu_notice {
    uint32_t magic;
    uint32_t kind;
    uint32_t index;                 /* of the device, as NVML counts: by PCI address */
    uint32_t xid;
    char     gpu[16];               /* PCI address, "0000:17:00" */
};

#endif
