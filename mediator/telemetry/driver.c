/* SPDX-License-Identifier: MIT */
/* Which devices a guest will see, asked from the driver that its executor loads. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "mediator/telemetry/gauge.h"

struct calls {
    CUresult (*init)(unsigned);
    CUresult (*version)(int *);
    CUresult (*count)(int *);
    CUresult (*name)(char *, int, CUdevice);
    CUresult (*uuid)(CUuuid *, CUdevice);
    CUresult (*pci)(char *, int, CUdevice);
    CUresult (*memory)(size_t *, CUdevice);
    CUresult (*attribute)(int *, CUdevice_attribute, CUdevice);
    CUresult (*p2p)(int *, CUdevice_P2PAttribute, CUdevice, CUdevice);
};

/* ISO C knows no conversion from an object's address to a function's. */
static bool find(void *library, const char *symbol, void *ret_function)
{
    void *p = dlsym(library, symbol);

    memcpy(ret_function, &p, sizeof(p));
    return p != NULL;
}

static bool find_all(void *library, struct calls *c)
{
    return find(library, "cuInit", &c->init) && find(library, "cuDriverGetVersion", &c->version) &&
           find(library, "cuDeviceGetCount", &c->count) &&
           find(library, "cuDeviceGetName", &c->name) &&
           find(library, "cuDeviceGetUuid", &c->uuid) &&
           find(library, "cuDeviceGetPCIBusId", &c->pci) &&
           find(library, "cuDeviceTotalMem_v2", &c->memory) &&
           find(library, "cuDeviceGetAttribute", &c->attribute) &&
           find(library, "cuDeviceGetP2PAttribute", &c->p2p);
}

static void describe(const struct calls *c, CUdevice dev, struct vg_gauge_identity *d)
{
    c->name(d->name, sizeof(d->name), dev);
    c->uuid(&d->uuid, dev);
    c->pci(d->pci, sizeof(d->pci), dev);
    c->memory(&d->memory, dev);
    c->attribute(&d->major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev);
    c->attribute(&d->minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, dev);
}

static bool has(const struct calls *c, CUdevice_P2PAttribute what, int from, int to)
{
    int value = 0;

    return c->p2p(&value, what, from, to) == CUDA_SUCCESS && value;
}

static void describe_pairs(const struct calls *c, struct vg_gauge_driver *d)
{
    for (int i = 0; i < d->count; i++) {
        for (int k = 0; k < d->count; k++) {
            if (i == k)
                continue;
            d->reaches[i][k] = has(c, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, i, k);
            d->atomics[i][k] = has(c, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, i, k);
        }
    }
}

int vg_gauge_driver_open(struct vg_gauge_driver *d, const char *library, char *why, size_t cap)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    struct calls c;
    CUresult rc;

    if (!handle || !find_all(handle, &c)) {
        snprintf(why, cap, "%.150s", handle ? "the driver library lacks a function" : dlerror());
        return -1;
    }
    rc = c.init(0);
    if (rc == CUDA_SUCCESS)
        rc = c.count(&d->count);
    if (rc != CUDA_SUCCESS) {
        snprintf(why, cap, "the driver does not start (CUDA error %d)", (int)rc);
        return -1;
    }
    c.version(&d->version);
    if (d->count > (int)VG_DEVICES_MAX)
        d->count = VG_DEVICES_MAX;
    for (int i = 0; i < d->count; i++)
        describe(&c, i, &d->device[i]);
    describe_pairs(&c, d);
    return 0;
}

bool vg_gauge_parse_pci(const char *text, struct vg_nv_pci *ret_pci)
{
    unsigned function;

    if (sscanf(text, "%x:%x:%x.%x", &ret_pci->domain, &ret_pci->bus, &ret_pci->device,
               &function) != 4)
        return false;
    snprintf(ret_pci->bus_id_legacy, sizeof(ret_pci->bus_id_legacy), "%04X:%02X:%02X.0",
             ret_pci->domain & 0xffff, ret_pci->bus & 0xff, ret_pci->device & 0xff);
    snprintf(ret_pci->bus_id, sizeof(ret_pci->bus_id), "%08X:%02X:%02X.0", ret_pci->domain,
             ret_pci->bus, ret_pci->device);
    return true;
}
