/* SPDX-License-Identifier: MIT */
/*
 * JSON: reading what administrators and the state file say, and describing VMs,
 * executors and the daemon. Every function that returns an object gives it to the
 * caller. The shape of the answers is documented in vgpu-control(7).
 */
#ifndef VG_REPORT_H
#define VG_REPORT_H

#include <json-c/json.h>
#include <stddef.h>

#include "mediator.h"

/* One JSON object as vg_json_ok() wants it; NULL with the reason in `why`. */
json_object *vg_report_parse(const char *text, size_t len, char *why, size_t why_cap);

/* The member as text; NULL if it is not there or is no string. */
const char *vg_report_text(json_object *o, const char *key);

/* Sets the fields that `o` has, by string or number. 0 or -EINVAL with the reason. */
int vg_report_policy_from(struct vg_policy *p, json_object *o, char *why, size_t why_cap);
void vg_report_policy_to(json_object *o, const struct vg_policy *p);

json_object *vg_report_vm(struct vg_mediator *m, const struct vg_vm *vm);
json_object *vg_report_executors(struct vg_mediator *m, const struct vg_vm *vm);
json_object *vg_report_metrics(struct vg_mediator *m, const struct vg_vm *vm);
/* The few numbers that `vgpu-admin top` looks at again and again. */
json_object *vg_report_load(struct vg_mediator *m, const struct vg_vm *vm);
json_object *vg_report_health(struct vg_mediator *m);

#endif
