/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of vgpu-qemu-wrapper share: settings, and the question that is put
 * to xenstore.
 */
#ifndef VG_QEMU_WRAPPER_H
#define VG_QEMU_WRAPPER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define VG_WRAPPER_CONFIG "/etc/vgpu/qemu-wrapper.conf"

struct vg_wrapper_settings {
    char wrapper[PATH_MAX];     /* the toolstack's own, which is run in the end */
    char qemu[PATH_MAX];        /* what that one runs: looked into, never run */
    char socket[108];           /* as QEMU sees it once it is confined */
    char root[108];             /* where that is outside, with {domid}; "": not confined */
    char slot[8];               /* on the PCI bus, hexadecimal */
    uint64_t size_mib, slots;
};

#define VG_WRAPPER_DEFAULTS                                                    \
    {                                                                          \
        .wrapper = "/usr/lib64/xen/bin/qemu-wrapper",                          \
        .qemu = "/usr/lib64/xen/bin/qemu-system-i386",                         \
        .socket = "/vgpu.sock", .root = "/var/xen/qemu/root-{domid}",          \
        .slot = "1e", .size_mib = 256, .slots = 16,                            \
    }

/* Takes what the file says, as far as it can be understood. */
void vg_wrapper_settings_load(struct vg_wrapper_settings *s);

/*
 * Whether this domain's VM may use the GPU, by the same keys, rights and rules as
 * vgpu-mediator, and what that calls it. False also when nobody can be asked.
 */
bool vg_wrapper_is_enabled(uint32_t domid, char *ret_name, size_t cap);

#endif
