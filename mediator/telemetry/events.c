/* SPDX-License-Identifier: MIT */
/*
 * vgpu-telemetry --events: says which GPUs there are, then waits for NVML's Xid events and passes
 * each on, until the mediator goes. The layout of NVML's struct and its numbers are as NVIDIA's
 * API reference documents them.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "mediator/telemetry/gauge.h"

#define EVENT_XID   8ull    /* nvmlEventTypeXidCriticalError */
#define WAIT_MS     2000u   /* then a look whether the mediator is there */

struct nv_event {
    void *device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
};

union nv_event_call {
    void *address;
    int (*count)(unsigned *);
    int (*by_index)(unsigned, void **);
    int (*pci)(void *, struct vg_nv_pci *);
    int (*make)(void **);
    int (*subscribe)(void *, unsigned long long, void *);
    int (*wait)(void *, struct nv_event *, unsigned);
};

static struct device {
    void *handle;
    char name[16];
} device[VG_DEVICES_MAX];
static unsigned devices;

static union nv_event_call find(const char *symbol)
{
    return (union nv_event_call){ .address = vg_gauge_nvml_symbol(symbol) };
}

static bool tell(int sock, uint32_t kind, unsigned index, unsigned long long xid)
{
    struct vg_gpu_notice n = { .magic = VG_GAUGES_MAGIC, .kind = kind, .index = index,
                               .xid = (uint32_t)xid };

    memcpy(n.gpu, device[index].name, sizeof(n.gpu));
    return send(sock, &n, sizeof(n), MSG_NOSIGNAL) == (ssize_t)sizeof(n);
}

/* Its name as the kernel log has it: 0000:17:00. */
static bool find_device(unsigned i)
{
    union nv_event_call by_index = find("nvmlDeviceGetHandleByIndex_v2");
    union nv_event_call pci = find("nvmlDeviceGetPciInfo_v3");
    struct vg_nv_pci where = { .domain = 0 };

    if (!by_index.address || !pci.address ||
        by_index.by_index(i, &device[i].handle) != VG_NV_SUCCESS ||
        pci.pci(device[i].handle, &where) != VG_NV_SUCCESS)
        return false;
    snprintf(device[i].name, sizeof(device[i].name), "%04x:%02x:%02x", where.domain & 0xffffu,
             where.bus & 0xffu, where.device & 0xffu);
    return true;
}

static bool tell_devices(int sock)
{
    union nv_event_call count = find("nvmlDeviceGetCount_v2");
    unsigned n = 0;

    if (!count.address || count.count(&n) != VG_NV_SUCCESS)
        return false;
    for (devices = 0; devices < n && devices < VG_DEVICES_MAX; devices++) {
        if (!find_device(devices) || !tell(sock, VG_GPU_NOTICE_DEVICE, devices, 0))
            return false;
    }
    return true;
}

/* NULL: no GPU has such events. */
static void *subscribe(void)
{
    union nv_event_call make = find("nvmlEventSetCreate");
    union nv_event_call subscribe = find("nvmlDeviceRegisterEvents");
    void *set = NULL;
    bool any = false;

    if (!make.address || !subscribe.address || make.make(&set) != VG_NV_SUCCESS)
        return NULL;
    for (unsigned i = 0; i < devices; i++)
        any |= subscribe.subscribe(device[i].handle, EVENT_XID, set) == VG_NV_SUCCESS;
    return any ? set : NULL;
}

static bool is_alone(int sock)
{
    struct pollfd p = { .fd = sock, .events = POLLIN };

    return poll(&p, 1, 0) > 0;
}

static bool pass_on(int sock, const struct nv_event *e)
{
    for (unsigned i = 0; i < devices; i++) {
        if (device[i].handle == e->device)
            return tell(sock, VG_GPU_NOTICE_XID, i, e->data);
    }
    return true;
}

int vg_gauge_events(int sock)
{
    union nv_event_call wait = find("nvmlEventSetWait_v2");
    struct nv_event e = { .device = NULL };
    void *set;
    int rc;

    if (!tell_devices(sock))
        return 1;
    set = subscribe();
    if (!set || !wait.address)
        return 0;
    while (!is_alone(sock)) {
        rc = wait.wait(set, &e, WAIT_MS);
        if (rc == VG_NV_TIMEOUT)
            continue;
        /* A lost GPU makes every wait fail; the kernel log has said so. */
        if (rc != VG_NV_SUCCESS) {
            fprintf(stderr, "telemetry: nvmlEventSetWait_v2 returns %d\n", rc);
            return 1;
        }
        if ((e.type & EVENT_XID) && !pass_on(sock, &e))
            return 0;
    }
    return 0;
}
