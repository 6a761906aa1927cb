/* SPDX-License-Identifier: MIT */
/* Sums of executors' counters, see usage.h. */
#include "usage.h"

#include <stddef.h>

#include "protocol/vg_api.h"
#include "protocol/vg_atomic.h"
#include "protocol/vg_wire.h"

typedef char vg_assert_stats_room[VG_STATS_INTERNAL + VG_API_COUNT <= VG_STATS_CALLS ? 1 : -1];
typedef char vg_assert_class_room[VG_CLASS_COUNT <= VG_STATS_CLASSES ? 1 : -1];

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
    ADD(busy_ns);
    ADD(doorbells);
    ADD(gpu_faults);
    if (sum->memory_peak < peak)
        sum->memory_peak = peak;
    for (unsigned i = 0; i < VG_STATS_CLASSES; i++)
        ADD(class_calls[i]);
    for (unsigned i = 0; i < VG_STATS_CALLS; i++)
        ADD(call[i]);
}

void vg_usage_add_ended(struct vg_usage *u, const struct vg_stats *s)
{
    uint64_t memory = u->sum.memory;

    vg_usage_add(u, s);
    u->sum.memory = memory;
}

static const char *internal_name(unsigned id)
{
    static const char *const names[] = {
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
        [VG_CALL_HOST_DONE] = "host-done",
        [VG_CALL_ALIAS] = "alias",
        [VG_CALL_UNALIAS] = "unalias",
    };

    return id < sizeof(names) / sizeof(names[0]) ? names[id] : NULL;
}

const char *vg_usage_call_name(unsigned index)
{
    if (index < VG_STATS_INTERNAL)
        return internal_name(index);
    index -= VG_STATS_INTERNAL;
    return index < VG_API_COUNT ? vg_api_rows[index].symbol : NULL;
}
