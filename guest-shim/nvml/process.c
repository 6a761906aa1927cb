/* SPDX-License-Identifier: MIT */
/* Memory, and who uses it: the VM's own processes under the guest's numbers. */
#include <stdio.h>
#include <string.h>

#include "guest-shim/nvml/nv.h"

const struct vg_telemetry_process *nv_process(unsigned index, unsigned i)
{
    for (unsigned k = 0; k < nv_page.process_count; k++) {
        if (nv_page.process[k].device == index && i-- == 0)
            return &nv_page.process[k];
    }
    return NULL;
}

static bool name_from_proc(uint32_t pid, char *out, size_t size)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    out[fread(out, 1, size - 1, f)] = '\0';     /* ends at the first argument's NUL */
    fclose(f);
    return out[0] != '\0';
}

bool nv_process_name(uint32_t pid, char *out, size_t size)
{
    if (name_from_proc(pid, out, size))
        return true;
    for (unsigned k = 0; k < nv_page.process_count; k++) {
        if (nv_page.process[k].pid == pid) {
            snprintf(out, size, "%.31s", nv_page.process[k].comm);
            return true;
        }
    }
    return false;
}

/* ---- memory ---- */

struct memory_v2 {
    uint32_t version;
    uint64_t total, reserved, free, used;
};

NV_FUNCTION(nvmlDeviceGetMemoryInfo, (nv_device dev, struct vg_nv_memory *out))
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    const struct vg_telemetry_device *d = &nv_page.device[index];
    if (out)
        *out = (struct vg_nv_memory){d->memory_total, d->memory_free, d->memory_used};
    nv_leave();
    return out ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

NV_FUNCTION(nvmlDeviceGetMemoryInfo_v2, (nv_device dev, struct memory_v2 *out))
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    const struct vg_telemetry_device *d = &nv_page.device[index];
    if (!out)
        rc = VG_NV_INVALID_ARGUMENT;
    else if (out->version != VG_NV_VERSION(sizeof(*out), 2))
        rc = VG_NV_VERSION_MISMATCH;
    else
        *out = (struct memory_v2){out->version, d->memory_total, d->memory_reserved, d->memory_free,
                                  d->memory_used};
    nv_leave();
    return rc;
}

/* ---- lists of processes ---- */

static void put_v1(void *out, unsigned i, const struct vg_telemetry_process *p)
{
    ((struct vg_nv_process_v1 *)out)[i] = (struct vg_nv_process_v1){p->pid, p->memory};
}

static void put_v2(void *out, unsigned i, const struct vg_telemetry_process *p)
{
    ((struct vg_nv_process *)out)[i] =
        (struct vg_nv_process){p->pid, p->memory, VG_NV_NO_INSTANCE, VG_NV_NO_INSTANCE};
}

struct detail {
    uint32_t pid;
    uint64_t memory;
    uint32_t gpu_instance, compute_instance;
    uint64_t protected_memory;
};

static void put_detail(void *out, unsigned i, const struct vg_telemetry_process *p)
{
    ((struct detail *)out)[i] = (struct detail){p->pid, p->memory, VG_NV_NO_INSTANCE,
                                                VG_NV_NO_INSTANCE, VG_NV_NO_VALUE};
}

typedef void put_fn(void *out, unsigned i, const struct vg_telemetry_process *p);

/* *count: room on entry, entries on return; with too little room only the count is given. */
static nv_result list(nv_device dev, unsigned *count, void *out, put_fn *put)
{
    const struct vg_telemetry_process *p;
    unsigned index, n = 0;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    while (nv_process(index, n))
        n++;
    if (!count || (!out && *count > 0))
        rc = VG_NV_INVALID_ARGUMENT;
    else if (*count < n)
        rc = VG_NV_INSUFFICIENT_SIZE;
    for (unsigned i = 0; rc == VG_NV_SUCCESS && (p = nv_process(index, i)); i++)
        put(out, i, p);
    if (rc != VG_NV_INVALID_ARGUMENT)
        *count = n;
    nv_leave();
    return rc;
}

NV_FUNCTION(nvmlDeviceGetComputeRunningProcesses, (nv_device d, unsigned *count, void *out))
{
    return list(d, count, out, put_v1);
}

NV_FUNCTION(nvmlDeviceGetComputeRunningProcesses_v2, (nv_device d, unsigned *count, void *out))
{
    return list(d, count, out, put_v2);
}

NV_FUNCTION(nvmlDeviceGetComputeRunningProcesses_v3, (nv_device d, unsigned *count, void *out))
{
    return list(d, count, out, put_v2);
}

struct detail_list {
    uint32_t version, mode, count;
    struct detail *out;
};

enum { MODE_COMPUTE = 0, MODE_ALL = 3, MODES };

NV_FUNCTION(nvmlDeviceGetRunningProcessDetailList, (nv_device dev, struct detail_list *l))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!l)
        return VG_NV_INVALID_ARGUMENT;
    if (l->version != VG_NV_VERSION(sizeof(*l), 1))
        return VG_NV_VERSION_MISMATCH;
    if (l->mode >= MODES)
        return VG_NV_INVALID_ARGUMENT;
    if (l->mode == MODE_COMPUTE || l->mode == MODE_ALL)
        return list(dev, &l->count, l->out, put_detail);
    l->count = 0;
    return VG_NV_SUCCESS;
}

/* ---- lists that are empty: graphics, MPS, encoder sessions ---- */

static nv_result none(nv_device dev, unsigned *count)
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!count)
        return VG_NV_INVALID_ARGUMENT;
    *count = 0;
    return VG_NV_SUCCESS;
}

#define EMPTY_LIST(name)                                        \
    NV_FUNCTION(name, (nv_device dev, unsigned *count, void *out)) \
    {                                                           \
        (void)out;                                              \
        return none(dev, count);                                \
    }

EMPTY_LIST(nvmlDeviceGetGraphicsRunningProcesses)
EMPTY_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2)
EMPTY_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3)
EMPTY_LIST(nvmlDeviceGetMPSComputeRunningProcesses)
EMPTY_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2)
EMPTY_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3)
EMPTY_LIST(nvmlDeviceGetEncoderSessions)
EMPTY_LIST(nvmlDeviceGetFBCSessions)

NV_FUNCTION(nvmlDeviceGetEncoderStats,
            (nv_device dev, unsigned *count, unsigned *fps, unsigned *latency))
{
    nv_result rc = none(dev, count);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!fps || !latency)
        return VG_NV_INVALID_ARGUMENT;
    *fps = *latency = 0;
    return VG_NV_SUCCESS;
}

/* ---- utilisation by process ---- */

struct busy {
    uint64_t time;
    uint32_t pid, sm, memory, encoder, decoder, jpeg, optical_flow;
};

static void put_sample(void *out, unsigned i, const struct vg_telemetry_process *p)
{
    ((struct vg_nv_sample *)out)[i] = (struct vg_nv_sample){
        p->pid, nv_page.time, p->sm, p->memory_busy, p->encoder, p->decoder};
}

static void put_busy(void *out, unsigned i, const struct vg_telemetry_process *p)
{
    ((struct busy *)out)[i] = (struct busy){
        nv_page.time, p->pid, p->sm, p->memory_busy, p->encoder, p->decoder, 0, 0};
}

/* NULL asks for the room needed, answered with INSUFFICIENT_SIZE as natively. */
static nv_result busy_list(nv_device dev, unsigned *count, void *out, uint64_t last_seen,
                           put_fn *put)
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    bool none_newer = nv_page.time <= last_seen || !nv_process(index, 0);
    nv_leave();
    if (!count)
        return VG_NV_INVALID_ARGUMENT;
    if (none_newer) {
        *count = 0;
        return VG_NV_NOT_FOUND;
    }
    if (!out)
        *count = 0;
    return list(dev, count, out, put);
}

NV_FUNCTION(nvmlDeviceGetProcessUtilization,
            (nv_device dev, void *out, unsigned *count, unsigned long long last_seen))
{
    return busy_list(dev, count, out, last_seen, put_sample);
}

struct busy_request {
    uint32_t version, count;
    uint64_t last_seen;
    struct busy *out;
};

NV_FUNCTION(nvmlDeviceGetProcessesUtilizationInfo, (nv_device dev, struct busy_request *r))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!r)
        return VG_NV_INVALID_ARGUMENT;
    if (r->version != VG_NV_VERSION(sizeof(*r), 1))
        return VG_NV_VERSION_MISMATCH;
    return busy_list(dev, &r->count, r->out, r->last_seen, put_busy);
}
