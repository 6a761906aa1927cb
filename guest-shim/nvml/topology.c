/* SPDX-License-Identifier: MIT */
/*
 * Where devices lie in the guest. Its processors are all as near to them as any
 * other; what connects two GPUs is what connects them on the host.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "guest-shim/nvml/nv.h"

enum { TOPOLOGY_INTERNAL = 0, TOPOLOGY_SYSTEM = 50 };
enum { P2P_NOT_SUPPORTED = 5 };

#define LONG_BITS (sizeof(unsigned long) * CHAR_BIT)

/* ---- devices among each other ---- */

static nv_result check_pair(nv_device a, nv_device b, const void *out)
{
    nv_result rc = nv_check_device(a);

    if (rc == VG_NV_SUCCESS)
        rc = nv_check_device(b);
    return rc == VG_NV_SUCCESS && !out ? VG_NV_INVALID_ARGUMENT : rc;
}

/* What the host tells of b, seen from a. */
static nv_result find_peer(nv_device a, nv_device b, struct vg_telemetry_peer *ret)
{
    unsigned i, k;
    nv_result rc = nv_enter_device(b, &k);

    if (rc != VG_NV_SUCCESS)
        return rc;
    nv_leave();
    rc = nv_enter_device(a, &i);
    if (rc != VG_NV_SUCCESS)
        return rc;
    memset(ret, P2P_NOT_SUPPORTED, sizeof(*ret));
    ret->ancestor = TOPOLOGY_SYSTEM;
    if (nv_page.fabric[i].known)
        *ret = nv_page.fabric[i].peer[k];
    nv_leave();
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlDeviceOnSameBoard, (nv_device a, nv_device b, int *same))
{
    nv_result rc = check_pair(a, b, same);

    if (rc == VG_NV_SUCCESS)
        *same = a == b;
    return rc;
}

NV_FUNCTION(nvmlDeviceGetTopologyCommonAncestor, (nv_device a, nv_device b, unsigned *level))
{
    nv_result rc = check_pair(a, b, level);
    struct vg_telemetry_peer p;

    if (rc == VG_NV_SUCCESS)
        rc = find_peer(a, b, &p);
    if (rc == VG_NV_SUCCESS)
        *level = a == b ? TOPOLOGY_INTERNAL : p.ancestor;
    return rc;
}

NV_FUNCTION(nvmlDeviceGetP2PStatus, (nv_device a, nv_device b, unsigned which, unsigned *status))
{
    nv_result rc = check_pair(a, b, status);
    struct vg_telemetry_peer p;

    if (rc == VG_NV_SUCCESS && which >= VG_TELEMETRY_P2P)
        rc = VG_NV_INVALID_ARGUMENT;
    if (rc == VG_NV_SUCCESS)
        rc = find_peer(a, b, &p);
    if (rc == VG_NV_SUCCESS)
        *status = p.p2p[which];
    return rc;
}

static bool is_within(unsigned from, unsigned to, unsigned level)
{
    const struct vg_telemetry_fabric *f = &nv_page.fabric[from];

    return (f->known ? f->peer[to].ancestor : TOPOLOGY_SYSTEM) <= level;
}

/* Devices as near to `from` as `level` says; NULL: all. A NULL array asks for the count. */
static nv_result list_devices(const unsigned *from, unsigned level, unsigned *count, nv_device *out)
{
    unsigned found = 0, room = *count;

    for (unsigned i = 0; i < nv_page.device_count; i++) {
        if (from && (i == *from || !is_within(*from, i, level)))
            continue;
        if (out && found < room)
            out[found] = nv_handle_of(i);
        found++;
    }
    *count = found;
    return out && found > room ? VG_NV_INSUFFICIENT_SIZE : VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlDeviceGetTopologyNearestGpus,
            (nv_device dev, unsigned level, unsigned *count, nv_device *out))
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    rc = count ? list_devices(&index, level, count, out) : VG_NV_INVALID_ARGUMENT;
    nv_leave();
    return rc;
}

NV_FUNCTION(nvmlSystemGetTopologyGpuSet, (unsigned cpu, unsigned *count, nv_device *out))
{
    nv_result rc = nv_enter();

    (void)cpu;
    if (rc != VG_NV_SUCCESS)
        return rc;
    rc = count ? list_devices(NULL, 0, count, out) : VG_NV_INVALID_ARGUMENT;
    nv_leave();
    return rc;
}

/* ---- processors and memory ---- */

static nv_result fill(nv_device dev, unsigned longs, unsigned long *set, long bits)
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!set || longs == 0)
        return VG_NV_INVALID_ARGUMENT;
    memset(set, 0, longs * sizeof(*set));
    for (long i = 0; i < bits && i < (long)(longs * LONG_BITS); i++)
        set[i / (long)LONG_BITS] |= 1ul << (i % (long)LONG_BITS);
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlDeviceGetCpuAffinity, (nv_device dev, unsigned longs, unsigned long *set))
{
    return fill(dev, longs, set, sysconf(_SC_NPROCESSORS_CONF));
}

NV_FUNCTION(nvmlDeviceGetCpuAffinityWithinScope,
            (nv_device dev, unsigned longs, unsigned long *set, unsigned scope))
{
    (void)scope;
    return fill(dev, longs, set, sysconf(_SC_NPROCESSORS_CONF));
}

NV_FUNCTION(nvmlDeviceGetMemoryAffinity,
            (nv_device dev, unsigned longs, unsigned long *set, unsigned scope))
{
    (void)scope;
    return fill(dev, longs, set, 1);
}

/* All processors being near, a thread is where it should be. */
NV_FUNCTION(nvmlDeviceSetCpuAffinity, (nv_device dev))
{
    return nv_check_device(dev);
}

NV_FUNCTION(nvmlDeviceClearCpuAffinity, (nv_device dev))
{
    return nv_check_device(dev);
}
