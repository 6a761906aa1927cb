/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks xenstore as the watcher does and decides as the mediator does. */
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "wrapper.h"
#include "xenstore-watcher/facts.h"
#include "xenstore-watcher/lib.h"
#include "xenstore-watcher/plan.h"

static bool read_facts(uint32_t domid, struct vg_xen_domain *d)
{
    char why[160], home[40] = "";
    struct vg_xs xs;
    bool ok;

    if (vg_xs_load(&xs, why, sizeof(why)) < 0) {
        syslog(LOG_INFO, "domain %u: no GPU: %s", (unsigned)domid, why);
        return false;
    }
    xs.h = xs.open(0);
    if (!xs.h) {
        syslog(LOG_INFO, "domain %u: no GPU: xenstored does not answer",
               (unsigned)domid);
        return false;
    }
    ok = vg_facts_read(&xs, domid, home, d);
    xs.close(xs.h);
    return ok;
}

bool vg_wrapper_is_enabled(uint32_t domid, char *ret_name, size_t cap)
{
    static struct vg_plan nothing, plan;        /* 1 MiB each, of zeros */
    struct vg_plan_rules rules = { .pools = "" };
    struct vg_xen_domain d;
    const struct vg_xen_domain *list[] = { &d };

    if (!read_facts(domid, &d)) {
        return false;
    }
    vg_policy_init(&rules.defaults);
    vg_policy_init_caps(&rules.caps);
    vg_plan_make(list, 1, &nothing, &rules, &plan);
    if (plan.count == 0) {
        return false;
    }
    snprintf(ret_name, cap, "%s", plan.vm[0].name);
    if (plan.vm[0].notes[0]) {
        syslog(LOG_WARNING, "domain %u: %.400s", (unsigned)domid,
               plan.vm[0].notes);
    }
    return plan.vm[0].enabled;
}
