/* SPDX-License-Identifier: MIT */
/* One VM as XAPI has it, and where it is to be found on this host. */
#ifndef VG_MACHINE_H
#define VG_MACHINE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "xapi.h"
#include "xs.h"

#define VG_UUID_MAX 37u

struct vg_machine {
    char uuid[VG_UUID_MAX];         /* lower case */
    char ref[128];
    char power_state[16];           /* "Running" */
    json_object *label;             /* string */
    json_object *platform;          /* string to string */
    json_object *other_config;
    char name[64];                  /* the mediator's name of it */
};

/* 8-4-4-4-12 hexadecimal digits. */
bool vg_uuid_ok(const char *text);

/* Copies a uuid that is ok, in lower case, to lower[VG_UUID_MAX]. */
void vg_uuid_lower(char *lower, const char *uuid);

/*
 * Asks XAPI for the VM of that uuid or, if `uuid` is NULL, that name label, of which
 * there must be exactly one. Templates and control domains are refused. 0 or -1 with a
 * failure; in both cases vg_machine_fini it.
 */
int vg_machine_find(struct vg_machine *m, struct vg_xapi *x, const char *uuid, const char *label,
                    struct vg_failure *f);
void vg_machine_fini(struct vg_machine *m);

/* The VM's name in the mediator: what the hook chose for it, else its uuid. `xs` may be closed. */
void vg_machine_name(struct vg_machine *m, struct vg_xs *xs);

/* A member of platform, or NULL. */
const char *vg_machine_key(const struct vg_machine *m, const char *key);

/* CloudStack's own uuid of the VM, lower case, from other_config:vm_uuid; false: none. */
bool vg_machine_identity(json_object *other_config, char *identity);

#endif
