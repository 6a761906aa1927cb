/* SPDX-License-Identifier: MIT */
/*
 * What can be said of a device without NVML. For the software GPU this is all:
 * it has no fan, no clock and no link, and says so.
 */
#include <stdio.h>
#include <string.h>

#include "mediator/telemetry/gauge.h"

#define COMPUTE_MODE_DEFAULT 0u

void vg_gauge_set(struct vg_telemetry_device *d, enum vg_nv_item item, unsigned element,
                  const void *value)
{
    size_t size = vg_nv_rows[item].size;

    memcpy((uint8_t *)vg_nv_data_at(d, item) + element * size, value, size);
    vg_nv_status_at(d, item)[element] = VG_NV_SUCCESS;
}

void vg_gauge_set_u32(struct vg_telemetry_device *d, enum vg_nv_item item, uint32_t value)
{
    vg_gauge_set(d, item, 0, &value);
}

void vg_gauge_set_text(struct vg_telemetry_device *d, enum vg_nv_item item, const char *text)
{
    snprintf(vg_nv_data_at(d, item), vg_nv_rows[item].size, "%s", text);
    vg_nv_status_at(d, item)[0] = VG_NV_SUCCESS;
}

void vg_gauge_clear(struct vg_telemetry_device *d)
{
    memset(&d->status, VG_NV_NOT_SUPPORTED, sizeof(d->status));
    for (unsigned i = 0; i < VG_TELEMETRY_FIELDS; i++)
        d->field.status[i] = VG_NV_NOT_SUPPORTED;
}

static void set_uuid(struct vg_telemetry_device *d, const CUuuid *uuid)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "GPU-");

    for (unsigned i = 0; i < sizeof(uuid->bytes); i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%02x",
                      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                      (unsigned)(unsigned char)uuid->bytes[i]);
    vg_gauge_set_text(d, VG_NV_UUID, text);
}

/* NVML's number for the generation that a compute capability belongs to. */
static uint32_t architecture(int major, int minor)
{
    switch (major) {
    case 3:  return 2;
    case 5:  return 3;
    case 6:  return 4;
    case 7:  return minor < 5 ? 5 : 6;
    case 8:  return minor < 9 ? 7 : 8;
    case 9:  return 9;
    case 10:
    case 12: return 10;
    default: return UINT32_MAX;
    }
}

static void describe(const struct vg_gauge_identity *id, struct vg_telemetry_device *d)
{
    uint32_t capability[2] = { (uint32_t)id->major, (uint32_t)id->minor };
    struct vg_nv_pci pci = { .domain = 0 };

    vg_gauge_clear(d);
    vg_gauge_set_text(d, VG_NV_NAME, id->name);
    set_uuid(d, &id->uuid);
    if (vg_gauge_parse_pci(id->pci, &pci))
        vg_gauge_set(d, VG_NV_PCI, 0, &pci);
    vg_gauge_set(d, VG_NV_COMPUTE_CAPABILITY, 0, capability);
    vg_gauge_set_u32(d, VG_NV_ARCHITECTURE, architecture(id->major, id->minor));
    vg_gauge_set_u32(d, VG_NV_BRAND, 0);
    vg_gauge_set_u32(d, VG_NV_BOARD_ID, pci.bus << 8 | pci.device);
    vg_gauge_set_u32(d, VG_NV_MULTI_GPU_BOARD, 0);
    vg_gauge_set_u32(d, VG_NV_COMPUTE_MODE, COMPUTE_MODE_DEFAULT);
    vg_gauge_set_u32(d, VG_NV_DISPLAY_MODE, 0);
    vg_gauge_set_u32(d, VG_NV_DISPLAY_ACTIVE, 0);
    d->memory_total = d->memory_free = id->memory;
}

void vg_gauge_plain(const struct vg_gauge_driver *d, struct vg_gauges *g)
{
    g->device_count = (uint32_t)d->count;
    g->cuda_version = (uint32_t)d->version;
    for (int i = 0; i < d->count; i++)
        describe(&d->device[i], &g->device[i]);
    vg_gauge_fabric_plain(d, g);
}
