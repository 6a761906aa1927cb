/* SPDX-License-Identifier: MIT */
/*
 * vgpu-publish: tells the pool what GPU this host has. It asks the mediator and keeps
 * host.other_config:vgpu_* and the host's tag "vgpu" as they should be; a timer runs it
 * once a minute. Nothing is written that stands there already, so an idle pool's
 * database stays still. Exit status: 0, or 1 with the reason on stderr.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mediator/admin/ask.h"
#include "protocol/vg_sock.h"
#include "xapi-plugin/host.h"
#include "xapi-plugin/machine.h"
#include "xapi-plugin/version.h"
#include "xapi-plugin/xapi.h"

#define NAME      "vgpu-publish"
#define TAG       "vgpu"
#define DEADLINE_S 30
#define TRIES      40u          /* times PAUSE_US: the GPU is asked when somebody wants to know */
#define PAUSE_US   250000
#define STEP_MIB   256          /* what is free changes all the time, a pool's database should not */

static json_object *get(json_object *o, const char *key)
{
    json_object *value = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &value);
    return value;
}

static const char *text_of(json_object *o, const char *key)
{
    json_object *value = get(o, key);

    return value ? json_object_get_string(value) : "";
}

/* ---- what there is ---- */

static json_object *ask(const char *op)
{
    const char *path = getenv("VGPU_CONTROL_SOCKET");
    json_object *request = json_object_new_object(), *answer;
    char why[256];

    json_object_object_add(request, "op", json_object_new_string(op));
    answer = vg_ask(path && *path ? path : VG_CONTROL_PATH, request, why, sizeof(why));
    json_object_put(request);
    if (!answer)
        fprintf(stderr, NAME ": %s\n", why);
    return answer;
}

static void add_text(json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

static void add_number(json_object *o, const char *key, int64_t n)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64, n);
    add_text(o, key, text);
}

/* VMs that have a policy, and the GPU memory that their limits add up to. */
static void add_use(json_object *wanted, json_object *vms)
{
    size_t n = json_object_is_type(vms, json_type_array) ? (size_t)json_object_array_length(vms)
                                                          : 0;
    int64_t registered = 0, reserved = 0;

    for (size_t i = 0; i < n; i++) {
        json_object *vm = json_object_array_get_idx(vms, (int)i);

        if (!json_object_get_boolean(get(vm, "registered")))
            continue;
        registered++;
        reserved += json_object_get_int64(get(vm, "memory_mib"));
    }
    add_number(wanted, "vgpu_vms", registered);
    add_number(wanted, "vgpu_memory_reserved_mib", reserved);
}

/* The first answer may come before the GPU's. */
static json_object *ask_health(void)
{
    json_object *answer = ask("show-health");

    for (unsigned i = 0; i < TRIES; i++) {
        json_object *h = get(answer, "health");

        if (!h || strcmp(text_of(h, "status"), "unusable") == 0 || get(h, "gpu_memory_mib"))
            break;
        usleep(PAUSE_US);
        json_object_put(answer);
        answer = ask("show-health");
    }
    return answer;
}

/* Memory nobody knows of is not there: a stale number would place VMs. */
static void add_memory(json_object *wanted, json_object *h)
{
    int64_t left = json_object_get_int64(get(h, "gpu_memory_free_mib"));

    add_number(wanted, "vgpu_memory_mib", json_object_get_int64(get(h, "gpu_memory_mib")));
    add_number(wanted, "vgpu_memory_free_mib", left - left % STEP_MIB);
}

/* Members of other_config as they should be. A mediator that does not answer has no GPU. */
static json_object *wanted_members(bool *ret_usable)
{
    json_object *health = ask_health(), *list = ask("list"), *h = get(health, "health");
    json_object *wanted = json_object_new_object();
    const char *status = text_of(h, "status");

    *ret_usable = h && strcmp(status, "unusable") != 0;
    add_text(wanted, "vgpu_status", *status ? status : "down");
    add_text(wanted, "vgpu_version", VG_VERSION);
    add_text(wanted, "vgpu_backend", text_of(h, "backend"));
    add_text(wanted, "vgpu_device", text_of(h, "device"));
    add_memory(wanted, h);
    add_use(wanted, get(list, "vms"));
    json_object_put(health);
    json_object_put(list);
    return wanted;
}

/* ---- what XAPI has ---- */

static int set_member(struct vg_xapi *x, const char *host, const char *key, const char *value,
                      struct vg_failure *f)
{
    json_object *a = NULL, *b = NULL;
    int rc = vg_xapi_ask(x, "host.remove_from_other_config", host, key, NULL, &a, f);

    if (rc == 0)
        rc = vg_xapi_ask(x, "host.add_to_other_config", host, key, value, &b, f);
    json_object_put(a);
    json_object_put(b);
    return rc;
}

static int set_members(struct vg_xapi *x, const char *host, json_object *wanted,
                       struct vg_failure *f)
{
    json_object *has = NULL;
    int rc = vg_xapi_ask(x, "host.get_other_config", host, NULL, NULL, &has, f);

    json_object_object_foreach(wanted, key, value)
    {
        if (rc == 0 && (!get(has, key) || strcmp(text_of(has, key),
                                                 json_object_get_string(value)) != 0))
            rc = set_member(x, host, key, json_object_get_string(value), f);
    }
    json_object_put(has);
    return rc;
}

static bool has_tag(json_object *tags)
{
    size_t n = json_object_is_type(tags, json_type_array) ? (size_t)json_object_array_length(tags)
                                                           : 0;

    for (size_t i = 0; i < n; i++) {
        const char *tag = json_object_get_string(json_object_array_get_idx(tags, (int)i));

        if (tag && strcmp(tag, TAG) == 0)
            return true;
    }
    return false;
}

static int set_tag(struct vg_xapi *x, const char *host, bool usable, struct vg_failure *f)
{
    json_object *tags = NULL, *nothing = NULL;
    int rc = vg_xapi_ask(x, "host.get_tags", host, NULL, NULL, &tags, f);

    if (rc == 0 && has_tag(tags) != usable)
        rc = vg_xapi_ask(x, usable ? "host.add_tags" : "host.remove_tags", host, TAG, NULL,
                         &nothing, f);
    json_object_put(tags);
    json_object_put(nothing);
    return rc;
}

static int publish(struct vg_xapi *x, const char *uuid, struct vg_failure *f)
{
    bool usable;
    json_object *wanted = wanted_members(&usable), *host = NULL;
    int rc = vg_xapi_login(x, f);

    if (rc == 0)
        rc = vg_xapi_ask(x, "host.get_by_uuid", uuid, NULL, NULL, &host, f);
    if (rc == 0)
        rc = set_members(x, json_object_get_string(host), wanted, f);
    if (rc == 0)
        rc = set_tag(x, json_object_get_string(host), usable, f);
    json_object_put(host);
    json_object_put(wanted);
    return rc;
}

int main(void)
{
    struct vg_failure f = { NULL };
    char uuid[VG_UUID_MAX], why[VG_FAILURE_TEXT];
    struct vg_xapi x;
    int rc;

    alarm(DEADLINE_S);
    if (vg_host_uuid(NAME, uuid) < 0)
        return 1;
    curl_global_init(CURL_GLOBAL_NOTHING);
    vg_xapi_init(&x, NAME, NULL);
    rc = publish(&x, uuid, &f);
    if (rc < 0) {
        vg_failure_say(&f, why, sizeof(why));
        fprintf(stderr, NAME ": %s\n", why);
    }
    vg_failure_fini(&f);
    vg_xapi_fini(&x);
    return rc < 0 ? 1 : 0;
}
