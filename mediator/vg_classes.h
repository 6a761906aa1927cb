/* SPDX-License-Identifier: MIT */
/* The classes of the calls in vg_wire.h that are no symbols of CUDA's, for counters. */
#ifndef VG_CLASSES_H
#define VG_CLASSES_H

#include "protocol/vg_api.h"
#include "protocol/vg_wire.h"

static inline enum vg_api_class vg_internal_class(unsigned call)
{
    switch (call) {
    case VG_CALL_SET_CONTEXT:  return VG_CLASS_CONTEXT;
    case VG_CALL_SNAPSHOT:     return VG_CLASS_QUERY;
    case VG_CALL_COPY_IN:
    case VG_CALL_COPY_OUT:
    case VG_CALL_COPY_INLINE:
    case VG_CALL_COPY_3D:      return VG_CLASS_COPY;
    case VG_CALL_LAUNCH:       return VG_CLASS_LAUNCH;
    case VG_CALL_SYNC:         return VG_CLASS_SYNC;
    case VG_CALL_IMAGE_LOAD:
    case VG_CALL_FUNCTION_GET: return VG_CLASS_MODULE;
    case VG_CALL_HOST_FUNC:
    case VG_CALL_ALIAS:
    case VG_CALL_UNALIAS:      return VG_CLASS_HOST;
    default:                   return VG_CLASS_OTHER;
    }
}

#endif
