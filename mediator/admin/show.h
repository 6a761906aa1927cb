/* SPDX-License-Identifier: MIT */
/* The mediator's answers as text for people. */
#ifndef VG_SHOW_H
#define VG_SHOW_H

#include <json-c/json.h>

void vg_show_registered(json_object *answer);
void vg_show_done(json_object *answer);
void vg_show_list(json_object *answer);
void vg_show_vm(json_object *answer);
void vg_show_metrics(json_object *answer);
void vg_show_health(json_object *answer);

#endif
