/* SPDX-License-Identifier: MIT */
/* What a device cannot do through this library although it could natively. */
#ifndef VG_SHIM_FEATURES_H
#define VG_SHIM_FEATURES_H

#include "vg_wire.h"

/* Sets the attributes of features that are not remoted to 0, so that programs do without them. */
void vg_features_limit(struct vg_device_info *device);

#endif
