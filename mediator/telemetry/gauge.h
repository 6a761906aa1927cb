/* SPDX-License-Identifier: MIT */
/* The parts of vgpu-telemetry. One thread; everything lives as long as the process. */
#ifndef VG_GAUGE_H
#define VG_GAUGE_H

#include <stdbool.h>

#include "mediator/vg_gauges.h"
#include "protocol/vg_cuda.h"

/*
 * The driver's devices, in its order: this is the order in which guests count them.
 * cuInit makes no context and takes no memory on a GPU.
 */
struct vg_gauge_driver {
    int count, version;
    struct vg_gauge_identity {
        char name[96], pci[32];
        CUuuid uuid;
        size_t memory;
        int major, minor;
    } device[VG_DEVICES_MAX];
    bool reaches[VG_DEVICES_MAX][VG_DEVICES_MAX];   /* the first the memory of the second */
    bool atomics[VG_DEVICES_MAX][VG_DEVICES_MAX];
};

/* 0, or -1 with a sentence in `why`. */
int vg_gauge_driver_open(struct vg_gauge_driver *d, const char *library, char *why, size_t cap);

/* "0000:FE:00.0" or with eight digits of domain. */
bool vg_gauge_parse_pci(const char *text, struct vg_nv_pci *ret_pci);

/* The host's NVML. False: there is none, which vg_gauge_nvml_failure explains. */
bool vg_gauge_nvml_open(const char *library, struct vg_gauges *g);
const char *vg_gauge_nvml_failure(void);

/* A function of it, NULL: it has no such. */
void *vg_gauge_nvml_symbol(const char *symbol);

/* Passes NVML's events on to the other end of `sock`, until that closes. The exit code; 0: no more. */
int vg_gauge_events(int sock);

/*
 * True if NVML's devices are what the driver would count, by PCI address, so that nobody need ask
 * it: cuInit takes a quarter of a second, and longer when many start. Else vg_gauge_nvml_bind
 * follows.
 */
bool vg_gauge_nvml_alone(struct vg_gauges *g);
void vg_gauge_nvml_bind(const struct vg_gauge_driver *d, struct vg_gauges *g);

/* Fills devices' changing answers and g->process. */
void vg_gauge_nvml_read(struct vg_gauges *g);

/* What is true of a device without NVML: identity, capability, memory. */
void vg_gauge_plain(const struct vg_gauge_driver *d, struct vg_gauges *g);

/* What connects each device with others: as the driver knows it, then what NVML knows better. */
void vg_gauge_fabric_plain(const struct vg_gauge_driver *d, struct vg_gauges *g);
void vg_gauge_fabric_clear(struct vg_gauges *g);
/* devices: NVML's handles, NULL: it does not know that one. */
void vg_gauge_fabric_nvml(void *const *devices, struct vg_gauges *g);

/* The software GPU's load: processor time of its executors. */
void vg_gauge_soft_read(struct vg_gauges *g, const struct vg_gauges_ask *ask);

/* Nothing is known: every answer NOT_SUPPORTED. */
void vg_gauge_clear(struct vg_telemetry_device *d);

/* Sets an answer whose size is the item's. */
void vg_gauge_set(struct vg_telemetry_device *d, enum vg_nv_item item, unsigned element,
                  const void *value);
void vg_gauge_set_u32(struct vg_telemetry_device *d, enum vg_nv_item item, uint32_t value);
void vg_gauge_set_text(struct vg_telemetry_device *d, enum vg_nv_item item, const char *text);

#endif
