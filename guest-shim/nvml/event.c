/* SPDX-License-Identifier: MIT */
/*
 * Event sets. Programs want to make one, nvidia-smi before anything else; but no
 * event of the host is passed on, so none can be registered and none comes. GPM,
 * the profiler's metrics, is likewise said to be absent.
 */
#include <stdlib.h>
#include <time.h>

#include "guest-shim/nvml/nv.h"

struct event_set {
    uint32_t magic;
};

#define EVENT_SET_MAGIC 0x5645564eu

static bool is_set(const struct event_set *set)
{
    return set && set->magic == EVENT_SET_MAGIC;
}

NV_FUNCTION(nvmlEventSetCreate, (struct event_set **ret_set))
{
    nv_result rc = nv_check();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!ret_set)
        return VG_NV_INVALID_ARGUMENT;
    struct event_set *set = calloc(1, sizeof(*set));
    if (!set)
        return VG_NV_MEMORY;
    set->magic = EVENT_SET_MAGIC;
    *ret_set = set;
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlEventSetFree, (struct event_set *set))
{
    nv_result rc = nv_check();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!is_set(set))
        return VG_NV_INVALID_ARGUMENT;
    set->magic = 0;
    free(set);
    return VG_NV_SUCCESS;
}

/* As natively: returns when time is up. */
static nv_result await(const struct event_set *set, const void *event, unsigned timeout_ms)
{
    nv_result rc = nv_check();
    struct timespec t = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!is_set(set) || !event)
        return VG_NV_INVALID_ARGUMENT;
    nanosleep(&t, NULL);
    return VG_NV_TIMEOUT;
}

NV_FUNCTION(nvmlEventSetWait, (struct event_set *set, void *event, unsigned timeout_ms))
{
    return await(set, event, timeout_ms);
}

NV_FUNCTION(nvmlEventSetWait_v2, (struct event_set *set, void *event, unsigned timeout_ms))
{
    return await(set, event, timeout_ms);
}

NV_FUNCTION(nvmlDeviceGetSupportedEventTypes, (nv_device dev, unsigned long long *types))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!types)
        return VG_NV_INVALID_ARGUMENT;
    *types = 0;
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlDeviceRegisterEvents,
            (nv_device dev, unsigned long long types, struct event_set *set))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!is_set(set))
        return VG_NV_INVALID_ARGUMENT;
    return types ? VG_NV_NOT_SUPPORTED : VG_NV_SUCCESS;
}

struct gpm_support {
    uint32_t version, supported;
};

NV_FUNCTION(nvmlGpmQueryDeviceSupport, (nv_device dev, struct gpm_support *s))
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!s)
        return VG_NV_INVALID_ARGUMENT;
    if (s->version != 1)        /* a plain number, unlike the others' */
        return VG_NV_VERSION_MISMATCH;
    s->supported = 0;
    return VG_NV_SUCCESS;
}
