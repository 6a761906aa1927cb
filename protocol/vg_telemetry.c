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

/*
 * Memory temperature, energy, remapped rows, power and its limits, PCIe and NVLink counts; why
 * clocks were held down, and what a sick GPU needs. Then power of memory (2) and module (1).
 */
const struct vg_nv_field_name vg_nv_fields[VG_TELEMETRY_FIELDS] = {
    {82, 0},  {83, 0},  {91, 0},  {94, 0},  {95, 0},  {142, 0}, {143, 0}, {144, 0}, {145, 0},
    {185, 0}, {186, 0}, {187, 0}, {188, 0}, {189, 0}, {190, 0}, {191, 0}, {192, 0}, {193, 0},
    {194, 0}, {195, 0}, {196, 0}, {197, 0}, {198, 0}, {147, 0}, {74, 0},  {76, 0},  {226, 0},
    {227, 0}, {230, 0}, {269, 0}, {270, 0}, {271, 0}, {301, 0}, {302, 0}, {185, 2}, {186, 2},
    {185, 1}, {186, 1}, {187, 1}, {188, 1}, {189, 1}, {190, 1}, {192, 1},
};

int vg_nv_field_index(uint32_t id, uint32_t scope)
{
    int found = -1;
    unsigned scopes = 0;

    for (unsigned i = 0; i < VG_TELEMETRY_FIELDS; i++) {
        if (vg_nv_fields[i].id != id)
            continue;
        if (vg_nv_fields[i].scope == scope)
            return (int)i;
        found = (int)i;
        scopes++;
    }
    return scopes == 1 ? found : -1;
}
