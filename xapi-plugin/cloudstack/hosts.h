/* SPDX-License-Identifier: MIT */
/* The hosts of this pool as XAPI has them, and the same as CloudStack has them. */
#ifndef VG_CLOUD_HOSTS_H
#define VG_CLOUD_HOSTS_H

#include <json-c/json.h>

#include "cloud.h"
#include "tags.h"
#include "xapi-plugin/xapi.h"

/*
 * All records of XAPI's hosts, ref to record, in *ret_hosts (the caller's); NULL there if this
 * host is not the pool's master, who alone does the work. 0, or -1 with a failure.
 */
int vg_hosts_of_pool(struct vg_xapi *x, const char *own_uuid, json_object **ret_hosts,
                     struct vg_failure *f);

/* What vgpu-publish has written of a host. */
struct vg_tags_host vg_hosts_read(json_object *record);

/* CloudStack's XenServer hosts: an array, the caller's, or NULL with `why`. */
json_object *vg_hosts_of_cloud(struct vg_cloud *c, char *why, size_t cap);

/*
 * Which of them is XAPI's host of that record: by its address, among several by its name too. NULL with
 * `why` if there is none, or no single one.
 */
json_object *vg_hosts_match(json_object *cloud_hosts, json_object *record, char *why, size_t cap);

/* A member that is a string, or "". */
const char *vg_hosts_text(json_object *o, const char *key);

#endif
