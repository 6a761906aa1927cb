/* SPDX-License-Identifier: MIT */
/* The tables behind vg_telemetry.h. */
#include "vg_telemetry.h"

const struct vg_nv_row vg_nv_rows[VG_NV_ITEMS] = {
#define VG_NV(item, symbol, kind, count, size, version)                             \
    { #symbol, VG_NV_##kind, count, size, (version) ? VG_NV_VERSION(size, version) : 0, \
      offsetof(struct vg_nv_status, item), offsetof(struct vg_nv_data, item) },
#include "vg_telemetry.def"
#undef VG_NV
};

/* Memory temperature, energy, remapped rows, power and its limits, PCIe and NVLink counts. */
const uint16_t vg_nv_fields[VG_TELEMETRY_FIELDS] = {
    82,  83,  91,  94,  95,  142, 143, 144, 145, 185, 186, 187,
    188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 147,
};

int vg_nv_field_index(uint32_t id)
{
    for (unsigned i = 0; i < VG_TELEMETRY_FIELDS; i++) {
        if (vg_nv_fields[i] == id)
            return (int)i;
    }
    return -1;
}
