/* SPDX-License-Identifier: MIT */
/* Requests against the table of verbs: names, types, bounds, rights. Changes nothing. */
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "mediator/base/util.h"
#include "report.h"

static const struct vg_arg *arg_of(const struct vg_arg *args, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(args[i].name, name) == 0)
            return args[i].local ? NULL : &args[i];
    }
    return NULL;
}

/* A number may come as text too: so do those that shells and toolstacks pass on. */
static bool type_ok(const struct vg_arg *a, json_object *value)
{
    bool text = json_object_is_type(value, json_type_string);

    if (a->kind == VG_ARG_FLAG)
        return json_object_is_type(value, json_type_boolean);
    if (a->kind == VG_ARG_NUMBER || (a->kind == VG_ARG_POLICY && a->max > 0))
        return text || json_object_is_type(value, json_type_int);
    return text;
}

static bool value_ok(const struct vg_arg *a, json_object *value, char *why, size_t cap)
{
    const char *text = value ? json_object_get_string(value) : "null";
    char allowed[128];

    if (!type_ok(a, value)) {
        vg_arg_allowed(a, allowed, sizeof(allowed));
        snprintf(why, cap, "%s: %.80s is of the wrong type; allowed: %s", a->name, text, allowed);
        return false;
    }
    return vg_arg_ok(a, text, why, cap);
}

static bool members_ok(const struct vg_verb *v, const struct vg_arg *args, unsigned count,
                       json_object *in, char *why, size_t cap)
{
    json_object_object_foreach(in, key, value)
    {
        const struct vg_arg *a = arg_of(args, count, key);

        if (strcmp(key, "op") == 0)
            continue;
        if (!a) {
            snprintf(why, cap, "%s takes no \"%.80s\"", v->name, key);
            return false;
        }
        if (!value_ok(a, value, why, cap))
            return false;
    }
    return true;
}

static bool complete(const struct vg_verb *v, const struct vg_arg *args, unsigned count,
                     json_object *in, char *why, size_t cap)
{
    unsigned more = 0;
    size_t n;

    for (unsigned i = 0; i < count; i++) {
        bool there = json_object_object_get_ex(in, args[i].name, NULL);

        if (args[i].needed && !there) {
            snprintf(why, cap, "%s needs %s", v->name, args[i].name);
            return false;
        }
        more += there && !args[i].needed;
    }
    if (!v->some || more > 0)
        return true;
    n = (size_t)snprintf(why, cap, "%s needs at least one of", v->name);
    for (unsigned i = 0; i < count && n < cap; i++) {
        if (!args[i].needed)
            n += (size_t)snprintf(why + n, cap - n, " %s", args[i].name);
    }
    return false;
}

static const struct vg_verb *verb_of(json_object *in, char *why, size_t cap)
{
    const char *name = vg_report_text(in, "op");
    const struct vg_verb *v = name ? vg_verb_find(name) : NULL;
    size_t n;

    if (v)
        return v;
    n = (size_t)snprintf(why, cap, "op: \"%.40s\" is not one of", name ? name : "");
    for (unsigned i = 0; i < vg_verb_count && n < cap; i++)
        n += (size_t)snprintf(why + n, cap - n, "%s %s", i ? "," : "", vg_verbs[i].name);
    return NULL;
}

const struct vg_verb *vg_control_check(json_object *in, enum vg_rights rights, char *why,
                                       size_t why_cap)
{
    const struct vg_verb *v = verb_of(in, why, why_cap);
    struct vg_arg args[VG_VERB_ARGS_MAX];
    unsigned count;

    if (!v)
        return NULL;
    if (rights < v->rights) {
        snprintf(why, why_cap, "%s: not permitted for your user and groups", v->name);
        return NULL;
    }
    count = vg_verb_args(v, args, NULL);
    return members_ok(v, args, count, in, why, why_cap) &&
                   complete(v, args, count, in, why, why_cap)
               ? v
               : NULL;
}
