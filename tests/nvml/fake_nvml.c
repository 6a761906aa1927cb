/* SPDX-License-Identifier: MIT */
/*
 * A libnvidia-ml.so.1 for the host's side of the tests: one device, every row of
 * vg_telemetry.def answered with a value that no other has, every seventh refused.
 * Processes are what the file $VG_FAKE_PROCESSES lists, a line PID BYTES PERCENT each, and
 * whoever asks, with $VG_FAKE_CONTEXT_MIB. Each start writes a line into $VG_FAKE_STARTS.
 * $VG_FAKE_DEVICES devices, with $VG_FAKE_REVERSED counted from the other end.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vg_telemetry.h"

#define EXPORT __attribute__((visibility("default")))
#define DEFINE(name, arguments) EXPORT int name arguments; int name arguments

#define DEVICE  ((char *)0x6e766d6c)    /* the first handle; nobody may look behind it */
#define DEVICES 8u
#define TOTAL  (80ull << 30)
#define USED   (30ull << 30)

/* More than one, if a test says so. */
static unsigned device_count(void)
{
    const char *text = getenv("VG_FAKE_DEVICES");
    unsigned n = text ? (unsigned)atoi(text) : 1;

    return n < DEVICES ? n : DEVICES;
}

static unsigned index_of(const void *dev)
{
    return (unsigned)((const char *)dev - DEVICE);
}

static int is_device(const void *dev)
{
    return index_of(dev) < device_count();
}

static int status_of(enum vg_nv_item item)
{
    return item % 7 == 3 ? VG_NV_NOT_SUPPORTED : item % 23 == 5 ? VG_NV_UNKNOWN : VG_NV_SUCCESS;
}

/* The answer, as its kind has it; never more than `room` bytes of text. */
static int answer(void *dev, enum vg_nv_item item, unsigned element, void *out, unsigned room)
{
    const struct vg_nv_row *row = &vg_nv_rows[item];
    uint32_t *n = out;

    if (!is_device(dev) || element >= row->count)
        return VG_NV_INVALID_ARGUMENT;
    if (status_of(item) != VG_NV_SUCCESS)
        return status_of(item);
    if (row->kind == VG_NV_TX || row->kind == VG_NV_AT || row->kind == VG_NV_TS) {
        snprintf(out, room, "text %u.%u", (unsigned)item, element);
        return VG_NV_SUCCESS;
    }
    if (row->version && *n != row->version)
        return VG_NV_VERSION_MISMATCH;
    for (unsigned i = row->version ? 1 : 0; i < row->size / 4u; i++)
        n[i] = item * 1000u + element * 100u + i;
    if (item == VG_NV_PCI)
        ((struct vg_nv_pci *)out)->domain = 0, ((struct vg_nv_pci *)out)->bus = 0xfe,
        ((struct vg_nv_pci *)out)->device = index_of(dev);
    return VG_NV_SUCCESS;
}

static int wides(void *dev, enum vg_nv_item item, uint64_t *a, uint64_t *b)
{
    uint64_t n[2];
    int rc = answer(dev, item, 0, n, 0);

    if (rc == VG_NV_SUCCESS)
        *a = n[0], *b = n[1];
    return rc;
}

static int words(void *dev, enum vg_nv_item item, uint32_t *const *out, unsigned count)
{
    uint32_t n[4];
    int rc = answer(dev, item, 0, n, 0);

    for (unsigned i = 0; rc == VG_NV_SUCCESS && i < count; i++)
        *out[i] = n[i];
    return rc;
}

#define FAKE_N1(i, s) DEFINE(s, (void *d, uint32_t *a)) { return answer(d, i, 0, a, 0); }
#define FAKE_N2(i, s) DEFINE(s, (void *d, uint32_t *a, uint32_t *b)) \
    { return words(d, i, (uint32_t *const[]){a, b}, 2); }
#define FAKE_N4(i, s) DEFINE(s, (void *d, uint32_t *a, uint32_t *b, uint32_t *e, uint32_t *f)) \
    { return words(d, i, (uint32_t *const[]){a, b, e, f}, 4); }
#define FAKE_W1(i, s) DEFINE(s, (void *d, void *a)) { return answer(d, i, 0, a, 0); }
#define FAKE_W2(i, s) DEFINE(s, (void *d, uint64_t *a, uint64_t *b)) { return wides(d, i, a, b); }
#define FAKE_A1(i, s) DEFINE(s, (void *d, uint32_t which, uint32_t *a)) \
    { return answer(d, i, which, a, 0); }
#define FAKE_E2(i, s) DEFINE(s, (void *d, uint32_t x, uint32_t y, void *a)) \
    { return answer(d, i, x << 1 | y, a, 0); }
#define FAKE_E3(i, s) DEFINE(s, (void *d, uint32_t x, uint32_t y, uint32_t z, void *a)) \
    { return answer(d, i, x << 4 | y << 3 | z, a, 0); }
#define FAKE_ST(i, s) FAKE_W1(i, s)
#define FAKE_BV(i, s) FAKE_W1(i, s)
#define FAKE_TX(i, s) DEFINE(s, (void *d, char *a, unsigned n)) { return answer(d, i, 0, a, n); }
#define FAKE_AT(i, s) DEFINE(s, (void *d, uint32_t which, char *a, unsigned n)) \
    { return answer(d, i, which, a, n); }
#define FAKE_TS(i, s) DEFINE(s, (void *d, char *a)) { return answer(d, i, 0, a, 80); }

#define VG_NV(item, symbol, kind, count, size, version) FAKE_##kind(VG_NV_##item, symbol)
#include "vg_telemetry.def"
#undef VG_NV

/* ---- the system ---- */

DEFINE(nvmlInit_v2, (void))
{
    const char *path = getenv("VG_FAKE_STARTS");
    FILE *f = path ? fopen(path, "ae") : NULL;

    if (f) {
        fprintf(f, "%d\n", (int)getpid());
        fclose(f);
    }
    return VG_NV_SUCCESS;
}

DEFINE(nvmlSystemGetDriverVersion, (char *version, unsigned length))
{
    snprintf(version, length, "999.88.77");
    return VG_NV_SUCCESS;
}

DEFINE(nvmlSystemGetNVMLVersion, (char *version, unsigned length))
{
    snprintf(version, length, "13.999.88.77");
    return VG_NV_SUCCESS;
}

DEFINE(nvmlDeviceGetCount_v2, (unsigned *count))
{
    *count = device_count();
    return VG_NV_SUCCESS;
}

DEFINE(nvmlSystemGetCudaDriverVersion_v2, (int *version))
{
    *version = 13000;
    return VG_NV_SUCCESS;
}

DEFINE(nvmlDeviceGetHandleByPciBusId_v2, (const char *bus_id, void **ret_dev))
{
    unsigned domain, bus, i;

    if (sscanf(bus_id, "%x:%x:%x", &domain, &bus, &i) != 3 || bus != 0xfe || i >= device_count())
        return VG_NV_NOT_FOUND;
    *ret_dev = DEVICE + i;
    return VG_NV_SUCCESS;
}

DEFINE(nvmlDeviceGetHandleByIndex_v2, (unsigned index, void **ret_dev))
{
    *ret_dev = DEVICE + (getenv("VG_FAKE_REVERSED") ? device_count() - 1 - index : index);
    return index < device_count() ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

/* ---- memory, fields, processes ---- */

DEFINE(nvmlDeviceGetMemoryInfo, (void *dev, struct vg_nv_memory *m))
{
    *m = (struct vg_nv_memory){TOTAL, TOTAL - USED, USED};
    return is_device(dev) ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

DEFINE(nvmlDeviceGetFieldValues, (void *dev, int count, struct vg_nv_field *f))
{
    for (int i = 0; i < count; i++) {
        f[i].result = f[i].id % 5 == 0 ? VG_NV_NOT_SUPPORTED : VG_NV_SUCCESS;
        f[i].type = VG_NV_U32;
        f[i].value = f[i].id * 7 + f[i].scope;
    }
    return is_device(dev) ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

/* ---- what connects devices: a link has a number of its own everywhere; the last four are not there ---- */

#define LINKS 14u

static int link_answer(void *dev, unsigned link, unsigned what, unsigned *out)
{
    if (!is_device(dev) || link >= 18)
        return VG_NV_INVALID_ARGUMENT;
    if (link >= LINKS)
        return VG_NV_NOT_SUPPORTED;
    *out = (link + what + index_of(dev)) % 3;
    return link == 5 ? VG_NV_UNKNOWN : VG_NV_SUCCESS;
}

DEFINE(nvmlDeviceGetNvLinkState, (void *d, unsigned l, unsigned *out)) { return link_answer(d, l, 0, out); }

/* Which wrong number a function answers how is its own affair. */
DEFINE(nvmlDeviceGetNvLinkVersion, (void *d, unsigned l, unsigned *out))
{
    return l >= 18 ? VG_NV_NOT_SUPPORTED : link_answer(d, l, 1, out);
}

DEFINE(nvmlDeviceGetNvLinkRemoteDeviceType, (void *d, unsigned l, unsigned *out)) { return link_answer(d, l, 2, out); }

DEFINE(nvmlDeviceGetNvLinkCapability, (void *d, unsigned l, unsigned capability, unsigned *out))
{
    int rc = link_answer(d, l, capability, out);

    *out = *out == 1;
    return rc;
}

DEFINE(nvmlDeviceGetNvLinkRemotePciInfo_v2, (void *d, unsigned l, struct vg_nv_pci *pci))
{
    unsigned n;
    int rc = link_answer(d, l, 0, &n);

    if (rc != VG_NV_SUCCESS)
        return rc;
    *pci = (struct vg_nv_pci){.domain = l, .bus = 0xc0 + l, .device = index_of(d), .device_id = 0x22a310de,
                              .subsystem_id = 7 * l};
    if (l % 2) {
        strcpy(pci->bus_id_legacy, "ffffffff:ffff:f");  /* a switch that the host does not see */
        strcpy(pci->bus_id, pci->bus_id_legacy);
        return rc;
    }
    uint8_t bus = (uint8_t)pci->bus, device = (uint8_t)pci->device;
    snprintf(pci->bus_id_legacy, sizeof(pci->bus_id_legacy), "%04X:%02X:%02X.0", (uint8_t)l, bus, device);
    snprintf(pci->bus_id, sizeof(pci->bus_id), "%08X:%02X:%02X.0", l, bus, device);
    return rc;
}

DEFINE(nvmlDeviceGetP2PStatus, (void *a, void *b, unsigned which, unsigned *status))
{
    if (!is_device(a) || !is_device(b) || which >= 5)
        return VG_NV_INVALID_ARGUMENT;
    *status = (index_of(a) + 2 * index_of(b) + which) % 6;
    return VG_NV_SUCCESS;
}

DEFINE(nvmlDeviceGetTopologyCommonAncestor, (void *a, void *b, unsigned *level))
{
    if (!is_device(a) || !is_device(b))
        return VG_NV_INVALID_ARGUMENT;
    *level = a == b ? 0 : 10 * (1 + index_of(a) + index_of(b));
    return VG_NV_SUCCESS;
}

struct line {
    unsigned pid, percent;
    unsigned long long bytes;
};

static unsigned read_lines(struct line *lines, unsigned room)
{
    const char *path = getenv("VG_FAKE_PROCESSES");
    FILE *f = path ? fopen(path, "re") : NULL;
    unsigned n = 0;

    while (f && n < room &&
           fscanf(f, "%u %llu %u", &lines[n].pid, &lines[n].bytes, &lines[n].percent) == 3)
        n++;
    if (f)
        fclose(f);
    return n;
}

DEFINE(nvmlDeviceGetComputeRunningProcesses_v3, (void *dev, unsigned *count, struct vg_nv_process *p))
{
    struct line lines[32];
    unsigned n = read_lines(lines, 32);

    for (unsigned i = 0; i < n && i < *count; i++)
        p[i] = (struct vg_nv_process){lines[i].pid, lines[i].bytes, VG_NV_NO_INSTANCE,
                                      VG_NV_NO_INSTANCE};
    if (getenv("VG_FAKE_CONTEXT_MIB") && n < *count)
        p[n++] = (struct vg_nv_process){(unsigned)getpid(),
                                        strtoull(getenv("VG_FAKE_CONTEXT_MIB"), NULL, 10) << 20,
                                        VG_NV_NO_INSTANCE, VG_NV_NO_INSTANCE};
    *count = n;
    return is_device(dev) ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

DEFINE(nvmlDeviceGetGraphicsRunningProcesses_v3, (void *dev, unsigned *count, void *p))
{
    (void)p;
    *count = 0;
    return is_device(dev) ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

/* Time moves on by one with each question, so a sample is never old. */
DEFINE(nvmlDeviceGetProcessUtilization,
       (void *dev, struct vg_nv_sample *s, unsigned *count, unsigned long long last_seen))
{
    struct line lines[32];
    unsigned n = read_lines(lines, 32);

    for (unsigned i = 0; i < n && i < *count; i++)
        s[i] = (struct vg_nv_sample){lines[i].pid, last_seen + 1, lines[i].percent, 2, 3, 4};
    *count = n;
    return is_device(dev) ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

/* ---- events: lines "INDEX XID" that a test writes into the pipe $VG_FAKE_XIDS ---- */

struct event {
    void *device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
};

static FILE *xids;

DEFINE(nvmlEventSetCreate, (void **ret_set))
{
    const char *path = getenv("VG_FAKE_XIDS");

    if (path && !xids)
        xids = fopen(path, "r+e");
    if (xids)
        setvbuf(xids, NULL, _IONBF, 0);
    *ret_set = xids;
    return xids ? VG_NV_SUCCESS : VG_NV_NOT_SUPPORTED;
}

DEFINE(nvmlDeviceRegisterEvents, (void *dev, unsigned long long types, void *set))
{
    return is_device(dev) && types == 8 && set == xids ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

DEFINE(nvmlEventSetWait_v2, (void *set, struct event *e, unsigned ms))
{
    struct pollfd p = {.fd = fileno(xids), .events = POLLIN};
    char line[64];
    unsigned i, xid;

    if (set != xids || poll(&p, 1, (int)ms) <= 0)
        return VG_NV_TIMEOUT;
    if (!fgets(line, sizeof(line), xids) || sscanf(line, "%u %u", &i, &xid) != 2)
        return VG_NV_UNKNOWN;
    *e = (struct event){DEVICE + i, 8, xid, VG_NV_NO_INSTANCE, VG_NV_NO_INSTANCE};
    return VG_NV_SUCCESS;
}
