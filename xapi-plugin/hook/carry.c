/* SPDX-License-Identifier: MIT */
/* From other_config to xenstore, see carry.h. */
#include "carry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "xapi-plugin/keys.h"
#include "xapi-plugin/machine.h"

#define TREE      "/vgpu"
#define TREE_VM   TREE "/vm"
#define VALUE_MAX 255u          /* bytes; no policy value is longer */

struct carried {
    const char *uuid;
    json_object *keys;          /* name to string */
};

/* xenstore allows more; policy keys are words. */
static bool can_be_node(const char *name)
{
    return strlen(name) < VG_KEY_MAX &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool can_be_value(const char *value)
{
    if (strlen(value) > VALUE_MAX)
        return false;
    for (; *value; value++) {
        if (*value < ' ' || *value > '~')
            return false;
    }
    return true;
}

static void take_keys(json_object *keys, json_object *other_config)
{
    json_object_object_foreach(other_config, name, value)
    {
        if (strncmp(name, VG_KEYS_PREFIX, strlen(VG_KEYS_PREFIX)) != 0)
            continue;
        if (can_be_node(name) && json_object_is_type(value, json_type_string) &&
            can_be_value(json_object_get_string(value)) &&
            json_object_object_length(keys) < (int)VG_CARRY_KEYS_MAX)
            json_object_object_add(keys, name, json_object_get(value));
        else
            syslog(LOG_WARNING, "other_config:%.60s cannot be carried to xenstore", name);
    }
}

/*
 * A copy of a CloudStack VM made by other tools has the same vm_uuid. Two VMs of one
 * identity would share one policy, so the second to start goes by its own uuid.
 */
static bool is_taken(struct vg_xs *xs, const char *identity, const char *uuid)
{
    char path[VG_XS_PATH], other[64];
    bool taken = false;
    unsigned count;
    char **uuids = vg_xs_list(xs, TREE_VM, &count);

    for (unsigned i = 0; i < count && !taken; i++) {
        snprintf(path, sizeof(path), TREE_VM "/%.40s/identity", uuids[i]);
        taken = strcmp(uuids[i], uuid) != 0 && vg_xs_read(xs, path, other, sizeof(other)) &&
                strcmp(other, identity) == 0 && vg_xs_domid(xs, uuids[i]) >= 0;
    }
    free(uuids);
    return taken;
}

static int replace(struct vg_xs *xs, void *arg)
{
    const struct carried *c = arg;
    char dir[VG_XS_PATH], path[VG_XS_PATH];
    int rc;

    snprintf(dir, sizeof(dir), TREE_VM "/%s", c->uuid);
    rc = vg_xs_remove(xs, dir);
    if (rc < 0 || json_object_object_length(c->keys) == 0)
        return rc;
    /* What is made below inherits these permissions. */
    if ((rc = vg_xs_write(xs, dir, "")) < 0 || (rc = vg_xs_keep(xs, TREE)) < 0 ||
        (rc = vg_xs_keep(xs, TREE_VM)) < 0 || (rc = vg_xs_keep(xs, dir)) < 0)
        return rc;
    json_object_object_foreach(c->keys, name, value)
    {
        snprintf(path, sizeof(path), TREE_VM "/%s/%s", c->uuid, name);
        rc = vg_xs_write(xs, path, json_object_get_string(value));
        if (rc < 0)
            return rc;
    }
    return 0;
}

int vg_carry_put(struct vg_xs *xs, const char *uuid, json_object *other_config)
{
    struct carried c = { uuid, json_object_new_object() };
    char identity[VG_UUID_MAX];
    int rc;

    take_keys(c.keys, other_config);
    if (vg_machine_identity(other_config, identity)) {
        if (is_taken(xs, identity, uuid))
            syslog(LOG_WARNING, "VM %s: another running VM has its vm_uuid %s too", uuid,
                   identity);
        else
            json_object_object_add(c.keys, "identity", json_object_new_string(identity));
    }
    rc = vg_xs_transact(xs, replace, &c);
    json_object_put(c.keys);
    return rc;
}

int vg_carry_remove(struct vg_xs *xs, const char *uuid)
{
    char path[VG_XS_PATH];

    if (vg_xs_domid(xs, uuid) >= 0)
        return 0;
    snprintf(path, sizeof(path), TREE_VM "/%s", uuid);
    return vg_xs_remove(xs, path);
}
