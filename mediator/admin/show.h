/* SPDX-License-Identifier: MIT */
/* The mediator's answers as text for people. */
#ifndef VG_SHOW_H
#define VG_SHOW_H

#include <json-c/json.h>
#include <stdbool.h>

void vg_show_policy(json_object *answer);      /* of its member "vm" */
void vg_show_done(json_object *answer);
void vg_show_list(json_object *answer);
void vg_show_vm(json_object *answer);
void vg_show_metrics(json_object *answer);
void vg_show_health(json_object *answer);
void vg_show_events(json_object *answer);
void vg_show_event(json_object *event);     /* one line */

/* True for the health of a mediator that cannot serve a GPU; false for any other answer. */
bool vg_show_is_unusable(json_object *answer);

#endif
