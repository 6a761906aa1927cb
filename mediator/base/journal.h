/* SPDX-License-Identifier: MIT */
/*
 * The journal's native protocol: one datagram a log line, with fields of their own for
 * what stands in it as key=value, so that `journalctl VGPU_VM=web1` finds a VM's lines.
 */
#ifndef VG_BASE_JOURNAL_H
#define VG_BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#define VG_JOURNAL_PATH "/run/systemd/journal/socket"
#define VG_JOURNAL_MAX  4096u   /* bytes of a datagram; fields beyond it are left out */

/* Connects to the journal, or to a socket at another path. The fd, close-on-exec, or -errno. */
int vg_journal_open(const char *path);

/*
 * The datagram for "event" and its text "key=value key=\"two words\"": MESSAGE, PRIORITY,
 * SYSLOG_IDENTIFIER, VGPU_EVENT, and VGPU_KEY for each pair. Its length.
 */
size_t vg_journal_format(char *out, size_t cap, const char *program, int priority,
                         const char *event, const char *text);

/* False: it did not go out, without waiting. */
bool vg_journal_send(int fd, const char *program, int priority, const char *event,
                     const char *text);

#endif
