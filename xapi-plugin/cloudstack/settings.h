/* SPDX-License-Identifier: MIT */
/* /etc/vgpu/cloudstack.conf: where CloudStack is, who we are there, and which tags it shall have. */
#ifndef VG_CLOUD_SETTINGS_H
#define VG_CLOUD_SETTINGS_H

#include <stddef.h>

#include "tags.h"

#define VG_CLOUD_CONF "/etc/vgpu/cloudstack.conf"

struct vg_cloud_settings {
    char url[512];              /* https://HOST/client/api */
    char api_key[256];
    char secret_key[256];
    char ca_file[256];          /* "": the system's */
    struct vg_tags tags;
};

/*
 * 0, or -errno with the reason in `why`. A file that others than its owner may read is
 * refused: the secret key is CloudStack's administrator.
 */
int vg_cloud_settings_read(struct vg_cloud_settings *s, const char *path, char *why, size_t cap);

#endif
