/* SPDX-License-Identifier: MIT */
/* The functions that change something: from arguments to a set of changes, see edit.h. */
#include "edit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "keys.h"
#include "mediator/base/util.h"

#define LOCK_PATH "/run/lock/vgpu-plugin"

/*
 * Calls on one host change things one after the other, so that XAPI and xenstore end
 * with the values of the same call. The deadline ends the wait. Without a lock file a
 * change is still made: XAPI's map is changed key by key.
 */
static int take_lock(void)
{
    const char *path = getenv("VGPU_PLUGIN_LOCK");
    int fd = open(path && *path ? path : LOCK_PATH,
                  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

    vg_plugin_stage("waiting for another call of this plugin to end; nothing is changed");
    while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
        ;
    return fd;
}

static int find(struct vg_plugin *p, struct vg_machine *m)
{
    const char *uuid = vg_plugin_arg(p, "vm_uuid");

    uuid = uuid ? uuid : vg_plugin_arg(p, "uuid");
    vg_plugin_stage("asking XAPI for the VM; nothing is changed");
    return vg_machine_find(m, &p->xapi, uuid, vg_plugin_arg(p, "vm_name"), &p->failure);
}

static void describe(const struct vg_machine *m, json_object *changes, json_object *out)
{
    json_object_object_add(out, "vm_uuid", json_object_new_string(m->uuid));
    json_object_object_add(out, "name", json_object_get(m->label));
    json_object_object_add(out, "platform", json_object_get(changes));
}

/* Takes `changes`. */
static int change(struct vg_plugin *p, json_object *changes, json_object *out)
{
    int lock = take_lock();
    struct vg_machine m;
    int rc = find(p, &m);

    if (rc == 0)
        rc = vg_edit_store(p, &m, changes);
    if (rc == 0) {
        describe(&m, changes, out);
        vg_edit_live(p, &m, changes, out);
    }
    vg_machine_fini(&m);
    json_object_put(changes);
    vg_close(&lock);
    return rc;
}

static int add_change(struct vg_plugin *p, json_object *changes, const char *name,
                      const char *value)
{
    char key[VG_KEY_MAX], why[320];

    if (!vg_keys_find(name, key))
        return 0;
    if (json_object_object_get_ex(changes, key, NULL))
        return vg_fail(&p->failure, p->function, "BadArgument", "%s is given twice", key);
    if (!vg_keys_check(key, value, why, sizeof(why)))
        return vg_fail(&p->failure, p->function, "BadArgument", "%s", why);
    json_object_object_add(changes, key, json_object_new_string(value));
    return 0;
}

/* Every policy argument; NULL after a failure. */
static json_object *changes_of_args(struct vg_plugin *p)
{
    json_object *changes = json_object_new_object();

    json_object_object_foreach(p->args, name, value)
    {
        if (add_change(p, changes, name, json_object_get_string(value)) < 0) {
            json_object_put(changes);
            return NULL;
        }
    }
    return changes;
}

/* ---- functions ---- */

int vg_edit_set(struct vg_plugin *p, json_object *out)
{
    json_object *changes = changes_of_args(p);
    char keys[256];

    if (!changes)
        return -1;
    if (json_object_object_length(changes) > 0)
        return change(p, changes, out);
    json_object_put(changes);
    vg_keys_say(keys, sizeof(keys));
    return vg_fail(&p->failure, p->function, "BadArgument",
                   "there is nothing to set; give one or more of %s", keys);
}

static int set_enabled(struct vg_plugin *p, const char *value, json_object *out)
{
    json_object *changes = changes_of_args(p);

    if (!changes)
        return -1;
    json_object_object_add(changes, VG_KEYS_ENABLED, json_object_new_string(value));
    return change(p, changes, out);
}

int vg_edit_register(struct vg_plugin *p, json_object *out)
{
    return set_enabled(p, "true", out);
}

int vg_edit_unregister(struct vg_plugin *p, json_object *out)
{
    return set_enabled(p, "false", out);
}

static int set_required(struct vg_plugin *p, const char *name, json_object *out)
{
    json_object *changes = changes_of_args(p);
    char key[VG_KEY_MAX];

    if (!changes)
        return -1;
    if (vg_keys_find(name, key) && json_object_object_get_ex(changes, key, NULL))
        return change(p, changes, out);
    json_object_put(changes);
    return vg_fail(&p->failure, p->function, "BadArgument", "%s needs %s", p->function, name);
}

int vg_edit_weight(struct vg_plugin *p, json_object *out)
{
    return set_required(p, "weight", out);
}

int vg_edit_rate(struct vg_plugin *p, json_object *out)
{
    return set_required(p, "rate", out);
}

/* ---- lists of keys ---- */

static json_object *all_keys(void)
{
    json_object *keys = json_object_new_object();
    char key[VG_KEY_MAX];

    for (unsigned i = 0; i < vg_keys_count(); i++) {
        vg_keys_name(i, key);
        json_object_object_add(keys, key, NULL);
    }
    return keys;
}

/* "weight,gpu_rate", "all": an object whose members are the keys. NULL after a failure. */
static json_object *keys_of_arg(struct vg_plugin *p, const char *list)
{
    char text[VG_ARG_MAX], key[VG_KEY_MAX], allowed[256], *rest = NULL;
    json_object *keys;

    if (strcmp(list, "all") == 0)
        return all_keys();
    keys = json_object_new_object();
    snprintf(text, sizeof(text), "%s", list);
    for (char *one = strtok_r(text, ", ", &rest); one; one = strtok_r(NULL, ", ", &rest)) {
        if (!vg_keys_find(one, key)) {
            vg_keys_say(allowed, sizeof(allowed));
            vg_fail(&p->failure, p->function, "BadArgument",
                    "keys: \"%.80s\" is not one of all, %s", one, allowed);
            json_object_put(keys);
            return NULL;
        }
        json_object_object_add(keys, key, NULL);
    }
    if (json_object_object_length(keys) > 0)
        return keys;
    json_object_put(keys);
    vg_fail(&p->failure, p->function, "BadArgument", "keys: names none; \"all\" means all of them");
    return NULL;
}

int vg_edit_unset(struct vg_plugin *p, json_object *out)
{
    const char *list = vg_plugin_arg(p, "keys");
    json_object *changes;

    if (!list)
        return vg_fail(&p->failure, p->function, "BadArgument",
                       "unset needs keys=all, or some of them with commas between");
    changes = keys_of_arg(p, list);
    return changes ? change(p, changes, out) : -1;
}

/* What XAPI holds for these keys. A value that is no good stays what it is. */
static void fill_from_platform(const struct vg_machine *m, json_object *keys)
{
    json_object *names = all_keys();

    json_object_object_foreach(names, key, nothing)
    {
        const char *value = vg_machine_key(m, key);

        (void)nothing;
        if (value && json_object_object_get_ex(keys, key, NULL))
            json_object_object_add(keys, key, json_object_new_string(value));
    }
    json_object_put(names);
}

/* Changes nothing that somebody allowed to has not already put into XAPI. */
int vg_edit_apply(struct vg_plugin *p, json_object *out)
{
    const char *list = vg_plugin_arg(p, "keys");
    json_object *keys = keys_of_arg(p, list ? list : "all");
    struct vg_machine m;
    int rc, lock;

    if (!keys)
        return -1;
    lock = take_lock();
    rc = find(p, &m);
    if (rc == 0) {
        fill_from_platform(&m, keys);
        describe(&m, keys, out);
        vg_edit_here(p, &m, keys, out);
    }
    vg_machine_fini(&m);
    json_object_put(keys);
    vg_close(&lock);
    return rc;
}

int vg_edit_clear(struct vg_plugin *p, json_object *out)
{
    struct vg_machine m;
    json_object *answer = NULL;
    char why[256];
    int rc = find(p, &m);

    if (rc == 0) {
        if (vg_plugin_xs(p))
            vg_machine_name(&m, &p->xs);
        answer = vg_plugin_ask(p, vg_plugin_request("clear-quarantine", m.name), why, sizeof(why));
        if (!answer)
            rc = vg_fail(&p->failure, p->function, "MediatorError", "%s", why);
    }
    if (rc == 0) {
        json_object_object_add(out, "vm_uuid", json_object_new_string(m.uuid));
        json_object_object_add(out, "mediator", json_object_get(answer));
    }
    json_object_put(answer);
    vg_machine_fini(&m);
    return rc;
}
