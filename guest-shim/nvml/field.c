/* SPDX-License-Identifier: MIT */
/* Values by number: fields, and samples (of which we have the latest). */
#include <stddef.h>

#include "guest-shim/nvml/nv.h"

/* Of a link, whose number is the field's scope: what NCCL and nvidia-smi ask of newer GPUs. */
enum { FIELD_LINK_STATE = 165, FIELD_LINK_VERSION = 166 };

static bool fill_link_field(unsigned index, struct vg_nv_field *f)
{
    const struct vg_telemetry_fabric *fabric = &nv_page.fabric[index];
    enum vg_nv_link_what what = f->id == FIELD_LINK_STATE ? VG_LINK_STATE : VG_LINK_VERSION;

    if ((f->id != FIELD_LINK_STATE && f->id != FIELD_LINK_VERSION) || !fabric->known)
        return false;
    if (f->scope >= VG_TELEMETRY_LINKS)
        return true;
    const struct vg_telemetry_link *l = &fabric->link[f->scope];
    f->result = l->status[what];
    f->type = VG_NV_U32;
    f->value = what == VG_LINK_STATE ? l->state : l->version;
    return true;
}

static void fill_field(unsigned index, struct vg_nv_field *f)
{
    int known = vg_nv_field_index(f->id, f->scope);

    f->time = (int64_t)nv_page.time;
    f->latency = 0;
    f->result = VG_NV_NOT_SUPPORTED;
    if (fill_link_field(index, f) || known < 0)
        return;
    const struct vg_telemetry_fields *from = &nv_page.device[index].field;
    f->result = from->status[known];
    f->type = from->type[known];
    f->value = from->value[known];
}

NV_FUNCTION(nvmlDeviceGetFieldValues, (nv_device dev, int count, struct vg_nv_field *fields))
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (count <= 0 || !fields)
        rc = VG_NV_INVALID_ARGUMENT;
    for (int i = 0; rc == VG_NV_SUCCESS && i < count; i++)
        fill_field(index, &fields[i]);
    nv_leave();
    return rc;
}

/* ---- samples ---- */

struct sample {
    uint64_t time;
    uint64_t value;     /* a union: the low bytes */
};

static const struct {
    enum vg_nv_item item;
    unsigned element, word;
} sources[] = {
    {VG_NV_POWER, 0, 0},      /* in the order of NVML's sampling types */
    {VG_NV_UTILISATION, 0, 0},
    {VG_NV_UTILISATION, 0, 1},
    {VG_NV_ENCODER, 0, 0},
    {VG_NV_DECODER, 0, 0},
    {VG_NV_CLOCK, 1, 0},
    {VG_NV_CLOCK, 2, 0},
};

static nv_result latest(unsigned index, unsigned type, struct sample *ret)
{
    uint32_t words[4];

    if (type >= sizeof(sources) / sizeof(sources[0]))
        return VG_NV_NOT_SUPPORTED;
    nv_result rc = nv_item(index, sources[type].item, sources[type].element, words);
    if (rc == VG_NV_SUCCESS)
        *ret = (struct sample){nv_page.time, words[sources[type].word]};
    return rc;
}

NV_FUNCTION(nvmlDeviceGetSamples, (nv_device dev, unsigned type, unsigned long long last_seen,
                                   unsigned *value_type, unsigned *count, struct sample *out))
{
    struct sample s;
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    rc = count && value_type ? latest(index, type, &s) : VG_NV_INVALID_ARGUMENT;
    nv_leave();
    if (rc != VG_NV_SUCCESS)
        return rc;
    if (s.time <= last_seen)
        return VG_NV_NOT_FOUND;
    *value_type = VG_NV_U32;
    if (out && *count == 0)
        return VG_NV_INSUFFICIENT_SIZE;
    if (out)
        *out = s;
    *count = 1;
    return VG_NV_SUCCESS;
}
