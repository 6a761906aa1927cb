/* SPDX-License-Identifier: MIT */
/*
 * Why a call failed, as XAPI shows it: an error code and its parameters. XAPI's own
 * errors pass through as they came; ours are XENAPI_PLUGIN_FAILURE with function, kind
 * and sentence, which is how plugins written in Python fail.
 */
#ifndef VG_FAILURE_H
#define VG_FAILURE_H

#include <json-c/json.h>

#define VG_FAILURE_TEXT  512u       /* bytes of a sentence */

struct vg_failure {
    json_object *parts;             /* array of strings; NULL: no failure */
};

/*
 * Sets it, unless there is one already: the first cause is the one to show. Always
 * returns -1, so that `return vg_fail(...)` reads well. `kind`: one word, "BadArgument".
 */
int vg_fail(struct vg_failure *f, const char *function, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Takes XAPI's own ErrorDescription (an array; the reference stays the caller's). */
int vg_fail_as(struct vg_failure *f, json_object *description);

/* The error code, "" if there is no failure. */
const char *vg_failure_code(const struct vg_failure *f);

/* One sentence: the last part of ours, all parts of XAPI's. For people and logs. */
void vg_failure_say(const struct vg_failure *f, char *text, size_t cap);

void vg_failure_fini(struct vg_failure *f);

#endif
