/* SPDX-License-Identifier: MIT */
/* The registered VMs on disk, see store.h. */
#include "store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mediator/base/file.h"
#include "mediator/base/number.h"
#include "report.h"

#define STORE_MAX (4u << 20)    /* bytes */

static int store_path(char *path, size_t cap, const char *state_dir)
{
    return snprintf(path, cap, "%s/vms.json", state_dir) < (int)cap ? 0 : -ENAMETOOLONG;
}

static int load_vm(json_object *o, struct vg_vms *vms, const struct vg_policy *defaults, char *why,
                   size_t cap)
{
    struct vg_policy policy = *defaults;
    const char *name = vg_report_text(o, "name");
    struct vg_vm *vm;
    int rc;

    if (!name || !vg_name_ok(name, VG_VM_NAME_MAX) || vg_vms_find(vms, name)) {
        snprintf(why, cap, "name \"%.80s\" is not allowed or there twice", name ? name : "");
        return -EINVAL;
    }
    rc = vg_report_policy_from(&policy, o, why, cap);
    if (rc < 0)
        return rc;
    vm = vg_vms_add(vms, name, &policy);
    if (!vm)
        return -ENOMEM;
    vm->registered = true;
    return 0;
}

static int load_vms(json_object *root, struct vg_vms *vms, const struct vg_policy *defaults,
                    char *why, size_t cap)
{
    json_object *list;
    char reason[192];
    int rc = 0, one;

    if (!json_object_object_get_ex(root, "vms", &list) ||
        !json_object_is_type(list, json_type_array)) {
        snprintf(why, cap, "there is no list \"vms\"");
        return -EINVAL;
    }
    for (size_t i = 0; i < (size_t)json_object_array_length(list); i++) {
        one = load_vm(json_object_array_get_idx(list, (int)i), vms, defaults, reason,
                      sizeof(reason));
        if (one < 0 && rc == 0) {
            rc = one;
            snprintf(why, cap, "%s", reason);
        }
    }
    return rc;
}

int vg_store_load(const char *state_dir, struct vg_vms *vms, const struct vg_policy *defaults,
                  char *why, size_t why_cap)
{
    vg_auto_free char *text = NULL;
    char path[PATH_MAX], reason[256] = "";
    json_object *root;
    int rc;

    if (!state_dir[0])
        return 0;
    rc = store_path(path, sizeof(path), state_dir);
    if (rc == 0)
        rc = vg_file_read(path, STORE_MAX, &text);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0) {
        snprintf(why, why_cap, "%s: %s", path, strerror(-rc));
        return rc;
    }
    root = vg_report_parse(text, strlen(text), reason, sizeof(reason));
    rc = root ? load_vms(root, vms, defaults, reason, sizeof(reason)) : -EINVAL;
    json_object_put(root);
    if (rc < 0)
        snprintf(why, why_cap, "%s: %s", path, reason);
    return rc;
}

int vg_store_set_aside(const char *state_dir, char *ret_path, size_t cap)
{
    time_t now = time(NULL);
    char path[PATH_MAX], stamp[32];
    struct tm tm;
    int rc = store_path(path, sizeof(path), state_dir);

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
    if (rc == 0 && snprintf(ret_path, cap, "%s.damaged-%s", path, stamp) >= (int)cap)
        rc = -ENAMETOOLONG;
    return rc < 0 ? rc : rename(path, ret_path) < 0 ? -errno : 0;
}

static json_object *registered(const struct vg_vms *vms)
{
    json_object *list = json_object_new_array(), *root = json_object_new_object();
    struct vg_vm *vm;

    vg_list_for_each(vm, &vms->list, link) {
        json_object *o;

        if (!vm->registered)
            continue;
        o = json_object_new_object();
        json_object_object_add(o, "name", json_object_new_string(vm->name));
        vg_report_policy_to(o, &vm->policy);
        json_object_array_add(list, o);
    }
    json_object_object_add(root, "version", json_object_new_int(1));
    json_object_object_add(root, "vms", list);
    return root;
}

int vg_store_save(const char *state_dir, const struct vg_vms *vms)
{
    char path[PATH_MAX];
    json_object *root;
    int rc;

    if (!state_dir[0])
        return 0;
    rc = store_path(path, sizeof(path), state_dir);
    if (rc == 0)
        rc = vg_file_make_parent(path, 0755);
    if (rc < 0)
        return rc;
    root = registered(vms);
    rc = vg_file_replace(path, json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY),
                         0644);
    json_object_put(root);
    return rc;
}
