/* SPDX-License-Identifier: MIT */
/*
 * The functions of nvml.def that have nothing to tell a guest. They look at no more
 * than their first argument, so one signature does for all.
 */
#include "guest-shim/nvml/nv.h"

static nv_result refuse(nv_device dev, nv_result answer)
{
    nv_result rc = nv_check_device(dev);

    return rc == VG_NV_SUCCESS ? answer : rc;
}

static nv_result refuse_any(void)
{
    nv_result rc = nv_check();

    return rc == VG_NV_SUCCESS ? VG_NV_NOT_SUPPORTED : rc;
}

#define NV_HOST(symbol)
#define NV_OWN(symbol)
#define NV_DEV(symbol) \
    NV_FUNCTION(symbol, (nv_device dev)) { return refuse(dev, VG_NV_NOT_SUPPORTED); }
#define NV_SET(symbol) \
    NV_FUNCTION(symbol, (nv_device dev)) { return refuse(dev, VG_NV_NO_PERMISSION); }
#define NV_ANY(symbol) \
    NV_FUNCTION(symbol, (void)) { return refuse_any(); }
#include "guest-shim/nvml/nvml.def"
