/* SPDX-License-Identifier: MIT */
/* This host, see host.h. */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "mediator/base/file.h"
#include "mediator/base/util.h"

#define INVENTORY "/etc/xensource-inventory"
#define BEFORE    "INSTALLATION_UUID='"

int vg_host_uuid(const char *program, char *uuid)
{
    const char *path = getenv("VGPU_INVENTORY");
    vg_auto_free char *text = NULL;
    char found[VG_UUID_MAX];
    const char *at = NULL;

    path = path && *path ? path : INVENTORY;
    if (vg_file_read(path, 65536, &text) == 0)
        at = strstr(text, BEFORE);
    if (at)
        snprintf(found, sizeof(found), "%s", at + strlen(BEFORE));
    if (!at || !vg_uuid_ok(found)) {
        fprintf(stderr, "%s: %s does not tell the host's uuid\n", program, path);
        return -1;
    }
    vg_uuid_lower(uuid, found);
    return 0;
}
