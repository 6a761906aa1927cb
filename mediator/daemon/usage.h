/* SPDX-License-Identifier: MIT */
/* Sums of executors' counters (mediator/vg_stats.h). Pure but for reading them. */
#ifndef VG_USAGE_H
#define VG_USAGE_H

#include <stdint.h>

#include "mediator/vg_stats.h"
#include "protocol/vg_api.h"

struct vg_usage {
    uint64_t executors;     /* ever started */
    struct vg_stats sum;    /* `memory`: now; `memory_peak`: of the largest single process */
};

/* Adds one executor's counters as they are at this moment. */
void vg_usage_add(struct vg_usage *u, const struct vg_stats *s);

/* As above for an executor that has ended: it holds no memory any more. */
void vg_usage_add_ended(struct vg_usage *u, const struct vg_stats *s);

/* How many values a histogram holds, and the bound that `percent` of them lie below. */
uint64_t vg_usage_count(const struct vg_hist *h);
uint64_t vg_usage_percentile(const struct vg_hist *h, unsigned percent);

/* "cuMemAlloc_v2", "launch"; NULL for an index that no call has. */
const char *vg_usage_call_name(unsigned index);

/* The class of such a call, VG_CLASS_OTHER where there is no better one. */
enum vg_api_class vg_usage_call_class(unsigned index);

/* Adds the calls up by class. */
void vg_usage_classes(const struct vg_usage *u, uint64_t ret_calls[VG_CLASS_COUNT]);

#endif
