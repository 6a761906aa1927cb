/* SPDX-License-Identifier: MIT */
/* This host, as XAPI knows it. */
#ifndef VG_HOST_H
#define VG_HOST_H

/*
 * Its uuid, lower case, to uuid[VG_UUID_MAX], from /etc/xensource-inventory ($VGPU_INVENTORY, for
 * tests). 0, or -1 with a sentence on stderr that begins with `program`.
 */
int vg_host_uuid(const char *program, char *uuid);

#endif
