/* SPDX-License-Identifier: MIT */
/* Start, end, versions, names: what concerns no device. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "guest-shim/nvml/nv.h"

NV_FUNCTION(nvmlInit_v2, (void))
{
    return nv_init();
}

NV_FUNCTION(nvmlInit, (void))
{
    return nv_init();
}

/* The flags (no GPUs is no error, do not attach) ask for less than we do. */
NV_FUNCTION(nvmlInitWithFlags, (unsigned flags))
{
    (void)flags;
    return nv_init();
}

NV_FUNCTION(nvmlShutdown, (void))
{
    return nv_shutdown();
}

/* ---- errors ---- */

static const struct {
    nv_result code;
    const char *text;
} errors[] = {
    {0, "Success"},
    {1, "Uninitialized"},
    {2, "Invalid Argument"},
    {3, "Not Supported"},
    {4, "Insufficient Permissions"},
    {5, "Already Initialized"},
    {6, "Not Found"},
    {7, "Insufficient Size"},
    {8, "Insufficient External Power"},
    {9, "Driver Not Loaded"},
    {10, "Timeout"},
    {11, "Interrupt Request Issue"},
    {12, "NVML Shared Library Not Found"},
    {13, "Function Not Found"},
    {14, "Corrupted infoROM"},
    {15, "GPU is lost"},
    {16, "GPU requires reset"},
    {17, "The operating system has blocked the request."},
    {18, "RM has detected an NVML/RM version mismatch."},
    {19, "In use by another client"},
    {20, "Insufficient Memory"},
    {21, "No data"},
    {22, "ECC is not supported by the vGPU"},
    {23, "Insufficient Resources"},
    {24, "Frequency not supported"},
    {25, "Argument version mismatch"},
    {26, "Deprecated"},
    {27, "Not Ready"},
    {28, "No GPUs were found"},
    {29, "Invalid State"},
    {30, "Reset type not supported"},
};

NV_EXPORT const char *nvmlErrorString(nv_result result);
const char *nvmlErrorString(nv_result result)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].code == result)
            return errors[i].text;
    }
    return "Unknown Error";
}

/* ---- versions ---- */

static nv_result page_text(const char *text, char *out, unsigned length)
{
    nv_result rc = nv_enter();

    if (rc != VG_NV_SUCCESS)
        return rc;
    rc = nv_text(text, out, length);
    nv_leave();
    return rc;
}

NV_FUNCTION(nvmlSystemGetDriverVersion, (char *version, unsigned length))
{
    return page_text(nv_page.driver_version, version, length);
}

/* NVIDIA's library knows its own version without a start. */
NV_FUNCTION(nvmlSystemGetNVMLVersion, (char *version, unsigned length))
{
    nv_result rc = page_text(nv_page.nvml_version, version, length);

    if (rc != VG_NV_UNINITIALIZED)
        return rc;
    rc = nv_init();
    if (rc != VG_NV_SUCCESS)
        return rc;
    rc = page_text(nv_page.nvml_version, version, length);
    nv_shutdown();
    return rc;
}

NV_FUNCTION(nvmlSystemGetCudaDriverVersion_v2, (int *version))
{
    nv_result rc = nv_enter();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (version)
        *version = (int)nv_page.cuda_version;
    nv_leave();
    return version ? VG_NV_SUCCESS : VG_NV_INVALID_ARGUMENT;
}

NV_FUNCTION(nvmlSystemGetCudaDriverVersion, (int *version))
{
    return nvmlSystemGetCudaDriverVersion_v2(version);
}

NV_FUNCTION(nvmlSystemGetProcessName, (unsigned pid, char *name, unsigned length))
{
    nv_result rc = nv_enter();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!name || length == 0)
        rc = VG_NV_INVALID_ARGUMENT;
    else if (!nv_process_name(pid, name, length))
        rc = VG_NV_NOT_FOUND;
    nv_leave();
    return rc;
}

/* ---- things of which there are none ---- */

static nv_result none(unsigned *count)
{
    nv_result rc = nv_check();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!count)
        return VG_NV_INVALID_ARGUMENT;
    *count = 0;
    return VG_NV_SUCCESS;
}

NV_FUNCTION(nvmlUnitGetCount, (unsigned *count))
{
    return none(count);
}

NV_FUNCTION(nvmlGetExcludedDeviceCount, (unsigned *count))
{
    return none(count);
}

NV_FUNCTION(nvmlGetBlacklistDeviceCount, (unsigned *count))
{
    return none(count);
}

NV_FUNCTION(nvmlSystemGetHicVersion, (unsigned *count, void *entries))
{
    (void)entries;
    return none(count);
}
