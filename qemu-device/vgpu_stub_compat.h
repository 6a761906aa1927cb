/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the QEMU versions that vgpu_stub.c is compiled in:
 * 4.2 (XCP-ng's) to 7.2 (Debian 12's).
 */
#ifndef VGPU_STUB_COMPAT_H
#define VGPU_STUB_COMPAT_H

#include "exec/address-spaces.h"
#include "hw/i386/x86.h"
#include "hw/pci/pci.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"

/* qemu_get_vm_name() and xen_enabled() have moved from here. */
#if QEMU_VERSION_MAJOR < 7
#include "qemu-common.h"
#include "hw/xen/xen.h"
#else
#include "sysemu/xen.h"
#endif

/* Listeners have had names since 6.2. */
#if QEMU_VERSION_MAJOR < 7
#define VG_LISTENER_NAME(text)
#else
#define VG_LISTENER_NAME(text) .name = text,
#endif

/* By what a state is registered, and how a change of the VM's is told. */
#if QEMU_VERSION_MAJOR < 5
#define VG_VMSTATE_OF(obj) DEVICE(obj)
#else
#define VG_VMSTATE_OF(obj) VMSTATE_IF(obj)
#endif
#if QEMU_VERSION_MAJOR < 6
#define VG_RUNNING int
#else
#define VG_RUNNING bool
#endif
/* Whoever asked for a log of dirty memory has died. Since 6.2 there may be others. */
static inline void vg_stop_dirty_log(void)
{
#if QEMU_VERSION_MAJOR < 7
    memory_global_dirty_log_stop();
#else
    if (global_dirty_tracking & GLOBAL_DIRTY_MIGRATION) {
        memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
    }
#endif
}

#ifndef VMSTATE_INSTANCE_ID_ANY
#define VMSTATE_INSTANCE_ID_ANY -1
#endif

/* device_class_set_props() came with 5.0, and additions that cannot fail with 5.1. */
#if QEMU_VERSION_MAJOR < 5
#define object_property_try_add object_property_add
static inline void device_class_set_props(DeviceClass *dc, Property *props)
{
    dc->props = props;
}
#endif

#endif
