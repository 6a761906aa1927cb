/* SPDX-License-Identifier: MIT */
/* Writes what became of a domain's policy where guest and toolstack can read it. */
#ifndef VG_XS_STATE_H
#define VG_XS_STATE_H

#include "lib.h"
#include "vg_xen.h"

#define VG_STATE_TREE "/local/domain/0/vgpu-mediator"
#define VG_STATE_NAME "vgpu-mediator"      /* under the domain's own folder */

/* Removes what an earlier watcher left for the toolstack. */
void vg_state_clear(struct vg_xs *xs);

/*
 * Writes both places, or removes them. The domain's own folder is not touched unless
 * it still is that instance's: writing into the folder of a dead domain would bring
 * it back. False: xenstored did not take it.
 */
bool vg_state_write(struct vg_xs *xs, const struct vg_xen_state *st);

#endif
