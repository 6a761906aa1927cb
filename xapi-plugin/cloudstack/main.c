/* SPDX-License-Identifier: MIT */
/*
 * vgpu-cloudstack [--dry-run] [--config FILE]: gives the hosts of this pool the host tags in
 * CloudStack that their GPUs call for, and takes them back; a timer runs it on every host, and
 * the pool's master does it. Tags of others stay. What is right already is not written again.
 * Exit status: 0, 1 with the reason on stderr if something could not be done, 2 wrong usage.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hosts.h"
#include "mediator/base/util.h"
#include "settings.h"
#include "xapi-plugin/host.h"
#include "xapi-plugin/machine.h"

#define NAME       "vgpu-cloudstack"
#define DEADLINE_S 300
#define WHY        512

struct run {
    struct vg_cloud_settings settings;
    struct vg_cloud cloud;
    struct vg_xapi xapi;
    bool dry;
    bool failed;
};

static void say(struct run *r, const char *host, const char *why)
{
    fprintf(stderr, NAME ": %s%s%s\n", host, *host ? ": " : "", why);
    r->failed = true;
}

/* ---- one host ---- */

/* Where it tells them apart, those that nobody but an administrator has set. */
static const char *tags_of(json_object *host)
{
    json_object *set;

    return json_object_object_get_ex(host, "explicithosttags", &set)
               ? vg_hosts_text(host, "explicithosttags") : vg_hosts_text(host, "hosttags");
}

static bool has_rule(json_object *host)
{
    json_object *rule = NULL;

    return json_object_object_get_ex(host, "istagarule", &rule) && json_object_get_boolean(rule);
}

static void write_tags(struct run *r, const char *label, json_object *host, const char *wanted)
{
    const struct vg_cloud_arg args[] = { { "id", vg_hosts_text(host, "id") },
                                         { "hosttags", wanted } };
    char why[WHY];
    json_object *answer;

    printf("%s: %s -> %s%s\n", label, tags_of(host), wanted, r->dry ? " (not written)" : "");
    if (r->dry)
        return;
    answer = vg_cloud_call(&r->cloud, "updateHost", args, 2, why, sizeof(why));
    if (!answer)
        say(r, label, why);
    json_object_put(answer);
}

/* As it is now: an administrator may have changed it since the list was read. */
static json_object *read_again(struct run *r, json_object *host, char *why, size_t cap)
{
    const struct vg_cloud_arg args[] = { { "id", vg_hosts_text(host, "id") } };
    json_object *answer = vg_cloud_call(&r->cloud, "listHosts", args, 1, why, cap);
    json_object *hosts = NULL, *found = NULL;

    if (!answer)
        return NULL;
    json_object_object_get_ex(answer, "host", &hosts);
    if (json_object_is_type(hosts, json_type_array) && json_object_array_length(hosts) == 1)
        found = json_object_get(json_object_array_get_idx(hosts, 0));
    else
        snprintf(why, cap, "CloudStack has it no more");
    json_object_put(answer);
    return found;
}

static void change(struct run *r, const char *label, json_object *record, json_object *listed)
{
    struct vg_tags_host host = vg_hosts_read(record);
    struct vg_text wanted;
    char why[WHY];
    json_object *now = read_again(r, listed, why, sizeof(why));

    vg_text_init(&wanted);
    if (!now)
        say(r, label, why);
    else if (has_rule(now))
        say(r, label, "its host tag is a rule, which would be lost: left alone");
    else if (vg_tags_merge(&r->settings.tags, &host, tags_of(now), &wanted) && vg_text_ok(&wanted))
        write_tags(r, label, now, wanted.data ? wanted.data : "");
    vg_text_fini(&wanted);
    json_object_put(now);
}

static void do_host(struct run *r, json_object *record, json_object *cloud_hosts)
{
    const char *label = vg_hosts_text(record, "name_label");
    struct vg_tags_host host = vg_hosts_read(record);
    struct vg_text wanted;
    char why[WHY];
    json_object *listed = vg_hosts_match(cloud_hosts, record, why, sizeof(why));

    if (!listed) {
        say(r, label, why);
        return;
    }
    vg_text_init(&wanted);
    if (vg_tags_merge(&r->settings.tags, &host, tags_of(listed), &wanted))
        change(r, label, record, listed);
    vg_text_fini(&wanted);
}

/* ---- all ---- */

static void do_pool(struct run *r, json_object *hosts)
{
    char why[WHY];
    json_object *cloud_hosts = vg_hosts_of_cloud(&r->cloud, why, sizeof(why));

    if (!cloud_hosts) {
        say(r, "", why);
        return;
    }
    json_object_object_foreach(hosts, ref, record)
    {
        (void)ref;
        do_host(r, record, cloud_hosts);
    }
    json_object_put(cloud_hosts);
}

static void run(struct run *r, const char *uuid)
{
    struct vg_failure f = { NULL };
    json_object *hosts = NULL;
    char why[VG_FAILURE_TEXT];

    if (vg_hosts_of_pool(&r->xapi, uuid, &hosts, &f) < 0) {
        vg_failure_say(&f, why, sizeof(why));
        say(r, "", why);
    } else if (hosts) {
        do_pool(r, hosts);
    } else if (r->dry) {
        puts("nothing to do: this host is not the pool's master");
    }
    json_object_put(hosts);
    vg_failure_fini(&f);
}

static int usage(void)
{
    fprintf(stderr, "usage: " NAME " [--dry-run] [--config FILE]\n"
                    "The settings are in %s, see cloudstack.md.\n", VG_CLOUD_CONF);
    return 2;
}

int main(int argc, char **argv)
{
    const char *config = VG_CLOUD_CONF;
    struct run r = { .dry = false };
    char uuid[VG_UUID_MAX], why[WHY];

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dry-run") == 0)
            r.dry = true;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            config = argv[++i];
        else
            return usage();
    }
    alarm(DEADLINE_S);
    if (vg_cloud_settings_read(&r.settings, config, why, sizeof(why)) < 0) {
        fprintf(stderr, NAME ": %s\n", why);
        return 1;
    }
    if (vg_host_uuid(NAME, uuid) < 0)
        return 1;
    curl_global_init(CURL_GLOBAL_ALL);
    vg_xapi_init(&r.xapi, NAME, NULL);
    vg_cloud_init(&r.cloud, &r.settings);
    run(&r, uuid);
    vg_cloud_fini(&r.cloud);
    vg_xapi_fini(&r.xapi);
    return r.failed ? 1 : 0;
}
