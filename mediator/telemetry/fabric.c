/* SPDX-License-Identifier: MIT */
/*
 * What connects a device with others: NVLinks, and who reaches whose memory. Asked once, when
 * the helper starts: links do not come and go.
 */
#include <string.h>

#include "mediator/telemetry/gauge.h"

enum { P2P_OK = 0, P2P_NOT_SUPPORTED = 5 };
enum { P2P_READ, P2P_WRITE, P2P_NVLINK, P2P_ATOMICS, P2P_PCI };
enum { TOPOLOGY_INTERNAL = 0, TOPOLOGY_SYSTEM = 50 };

#define CAPABILITIES 6u     /* of a link */

/* ---- as the driver knows it ---- */

static void clear_links(struct vg_telemetry_fabric *f)
{
    memset(f->beyond, VG_NV_NOT_SUPPORTED, sizeof(f->beyond));
    for (unsigned i = 0; i < VG_TELEMETRY_LINKS; i++)
        memset(f->link[i].status, VG_NV_NOT_SUPPORTED, sizeof(f->link[i].status));
}

void vg_gauge_fabric_clear(struct vg_gauges *g)
{
    memset(g->fabric, 0, sizeof(g->fabric));
    for (unsigned i = 0; i < g->device_count; i++) {
        g->fabric[i].known = 1;
        clear_links(&g->fabric[i]);
        for (unsigned k = 0; k < VG_DEVICES_MAX; k++) {
            memset(g->fabric[i].peer[k].p2p, P2P_NOT_SUPPORTED, VG_TELEMETRY_P2P);
            g->fabric[i].peer[k].ancestor = i == k ? TOPOLOGY_INTERNAL : TOPOLOGY_SYSTEM;
        }
    }
}

void vg_gauge_fabric_plain(const struct vg_gauge_driver *d, struct vg_gauges *g)
{
    vg_gauge_fabric_clear(g);
    for (unsigned i = 0; i < g->device_count; i++) {
        for (unsigned k = 0; k < g->device_count; k++) {
            uint8_t *p2p = g->fabric[i].peer[k].p2p;

            if (d->reaches[i][k])
                p2p[P2P_READ] = p2p[P2P_WRITE] = p2p[P2P_PCI] = P2P_OK;
            if (d->atomics[i][k])
                p2p[P2P_ATOMICS] = P2P_OK;
        }
    }
}

/* ---- as NVML knows it ---- */

/* The functions of NVML that tell of links and pairs. */
static struct {
    int (*number[VG_LINK_REMOTE_PCI])(void *, unsigned, unsigned *);   /* by enum vg_nv_link_what */
    int (*remote)(void *, unsigned, struct vg_nv_pci *);
    int (*capability)(void *, unsigned, unsigned, unsigned *);
    int (*p2p)(void *, void *, unsigned, unsigned *);
    int (*ancestor)(void *, void *, unsigned *);
} nv;

static void find(const char *symbol, void *ret_function)
{
    void *p = vg_gauge_nvml_symbol(symbol);

    memcpy(ret_function, &p, sizeof(p));
}

static void find_all(void)
{
    find("nvmlDeviceGetNvLinkState", &nv.number[VG_LINK_STATE]);
    find("nvmlDeviceGetNvLinkVersion", &nv.number[VG_LINK_VERSION]);
    find("nvmlDeviceGetNvLinkRemoteDeviceType", &nv.number[VG_LINK_REMOTE_TYPE]);
    find("nvmlDeviceGetNvLinkRemotePciInfo_v2", &nv.remote);
    find("nvmlDeviceGetNvLinkCapability", &nv.capability);
    find("nvmlDeviceGetP2PStatus", &nv.p2p);
    find("nvmlDeviceGetTopologyCommonAncestor", &nv.ancestor);
}

static uint8_t status(int rc)
{
    return rc >= 0 && rc < (int)VG_TELEMETRY_UNKNOWN ? (uint8_t)rc : VG_TELEMETRY_UNKNOWN;
}

static void ask_number(void *dev, unsigned link, enum vg_nv_link_what what, uint8_t *ret_status,
                       uint8_t *ret_value)
{
    unsigned value = 0;
    int rc = nv.number[what] ? nv.number[what](dev, link, &value) : VG_NV_NOT_SUPPORTED;

    *ret_status = status(rc);
    *ret_value = (uint8_t)value;
}

static void ask_remote(void *dev, unsigned link, struct vg_telemetry_link *l)
{
    struct vg_nv_pci pci = { .domain = 0 };

    l->status[VG_LINK_REMOTE_PCI] = status(nv.remote ? nv.remote(dev, link, &pci) : VG_NV_NOT_SUPPORTED);
    memcpy(l->remote_bus_id, pci.bus_id_legacy, sizeof(l->remote_bus_id));
    l->remote_bus_id[sizeof(l->remote_bus_id) - 1] = '\0';
    l->remote_domain = pci.domain;
    l->remote_bus = pci.bus;
    l->remote_device = pci.device;
    l->remote_device_id = pci.device_id;
    l->remote_subsystem_id = pci.subsystem_id;
}

/* The status of the first counts: whoever asks wants to know whether peers can be reached. */
static void ask_capabilities(void *dev, unsigned link, struct vg_telemetry_link *l)
{
    l->capabilities = 0;
    for (unsigned i = 0; i < CAPABILITIES; i++) {
        unsigned has = 0;
        int rc = nv.capability ? nv.capability(dev, link, i, &has) : VG_NV_NOT_SUPPORTED;

        if (rc == VG_NV_SUCCESS && has)
            l->capabilities |= 1u << i;
        if (i == 0)
            l->status[VG_LINK_CAPABILITY] = status(rc);
    }
}

static void ask_link(void *dev, unsigned link, struct vg_telemetry_link *l)
{
    ask_number(dev, link, VG_LINK_STATE, &l->status[VG_LINK_STATE], &l->state);
    ask_number(dev, link, VG_LINK_VERSION, &l->status[VG_LINK_VERSION], &l->version);
    ask_number(dev, link, VG_LINK_REMOTE_TYPE, &l->status[VG_LINK_REMOTE_TYPE], &l->remote_type);
    ask_remote(dev, link, l);
    ask_capabilities(dev, link, l);
}

/* Which arguments NVML looks at before it finds a GPU without links depends on the function. */
static void ask_links(void *dev, struct vg_telemetry_fabric *f)
{
    struct vg_telemetry_link beyond;

    for (unsigned i = 0; i < VG_TELEMETRY_LINKS; i++)
        ask_link(dev, i, &f->link[i]);
    ask_link(dev, VG_TELEMETRY_LINKS, &beyond);
    memcpy(f->beyond, beyond.status, sizeof(f->beyond));
}

static void ask_pair(void *a, void *b, struct vg_telemetry_peer *p)
{
    unsigned value;

    for (unsigned i = 0; i < VG_TELEMETRY_P2P; i++) {
        if (nv.p2p && nv.p2p(a, b, i, &value) == VG_NV_SUCCESS)
            p->p2p[i] = status((int)value);
    }
    if (nv.ancestor && nv.ancestor(a, b, &value) == VG_NV_SUCCESS)
        p->ancestor = status((int)value);
}

void vg_gauge_fabric_nvml(void *const *devices, struct vg_gauges *g)
{
    find_all();
    for (unsigned i = 0; i < g->device_count; i++) {
        if (devices[i])
            ask_links(devices[i], &g->fabric[i]);
        for (unsigned k = 0; devices[i] && k < g->device_count; k++) {
            if (devices[k])
                ask_pair(devices[i], devices[k], &g->fabric[i].peer[k]);
        }
    }
}
