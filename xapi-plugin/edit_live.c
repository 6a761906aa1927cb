/* SPDX-License-Identifier: MIT */
/*
 * A running VM and a change: write the keys where the domain has them, and wait until
 * the mediator, whose watcher sees the write, says the same. A mediator that does not
 * get its policies from xenstore is told directly.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "edit.h"
#include "keys.h"
#include "text.h"

#define TAKEN_TRIES    20           /* times 50 ms for the watcher to see a write */
#define TAKEN_PAUSE_NS 50000000l

static void add_text(json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

/* ---- xenstore ---- */

struct keys_of_domain {
    int domid;
    json_object *changes;
};

static int write_keys(struct vg_xs *xs, void *arg)
{
    struct keys_of_domain *k = arg;
    char path[VG_XS_PATH];
    int rc = 0;

    json_object_object_foreach(k->changes, key, value)
    {
        snprintf(path, sizeof(path), "/local/domain/%d/platform/%.40s", k->domid, key);
        if (rc == 0)
            rc = value ? vg_xs_write(xs, path, json_object_get_string(value))
                       : vg_xs_remove(xs, path);
    }
    return rc;
}

static void write_domain(struct vg_plugin *p, int domid, json_object *changes, json_object *out)
{
    struct keys_of_domain k = { domid, changes };
    char text[128];
    int rc;

    vg_plugin_stage("writing xenstore; VM.platform is written");
    rc = vg_xs_transact(&p->xs, write_keys, &k);
    if (rc == 0)
        snprintf(text, sizeof(text), "written for domain %d", domid);
    else
        snprintf(text, sizeof(text), "domain %d: %s", domid, strerror(-rc));
    add_text(out, "xenstore", text);
}

/* ---- the mediator ---- */

/* What show-vm says of the VM ("vm"), or NULL with the reason. */
static json_object *mediator_vm(struct vg_plugin *p, const struct vg_machine *m, char *why,
                                size_t cap)
{
    json_object *answer, *vm = NULL;

    answer = vg_plugin_ask(p, vg_plugin_request("show-vm", m->name), why, cap);
    if (!answer)
        return NULL;
    if (json_object_object_get_ex(answer, "vm", &vm))
        json_object_get(vm);
    json_object_put(answer);
    return vm;
}

static const char *member(json_object *o, const char *key)
{
    json_object *value = NULL;

    json_object_object_get_ex(o, key, &value);
    return value ? json_object_get_string(value) : NULL;
}

/* Numbers may be written "080"; what the mediator shows is the number. */
static bool equal(const char *wanted, const char *has)
{
    while (wanted[0] == '0' && wanted[1] >= '0' && wanted[1] <= '9')
        wanted++;
    return strcmp(wanted, has) == 0;
}

/* Whether every key that the mediator shows has its new value; removed ones may have any. */
static bool has_taken(json_object *vm, json_object *changes)
{
    bool valid;

    json_object_object_foreach(changes, key, value)
    {
        const char *has = member(vm, key + strlen(VG_KEYS_PREFIX));
        const char *wanted = value ? json_object_get_string(value) : NULL;

        if (!has || !wanted)
            continue;
        if (strcmp(key, VG_KEYS_ENABLED) == 0 ? strcmp(has, vg_keys_enabled(wanted, &valid)
                                                                ? "true" : "false") != 0
                                              : !equal(wanted, has))
            return false;
    }
    return true;
}

/* Only a VM that a watcher of domains knows has a domid. */
static bool is_watched(json_object *vm)
{
    json_object *domid = NULL;

    return json_object_object_get_ex(vm, "domid", &domid) && json_object_get_int(domid) >= 0;
}

static json_object *wait_taken(struct vg_plugin *p, const struct vg_machine *m,
                               json_object *changes, bool *ret_taken, char *why, size_t cap)
{
    static const struct timespec pause = { 0, TAKEN_PAUSE_NS };
    json_object *vm = mediator_vm(p, m, why, cap);

    for (unsigned i = 0; i < TAKEN_TRIES && is_watched(vm) && !has_taken(vm, changes); i++) {
        json_object_put(vm);
        nanosleep(&pause, NULL);
        vm = mediator_vm(p, m, why, cap);
    }
    *ret_taken = vm && has_taken(vm, changes);
    return vm;
}

static json_object *direct_request(const struct vg_machine *m, json_object *changes)
{
    json_object *value = NULL, *request;
    bool off, valid;

    off = json_object_object_get_ex(changes, VG_KEYS_ENABLED, &value) &&
          (!value || !vg_keys_enabled(json_object_get_string(value), &valid));
    request = vg_plugin_request(off ? "unregister-vm" : "register-vm", m->name);
    json_object_object_foreach(changes, key, text)
    {
        if (!off && text && strcmp(key, VG_KEYS_ENABLED) != 0)
            json_object_object_add(request, key + strlen(VG_KEYS_PREFIX), json_object_get(text));
    }
    return request;
}

/* What the mediator says when a VM that it does not know is to be forgotten. */
static bool was_not_there(const char *why)
{
    return strstr(why, "there is no VM") || strstr(why, "is not registered");
}

static void tell_mediator(struct vg_plugin *p, const struct vg_machine *m, json_object *changes,
                          json_object *out)
{
    char why[256] = "";
    bool taken = false;
    json_object *vm = wait_taken(p, m, changes, &taken, why, sizeof(why)), *answer;
    bool watched = is_watched(vm);

    json_object_put(vm);
    if (watched) {
        add_text(out, "mediator", taken ? "taken" : "has other values than asked for; \"get\" "
                                                    "shows them and why");
        return;
    }
    answer = vg_plugin_ask(p, direct_request(m, changes), why, sizeof(why));
    add_text(out, "mediator", answer || was_not_there(why) ? "told" : why);
    json_object_put(answer);
}

/* ---- where the VM runs ---- */

static bool is_running(const struct vg_machine *m)
{
    return strcmp(m->power_state, "Running") == 0 || strcmp(m->power_state, "Paused") == 0;
}

static json_object *keys_text(json_object *changes)
{
    struct vg_text t;
    json_object *text;

    vg_text_init(&t);
    json_object_object_foreach(changes, key, value)
    {
        (void)value;
        if (t.len)
            vg_text_puts(&t, ",");
        vg_text_puts(&t, key);
    }
    text = json_object_new_string(t.data ? t.data : "");
    vg_text_fini(&t);
    return text;
}

static json_object *apply_params(const struct vg_machine *m, const char *object,
                                 json_object *changes)
{
    json_object *params = json_object_new_array(), *args = json_object_new_object();

    json_object_object_add(args, "vm_uuid", json_object_new_string(m->uuid));
    json_object_object_add(args, "keys", keys_text(changes));
    json_object_array_add(params, json_object_new_string(object));
    json_object_array_add(params, json_object_new_string(VG_PLUGIN_NAME));
    json_object_array_add(params, json_object_new_string("apply"));
    json_object_array_add(params, args);
    return params;
}

/* XCP-ng 8.2 has no VM.call_host_plugin; there the caller is an administrator anyhow. */
static int call_apply(struct vg_plugin *p, const struct vg_machine *m, json_object *changes,
                      json_object **ret, struct vg_failure *f)
{
    json_object *host = NULL;
    int rc = vg_xapi_call(&p->xapi, "VM.call_host_plugin", apply_params(m, m->ref, changes), ret,
                          f);

    if (rc == 0 || strcmp(vg_failure_code(f), "MESSAGE_METHOD_UNKNOWN") != 0)
        return rc;
    vg_failure_fini(f);
    rc = vg_xapi_ask(&p->xapi, "VM.get_resident_on", m->ref, NULL, NULL, &host, f);
    if (rc == 0)
        rc = vg_xapi_call(&p->xapi, "host.call_plugin",
                          apply_params(m, host ? json_object_get_string(host) : "", changes), ret,
                          f);
    json_object_put(host);
    return rc;
}

static void apply_elsewhere(struct vg_plugin *p, const struct vg_machine *m, json_object *changes,
                            json_object *out)
{
    struct vg_failure f = { NULL };
    json_object *answer = NULL, *there;
    char why[VG_FAILURE_TEXT], text[VG_FAILURE_TEXT + 64];

    vg_plugin_stage("waiting for the host where the VM runs; VM.platform is written");
    if (call_apply(p, m, changes, &answer, &f) == 0) {
        there = answer ? json_tokener_parse(json_object_get_string(answer)) : NULL;
        json_object_object_add(out, "host", there);
    } else {
        vg_failure_say(&f, why, sizeof(why));
        snprintf(text, sizeof(text), "the host where the VM runs: %s", why);
        add_text(out, "xenstore", text);
    }
    json_object_put(answer);
    vg_failure_fini(&f);
}

void vg_edit_here(struct vg_plugin *p, struct vg_machine *m, json_object *changes,
                  json_object *out)
{
    int domid = vg_plugin_xs(p) ? vg_xs_domid(&p->xs, m->uuid) : -1;

    if (domid < 0) {
        add_text(out, "xenstore", p->xs_why[0] ? p->xs_why : "the VM does not run on this host");
        return;
    }
    vg_machine_name(m, &p->xs);
    write_domain(p, domid, changes, out);
    vg_plugin_stage("waiting for the mediator; VM.platform and xenstore are written");
    tell_mediator(p, m, changes, out);
}

void vg_edit_live(struct vg_plugin *p, struct vg_machine *m, json_object *changes,
                  json_object *out)
{
    vg_plugin_stage("asking xenstore; VM.platform is written");
    if (!is_running(m))
        add_text(out, "xenstore", "the VM does not run; it starts with the new values");
    else if (vg_plugin_xs(p) && vg_xs_domid(&p->xs, m->uuid) < 0)
        apply_elsewhere(p, m, changes, out);
    else
        vg_edit_here(p, m, changes, out);
}
