/* SPDX-License-Identifier: MIT */
/* Tells the service manager how we are, if there is one ($NOTIFY_SOCKET). */
#ifndef VG_NOTIFY_H
#define VG_NOTIFY_H

/* "READY=1", "STOPPING=1". Failure is not ours to handle: the manager has its own timeout. */
void vg_notify(const char *state);

#endif
