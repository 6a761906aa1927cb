/* SPDX-License-Identifier: MIT */
/* Members of the mediator's answers. Missing ones, and those of another type, read as empty or 0. */
#ifndef VG_MEMBERS_H
#define VG_MEMBERS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline json_object *vg_member(json_object *o, const char *key)
{
    json_object *value = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &value);
    return value;
}

static inline const char *vg_member_text(json_object *o, const char *key)
{
    json_object *value = vg_member(o, key);

    return value ? json_object_get_string(value) : "";
}

static inline uint64_t vg_member_number(json_object *o, const char *key)
{
    json_object *value = vg_member(o, key);
    int64_t n = value ? json_object_get_int64(value) : 0;

    return n > 0 ? (uint64_t)n : 0;
}

static inline bool vg_member_true(json_object *o, const char *key)
{
    return json_object_get_boolean(vg_member(o, key));
}

static inline size_t vg_members(json_object *list)
{
    return json_object_is_type(list, json_type_array) ? (size_t)json_object_array_length(list) : 0;
}

static inline json_object *vg_item(json_object *list, size_t i)
{
    return json_object_array_get_idx(list, (int)i);
}

#endif
