/* SPDX-License-Identifier: MIT */
/*
 * Whether the caller may do what he asks.
 *
 * On the pool's master XAPI hands a plugin the caller's own session: what it may do in
 * XAPI, it may do here. To another host XAPI hands a session of the pool itself, and the
 * caller is hidden. Through host.call_plugin he is a pool administrator; but XAPI 26.1
 * (XCP-ng 8.3) also has VM.call_host_plugin, for VM operators. So where XAPI has that,
 * a hidden caller may read, and have what XAPI already holds applied, and no more;
 * unless "forwarded = trust" stands in /etc/vgpu/plugin.conf.
 */
#ifndef VG_AUTH_H
#define VG_AUTH_H

#include "plugin.h"

#define VG_PLUGIN_CONF "/etc/vgpu/plugin.conf"

/* 0, or -1 with p->failure set. */
int vg_auth_check(struct vg_plugin *p, enum vg_right right);

#endif
