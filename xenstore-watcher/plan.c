/* SPDX-License-Identifier: MIT */
/* Xenstore's facts to requests, see plan.h. */
#include "plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/number.h"
#include "mediator/base/util.h"

#define PREFIX "gpu_"
#define UUID_STABLE 24u     /* xenopsd's temporary uuids keep so much of the VM's own */

/* ---- notes ---- */

static void note(struct vg_plan_vm *vm, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct vg_plan_vm *vm, const char *fmt, ...)
{
    static const char more[] = "; ...";
    size_t len = strlen(vm->notes), room = sizeof(vm->notes) - len;
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (strlen(text) + 2 + sizeof(more) <= room)
        snprintf(vm->notes + len, room, "%s%s", len ? "; " : "", text);
    else if (room >= sizeof(more) && (len < 3 || strcmp(vm->notes + len - 3, "...") != 0))
        strcpy(vm->notes + len, more);
}

/* ---- keys ---- */

static const char *place_name(const struct vg_xen_key *k)
{
    return k->place == VG_XEN_HOOK ? "hook's " : "";
}

static const struct vg_xen_key *key_at(const struct vg_xen_domain *d, const char *name,
                                       enum vg_xen_place place)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct vg_xen_key *k = &d->key[i];

        if (k->place == place && strncmp(k->name, PREFIX, strlen(PREFIX)) == 0 &&
            strcmp(k->name + strlen(PREFIX), name) == 0)
            return k;
    }
    return NULL;
}

static bool is_usable(struct vg_plan_vm *vm, const struct vg_xen_key *k)
{
    if (k->state == VG_XEN_FORGEABLE)
        note(vm, "%s%s: ignored, as others than Dom0 may write it", place_name(k), k->name);
    else if (k->state == VG_XEN_LONG)
        note(vm, "%s%s: the value is too long or no text", place_name(k), k->name);
    return k->state == VG_XEN_GOOD;
}

/* The strongest place with a value that is good for something. */
static void set_field(struct vg_plan_vm *vm, const struct vg_xen_domain *d, const char *field)
{
    for (int place = 0; place < VG_XEN_PLACES; place++) {
        const struct vg_xen_key *k = key_at(d, field, (enum vg_xen_place)place);
        char why[224];

        if (!k || !is_usable(vm, k))
            continue;
        if (vg_policy_set(&vm->policy, field, k->value, why, sizeof(why)) == 0)
            return;
        note(vm, "%s" PREFIX "%s", place_name(k), why);
    }
}

static bool truth(const char *text, bool *ret_value)
{
    static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };

    for (unsigned i = 0; i < VG_ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_value = i & 1;
            return true;
        }
    }
    return false;
}

static void set_enabled(struct vg_plan_vm *vm, const struct vg_xen_domain *d)
{
    for (int place = 0; place < VG_XEN_PLACES; place++) {
        const struct vg_xen_key *k = key_at(d, "enabled", (enum vg_xen_place)place);

        if (!k || !is_usable(vm, k))
            continue;
        if (truth(k->value, &vm->enabled))
            return;
        note(vm, "%s%s: \"%s\" is neither true nor false", place_name(k), k->name, k->value);
    }
}

static void note_unknown(struct vg_plan_vm *vm, const struct vg_xen_domain *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct vg_xen_key *k = &d->key[i];
        const char *field = k->name + strlen(PREFIX);

        if (strncmp(k->name, PREFIX, strlen(PREFIX)) != 0 ||
            (strcmp(field, "enabled") != 0 && !vg_policy_has(field)))
            note(vm, "%s%s: there is no such key", place_name(k), k->name);
    }
    if (d->more_keys)
        note(vm, "%u more gpu_ keys were not read", (unsigned)d->more_keys);
}

/* ---- caps ---- */

static bool was_asked(const struct vg_xen_domain *d, const char *field)
{
    return key_at(d, field, VG_XEN_PLATFORM) || key_at(d, field, VG_XEN_HOOK);
}

/* The policy stays as it was asked for; who grants less is the daemon. */
static void note_caps(struct vg_plan_vm *vm, const struct vg_xen_domain *d,
                      const struct vg_policy *caps)
{
    struct vg_policy granted = vm->policy;
    unsigned clamped = vg_policy_clamp(&granted, caps);

    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        const struct vg_policy_field *f = &vg_policy_fields[i];
        char text[VG_POLICY_TEXT];

        if (!(clamped & VG_BIT(i)) || !was_asked(d, f->key))
            continue;
        vg_policy_get(&granted, f, text, sizeof(text));
        note(vm, PREFIX "%s: this host allows %s at most", f->key, text);
    }
}

static bool pool_allowed(const char *pools, const char *pool)
{
    size_t len = strlen(pool);

    for (const char *p = pools; *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        if (strcspn(p, ", ") == len && strncmp(p, pool, len) == 0)
            return true;
    }
    return !*pools;
}

static void apply_caps(struct vg_plan_vm *vm, const struct vg_xen_domain *d,
                       const struct vg_plan_rules *rules)
{
    note_caps(vm, d, &rules->caps);
    if (pool_allowed(rules->pools, vm->policy.pool))
        return;
    note(vm, PREFIX "pool: this host's VMs may be in %s, not in %s", rules->pools,
         vm->policy.pool);
    strcpy(vm->policy.pool, rules->defaults.pool);
}

/* ---- one domain ---- */

static bool says_something(const struct vg_xen_domain *d)
{
    return d->count || d->more_keys;
}

static void fill_policy(struct vg_plan_vm *vm, const struct vg_xen_domain *d,
                        const struct vg_plan_rules *rules)
{
    vm->policy = rules->defaults;
    if (d->identity[0] && strcmp(vm->name, d->identity) != 0)
        note(vm, "identity %s: no name, another VM's, or set after the start", d->identity);
    set_enabled(vm, d);
    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++)
        set_field(vm, d, vg_policy_fields[i].key);
    apply_caps(vm, d, rules);
    note_unknown(vm, d);
}

/* The source of a migration within this host, after it gave its uuid away. */
static bool is_leaving(const struct vg_xen_domain *d)
{
    return !d->final_uuid[0] && strlen(d->uuid) == 36 &&
           strcmp(d->uuid + UUID_STABLE, "000000000000") == 0;
}

static bool is_settled(const struct vg_xen_domain *d)
{
    return !d->final_uuid[0] && !is_leaving(d);
}

/* ---- which VM ---- */

static const struct vg_plan_vm *find_named(const struct vg_plan *p, const char *name)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (strcmp(p->vm[i].name, name) == 0)
            return &p->vm[i];
    }
    return NULL;
}

static const struct vg_plan_vm *find_origin(const struct vg_plan *p, const struct vg_xen_domain *d)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (strncmp(p->vm[i].uuid, d->uuid, UUID_STABLE) == 0)
            return &p->vm[i];
    }
    return NULL;
}

static bool is_taken(const struct vg_plan *p, const struct vg_plan_vm *vm, const char *name)
{
    const struct vg_plan_vm *other = find_named(p, name);

    return other && strcmp(other->uuid, vm->uuid) != 0;
}

/* `p` holds those that have their name already. */
static void choose_name(struct vg_plan_vm *vm, const struct vg_xen_domain *d,
                        const struct vg_plan *p)
{
    const char *wish = d->identity[0] ? d->identity : vm->uuid;

    if (!vg_name_ok(wish, sizeof(vm->name)) || is_taken(p, vm, wish))
        wish = vm->uuid;
    if (vg_name_ok(wish, sizeof(vm->name)) && !is_taken(p, vm, wish))
        snprintf(vm->name, sizeof(vm->name), "%s", wish);
    else
        snprintf(vm->name, sizeof(vm->name), "domain-%u", (unsigned)vm->domid);
}

static void first_sight(struct vg_plan_vm *vm, const struct vg_xen_domain *d,
                        const struct vg_plan *named)
{
    const struct vg_plan_vm *origin = is_leaving(d) ? find_origin(named, d) : NULL;

    if (origin) {
        strcpy(vm->uuid, origin->uuid);
        strcpy(vm->name, origin->name);
        return;
    }
    strcpy(vm->uuid, d->final_uuid[0] ? d->final_uuid : d->uuid);
    choose_name(vm, d, named);
}

/* ---- the set ---- */

const struct vg_plan_vm *vg_plan_find(const struct vg_plan *p, uint32_t domid, const char *instance)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (p->vm[i].domid == domid && strcmp(p->vm[i].instance, instance) == 0)
            return &p->vm[i];
    }
    return NULL;
}

static struct vg_plan_vm *add(struct vg_plan *p, const struct vg_xen_domain *d)
{
    struct vg_plan_vm *vm = &p->vm[p->count];

    memset(vm, 0, sizeof(*vm));
    vm->domid = d->domid;
    strcpy(vm->instance, d->instance);
    strcpy(vm->label, d->label);
    return vm;
}

static void add_known(struct vg_plan *p, const struct vg_xen_domain *d,
                      const struct vg_plan_vm *known)
{
    struct vg_plan_vm *vm = add(p, d);

    strcpy(vm->name, known->name);
    strcpy(vm->uuid, known->uuid);
    p->count++;
}

static void add_new(struct vg_plan *p, const struct vg_xen_domain *d)
{
    struct vg_plan_vm *vm = add(p, d);

    first_sight(vm, d, p);
    p->count++;
}

static int by_domid(const void *a, const void *b)
{
    const struct vg_plan_vm *x = a, *y = b;

    return x->domid < y->domid ? -1 : x->domid > y->domid;
}

static const struct vg_xen_domain *facts_of(const struct vg_xen_domain *const *domains,
                                            unsigned count, uint32_t domid)
{
    for (unsigned i = 0; i < count; i++) {
        if (domains[i]->domid == domid)
            return domains[i];
    }
    return NULL;
}

/* One instance of each VM rules: one that has its uuid for good, of several the newest. */
static void choose_rulers(struct vg_plan *p, const struct vg_xen_domain *const *domains,
                          unsigned count)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct vg_plan_vm *vm = &p->vm[i], *best = NULL;
        bool best_settled = false;

        for (unsigned j = 0; j < p->count; j++) {
            bool settled;

            if (strcmp(p->vm[j].name, vm->name) != 0)
                continue;
            settled = is_settled(facts_of(domains, count, p->vm[j].domid));
            if (best_settled && !settled)
                continue;
            best = &p->vm[j];
            best_settled = settled;
        }
        vm->rules = best == vm;
    }
}

/* Known ones first, so that a newcomer's name cannot push an old one aside. */
void vg_plan_make(const struct vg_xen_domain *const *domains, unsigned count,
                  const struct vg_plan *before, const struct vg_plan_rules *rules,
                  struct vg_plan *ret_plan)
{
    struct vg_plan *p = ret_plan;

    p->count = 0;
    for (unsigned pass = 0; pass < 3; pass++) {
        for (unsigned i = 0; i < count && p->count < VG_XEN_DOMAINS_MAX; i++) {
            const struct vg_xen_domain *d = domains[i];
            const struct vg_plan_vm *known = vg_plan_find(before, d->domid, d->instance);

            if (!says_something(d))
                continue;
            if (pass == 0 && known)
                add_known(p, d, known);
            else if (pass > 0 && !known && is_settled(d) == (pass == 1))
                add_new(p, d);
        }
    }
    for (unsigned i = 0; i < p->count; i++)
        fill_policy(&p->vm[i], facts_of(domains, count, p->vm[i].domid), rules);
    qsort(p->vm, p->count, sizeof(p->vm[0]), by_domid);
    choose_rulers(p, domains, count);
}

/* ---- the way there ---- */

static bool same_policy(const struct vg_policy *a, const struct vg_policy *b)
{
    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        const struct vg_policy_field *f = &vg_policy_fields[i];

        if (f->kind == VG_POLICY_NAME ? strcmp(a->pool, b->pool) != 0
                                      : vg_policy_number(a, f) != vg_policy_number(b, f))
            return false;
    }
    return true;
}

static bool same_but_label(const struct vg_plan_vm *a, const struct vg_plan_vm *b)
{
    return a->enabled == b->enabled && a->rules == b->rules &&
           same_policy(&a->policy, &b->policy) && strcmp(a->notes, b->notes) == 0;
}

static unsigned ended(const struct vg_plan *before, const struct vg_plan *after,
                      struct vg_plan_request *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < before->count; i++) {
        const struct vg_plan_vm *vm = &before->vm[i];

        if (!vg_plan_find(after, vm->domid, vm->instance))
            out[n++] = (struct vg_plan_request){ VG_PLAN_UNREGISTER, vm };
    }
    return n;
}

/* Those that are in both plans, or, with `fresh`, those that are only in `after`. */
static unsigned remaining(const struct vg_plan *before, const struct vg_plan *after, bool fresh,
                          struct vg_plan_request *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < after->count; i++) {
        const struct vg_plan_vm *vm = &after->vm[i];
        const struct vg_plan_vm *old = vg_plan_find(before, vm->domid, vm->instance);

        if (fresh && !old)
            out[n++] = (struct vg_plan_request){ VG_PLAN_REGISTER, vm };
        if (fresh || !old)
            continue;
        if (!same_but_label(old, vm))
            out[n++] = (struct vg_plan_request){ VG_PLAN_CHANGE, vm };
        else if (strcmp(old->label, vm->label) != 0)
            out[n++] = (struct vg_plan_request){ VG_PLAN_RENAME, vm };
    }
    return n;
}

unsigned vg_plan_diff(const struct vg_plan *before, const struct vg_plan *after,
                      struct vg_plan_request *out)
{
    unsigned n = ended(before, after, out);

    n += remaining(before, after, false, out + n);
    return n + remaining(before, after, true, out + n);
}
