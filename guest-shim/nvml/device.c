/* SPDX-License-Identifier: MIT */
/* Handles, identity, and answers that are put together from several of the host's. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "guest-shim/nvml/nv.h"

/* ---- handles ---- */

NV_FUNCTION(nvmlDeviceGetCount_v2, (unsigned *count))
{
    nv_result rc = nv_enter();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (count)
        *count = nv_page.device_count;
    nv_leave();
    return count ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

NV_FUNCTION(nvmlDeviceGetCount, (unsigned *count))
{
    return nvmlDeviceGetCount_v2(count);
}

/* The device that `is_it` knows; `otherwise` if it knows none. */
static nv_result find_device(bool (*is_it)(unsigned index, const void *key), const void *key,
                             nv_device *ret_dev, nv_result otherwise)
{
    nv_result rc = nv_enter();

    if (rc != VG_NV_SUCCESS)
        return rc;
    rc = key && ret_dev ? otherwise : VG_NV_INVALID_ARGUMENT;
    for (unsigned i = 0; rc == otherwise && i < nv_page.device_count; i++) {
        if (is_it(i, key)) {
            *ret_dev = nv_handle_of(i);
            rc = VG_NV_SUCCESS;
        }
    }
    nv_leave();
    return rc;
}

static bool has_index(unsigned index, const void *key)
{
    return index == *(const unsigned *)key;
}

static bool has_text(unsigned index, enum vg_nv_item item, const char *wanted)
{
    char text[128] = "";

    return nv_item(index, item, 0, text) == VG_NV_SUCCESS && strcasecmp(text, wanted) == 0;
}

static bool has_uuid(unsigned index, const void *key)
{
    return has_text(index, VG_NV_UUID, key);
}

static bool has_serial(unsigned index, const void *key)
{
    return has_text(index, VG_NV_SERIAL, key);
}

/* "0000:3b:00.0", with more digits of domain, or with none. */
static bool has_bus_id(unsigned index, const void *key)
{
    unsigned domain = 0, bus, device, function;
    struct vg_nv_pci pci;

    if (sscanf(key, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4) {
        domain = 0;
        if (sscanf(key, "%x:%x.%x", &bus, &device, &function) != 3)
            return false;
    }
    return nv_item(index, VG_NV_PCI, 0, &pci) == VG_NV_SUCCESS && pci.domain == domain &&
           pci.bus == bus && pci.device == device;
}

NV_FUNCTION(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nv_device *ret_dev))
{
    return find_device(has_index, &index, ret_dev, VG_NV_INVALID_ARGUMENT);
}

NV_FUNCTION(nvmlDeviceGetHandleByIndex, (unsigned index, nv_device *ret_dev))
{
    return nvmlDeviceGetHandleByIndex_v2(index, ret_dev);
}

NV_FUNCTION(nvmlDeviceGetHandleByUUID, (const char *uuid, nv_device *ret_dev))
{
    return find_device(has_uuid, uuid, ret_dev, VG_NV_NOT_FOUND);
}

NV_FUNCTION(nvmlDeviceGetHandleBySerial, (const char *serial, nv_device *ret_dev))
{
    return find_device(has_serial, serial, ret_dev, VG_NV_NOT_FOUND);
}

NV_FUNCTION(nvmlDeviceGetHandleByPciBusId_v2, (const char *bus_id, nv_device *ret_dev))
{
    return find_device(has_bus_id, bus_id, ret_dev, VG_NV_NOT_FOUND);
}

NV_FUNCTION(nvmlDeviceGetHandleByPciBusId, (const char *bus_id, nv_device *ret_dev))
{
    return nvmlDeviceGetHandleByPciBusId_v2(bus_id, ret_dev);
}

struct uuid_key {
    uint32_t version, type;
    union {
        char text[41];
        uint8_t bytes[16];
    } value;
};

enum { UUID_TEXT = 1, UUID_BYTES = 2 };

NV_FUNCTION(nvmlDeviceGetHandleByUUIDV, (const struct uuid_key *key, nv_device *ret_dev))
{
    char text[64] = "GPU-";
    nv_result rc = nv_check();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (key && key->version != VG_NV_VERSION(sizeof(*key), 1))
        return VG_NV_VERSION_MISMATCH;
    if (!key || (key->type != UUID_TEXT && key->type != UUID_BYTES))
        return VG_NV_INVALID_ARGUMENT;
    if (key->type == UUID_TEXT)
        snprintf(text, sizeof(text), "%.41s", key->value.text);
    for (unsigned i = 0; key->type == UUID_BYTES && i < 16; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;

        sprintf(text + strlen(text), dash ? "-%02x" : "%02x", key->value.bytes[i]);
    }
    return nvmlDeviceGetHandleByUUID(text, ret_dev);
}

/* ---- numbers that are ours to give ---- */

static nv_result set_index(nv_device dev, unsigned *out)
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (out)
        *out = index;
    nv_leave();
    return out ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

NV_FUNCTION(nvmlDeviceGetIndex, (nv_device dev, unsigned *index))
{
    return set_index(dev, index);
}

/* There is no /dev/nvidia0 here; programs use the number to tell devices apart. */
NV_FUNCTION(nvmlDeviceGetMinorNumber, (nv_device dev, unsigned *number))
{
    return set_index(dev, number);
}

static nv_result set_number(nv_device dev, unsigned *out, unsigned value)
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!out)
        return VG_NV_INVALID_ARGUMENT;
    *out = value;
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlDeviceIsMigDeviceHandle, (nv_device dev, unsigned *is_mig))
{
    return set_number(dev, is_mig, 0);
}

/* Accounting is not kept here: 0, disabled. */
NV_FUNCTION(nvmlDeviceGetAccountingMode, (nv_device dev, unsigned *mode))
{
    return set_number(dev, mode, 0);
}

enum { VIRTUALIZATION_NONE = 0, VIRTUALIZATION_PASSTHROUGH = 1 };

NV_FUNCTION(nvmlDeviceGetVirtualizationMode, (nv_device dev, unsigned *mode))
{
    return set_number(dev, mode, nv_in_vm() ? VIRTUALIZATION_PASSTHROUGH : VIRTUALIZATION_NONE);
}

/* ---- PCI ---- */

/* The first two versions end, for us, with the subsystem: what follows was reserved. */
#define PCI_LEGACY_SIZE 40u

static nv_result legacy_pci(nv_device dev, void *out)
{
    struct vg_nv_pci pci;
    nv_result rc = nv_item_of(dev, VG_NV_PCI, 0, &pci);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!out)
        return VG_NV_INVALID_ARGUMENT;
    memset(out, 0, PCI_LEGACY_SIZE);
    memcpy(out, &pci, offsetof(struct vg_nv_pci, bus_id));
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlDeviceGetPciInfo, (nv_device dev, void *out))
{
    return legacy_pci(dev, out);
}

NV_FUNCTION(nvmlDeviceGetPciInfo_v2, (nv_device dev, void *out))
{
    return legacy_pci(dev, out);
}

struct pci_ext {
    uint32_t version, domain, bus, device, device_id, subsystem_id, base_class, sub_class;
    char bus_id[32];
};

NV_FUNCTION(nvmlDeviceGetPciInfoExt, (nv_device dev, struct pci_ext *out))
{
    struct vg_nv_pci pci;
    nv_result rc = nv_item_of(dev, VG_NV_PCI, 0, &pci);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!out)
        return VG_NV_INVALID_ARGUMENT;
    if (out->version != VG_NV_VERSION(sizeof(*out), 1))
        return VG_NV_VERSION_MISMATCH;
    /* Class 0302, a 3D controller, as the device's own configuration space says. */
    *out = (struct pci_ext){.version = out->version, .domain = pci.domain, .bus = pci.bus,
                            .device = pci.device, .device_id = pci.device_id,
                            .subsystem_id = pci.subsystem_id, .base_class = 3, .sub_class = 2};
    memcpy(out->bus_id, pci.bus_id, sizeof(out->bus_id));
    return VG_NV_SUCCESS;
}

/* ---- other spellings of the host's answers ---- */

NV_FUNCTION(nvmlDeviceGetClock, (nv_device dev, uint32_t type, uint32_t id, uint32_t *clock))
{
    static const enum vg_nv_item items[] = {VG_NV_CLOCK, VG_NV_CLOCK_APP, VG_NV_CLOCK_APP_DEFAULT,
                                            VG_NV_CLOCK_BOOST};

    nv_result rc = nv_check_device(dev);

    if (rc == VG_NV_SUCCESS && id >= sizeof(items) / sizeof(items[0]))
        rc = VG_NV_INVALID_ARGUMENT;
    return rc == VG_NV_SUCCESS ? nv_item_of(dev, items[id], type, clock) : rc;
}

NV_FUNCTION(nvmlDeviceGetFanSpeed_v2, (nv_device dev, uint32_t fan, uint32_t *speed))
{
    return nv_item_of(dev, VG_NV_FAN, fan, speed);
}

NV_FUNCTION(nvmlDeviceGetCurrentClocksEventReasons, (nv_device dev, unsigned long long *reasons))
{
    return nv_item_of(dev, VG_NV_THROTTLE, 0, reasons);
}

NV_FUNCTION(nvmlDeviceGetSupportedClocksEventReasons, (nv_device dev, unsigned long long *reasons))
{
    return nv_item_of(dev, VG_NV_THROTTLE_SUPPORTED, 0, reasons);
}

NV_FUNCTION(nvmlDeviceGetAttributes, (nv_device dev, void *attributes))
{
    return nv_item_of(dev, VG_NV_ATTRIBUTES, 0, attributes);
}

struct temperature {
    uint32_t version, sensor;
    int32_t value;
};

NV_FUNCTION(nvmlDeviceGetTemperatureV, (nv_device dev, struct temperature *t))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!t)
        return VG_NV_INVALID_ARGUMENT;
    if (t->version != VG_NV_VERSION(sizeof(*t), 1))
        return VG_NV_VERSION_MISMATCH;
    return nv_item_of(dev, VG_NV_TEMPERATURE, t->sensor, &t->value);
}

/* ---- fabric: a guest is no member of one, state 0 says so ---- */

#define FABRIC_V1_SIZE 25u      /* up to and including the state */

NV_FUNCTION(nvmlDeviceGetGpuFabricInfo, (nv_device dev, void *info))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!info)
        return VG_NV_INVALID_ARGUMENT;
    memset(info, 0, FABRIC_V1_SIZE);
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlDeviceGetGpuFabricInfoV, (nv_device dev, uint32_t *info))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!info)
        return VG_NV_INVALID_ARGUMENT;
    if (*info != VG_NV_VERSION(36, 2) && *info != VG_NV_VERSION(40, 3))
        return VG_NV_VERSION_MISMATCH;
    memset(info + 1, 0, (*info & 0xffffff) - sizeof(*info));
    return VG_NV_SUCCESS;
}
