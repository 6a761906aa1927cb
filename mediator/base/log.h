/* SPDX-License-Identifier: MIT */
/*
 * Log lines on stderr, one an event: `event key=value key="with blanks"`. Under
 * the journal each starts with its priority as <N>, else with the time. Or, asked
 * for, to the journal itself, with fields. Only
 * programs and their supervising code log; libraries return errors.
 * One write a line, so lines of several processes do not mix.
 */
#ifndef VG_BASE_LOG_H
#define VG_BASE_LOG_H

#include <stddef.h>

enum vg_log_level {     /* as of syslog */
    VG_LOG_ERROR   = 3,
    VG_LOG_WARNING = 4,
    VG_LOG_INFO    = 6,
    VG_LOG_DEBUG   = 7,
};

#define VG_LOG_LINE_MAX 1024u

/* Shows levels up to `level`; finds out whether stderr is the journal. */
void vg_log_init(enum vg_log_level level);

/*
 * From now on to the journal at that socket (journal.h), as `program`; what it does not
 * take goes to stderr. 0, or -errno: then as before.
 */
int vg_log_to_journal(const char *program, const char *path);

void vg_log(enum vg_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Copies at most cap-1 bytes of text that somebody else chose (ends at NUL or
 * after `len`), with everything but printable ASCII replaced by '?' and quotes by
 * a single one, so that it cannot forge a line or a key.
 */
void vg_log_clean(char *dst, size_t cap, const char *src, size_t len);

#endif
