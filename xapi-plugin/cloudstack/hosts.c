/* SPDX-License-Identifier: MIT */
/* Hosts, see hosts.h. */
#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE     "100"
#define PAGES    100u

static json_object *get(json_object *o, const char *key)
{
    json_object *value = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &value);
    return value;
}

const char *vg_hosts_text(json_object *o, const char *key)
{
    json_object *value = get(o, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

/* ---- XAPI ---- */

static int is_master(struct vg_xapi *x, const char *own_uuid, bool *ret_is, struct vg_failure *f)
{
    json_object *pools = NULL, *own = NULL;
    int rc = vg_xapi_ask(x, "pool.get_all_records", NULL, NULL, NULL, &pools, f);

    if (rc == 0)
        rc = vg_xapi_ask(x, "host.get_by_uuid", own_uuid, NULL, NULL, &own, f);
    *ret_is = false;
    if (rc == 0 && json_object_is_type(pools, json_type_object)) {
        json_object_object_foreach(pools, ref, pool)
        {
            (void)ref;
            *ret_is = strcmp(vg_hosts_text(pool, "master"), json_object_get_string(own)) == 0;
        }
    }
    json_object_put(pools);
    json_object_put(own);
    return rc;
}

int vg_hosts_of_pool(struct vg_xapi *x, const char *own_uuid, json_object **ret_hosts,
                     struct vg_failure *f)
{
    bool master = false;
    int rc = vg_xapi_login(x, f);

    *ret_hosts = NULL;
    if (rc == 0)
        rc = is_master(x, own_uuid, &master, f);
    if (rc < 0 || !master)
        return rc;
    rc = vg_xapi_ask(x, "host.get_all_records", NULL, NULL, NULL, ret_hosts, f);
    if (rc == 0 && !json_object_is_type(*ret_hosts, json_type_object)) {
        json_object_put(*ret_hosts);
        *ret_hosts = NULL;
        rc = vg_fail(f, x->function, "XapiAnswer", "XAPI's hosts are no records");
    }
    return rc;
}

static int64_t number(json_object *config, const char *key)
{
    return strtoll(vg_hosts_text(config, key), NULL, 10);
}

static bool has_tag(json_object *tags, const char *wanted)
{
    size_t n = json_object_is_type(tags, json_type_array) ? (size_t)json_object_array_length(tags)
                                                           : 0;

    for (size_t i = 0; i < n; i++) {
        const char *tag = json_object_get_string(json_object_array_get_idx(tags, (int)i));

        if (tag && strcmp(tag, wanted) == 0)
            return true;
    }
    return false;
}

struct vg_tags_host vg_hosts_read(json_object *record)
{
    json_object *config = get(record, "other_config");
    int64_t unused = number(config, "vgpu_memory_free_mib");
    int64_t unpromised = number(config, "vgpu_memory_mib") -
                         number(config, "vgpu_memory_reserved_mib");

    return (struct vg_tags_host){ .usable = has_tag(get(record, "tags"), "vgpu"),
                                  .room_mib = unused < unpromised ? unused : unpromised };
}

/* ---- CloudStack ---- */

static int add_page(struct vg_cloud *c, unsigned page, json_object *hosts, char *why, size_t cap)
{
    char number_of_page[16];
    const struct vg_cloud_arg args[] = { { "type", "Routing" }, { "hypervisor", "XenServer" },
                                         { "page", number_of_page }, { "pagesize", PAGE } };
    json_object *answer, *found;
    int n;

    snprintf(number_of_page, sizeof(number_of_page), "%u", page);
    answer = vg_cloud_call(c, "listHosts", args, 4, why, cap);
    if (!answer)
        return -1;
    found = get(answer, "host");
    n = json_object_is_type(found, json_type_array) ? (int)json_object_array_length(found) : 0;
    for (int i = 0; i < n; i++)
        json_object_array_add(hosts, json_object_get(json_object_array_get_idx(found, i)));
    json_object_put(answer);
    return n;
}

json_object *vg_hosts_of_cloud(struct vg_cloud *c, char *why, size_t cap)
{
    json_object *hosts = json_object_new_array();
    int full = atoi(PAGE), n = full;

    for (unsigned page = 1; n == full && page <= PAGES; page++)
        n = add_page(c, page, hosts, why, cap);
    if (n >= 0)
        return hosts;
    json_object_put(hosts);
    return NULL;
}

static bool has_name(json_object *host, json_object *record)
{
    const char *name = vg_hosts_text(host, "name");

    return *name && (strcmp(name, vg_hosts_text(record, "name_label")) == 0 ||
                     strcmp(name, vg_hosts_text(record, "hostname")) == 0);
}

json_object *vg_hosts_match(json_object *cloud_hosts, json_object *record, char *why, size_t cap)
{
    const char *address = vg_hosts_text(record, "address");
    json_object *found = NULL, *named = NULL;
    unsigned found_n = 0, named_n = 0;

    for (size_t i = 0; i < (size_t)json_object_array_length(cloud_hosts); i++) {
        json_object *host = json_object_array_get_idx(cloud_hosts, (int)i);

        if (!*address || strcmp(vg_hosts_text(host, "ipaddress"), address) != 0)
            continue;
        found = host;
        found_n++;
        if (has_name(host, record)) {
            named = host;
            named_n++;
        }
    }
    if (found_n == 1 || named_n == 1)
        return found_n == 1 ? found : named;
    snprintf(why, cap, found_n == 0 ? "CloudStack has no host with the address %s"
                                    : "CloudStack has several hosts with the address %s, and not one "
                                      "of that name", address);
    return NULL;
}
