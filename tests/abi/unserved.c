/* SPDX-License-Identifier: MIT */
/* See unserved.h. Only rows of mode NOSUP are looked at; the first pattern that fits counts. */
#include "tests/abi/unserved.h"

#include <fnmatch.h>
#include <string.h>

#include "vg_api.h"

#define PATTERNS_MAX 16u

static const struct reason {
    const char *why;
    const char *pattern[PATTERNS_MAX];
} reasons[] = {
    {"addresses and sizes of 32 bits (CUDA 3.1 and before): no address of a GPU fits",
     {"cuDeviceTotalMem", "cuMemGetInfo", "cuMemAlloc", "cuMemAllocPitch", "cuMemFree",
      "cuMemGetAddressRange", "cuModuleGetGlobal", "cuMemHostGetDevicePointer", "cuMemcpy*",
      "cuMemset*", "cuArray*", "cuTexRef*"}},
    {"interoperation with graphics: display and drawing programs are in the guest, the GPU is not",
     {"cuGraphics*"}},
    {"memory and semaphores of other drivers and devices: their handles mean nothing to the host",
     {"cuImportExternal*", "cuExternalMemory*", "cuDestroyExternal*", "cuSignalExternal*",
      "cuWaitExternal*", "cuGraph*ExternalSemaphores*", "cuDeviceGetNvSciSyncAttributes",
      "cuMemGetHandleForAddressRange", "cuFlushGPUDirectRDMAWrites"}},
    {"managed memory: guest and GPU would have to see each other's page faults",
     {"cuMemAllocManaged", "cuMemPrefetch*", "cuMemAdvise*", "cuMemDiscard*", "cuMemRangeGet*",
      "cuStreamAttachMemAsync*"}},
    {"memory of several GPUs behind one switch", {"cuMulticast*"}},
    {"sparse arrays", {"cuMemMapArrayAsync*"}},
    {"decompression by the GPU: no hardware for it before Blackwell, and the device's attribute says so",
     {"cuMemBatchDecompressAsync*"}},
    {"functions that host and GPU both call: only where they share memory (Grace)",
     {"cuLibraryGetUnifiedFunction"}},
    {"checkpoints: the process that holds the GPU's state is the host's", {"cuCheckpoint*"}},
    {"core dumps of the GPU: they would be files of the host", {"cuCoredump*"}},
    {"a file written by the driver would be a file of the host", {"cuGraphDebugDotPrint"}},
    {"Windows only", {"cuDeviceGetLuid"}},
};

#define REASONS (sizeof(reasons) / sizeof(reasons[0]))

/* REASONS: none. */
static size_t reason_of(const char *symbol)
{
    size_t i;

    for (i = 0; i < REASONS; i++)
        for (unsigned k = 0; k < PATTERNS_MAX && reasons[i].pattern[k]; k++)
            if (fnmatch(reasons[i].pattern[k], symbol, 0) == 0)
                return i;
    return i;
}

static bool is_unserved(const struct vg_api_row *row)
{
    return row->mode == VG_MODE_NOSUP;
}

const char *unserved_without_reason(void)
{
    for (unsigned i = 0; i < VG_API_COUNT; i++)
        if (is_unserved(&vg_api_rows[i]) && reason_of(vg_api_rows[i].symbol) == REASONS)
            return vg_api_rows[i].symbol;
    return NULL;
}

static unsigned print_symbols(FILE *to, size_t reason)
{
    unsigned n = 0;

    for (unsigned i = 0; i < VG_API_COUNT; i++) {
        const struct vg_api_row *row = &vg_api_rows[i];
        if (!is_unserved(row) || reason_of(row->symbol) != reason)
            continue;
        if (to)
            fprintf(to, "%s`%s`", n ? " " : "", row->symbol);
        n++;
    }
    return n;
}

void unserved_print(FILE *to)
{
    fputs("| why not | functions |\n|---|---|\n", to);
    for (size_t i = 0; i < REASONS; i++) {
        if (print_symbols(NULL, i) == 0)
            continue;
        fprintf(to, "| %s | ", reasons[i].why);
        print_symbols(to, i);
        fputs(" |\n", to);
    }
}
