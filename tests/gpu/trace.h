/* SPDX-License-Identifier: MIT */
/* The two halves of the tracing libcuda. */
#ifndef TRACE_H
#define TRACE_H

#include <stdint.h>

#include "vg_api.h"

typedef void function(void);

extern function *const trace_entry[VG_API_COUNT];

/* Microseconds of a clock that only goes forward. */
double trace_now(void);

/* One line about a call of a private table's slot; value is its result, where it has one. */
void trace_slot(const char *id, unsigned slot, const uint64_t arg[8], const char *when,
                uint64_t value, double took);

CUresult traced_cuGetProcAddress(VG_PARAMS(cuGetProcAddress));
CUresult traced_cuGetProcAddress_v2(VG_PARAMS(cuGetProcAddress_v2));
CUresult traced_cuGetExportTable(VG_PARAMS(cuGetExportTable));

#endif
