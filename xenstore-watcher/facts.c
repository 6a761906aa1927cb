/* SPDX-License-Identifier: MIT */
/* Reading one domain, see facts.h. Which writers count is decided here. */
#include "facts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/log.h"
#include "mediator/base/util.h"

#define PREFIX "gpu_"

static void take_text(char *dst, size_t cap, char *text)
{
    dst[0] = '\0';
    if (text)
        vg_log_clean(dst, cap, text, strlen(text));
    free(text);
}

/* ---- permissions ---- */

/* Nobody but Dom0 may write the node. A node that cannot be asked about counts as bad. */
static bool is_dom0s(struct vg_xs *xs, const char *path)
{
    unsigned num = 0;
    struct vg_xs_perm *p = xs->permissions(xs->h, 0, path, &num);
    bool ok = p && num > 0 && p[0].domid == 0 && !(p[0].rights & VG_XS_WRITE);

    for (unsigned i = 1; ok && i < num; i++)
        ok = p[i].domid == 0 || !(p[i].rights & VG_XS_WRITE);
    free(p);
    return ok;
}

/* ---- keys ---- */

static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return true;
}

static void read_value(struct vg_xs *xs, const char *path, struct vg_xen_key *k)
{
    unsigned len = 0;
    vg_auto_free char *text = xs->read(xs->h, 0, path, &len);

    if (!text || len >= sizeof(k->value) || !is_plain(text, len)) {
        k->state = VG_XEN_LONG;
        return;
    }
    memcpy(k->value, text, len);
}

static void add_key(struct vg_xs *xs, struct vg_xen_domain *d, enum vg_xen_place place,
                    const char *dir, const char *name, bool trusted)
{
    struct vg_xen_key *k = &d->key[d->count];
    char path[256];

    if (d->count == VG_XEN_KEYS_MAX) {
        d->more_keys++;
        return;
    }
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    k->place = (uint8_t)place;
    vg_log_clean(k->name, sizeof(k->name), name, strlen(name));
    if (trusted && is_dom0s(xs, path))
        read_value(xs, path, k);
    else
        k->state = VG_XEN_FORGEABLE;
    d->count++;
}

static void read_keys(struct vg_xs *xs, struct vg_xen_domain *d, enum vg_xen_place place,
                      const char *dir)
{
    unsigned num = 0;
    vg_auto_free char **names = xs->directory(xs->h, 0, dir, &num);
    bool trusted = names && is_dom0s(xs, dir);

    for (unsigned i = 0; names && i < num; i++) {
        if (strncmp(names[i], PREFIX, strlen(PREFIX)) == 0)
            add_key(xs, d, place, dir, names[i], trusted);
    }
}

static void read_hook(struct vg_xs *xs, struct vg_xen_domain *d, const char *home)
{
    char dir[128], path[160];

    snprintf(dir, sizeof(dir), VG_HOOK_TREE "/%s", home);
    read_keys(xs, d, VG_XEN_HOOK, dir);
    snprintf(path, sizeof(path), "%s/identity", dir);
    if (is_dom0s(xs, VG_HOOK_TREE) && is_dom0s(xs, dir) && is_dom0s(xs, path))
        take_text(d->identity, sizeof(d->identity), vg_xs_text(xs, 0, "%s", path));
}

/* ---- names ---- */

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* "/vm/UUID", to which other toolstacks add a counter. */
static void read_names(struct vg_xs *xs, uint32_t domid, struct vg_xen_domain *d)
{
    vg_auto_free char *vm = vg_xs_text(xs, 0, "/local/domain/%u/vm", (unsigned)domid);

    take_text(d->instance, sizeof(d->instance),
              vg_xs_text(xs, 0, "/local/domain/%u/unique-domain-id", (unsigned)domid));
    take_text(d->label, sizeof(d->label),
              vg_xs_text(xs, 0, "/local/domain/%u/name", (unsigned)domid));
    if (!vm || strncmp(vm, "/vm/", 4) != 0 || strlen(vm) > 128)
        return;
    take_text(d->uuid, sizeof(d->uuid), vg_xs_text(xs, 0, "%s/uuid", vm));
    take_text(d->final_uuid, sizeof(d->final_uuid), vg_xs_text(xs, 0, "%s/final-uuid", vm));
    if (!d->uuid[0])
        vg_log_clean(d->uuid, sizeof(d->uuid), vm + 4, strlen(vm + 4));
    lower(d->uuid);
    lower(d->final_uuid);
}

/* A uuid becomes part of paths. */
static bool is_uuid(const char *text)
{
    return strlen(text) == 36 && strspn(text, "0123456789abcdef-") == 36;
}

bool vg_facts_read(struct vg_xs *xs, uint32_t domid, char *home, struct vg_xen_domain *ret_domain)
{
    struct vg_xen_domain *d = ret_domain;
    char dir[64];

    memset(d, 0, sizeof(*d));
    d->domid = domid;
    read_names(xs, domid, d);
    if (!is_uuid(d->final_uuid))
        d->final_uuid[0] = '\0';
    if (!is_uuid(d->uuid))
        return false;
    if (!home[0])
        strcpy(home, d->final_uuid[0] ? d->final_uuid : d->uuid);
    snprintf(dir, sizeof(dir), "/local/domain/%u/platform", (unsigned)domid);
    read_keys(xs, d, VG_XEN_PLATFORM, dir);
    read_hook(xs, d, home);
    return true;
}
