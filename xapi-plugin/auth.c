/* SPDX-License-Identifier: MIT */
/* Who may call what, see auth.h. */
#include "auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/file.h"
#include "mediator/base/ini.h"
#include "mediator/base/util.h"

/* XAPI's names of permissions are in lower case. */
#define PERMISSION_POLICY "vm.add_to_platform"
#define PERMISSION_ADMIN  "host.call_plugin"

/* A field of the session that is true; a refusal to tell counts as no. */
static int session_is(struct vg_plugin *p, const char *getter, bool *ret_is)
{
    struct vg_failure refused = { NULL };
    json_object *value = NULL;
    int rc = vg_xapi_ask(&p->xapi, getter, p->xapi.session, NULL, NULL, &value, &refused);

    *ret_is = rc == 0 && json_object_get_boolean(value);
    json_object_put(value);
    if (rc < 0 && strcmp(vg_failure_code(&refused), "RBAC_PERMISSION_DENIED") != 0)
        vg_fail_as(&p->failure, refused.parts);
    vg_failure_fini(&refused);
    return p->failure.parts ? -1 : 0;
}

static int has_permission(struct vg_plugin *p, const char *permission, bool *ret_has)
{
    json_object *list = NULL;
    size_t n;

    *ret_has = false;
    if (vg_xapi_ask(&p->xapi, "session.get_rbac_permissions", p->xapi.session, NULL, NULL, &list,
                    &p->failure) < 0)
        return -1;
    n = json_object_is_type(list, json_type_array) ? (size_t)json_object_array_length(list) : 0;
    for (size_t i = 0; i < n && !*ret_has; i++) {
        const char *has = json_object_get_string(json_object_array_get_idx(list, (int)i));

        *ret_has = has && strcmp(has, permission) == 0;
    }
    json_object_put(list);
    return 0;
}

/* Called with too few parameters, a method that is there complains about their number. */
static int operators_may_call(struct vg_plugin *p, bool *ret_may)
{
    struct vg_failure f = { NULL };
    json_object *value = NULL;
    int rc = vg_xapi_ask(&p->xapi, "VM.call_host_plugin", NULL, NULL, NULL, &value, &f);

    json_object_put(value);
    *ret_may = rc == 0 || strcmp(vg_failure_code(&f), "MESSAGE_METHOD_UNKNOWN") != 0;
    vg_failure_fini(&f);
    return 0;
}

static int take_setting(void *arg, const char *key, const char *value, char *why, size_t cap)
{
    bool *trust = arg;

    if (strcmp(key, "forwarded") != 0 ||
        (strcmp(value, "trust") != 0 && strcmp(value, "read") != 0)) {
        snprintf(why, cap, "only \"forwarded = trust\" or \"forwarded = read\" can stand here");
        return -EINVAL;
    }
    *trust = strcmp(value, "trust") == 0;
    return 0;
}

/* A file that cannot be read or understood trusts nobody. */
static bool forwarded_trusted(void)
{
    const char *path = getenv("VGPU_PLUGIN_CONF");
    vg_auto_free char *text = NULL;
    char why[256];
    bool trust = false;

    path = path && *path ? path : VG_PLUGIN_CONF;
    if (vg_file_read(path, 65536, &text) < 0)
        return false;
    return vg_ini_parse(path, text, take_setting, &trust, why, sizeof(why)) == 0 && trust;
}

static int check_hidden(struct vg_plugin *p)
{
    bool may;

    if (forwarded_trusted() || operators_may_call(p, &may) < 0 || !may)
        return p->failure.parts ? -1 : 0;
    return vg_fail(&p->failure, p->function, "NotAllowed",
                   "on this host, which is not the pool's master, a caller cannot be told from a "
                   "VM operator, who may not do this; call the plugin on the master, or let "
                   "\"forwarded = trust\" stand in %s here", VG_PLUGIN_CONF);
}

static int check_known(struct vg_plugin *p, const char *permission)
{
    bool has;

    if (has_permission(p, permission, &has) < 0)
        return -1;
    return has ? 0 : vg_fail(&p->failure, p->function, "NotAllowed",
                             "this needs a role with the permission %s", permission);
}

int vg_auth_check(struct vg_plugin *p, enum vg_right right)
{
    bool pool, superuser;

    if (right == VG_RIGHT_READ)
        return 0;
    if (session_is(p, "session.get_pool", &pool) < 0)
        return -1;
    if (pool)
        return check_hidden(p);
    if (session_is(p, "session.get_is_local_superuser", &superuser) < 0)
        return -1;
    if (superuser)
        return 0;
    return check_known(p, right == VG_RIGHT_ADMIN ? PERMISSION_ADMIN : PERMISSION_POLICY);
}
