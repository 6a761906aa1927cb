/* SPDX-License-Identifier: MIT */
/* The error log of the driver API. */
#ifndef VG_SHIM_LOGS_H
#define VG_SHIM_LOGS_H

/* Keeps a message for cuLogs* and hands it to the callbacks. text: without newline. Any thread. */
void vg_logs_add(const char *text);

#endif
