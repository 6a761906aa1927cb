/* SPDX-License-Identifier: MIT */
/*
 * The proof that cudart demands of its driver: an HMAC-MD2 over versions, process,
 * thread, the addresses of the tables and the identity of all devices.
 */
#ifndef VG_SHIM_INTEGRITY_H
#define VG_SHIM_INTEGRITY_H

#include "vg_cuda.h"

/* As handed out by cuGetExportTable. */
struct vg_integrity_tables {
    const void *cudart, *integrity, *integrity_slot;
};

CUresult vg_integrity(uint32_t version, uint64_t seconds, const struct vg_integrity_tables *tables,
                      uint8_t out[16]);

#endif
