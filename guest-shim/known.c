/* SPDX-License-Identifier: MIT */
/* Handles that the host has accepted; see known.h. Races only make it forget. */
#include "guest-shim/known.h"

#define HANDLE_BITS 48

uint64_t vg_known_table[VG_KNOWN_SETS][VG_KNOWN_WAYS];

/* The newest comes first: a set that is full forgets its oldest. */
void vg_known_add(enum vg_known_kind kind, uint64_t handle)
{
    uint64_t *set = vg_known_set(handle);

    if (!handle || handle >> HANDLE_BITS || vg_known(kind, handle))
        return;
    for (unsigned i = VG_KNOWN_WAYS - 1; i > 0; i--)
        vg_store_relaxed(&set[i], vg_load_relaxed(&set[i - 1]));
    vg_store_relaxed(&set[0], vg_known_key(kind, handle));
}

void vg_known_drop(enum vg_known_kind kind, uint64_t handle)
{
    uint64_t *set = vg_known_set(handle), wanted = handle | (uint64_t)kind << HANDLE_BITS;

    for (unsigned i = 0; i < VG_KNOWN_WAYS; i++)
        if ((vg_load_relaxed(&set[i]) & (((uint64_t)1 << VG_KNOWN_CTX_SHIFT) - 1)) == wanted)
            vg_store_relaxed(&set[i], (uint64_t)0);
}
