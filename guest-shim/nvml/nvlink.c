/* SPDX-License-Identifier: MIT */
/*
 * NVLinks as the host has them: NCCL and nvidia-smi look here for what connects GPUs. The far
 * end of a link is a switch or GPU of the host, which the guest need not have.
 */
#include <stdio.h>
#include <string.h>

#include "guest-shim/nvml/nv.h"

#define STATUS_OTHER 255

static nv_result status_of(uint8_t said)
{
    return said == STATUS_OTHER ? VG_NV_UNKNOWN : said;
}

/* The link as the page has it, with the status of `what`. */
static nv_result find_link(nv_device dev, unsigned link, enum vg_nv_link_what what,
                           struct vg_telemetry_link *ret)
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    const struct vg_telemetry_fabric *f = &nv_page.fabric[index];
    if (!f->known) {
        rc = VG_NV_NOT_SUPPORTED;
    } else if (link >= VG_TELEMETRY_LINKS) {
        /* Success, which there is no value for, is a host's that does not tell. */
        rc = f->beyond[what] ? status_of(f->beyond[what]) : VG_NV_INVALID_ARGUMENT;
    } else {
        *ret = f->link[link];
        rc = status_of(ret->status[what]);
    }
    nv_leave();
    return rc;
}

/* Arguments are looked at before the device's answer is. */
static nv_result find_for(nv_device dev, unsigned link, enum vg_nv_link_what what, const void *out,
                          struct vg_telemetry_link *ret)
{
    nv_result rc = nv_check_device(dev);

    if (rc == VG_NV_SUCCESS && !out)
        rc = VG_NV_INVALID_ARGUMENT;
    return rc == VG_NV_SUCCESS ? find_link(dev, link, what, ret) : rc;
}

NV_FUNCTION(nvmlDeviceGetNvLinkState, (nv_device dev, unsigned link, unsigned *active))
{
    struct vg_telemetry_link l;
    nv_result rc = find_for(dev, link, VG_LINK_STATE, active, &l);

    if (rc == VG_NV_SUCCESS)
        *active = l.state;
    return rc;
}

NV_FUNCTION(nvmlDeviceGetNvLinkVersion, (nv_device dev, unsigned link, unsigned *version))
{
    struct vg_telemetry_link l;
    nv_result rc = find_for(dev, link, VG_LINK_VERSION, version, &l);

    if (rc == VG_NV_SUCCESS)
        *version = l.version;
    return rc;
}

NV_FUNCTION(nvmlDeviceGetNvLinkRemoteDeviceType, (nv_device dev, unsigned link, unsigned *type))
{
    struct vg_telemetry_link l;
    nv_result rc = find_for(dev, link, VG_LINK_REMOTE_TYPE, type, &l);

    if (rc == VG_NV_SUCCESS)
        *type = l.remote_type;
    return rc;
}

NV_FUNCTION(nvmlDeviceGetNvLinkCapability,
            (nv_device dev, unsigned link, unsigned capability, unsigned *has))
{
    struct vg_telemetry_link l;
    nv_result rc = find_for(dev, link, VG_LINK_CAPABILITY, has, &l);

    if (rc == VG_NV_SUCCESS && capability >= 32)
        rc = VG_NV_INVALID_ARGUMENT;
    if (rc == VG_NV_SUCCESS)
        *has = l.capabilities >> capability & 1;
    return rc;
}

/* ---- the far end ---- */

/* The struct of CUDA 8 and before, which NCCL asks for. */
struct pci_v1 {
    char     bus_id[16];
    uint32_t domain, bus, device, device_id, subsystem_id, reserved[4];
};

NV_FUNCTION(nvmlDeviceGetNvLinkRemotePciInfo, (nv_device dev, unsigned link, struct pci_v1 *pci))
{
    struct vg_telemetry_link l;
    nv_result rc = find_for(dev, link, VG_LINK_REMOTE_PCI, pci, &l);

    if (rc != VG_NV_SUCCESS)
        return rc;
    *pci = (struct pci_v1){
        .domain = l.remote_domain, .bus = l.remote_bus, .device = l.remote_device,
        .device_id = l.remote_device_id, .subsystem_id = l.remote_subsystem_id};
    memcpy(pci->bus_id, l.remote_bus_id, sizeof(pci->bus_id));
    pci->bus_id[sizeof(pci->bus_id) - 1] = '\0';
    return rc;
}

NV_FUNCTION(nvmlDeviceGetNvLinkRemotePciInfo_v2,
            (nv_device dev, unsigned link, struct vg_nv_pci *pci))
{
    struct vg_telemetry_link l;
    nv_result rc = find_for(dev, link, VG_LINK_REMOTE_PCI, pci, &l);

    if (rc != VG_NV_SUCCESS)
        return rc;
    *pci = (struct vg_nv_pci){
        .domain = l.remote_domain, .bus = l.remote_bus, .device = l.remote_device,
        .device_id = l.remote_device_id, .subsystem_id = l.remote_subsystem_id};
    memcpy(pci->bus_id_legacy, l.remote_bus_id, sizeof(pci->bus_id_legacy));
    pci->bus_id_legacy[sizeof(pci->bus_id_legacy) - 1] = '\0';
    /* The longer text has eight digits of the domain; a switch that nobody sees has other text. */
    const char *rest = strchr(pci->bus_id_legacy, ':');
    if (rest && rest - pci->bus_id_legacy == 4)
        snprintf(pci->bus_id, sizeof(pci->bus_id), "%08X%s", l.remote_domain, rest);
    else
        memcpy(pci->bus_id, pci->bus_id_legacy, sizeof(pci->bus_id_legacy));
    return rc;
}
