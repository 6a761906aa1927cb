/* SPDX-License-Identifier: MIT */
/* Sums of executors' counters, see usage.h. */
#include "usage.h"

#include <stddef.h>

#include "mediator/vg_classes.h"
#include "protocol/vg_atomic.h"
#include "protocol/vg_wire.h"

typedef char vg_assert_stats_room[VG_STATS_INTERNAL + VG_API_COUNT <= VG_STATS_CALLS ? 1 : -1];
typedef char vg_assert_stats_classes[(int)VG_CLASS_COUNT <= (int)VG_STATS_CLASSES ? 1 : -1];

static void add_hist(struct vg_hist *sum, const struct vg_hist *h)
{
    sum->sum += vg_load_relaxed(&h->sum);
    for (unsigned i = 0; i < VG_HIST_BUCKETS; i++)
        sum->bucket[i] += vg_load_relaxed(&h->bucket[i]);
}

#define ADD(field) sum->field += vg_load_relaxed(&s->field)

void vg_usage_add(struct vg_usage *u, const struct vg_stats *s)
{
    struct vg_stats *sum = &u->sum;
    uint64_t peak = vg_load_relaxed(&s->memory_peak);

    u->executors++;
    ADD(calls);
    ADD(errors);
    ADD(rejected);
    ADD(bytes_in);
    ADD(bytes_out);
    ADD(memory);
    ADD(launches);
    ADD(images);
    ADD(images_known);
    ADD(images_fetched);
    ADD(busy_ns);
    ADD(doorbells);
    ADD(gpu_faults);
    ADD(gpu_ns);
    ADD(gate_wait_ns);
    ADD(turns);
    ADD(busy);
    ADD(retries);
    ADD(refused_memory);
    ADD(refused_objects);
    if (sum->memory_peak < peak)
        sum->memory_peak = peak;
    for (unsigned i = 0; i < VG_STATS_CALLS; i++)
        ADD(call[i]);
    for (unsigned i = 0; i < VG_STATS_CLASSES; i++)
        add_hist(&sum->latency[i], &s->latency[i]);
    add_hist(&sum->gpu_time, &s->gpu_time);
    add_hist(&sum->gate_wait, &s->gate_wait);
    add_hist(&sum->busy_wait, &s->busy_wait);
    add_hist(&sum->copy_bytes, &s->copy_bytes);
}

void vg_usage_add_ended(struct vg_usage *u, const struct vg_stats *s)
{
    uint64_t memory = u->sum.memory;

    vg_usage_add(u, s);
    u->sum.memory = memory;
}

uint64_t vg_usage_count(const struct vg_hist *h)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < VG_HIST_BUCKETS; i++)
        count += h->bucket[i];
    return count;
}

uint64_t vg_usage_percentile(const struct vg_hist *h, unsigned percent)
{
    uint64_t count = vg_usage_count(h), below = 0;

    for (unsigned i = 0; i < VG_HIST_BUCKETS && count > 0; i++) {
        below += h->bucket[i];
        /* Counts are an executor's claims: no product that could overflow. */
        if ((double)below >= (double)count * percent / 100)
            return (uint64_t)1 << i;
    }
    return 0;
}

/* Calls of vg_wire.h, which are no symbols of CUDA's. */
static const char *const internal[] = {
    [VG_CALL_PAD] = "pad",
    [VG_CALL_NOP] = "nop",
    [VG_CALL_SET_CONTEXT] = "set-context",
    [VG_CALL_SNAPSHOT] = "snapshot",
    [VG_CALL_COPY_IN] = "copy-in",
    [VG_CALL_COPY_OUT] = "copy-out",
    [VG_CALL_COPY_INLINE] = "copy-inline",
    [VG_CALL_COPY_3D] = "copy-3d",
    [VG_CALL_LAUNCH] = "launch",
    [VG_CALL_SYNC] = "synchronize",
    [VG_CALL_IMAGE_LOAD] = "image-load",
    [VG_CALL_FUNCTION_GET] = "function-get",
    [VG_CALL_HOST_FUNC] = "host-function",
    [VG_CALL_ALIAS] = "alias",
    [VG_CALL_UNALIAS] = "unalias",
};

#define INTERNAL_COUNT (sizeof(internal) / sizeof(internal[0]))

const char *vg_usage_call_name(unsigned index)
{
    if (index < VG_STATS_INTERNAL)
        return index < INTERNAL_COUNT ? internal[index] : NULL;
    index -= VG_STATS_INTERNAL;
    return index < VG_API_COUNT ? vg_api_rows[index].symbol : NULL;
}

enum vg_api_class vg_usage_call_class(unsigned index)
{
    if (index < VG_STATS_INTERNAL)
        return vg_internal_class(index);
    if (index - VG_STATS_INTERNAL >= VG_API_COUNT)
        return VG_CLASS_OTHER;
    return (enum vg_api_class)vg_api_rows[index - VG_STATS_INTERNAL].class;
}

void vg_usage_classes(const struct vg_usage *u, uint64_t ret_calls[VG_CLASS_COUNT])
{
    for (unsigned i = 0; i < VG_CLASS_COUNT; i++)
        ret_calls[i] = 0;
    for (unsigned i = 0; i < VG_STATS_CALLS; i++)
        ret_calls[vg_usage_call_class(i)] += u->sum.call[i];
}
