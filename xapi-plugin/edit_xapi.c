/* SPDX-License-Identifier: MIT */
/*
 * VM.platform, key by key: the map may hold keys of others, which may change meanwhile,
 * so it is never written as a whole. XAPI's add fails if the key is there; a removed key
 * that is back was put there by somebody else, and the later of us wins.
 */
#include <string.h>

#include "edit.h"

#define ADD_TRIES 5

static int remove_key(struct vg_plugin *p, const struct vg_machine *m, const char *key,
                      struct vg_failure *f)
{
    json_object *nothing = NULL;
    int rc = vg_xapi_ask(&p->xapi, "VM.remove_from_platform", m->ref, key, NULL, &nothing, f);

    json_object_put(nothing);
    return rc;
}

static int add_key(struct vg_plugin *p, const struct vg_machine *m, const char *key,
                   const char *value, struct vg_failure *f)
{
    for (unsigned i = 0; ; i++) {
        struct vg_failure try = { NULL };
        json_object *nothing = NULL;
        int rc;

        if (vg_xapi_ask(&p->xapi, "VM.add_to_platform", m->ref, key, value, &nothing, &try) == 0) {
            json_object_put(nothing);
            return 0;
        }
        if (i == ADD_TRIES || strcmp(vg_failure_code(&try), "MAP_DUPLICATE_KEY") != 0) {
            vg_fail_as(f, try.parts);
            vg_failure_fini(&try);
            return -1;
        }
        vg_failure_fini(&try);
        rc = remove_key(p, m, key, f);
        if (rc < 0)
            return rc;
    }
}

/* `value` NULL: the key shall be gone. */
static int store_key(struct vg_plugin *p, const struct vg_machine *m, const char *key,
                     const char *value, struct vg_failure *f)
{
    if (remove_key(p, m, key, f) < 0)
        return -1;
    return value ? add_key(p, m, key, value, f) : 0;
}

/* What fails here has failed before: the first failure is the one that is told. */
static void put_back(struct vg_plugin *p, const struct vg_machine *m, json_object *done)
{
    json_object_object_foreach(done, key, value)
    {
        struct vg_failure ignored = { NULL };

        (void)value;
        store_key(p, m, key, vg_machine_key(m, key), &ignored);
        vg_failure_fini(&ignored);
    }
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void take_over(struct vg_machine *m, json_object *changes)
{
    json_object_object_foreach(changes, key, value)
    {
        if (value)
            json_object_object_add(m->platform, key, json_object_get(value));
        else
            json_object_object_del(m->platform, key);
    }
}

int vg_edit_store(struct vg_plugin *p, struct vg_machine *m, json_object *changes)
{
    json_object *done = json_object_new_object();
    int rc = 0;

    vg_plugin_stage("writing VM.platform");
    json_object_object_foreach(changes, key, value)
    {
        const char *text = value ? json_object_get_string(value) : NULL;

        if (same(vg_machine_key(m, key), text))
            continue;
        json_object_object_add(done, key, NULL);
        rc = store_key(p, m, key, text, &p->failure);
        if (rc < 0) {
            put_back(p, m, done);
            break;
        }
    }
    json_object_put(done);
    if (rc == 0)
        take_over(m, changes);
    return rc;
}
