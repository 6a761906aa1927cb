/* SPDX-License-Identifier: MIT */
/*
 * CloudStack's API, as much of it as host tags need: signed requests by POST, so that no key is in
 * a log of a proxy, each good for ten minutes only. Blocking, one after the other.
 */
#ifndef VG_CLOUD_H
#define VG_CLOUD_H

#include <json-c/json.h>
#include <stddef.h>

#include "settings.h"

struct vg_cloud {
    const struct vg_cloud_settings *settings;
    void *curl;                 /* of libcurl, made at the first call */
};

struct vg_cloud_arg {
    const char *name;           /* lower case */
    const char *value;
};

void vg_cloud_init(struct vg_cloud *c, const struct vg_cloud_settings *settings);
void vg_cloud_fini(struct vg_cloud *c);

/*
 * What CloudStack answers to `command`: the object within its "...response", the caller's, or NULL
 * with a sentence in `why`. Up to 8 arguments.
 */
json_object *vg_cloud_call(struct vg_cloud *c, const char *command, const struct vg_cloud_arg *args,
                           unsigned n, char *why, size_t cap);

#endif
