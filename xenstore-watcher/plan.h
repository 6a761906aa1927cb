/* SPDX-License-Identifier: MIT */
/*
 * From what xenstore says to what the mediator does. Pure: no I/O, no clock, no
 * allocation. Two steps: what a set of domains should be (vg_plan_make), and which
 * requests lead there from what was (vg_plan_diff); doing these makes "should be"
 * the next "was".
 *
 * A domain counts by its instance (domid and unique-domain-id). To which VM an
 * instance belongs is decided when it is first seen and never again, because uuids
 * are exchanged during a migration: xenopsd builds the new domain under a temporary
 * uuid (with the final one beside it) and renames the old one to another.
 */
#ifndef VG_PLAN_H
#define VG_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/daemon/policy.h"
#include "vg_xen.h"

#define VG_PLAN_NAME_MAX  64u
#define VG_PLAN_NOTES_MAX 512u

/* What one domain is to the mediator. */
struct vg_plan_vm {
    uint32_t domid;
    char instance[40];
    char name[VG_PLAN_NAME_MAX];    /* of the VM: identity, else uuid; several may share it */
    char uuid[40];                  /* the VM's own, not a migration's temporary one */
    char label[64];
    bool enabled;
    bool rules;                     /* of the instances of this VM it is the one whose policy holds */
    struct vg_policy policy;
    char notes[VG_PLAN_NOTES_MAX];  /* what was not taken as written, joined by "; " */
};

/* By domid, each once. */
struct vg_plan {
    unsigned count;
    struct vg_plan_vm vm[VG_XEN_DOMAINS_MAX];
};

/* What the host allows, whatever the toolstack says. */
struct vg_plan_rules {
    struct vg_policy defaults;      /* of keys that nobody set */
    struct vg_policy caps;          /* as of vg_policy_clamp; what they cost a VM is noted */
    const char *pools;              /* "A,B": the only ones; "": any */
};

enum vg_plan_op {
    VG_PLAN_UNREGISTER,             /* vm is what was */
    VG_PLAN_CHANGE,                 /* policy, enabled, rules, notes or uuid */
    VG_PLAN_RENAME,                 /* the label only */
    VG_PLAN_REGISTER,
};

struct vg_plan_request {
    enum vg_plan_op op;
    const struct vg_plan_vm *vm;    /* into one of the plans given */
};

#define VG_PLAN_REQUESTS_MAX (2u * VG_XEN_DOMAINS_MAX)

/*
 * What `domains` (in any order, each domid once) should be. `before` is the plan in
 * force, from which an instance keeps the VM it belongs to. Domains of which nobody
 * said anything about a GPU are not in the plan.
 */
void vg_plan_make(const struct vg_xen_domain *const *domains, unsigned count,
                  const struct vg_plan *before, const struct vg_plan_rules *rules,
                  struct vg_plan *ret_plan);

/*
 * What to do, in this order, to get from one plan to the other; `out` has room for
 * VG_PLAN_REQUESTS_MAX. Returns how many. Nothing for equal plans.
 */
unsigned vg_plan_diff(const struct vg_plan *before, const struct vg_plan *after,
                      struct vg_plan_request *out);

/* The entry of an instance, or NULL. */
const struct vg_plan_vm *vg_plan_find(const struct vg_plan *p, uint32_t domid, const char *instance);

#endif
