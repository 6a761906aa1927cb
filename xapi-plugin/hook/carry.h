/* SPDX-License-Identifier: MIT */
/*
 * What the hook carries: a VM's other_config:gpu_*, which is all that CloudStack can set
 * safely, into /vgpu/vm/UUID of xenstore, which only Dom0 can read and write and the
 * mediator's watcher reads; with CloudStack's own uuid of the VM, as XAPI's is another at
 * each start.
 */
#ifndef VG_CARRY_H
#define VG_CARRY_H

#include <json-c/json.h>

#include "xapi-plugin/xs.h"

#define VG_CARRY_KEYS_MAX 24u       /* what the watcher takes */

/*
 * Replaces /vgpu/vm/UUID, in one transaction, by what `other_config` says; removes it if
 * that is nothing. Values are carried as they are, good or not: the watcher says what is
 * wrong with them. Keys that cannot be nodes of xenstore are left out. An identity that
 * another running VM has is left out too. 0 or -errno.
 */
int vg_carry_put(struct vg_xs *xs, const char *uuid, json_object *other_config);

/* Removes /vgpu/vm/UUID unless the VM runs on this host. 0 or -errno. */
int vg_carry_remove(struct vg_xs *xs, const char *uuid);

#endif
