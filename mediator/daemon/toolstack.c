/* SPDX-License-Identifier: MIT */
/* Facts, plan, registrations; see toolstack.h. */
#include "toolstack.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "event.h"
#include "mediator.h"

struct fact {
    struct vg_list link;
    bool named;             /* since the watcher began */
    struct vg_xen_domain d;
};

/* ---- domains ---- */

static struct vg_domain *find_domain(struct vg_toolstack *ts, const struct vg_plan_vm *p)
{
    struct vg_domain *d;

    vg_list_for_each(d, &ts->domains, link) {
        if (d->domid == p->domid && strcmp(d->instance, p->instance) == 0)
            return d;
    }
    return NULL;
}

static struct vg_domain *domain_new(struct vg_toolstack *ts, const struct vg_plan_vm *p,
                                    struct vg_vm *vm)
{
    struct vg_domain *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->mediator = ts->mediator;
    d->domid = p->domid;
    strcpy(d->instance, p->instance);
    strcpy(d->uuid, p->uuid);
    d->vm = vm;
    d->listen_fd = d->io.fd = -1;
    vm->toolstack.domains++;
    vg_list_append(&ts->domains, &d->link);
    return d;
}

static void domain_free(struct vg_domain *d)
{
    struct vg_vm_toolstack *t = &d->vm->toolstack;

    d->enabled = false;
    vg_domain_listen(d);
    if (--t->domains == 0) {
        memset(t, 0, sizeof(*t));
        t->left = vg_now();
    }
    vg_list_remove(&d->link);
    free(d);
}

/* ---- requests ---- */

static const char *state_name(const struct vg_domain *d, const char *quarantine)
{
    if (d->enabled && !quarantine)
        return "enabled";
    return quarantine || d->notes[0] ? "refused" : "disabled";
}

/* Of the keys and of what became of the VM since. */
static void set_state(struct vg_domain *d)
{
    const char *quarantine = vg_quarantine_of(d->vm), *state = state_name(d, quarantine);
    char reason[sizeof(d->reason)];

    if (quarantine)
        snprintf(reason, sizeof(reason), "in quarantine: %.200s", quarantine);
    else
        snprintf(reason, sizeof(reason), "%s", d->notes);
    if (strcmp(d->state, state) == 0 && strcmp(d->reason, reason) == 0)
        return;
    strcpy(d->state, state);
    strcpy(d->reason, reason);
    d->state_due = true;
}

static void set_vm(struct vg_mediator *m, struct vg_vm *vm, const struct vg_plan_vm *p)
{
    struct vg_vm_toolstack *t = &vm->toolstack;

    t->domid = p->domid;
    t->enabled = p->enabled;
    snprintf(t->uuid, sizeof(t->uuid), "%s", p->uuid);
    snprintf(t->label, sizeof(t->label), "%s", p->label);
    if (p->notes[0] && strcmp(t->notes, p->notes) != 0)
        vg_event(m, VG_EVENT_VM_KEYS, vm, "%.200s", p->notes);
    snprintf(t->notes, sizeof(t->notes), "%s", p->notes);
    vm->policy = p->policy;
    vg_mediator_vm_changed(m, vm);
}

static void set_domain(struct vg_domain *d, const struct vg_plan_vm *p)
{
    bool was = d->enabled;

    if (p->rules)
        set_vm(d->mediator, d->vm, p);
    d->enabled = p->enabled;
    strcpy(d->notes, p->notes);
    set_state(d);
    vg_domain_listen(d);
    if (was && !d->enabled)
        vg_domain_cut_off(d, "the toolstack has taken the GPU from this VM");
}

static void on_register(struct vg_toolstack *ts, const struct vg_plan_vm *p)
{
    struct vg_mediator *m = ts->mediator;
    struct vg_vm *vm = vg_vms_find(&m->vms, p->name);
    struct vg_domain *d;

    if (!vm)
        vm = vg_vms_add(&m->vms, p->name, &p->policy);
    d = vm ? domain_new(ts, p, vm) : NULL;
    if (!d) {
        vg_log(VG_LOG_ERROR, "vm-not-registered", "vm=%s domid=%u why=\"no room\"", p->name,
               (unsigned)p->domid);
        return;
    }
    set_domain(d, p);
    vg_event(m, VG_EVENT_VM_REGISTERED, vm, "domid=%u gpu=%s label=\"%s\" pool=%s priority=%s "
             "weight=%u", (unsigned)p->domid, p->enabled ? "on" : "off", p->label, p->policy.pool,
             vg_priority_name(p->policy.priority), (unsigned)p->policy.weight);
}

static void on_change(struct vg_domain *d, const struct vg_plan_vm *p)
{
    set_domain(d, p);
    vg_event(d->mediator, VG_EVENT_VM_CHANGED, d->vm, "domid=%u gpu=%s pool=%s priority=%s "
             "weight=%u", (unsigned)p->domid, p->enabled ? "on" : "off", p->policy.pool,
             vg_priority_name(p->policy.priority), (unsigned)p->policy.weight);
}

static void on_unregister(struct vg_toolstack *ts, struct vg_domain *d)
{
    vg_event(ts->mediator, VG_EVENT_VM_UNREGISTERED, d->vm, "domid=%u", (unsigned)d->domid);
    vg_domain_cut_off(d, "the domain is gone");
    d->state[0] = d->reason[0] = '\0';
    vg_watcher_tell(ts, d);
    domain_free(d);
}

static void carry_out(struct vg_toolstack *ts, const struct vg_plan_request *r)
{
    struct vg_domain *d = find_domain(ts, r->vm);

    if (r->op == VG_PLAN_REGISTER)
        on_register(ts, r->vm);
    else if (d && r->op == VG_PLAN_UNREGISTER)
        on_unregister(ts, d);
    else if (d && r->op == VG_PLAN_CHANGE)
        on_change(d, r->vm);
    else if (d && r->vm->rules)
        snprintf(d->vm->toolstack.label, sizeof(d->vm->toolstack.label), "%s", r->vm->label);
}

/* ---- facts ---- */

static struct fact *find_fact(struct vg_toolstack *ts, uint32_t domid)
{
    struct fact *f;

    vg_list_for_each(f, &ts->facts, link) {
        if (f->d.domid == domid)
            return f;
    }
    return NULL;
}

static void drop_fact(struct vg_toolstack *ts, struct fact *f)
{
    vg_list_remove(&f->link);
    ts->fact_count--;
    free(f);
}

static void state_due(struct vg_toolstack *ts, uint32_t domid)
{
    struct vg_domain *d;

    vg_list_for_each(d, &ts->domains, link)
        d->state_due |= d->domid == domid;
}

void vg_toolstack_fact(struct vg_toolstack *ts, const struct vg_xen_domain *d)
{
    struct fact *f = find_fact(ts, d->domid), *other;

    if (!f && ts->fact_count < VG_XEN_DOMAINS_MAX && (f = calloc(1, sizeof(*f))) != NULL) {
        vg_list_for_each(other, &ts->facts, link) {
            if (other->d.domid > d->domid)
                break;
        }
        vg_list_append(&other->link, &f->link);
        ts->fact_count++;
    }
    if (!f)
        return;
    /* In a store that began anew nothing is left of what was written. */
    if (!f->named)
        state_due(ts, d->domid);
    f->d = *d;
    f->named = true;
}

void vg_toolstack_gone(struct vg_toolstack *ts, uint32_t domid)
{
    struct fact *f = find_fact(ts, domid);

    if (f)
        drop_fact(ts, f);
}

void vg_toolstack_unname(struct vg_toolstack *ts)
{
    struct fact *f;

    vg_list_for_each(f, &ts->facts, link)
        f->named = false;
    ts->known = false;
}

/* A xenstored that began anew knows no domains; their devices still do. */
static bool drop_unnamed(struct vg_toolstack *ts)
{
    struct fact *f, *next;
    bool any = false;

    vg_list_for_each_safe(f, next, &ts->facts, link) {
        if (f->named || vg_domain_peers(ts->mediator, f->d.domid))
            continue;
        drop_fact(ts, f);
        any = true;
    }
    return any;
}

/* ---- the plan ---- */

static bool make_room(struct vg_toolstack *ts)
{
    if (!ts->plan)
        ts->plan = calloc(1, sizeof(*ts->plan));
    if (!ts->next)
        ts->next = calloc(1, sizeof(*ts->next));
    if (!ts->requests)
        ts->requests = calloc(VG_PLAN_REQUESTS_MAX, sizeof(*ts->requests));
    return ts->plan && ts->next && ts->requests;
}

static void make_plan(struct vg_toolstack *ts)
{
    const struct vg_config *c = &ts->mediator->config;
    struct vg_plan_rules rules = { .defaults = c->policy, .caps = c->cap, .pools = "" };
    const struct vg_xen_domain *list[VG_XEN_DOMAINS_MAX];
    unsigned n = 0;
    struct fact *f;

    vg_list_for_each(f, &ts->facts, link)
        list[n++] = &f->d;
    vg_plan_make(list, n, ts->plan, &rules, ts->next);
}

static void act(struct vg_toolstack *ts)
{
    struct vg_plan *old;
    unsigned n;

    if (!make_room(ts)) {
        vg_log(VG_LOG_ERROR, "no-memory", "for=plan");
        return;
    }
    old = ts->plan;
    make_plan(ts);
    n = vg_plan_diff(old, ts->next, ts->requests);
    for (unsigned i = 0; i < n; i++)
        carry_out(ts, &ts->requests[i]);
    ts->plan = ts->next;
    ts->next = old;
}

static void tell_states(struct vg_toolstack *ts)
{
    struct vg_domain *d;

    vg_list_for_each(d, &ts->domains, link) {
        if (d->state_due)
            d->state_due = !vg_watcher_tell(ts, d);
    }
}

/* A watcher that has just begun has removed what its predecessor wrote. */
static void all_states_due(struct vg_toolstack *ts)
{
    struct vg_domain *d;

    vg_list_for_each(d, &ts->domains, link)
        d->state_due = true;
}

/* Devices that were taken over from a daemon before, and whose domain lost the GPU meanwhile. */
static void cut_off_leftovers(struct vg_toolstack *ts)
{
    struct vg_client *c, *next;
    const struct fact *f;
    char why[96];

    vg_list_for_each_safe(c, next, &ts->mediator->clients, link) {
        f = c->domid ? find_fact(ts, c->domid) : NULL;
        if (f && f->named && !vg_domain_admit(ts->mediator, c->domid, why, sizeof(why)))
            vg_client_close(c, VG_GONE_REFUSED, why);
    }
}

void vg_toolstack_batch(struct vg_toolstack *ts, bool full)
{
    struct fact *f;

    if (full) {
        drop_unnamed(ts);
        all_states_due(ts);
    }
    ts->known = true;
    act(ts);
    if (full)
        cut_off_leftovers(ts);
    tell_states(ts);
    vg_list_for_each(f, &ts->facts, link) {
        if (full && !f->named)
            vg_log(VG_LOG_WARNING, "domain-not-in-xenstore", "domid=%u why=\"its device is connected\"",
                   (unsigned)f->d.domid);
    }
}

/* ---- for others ---- */

bool vg_toolstack_allows(const struct vg_vm *vm, uid_t uid, char *why, size_t cap)
{
    const struct vg_vm_toolstack *t = &vm->toolstack;

    if (t->domains == 0)
        return true;
    if (!t->enabled)
        snprintf(why, cap, "the toolstack has not enabled the GPU for this VM (gpu_enabled)");
    else if (uid != 0 && uid != geteuid())
        snprintf(why, cap, "this name is a domain's, which has a socket of its own");
    else
        return true;
    return false;
}

/* ---- life ---- */

/* Totals wait for the VM's next start, but not for ever. */
static void forget_departed(struct vg_mediator *m)
{
    struct vg_vm *vm, *next;
    uint64_t now = vg_now();

    vg_list_for_each_safe(vm, next, &m->vms.list, link) {
        const struct vg_vm_toolstack *t = &vm->toolstack;

        if (t->left && !vm->registered && vg_vm_is_idle(vm) &&
            now - t->left > VG_TOOLSTACK_FORGET_S * VG_NS_PER_S)
            vg_vms_remove(&m->vms, vm);
    }
}

static void tick(void *arg)
{
    struct vg_toolstack *ts = arg;
    struct vg_domain *d;

    vg_watcher_check(ts);
    if (ts->known && ts->sock >= 0 && drop_unnamed(ts))
        act(ts);
    vg_list_for_each(d, &ts->domains, link) {
        vg_domain_listen(d);
        set_state(d);
    }
    tell_states(ts);
    forget_departed(ts->mediator);
    vg_timer_set(&ts->mediator->loop, &ts->timer,
                 vg_now() + VG_TOOLSTACK_TICK_MS * VG_NS_PER_MS, tick, ts);
}

void vg_toolstack_init(struct vg_toolstack *ts, struct vg_mediator *m)
{
    memset(ts, 0, sizeof(*ts));
    ts->mediator = m;
    ts->sock = ts->io.fd = -1;
    vg_list_init(&ts->facts);
    vg_list_init(&ts->domains);
}

void vg_toolstack_start(struct vg_toolstack *ts)
{
    if (ts->mediator->config.xenstore != VG_XENSTORE_NO)
        tick(ts);
}

void vg_toolstack_fini(struct vg_toolstack *ts)
{
    struct vg_domain *d, *next;
    struct fact *f, *next_fact;

    if (!ts->mediator)
        return;
    vg_timer_del(&ts->timer);
    vg_watcher_stop(ts);
    vg_list_for_each_safe(d, next, &ts->domains, link)
        domain_free(d);
    vg_list_for_each_safe(f, next_fact, &ts->facts, link)
        drop_fact(ts, f);
    free(ts->plan);
    free(ts->next);
    free(ts->requests);
    ts->plan = ts->next = NULL;
    ts->requests = NULL;
}
