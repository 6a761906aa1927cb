/* SPDX-License-Identifier: MIT */
/* The keys of VM.platform, see keys.h. */
#include "keys.h"

#include <stdio.h>
#include <string.h>

#include "mediator/base/util.h"
#include "mediator/daemon/policy.h"

static const char *const yes[] = { "true", "1", "yes", "on" };
static const char *const no[] = { "false", "0", "no", "off" };

unsigned vg_keys_count(void)
{
    return 1 + VG_POLICY_FIELDS;
}

void vg_keys_name(unsigned i, char *key)
{
    snprintf(key, VG_KEY_MAX, "%s%s", VG_KEYS_PREFIX,
             i == 0 ? &VG_KEYS_ENABLED[strlen(VG_KEYS_PREFIX)] : vg_policy_fields[i - 1].key);
}

bool vg_keys_find(const char *name, char *key)
{
    size_t skip = strncmp(name, VG_KEYS_PREFIX, strlen(VG_KEYS_PREFIX)) == 0
                      ? strlen(VG_KEYS_PREFIX) : 0;

    for (unsigned i = 0; i < vg_keys_count(); i++) {
        vg_keys_name(i, key);
        if (strcmp(key + strlen(VG_KEYS_PREFIX), name + skip) == 0)
            return true;
    }
    return false;
}

static bool is_one_of(const char *value, const char *const *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(value, list[i]) == 0)
            return true;
    }
    return false;
}

bool vg_keys_enabled(const char *value, bool *ret_valid)
{
    bool is_yes = is_one_of(value, yes, VG_ARRAY_LEN(yes));

    *ret_valid = is_yes || is_one_of(value, no, VG_ARRAY_LEN(no));
    return is_yes;
}

bool vg_keys_check(const char *key, const char *value, char *why, size_t why_cap)
{
    struct vg_policy scratch;
    char reason[256];
    bool valid;

    if (strcmp(key, VG_KEYS_ENABLED) == 0) {
        vg_keys_enabled(value, &valid);
        if (!valid)
            snprintf(why, why_cap, "%s: \"%.80s\" is not one of true, false", key, value);
        return valid;
    }
    vg_policy_init(&scratch);
    if (vg_policy_set(&scratch, key + strlen(VG_KEYS_PREFIX), value, reason, sizeof(reason)) == 0)
        return true;
    snprintf(why, why_cap, "%s%s", VG_KEYS_PREFIX, reason);
    return false;
}

void vg_keys_say(char *text, size_t cap)
{
    size_t used = 0;
    char key[VG_KEY_MAX];

    for (unsigned i = 0; i < vg_keys_count() && used < cap; i++) {
        vg_keys_name(i, key);
        used += (size_t)snprintf(text + used, cap - used, "%s%s", i ? ", " : "", key);
    }
}
