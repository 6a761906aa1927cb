/* SPDX-License-Identifier: MIT */
/*
 * What an administrator grants a VM. One table names every field, its bounds and
 * its spelling, for the configuration file, the control socket and the state file.
 * Pure: no I/O. What enforces it: quota.h (rate, queue, memory), turns.h (shares).
 */
#ifndef VG_POLICY_H
#define VG_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VG_POOL_MAX 32u

enum vg_priority { VG_PRIORITY_HIGH, VG_PRIORITY_MEDIUM, VG_PRIORITY_LOW, VG_PRIORITY_COUNT };

struct vg_policy {
    char pool[VG_POOL_MAX];
    uint64_t priority;      /* enum vg_priority */
    uint64_t weight;        /* 1 to 100, against the VMs of the same pool and priority */
    uint64_t rate;          /* calls a second, 0: no limit */
    uint64_t burst;         /* calls at once after a pause, 0: a tenth of a second's worth */
    uint64_t queue_depth;   /* calls in flight, 0: no limit */
    uint64_t memory_mib;    /* GPU memory, 0: no limit */
};

enum vg_policy_kind { VG_POLICY_NAME, VG_POLICY_PRIORITY, VG_POLICY_NUMBER };

struct vg_policy_field {
    const char *key;        /* "queue_depth" */
    enum vg_policy_kind kind;
    size_t offset;          /* in struct vg_policy */
    uint64_t min, max;      /* of a number */
    const char *unit;       /* of a number: "calls/s"; "" if it is a mere number */
    const char *what;       /* for the help text and the manual, a few words */
};

#define VG_POLICY_FIELDS 7u
extern const struct vg_policy_field vg_policy_fields[VG_POLICY_FIELDS];

void vg_policy_init(struct vg_policy *p);   /* pool A, medium, weight 50, no limits */

/* Sets one field from text. On failure (-EINVAL) `why` names key, value and what is allowed. */
int vg_policy_set(struct vg_policy *p, const char *key, const char *value, char *why,
                  size_t why_cap);

/* The field as text, as vg_policy_set takes it. */
#define VG_POLICY_TEXT 40u
void vg_policy_get(const struct vg_policy *p, const struct vg_policy_field *f, char *text,
                   size_t cap);

/* For the caps of a host: a policy that allows everything. */
void vg_policy_init_caps(struct vg_policy *cap);

/*
 * Within the host's caps, each field by itself. A cap of 0 is none, but for weight and
 * priority, whose caps are the most that a VM can have. Bits of the fields (by index in
 * vg_policy_fields) that were more.
 */
unsigned vg_policy_clamp(struct vg_policy *p, const struct vg_policy *cap);

bool vg_policy_has(const char *key);
uint64_t vg_policy_number(const struct vg_policy *p, const struct vg_policy_field *f);
const char *vg_priority_name(uint64_t priority);    /* "high", "medium", "low" */

#endif
