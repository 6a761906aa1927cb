/* SPDX-License-Identifier: MIT */
/*
 * What the host tells a guest about its GPUs without being called: an area of the
 * region (vg_region.h), or a memfd of its own, that the mediator rewrites several
 * times a second while the guest asks. libvgpu-nvml.so answers from it, so a query
 * needs no slot, no executor and no context on the GPU.
 *
 * The guest may write here as well; it fools nobody but itself. The mediator reads
 * one word of it back, `asked`.
 */
#ifndef VG_TELEMETRY_H
#define VG_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_limits.h"
#include "vg_nvml.h"
#include "vg_region.h"

#define VG_TELEMETRY_MAGIC     0x324d4554u     /* "TEM2" */
#define VG_TELEMETRY_PROCESSES 128u            /* that are listed; of more, the first */
#define VG_TELEMETRY_PERIOD_MS 1000u           /* between two readings of the GPU */
#define VG_TELEMETRY_LOOK_MS   250u            /* between looks at `asked`, and writes */
#define VG_TELEMETRY_LINGER_MS 5000u           /* it writes for so long after `asked` changed */

enum vg_nv_kind {
    VG_NV_N1, VG_NV_N2, VG_NV_N4, VG_NV_W1, VG_NV_W2, VG_NV_A1, VG_NV_E2, VG_NV_E3, VG_NV_ST,
    VG_NV_BV, VG_NV_TX, VG_NV_AT, VG_NV_TS,
};

enum vg_nv_item {
#define VG_NV(item, symbol, kind, count, size, version) VG_NV_##item,
#include "vg_telemetry.def"
#undef VG_NV
    VG_NV_ITEMS
};

/* One byte of status (enum vg_nv_result, 255: another) for each answer of each item. */
struct vg_nv_status {
#define VG_NV(item, symbol, kind, count, size, version) uint8_t item[count];
#include "vg_telemetry.def"
#undef VG_NV
};

/* The answers, each item on a boundary of 8. */
struct vg_nv_data {
#define VG_NV(item, symbol, kind, count, size, version) \
    uint8_t item[(count) * (size)] __attribute__((aligned(8)));
#include "vg_telemetry.def"
#undef VG_NV
};

struct vg_nv_row {
    const char *symbol;
    uint8_t  kind;              /* enum vg_nv_kind */
    uint8_t  count;
    uint16_t size;              /* bytes of one answer */
    uint32_t version;           /* word that the struct of a BV row begins with, else 0 */
    uint16_t status_off, data_off;
};

extern const struct vg_nv_row vg_nv_rows[VG_NV_ITEMS];

/* Fields of nvmlDeviceGetFieldValues that the host asks for: each of this list. */
#define VG_TELEMETRY_FIELDS 43u
struct vg_nv_field_name {
    uint16_t id;
    uint8_t  scope;             /* of power: the GPU, its module, its memory; else 0 */
};
extern const struct vg_nv_field_name vg_nv_fields[VG_TELEMETRY_FIELDS];

struct vg_telemetry_fields {
    uint64_t value[VG_TELEMETRY_FIELDS];
    uint8_t  type[VG_TELEMETRY_FIELDS];     /* enum vg_nv_type */
    uint8_t  status[VG_TELEMETRY_FIELDS];
};

struct vg_telemetry_device {
    uint64_t memory_total;      /* bytes: the VM's limit, or what the GPU has */
    uint64_t memory_free;       /* that this VM could still get */
    uint64_t memory_used;       /* by this VM's processes */
    uint64_t memory_reserved;   /* the rest: taken by others or by the driver */
    struct vg_nv_status status;
    struct vg_nv_data data;
    struct vg_telemetry_fields field;
};

/* ---- what connects a device with others ---- */

#define VG_TELEMETRY_LINKS 18u  /* NVLinks of a device, as NVML counts them */

/* What is told of a link, and of a pair of devices: enum nvmlGpuP2PCapsIndex. */
enum vg_nv_link_what { VG_LINK_STATE, VG_LINK_VERSION, VG_LINK_REMOTE_TYPE, VG_LINK_REMOTE_PCI,
                       VG_LINK_CAPABILITY, VG_LINK_WHATS };
#define VG_TELEMETRY_P2P     5u
#define VG_TELEMETRY_UNKNOWN 0xffu

struct vg_telemetry_link {
    uint8_t  status[VG_LINK_WHATS];     /* enum vg_nv_result, 255: another */
    uint8_t  state, version, remote_type;
    uint32_t capabilities;              /* bit: number of the capability */
    char     remote_bus_id[16];         /* as in struct vg_nv_pci */
    uint32_t remote_domain, remote_bus, remote_device, remote_device_id, remote_subsystem_id;
};

struct vg_telemetry_peer {
    uint8_t p2p[VG_TELEMETRY_P2P];      /* enum nvmlGpuP2PStatus */
    uint8_t ancestor;                   /* enum nvmlGpuTopologyLevel, VG_TELEMETRY_UNKNOWN */
    uint8_t reserved[2];
};

struct vg_telemetry_fabric {
    uint8_t  known;             /* 0: an older host, which says nothing */
    uint8_t  beyond[VG_LINK_WHATS];     /* statuses of a link whose number is too large */
    uint8_t  reserved[2];
    struct vg_telemetry_link link[VG_TELEMETRY_LINKS];
    struct vg_telemetry_peer peer[VG_DEVICES_MAX];      /* by the other device's index */
};

struct vg_telemetry_process {
    uint32_t pid;               /* as the guest knows it */
    uint32_t device;            /* index */
    uint64_t memory;            /* bytes, VG_NV_NO_VALUE: unknown */
    uint32_t sm, memory_busy, encoder, decoder;     /* percent of the latest period */
    char     comm[32];          /* NUL-terminated */
};

struct vg_telemetry {
    uint32_t magic;             /* 0: never written */
    uint32_t seq;               /* odd while the host writes */
    uint64_t time;              /* us since 1970 on the host, of these values */
    uint32_t answered;          /* the value of `asked` that the host saw before it wrote */
    uint32_t cuda_version;      /* 13000 */
    uint32_t software;          /* 1: the software GPU */
    uint32_t device_count;
    uint32_t process_count;
    uint32_t reserved0;
    char     driver_version[80];
    char     nvml_version[80];
    uint8_t  reserved1[56];

    uint32_t asked;             /* guest: counts up whenever it wants fresh values */
    uint8_t  reserved2[60];

    struct vg_telemetry_process process[VG_TELEMETRY_PROCESSES];
    struct vg_telemetry_device device[VG_DEVICES_MAX];
    struct vg_telemetry_fabric fabric[VG_DEVICES_MAX];
};

typedef char vg_assert_telemetry_size[sizeof(struct vg_telemetry) <= VG_TELEMETRY_SIZE ? 1 : -1];
typedef char vg_assert_telemetry_line[offsetof(struct vg_telemetry, asked) % 64 == 0 ? 1 : -1];

static inline uint8_t *vg_nv_status_at(struct vg_telemetry_device *d, enum vg_nv_item item)
{
    return (uint8_t *)&d->status + vg_nv_rows[item].status_off;
}

static inline void *vg_nv_data_at(struct vg_telemetry_device *d, enum vg_nv_item item)
{
    return (uint8_t *)&d->data + vg_nv_rows[item].data_off;
}

/* Position of a field in vg_nv_fields, or -1. The scope counts only where the list has several. */
int vg_nv_field_index(uint32_t id, uint32_t scope);

#endif
