/* SPDX-License-Identifier: MIT */
/*
 * A libnvidia-ml.so.1 for the host's side of the tests: one device, every row of
 * vg_telemetry.def answered with a value that no other has, every seventh refused.
 * Processes are what the file $VG_FAKE_PROCESSES lists, a line PID BYTES PERCENT each, and
 * whoever asks, with $VG_FAKE_CONTEXT_MIB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vg_telemetry.h"

#define EXPORT __attribute__((visibility("default")))
#define DEFINE(name, arguments) EXPORT int name arguments; int name arguments

#define DEVICE ((void *)0x6e766d6c)     /* the handle; nobody may look behind it */
#define TOTAL  (80ull << 30)
#define USED   (30ull << 30)

static int status_of(enum vg_nv_item item)
{
    return item % 7 == 3 ? VG_NV_NOT_SUPPORTED : item % 23 == 5 ? VG_NV_UNKNOWN : VG_NV_SUCCESS;
}

/* The answer, as its kind has it; never more than `room` bytes of text. */
static int answer(void *dev, enum vg_nv_item item, unsigned element, void *out, unsigned room)
{
    const struct vg_nv_row *row = &vg_nv_rows[item];
    uint32_t *n = out;

    if (dev != DEVICE || element >= row->count)
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
    return VG_NV_SUCCESS;
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

/* More than one, if a test says so: then the driver is asked which is which. */
DEFINE(nvmlDeviceGetCount_v2, (unsigned *count))
{
    const char *text = getenv("VG_FAKE_DEVICES");

    *count = text ? (unsigned)atoi(text) : 1;
    return VG_NV_SUCCESS;
}

DEFINE(nvmlSystemGetCudaDriverVersion_v2, (int *version))
{
    *version = 13000;
    return VG_NV_SUCCESS;
}

DEFINE(nvmlDeviceGetHandleByPciBusId_v2, (const char *bus_id, void **ret_dev))
{
    *ret_dev = DEVICE;
    return strcmp(bus_id, "0000:FE:00.0") == 0 ? VG_NV_SUCCESS : VG_NV_NOT_FOUND;
}

DEFINE(nvmlDeviceGetHandleByIndex_v2, (unsigned index, void **ret_dev))
{
    *ret_dev = DEVICE;
    return index == 0 ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

/* ---- memory, fields, processes ---- */

DEFINE(nvmlDeviceGetMemoryInfo, (void *dev, struct vg_nv_memory *m))
{
    *m = (struct vg_nv_memory){TOTAL, TOTAL - USED, USED};
    return dev == DEVICE ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

DEFINE(nvmlDeviceGetFieldValues, (void *dev, int count, struct vg_nv_field *f))
{
    for (int i = 0; i < count; i++) {
        f[i].result = f[i].id % 5 == 0 ? VG_NV_NOT_SUPPORTED : VG_NV_SUCCESS;
        f[i].type = VG_NV_U32;
        f[i].value = f[i].id * 7;
    }
    return dev == DEVICE ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
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
    return dev == DEVICE ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

DEFINE(nvmlDeviceGetGraphicsRunningProcesses_v3, (void *dev, unsigned *count, void *p))
{
    (void)p;
    *count = 0;
    return dev == DEVICE ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
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
    return dev == DEVICE ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}
