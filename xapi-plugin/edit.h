/* SPDX-License-Identifier: MIT */
/*
 * Putting a change of policy where it belongs: XAPI, so that it lasts; xenstore, so
 * that it counts now; and seeing that the mediator has taken it.
 */
#ifndef VG_EDIT_H
#define VG_EDIT_H

#include "machine.h"
#include "plugin.h"

/*
 * Writes `changes` (gpu_* to a string, or to null: removed) into VM.platform. All or
 * nothing, as far as XAPI lets: after a failure the former values are put back.
 * 0 or -1 with p->failure set. Updates m->platform. edit_xapi.c
 */
int vg_edit_store(struct vg_plugin *p, struct vg_machine *m, json_object *changes);

/*
 * Brings the running VM to what `changes` says, on this host or, by its plugin, on the
 * host where it runs; adds to `out` what came of it. Never fails: XAPI has it already.
 * edit_live.c
 */
void vg_edit_live(struct vg_plugin *p, struct vg_machine *m, json_object *changes,
                  json_object *out);

/* The same for a VM that must be on this host: for `apply`, which is never handed on. */
void vg_edit_here(struct vg_plugin *p, struct vg_machine *m, json_object *changes,
                  json_object *out);

#endif
