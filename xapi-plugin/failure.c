/* SPDX-License-Identifier: MIT */
/* Why a call failed, see failure.h. */
#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PLUGIN_FAILURE "XENAPI_PLUGIN_FAILURE"

int vg_fail(struct vg_failure *f, const char *function, const char *kind, const char *fmt, ...)
{
    char text[VG_FAILURE_TEXT];
    va_list args;

    if (f->parts)
        return -1;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    f->parts = json_object_new_array();
    json_object_array_add(f->parts, json_object_new_string(PLUGIN_FAILURE));
    json_object_array_add(f->parts, json_object_new_string(function));
    json_object_array_add(f->parts, json_object_new_string(kind));
    json_object_array_add(f->parts, json_object_new_string(text));
    return -1;
}

int vg_fail_as(struct vg_failure *f, json_object *description)
{
    if (!f->parts)
        f->parts = json_object_get(description);
    return -1;
}

static const char *part(const struct vg_failure *f, size_t i)
{
    json_object *p = json_object_array_get_idx(f->parts, (int)i);

    return p ? json_object_get_string(p) : "";
}

const char *vg_failure_code(const struct vg_failure *f)
{
    return f->parts ? part(f, 0) : "";
}

void vg_failure_say(const struct vg_failure *f, char *text, size_t cap)
{
    size_t n = f->parts ? (size_t)json_object_array_length(f->parts) : 0, used = 0;
    size_t first = n == 4 && strcmp(part(f, 0), PLUGIN_FAILURE) == 0 ? 3 : 0;

    text[0] = '\0';
    for (size_t i = first; i < n && used < cap; i++)
        used += (size_t)snprintf(text + used, cap - used, "%s%s", i > first ? " " : "",
                                 part(f, i));
}

void vg_failure_fini(struct vg_failure *f)
{
    json_object_put(f->parts);
    f->parts = NULL;
}
