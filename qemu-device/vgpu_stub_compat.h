/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the QEMU versions that vgpu_stub.c is compiled in:
 * 4.2 (XCP-ng's) to 7.2 (Debian 12's).
 */
#ifndef VGPU_STUB_COMPAT_H
#define VGPU_STUB_COMPAT_H

#include "hw/pci/pci.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "sysemu/sysemu.h"

/* qemu_get_vm_name() has moved from here to sysemu.h. */
#if QEMU_VERSION_MAJOR < 7
#include "qemu-common.h"
#endif

/* device_class_set_props() came with 5.0. */
#if QEMU_VERSION_MAJOR < 5
static inline void device_class_set_props(DeviceClass *dc, Property *props)
{
    dc->props = props;
}
#endif

#endif
