/* SPDX-License-Identifier: MIT */
/* The functions that hand out functions: what they give leads back to trace.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gpu/trace.h"

#define TABLES    24u
#define SLOTS_MAX 128u

/* ---- Functions by name ---- */

static void redirect(const char *symbol, void **pfn, int version, uint64_t flags)
{
    const struct vg_api_row *row;

    if (*pfn && vg_api_resolve(symbol, version, flags & 2, &row) == VG_API_FOUND)
        *pfn = (void *)(uintptr_t)trace_entry[row - vg_api_rows];
}

CUresult cuGetProcAddress(VG_PARAMS(cuGetProcAddress))
{
    CUresult rc = traced_cuGetProcAddress(symbol, pfn, cudaVersion, flags);

    if (!rc)
        redirect(symbol, pfn, cudaVersion, flags);
    return rc;
}

CUresult cuGetProcAddress_v2(VG_PARAMS(cuGetProcAddress_v2))
{
    CUresult rc = traced_cuGetProcAddress_v2(symbol, pfn, cudaVersion, flags, symbolStatus);

    if (!rc)
        redirect(symbol, pfn, cudaVersion, flags);
    return rc;
}

/* ---- Private tables ---- */

typedef uint64_t slot_function(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t);

static struct table {
    uint8_t uuid[16];
    char name[9];
    unsigned slots;
    uint64_t real[SLOTS_MAX], ours[SLOTS_MAX];
} tables[TABLES];
static unsigned table_count;

static uint64_t call(unsigned t, unsigned slot, const uint64_t a[8])
{
    struct table *x = &tables[t];
    slot_function *real = (slot_function *)(uintptr_t)x->real[slot];

    trace_slot(x->name, slot, a, "begins", 0, 0);
    double began = trace_now();
    uint64_t value = real(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    trace_slot(x->name, slot, a, "gave", value, trace_now() - began);
    return value;
}

#define STUB(t, s)                                                                                 \
    static uint64_t stub_##t##_##s(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,     \
                                   uint64_t f, uint64_t g, uint64_t h)                             \
    {                                                                                              \
        const uint64_t arg[8] = {a, b, c, d, e, f, g, h};                                          \
        return call(t, s, arg);                                                                    \
    }
#define ENTRY(t, s) [t][s] = stub_##t##_##s,
#include "tests/gpu/trace_slots.h"

/* The addresses of these are part of cudart's checks; the last has no size in front. */
static bool is_checked(const uint8_t *id)
{
    static const uint8_t first[][4] = {
        {0x6b, 0xd5, 0xfb, 0x6c}, {0xd4, 0x08, 0x20, 0x55}, {0xc6, 0x93, 0x33, 0x6e}};

    for (unsigned i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        if (!memcmp(id, first[i], 4))
            return true;
    return false;
}

static const void *wrap(const uint64_t *real, const uint8_t *id)
{
    struct table *x = tables;

    for (; x < tables + table_count; x++)
        if (!memcmp(x->uuid, id, 16))
            return x->ours;
    if (table_count == TABLES || real[0] % 8 || real[0] / 8 > SLOTS_MAX)
        return real;
    memcpy(x->uuid, id, 16);
    x->slots = (unsigned)(real[0] / 8);
    snprintf(x->name, sizeof(x->name), "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
    for (unsigned i = 0; i < x->slots; i++) {
        x->real[i] = real[i];
        x->ours[i] = i && real[i] ? (uint64_t)(uintptr_t)stubs[table_count][i] : real[i];
    }
    table_count++;
    return x->ours;
}

CUresult cuGetExportTable(VG_PARAMS(cuGetExportTable))
{
    CUresult rc = traced_cuGetExportTable(ppExportTable, pExportTableId);

    if (!rc && !is_checked((const uint8_t *)pExportTableId))
        *ppExportTable = wrap(*ppExportTable, (const uint8_t *)pExportTableId);
    return rc;
}
