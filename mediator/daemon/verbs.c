/* SPDX-License-Identifier: MIT */
/* The table of verbs, see verbs.h. */
#include "verbs.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "mediator/health/xid.h"
#include "mediator/base/number.h"
#include "mediator/base/util.h"
#include "policy.h"
#include "vm.h"

#define EVENTS_SHOWN_MAX (2u * VG_EVENTS_MAX)

const struct vg_verb vg_verbs[] = {
    { "register-vm", VG_RIGHTS_ADMIN, "register a VM, or change the policy of one", "vm_name! *",
      false, "vm" },
    { "unregister-vm", VG_RIGHTS_ADMIN, "forget a VM's policy", "vm_name!", false, "" },
    { "set-priority", VG_RIGHTS_ADMIN, "change a VM's class", "vm_name! priority!", false, "vm" },
    { "set-weight", VG_RIGHTS_ADMIN, "change a VM's weight", "vm_name! weight!", false, "vm" },
    { "set-pool", VG_RIGHTS_ADMIN, "move a VM to another pool", "vm_name! pool!", false, "vm" },
    { "set-rate-limit", VG_RIGHTS_ADMIN, "limit a VM's calls", "vm_name! rate queue_depth burst", true,
      "vm" },
    { "set-memory", VG_RIGHTS_ADMIN, "limit a VM's GPU memory", "vm_name! memory_mib!", false,
      "vm" },
    { "quarantine", VG_RIGHTS_ADMIN, "end a VM's use of the GPU and refuse it", "vm_name! reason",
      false, "vm" },
    { "clear-quarantine", VG_RIGHTS_ADMIN, "let a quarantined VM use the GPU again", "vm_name!",
      false, "vm" },
    { "clear-gpu", VG_RIGHTS_ADMIN, "say that a GPU is well again that was held back", "gpu!",
      false, "" },
    { "stop", VG_RIGHTS_ADMIN, "end the mediator, as SIGTERM does; with all, every executor too",
      "| all", false, "" },
    { "list", VG_RIGHTS_READ, "one line for each VM", "", false, "vms" },
    { "show-vm", VG_RIGHTS_READ, "a VM's policy and executors", "vm_name!", false,
      "vm, metrics, executors" },
    { "show-metrics", VG_RIGHTS_READ, "counters of one VM or of all", "vm_name", false, "vms" },
    { "show-health", VG_RIGHTS_READ, "mediator, device, executors, faults", "", false,
      "health, executors" },
    { "events", VG_RIGHTS_READ, "what happened, oldest first", "vm_name | since limit follow", false,
      "events, next" },
    { "top", VG_RIGHTS_READ, "who uses the GPU, again and again",
      "vm_name | interval count once", false, "time_ns, vms" },
};
const unsigned vg_verb_count = VG_ARRAY_LEN(vg_verbs);

static const struct vg_arg others[] = {
    { "vm_name", VG_ARG_VM, 0, 0, "", "name of a VM", false, false },
    { "reason", VG_ARG_TEXT, 0, VG_REASON_MAX - 1, "", "why, for the log and the guest", false,
      false },
    { "gpu", VG_ARG_TEXT, 0, VG_XID_GPU_MAX - 1, "", "PCI address as in show-health, 0000:17:00",
      false, false },
    { "since", VG_ARG_NUMBER, 0, INT64_MAX, "", "only events with this number or a later one",
      false, false },
    { "limit", VG_ARG_NUMBER, 1, EVENTS_SHOWN_MAX, "events", "the latest so many, usually 100",
      false, false },
    { "follow", VG_ARG_FLAG, 0, 0, "", "go on with each event as it happens", false, false },
    { "all", VG_ARG_FLAG, 0, 0, "", "whatever the setting keep says, nothing goes on", false, false },
    { "interval", VG_ARG_NUMBER, 100, 3600000, "ms", "time between two looks, usually 1000", true,
      false },
    { "count", VG_ARG_NUMBER, 1, 1000000, "looks", "end after so many", true, false },
    { "once", VG_ARG_FLAG, 0, 0, "", "look once and end, as count 1", true, false },
};

const struct vg_verb *vg_verb_find(const char *name)
{
    for (unsigned i = 0; i < vg_verb_count; i++) {
        if (strcmp(vg_verbs[i].name, name) == 0)
            return &vg_verbs[i];
    }
    return NULL;
}

static void from_policy(const struct vg_policy_field *f, struct vg_arg *ret_arg)
{
    *ret_arg = (struct vg_arg){ f->key, VG_ARG_POLICY, f->min, f->max, f->unit, f->what, false,
                                false };
}

bool vg_arg_find(const char *name, struct vg_arg *ret_arg)
{
    for (unsigned i = 0; i < VG_ARRAY_LEN(others); i++) {
        if (strcmp(others[i].name, name) == 0) {
            *ret_arg = others[i];
            return true;
        }
    }
    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        if (strcmp(vg_policy_fields[i].key, name) == 0) {
            from_policy(&vg_policy_fields[i], ret_arg);
            return true;
        }
    }
    return false;
}

unsigned vg_verb_args(const struct vg_verb *v, struct vg_arg *args, unsigned *ret_positional)
{
    char word[64];
    unsigned n = 0, positional = 0;
    bool by_name = false;

    for (const char *p = v->args; *p && n < VG_VERB_ARGS_MAX; p += strspn(p, " ")) {
        size_t len = strcspn(p, " "), name = strcspn(p, " !");

        if (*p == '|') {
            by_name = true;
        } else if (*p == '*') {
            by_name = true;
            for (unsigned i = 0; i < VG_POLICY_FIELDS && n < VG_VERB_ARGS_MAX; i++)
                from_policy(&vg_policy_fields[i], &args[n++]);
        } else {
            snprintf(word, sizeof(word), "%.*s", (int)name, p);
            if (vg_arg_find(word, &args[n])) {
                args[n].needed = p[name] == '!';
                n++;
                positional = by_name ? positional : n;
            }
        }
        p += len;
    }
    if (ret_positional)
        *ret_positional = positional;
    return n;
}

/* ---- values ---- */

static bool vm_ok(const char *value, char *why, size_t cap)
{
    if (vg_name_ok(value, VG_VM_NAME_MAX))
        return true;
    snprintf(why, cap, "\"%.80s\" is not a VM name: letters, digits and ._:-, at most %u", value,
             VG_VM_NAME_MAX - 1);
    return false;
}

/* It ends up in one line of logs, tables and events. */
static bool text_ok(const char *value, uint64_t max, char *why, size_t cap)
{
    size_t len = strlen(value);

    for (const char *p = value; *p; p++) {
        if (*p < ' ' || *p > '~' || *p == '"') {
            snprintf(why, cap, "only printable ASCII without quotes is allowed");
            return false;
        }
    }
    if (len <= max)
        return true;
    snprintf(why, cap, "\"%.40s...\" is longer than %" PRIu64 " characters", value, max);
    return false;
}

static bool flag_ok(const char *value, char *why, size_t cap)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        return true;
    snprintf(why, cap, "\"%.80s\" is neither true nor false", value);
    return false;
}

static bool other_ok(const struct vg_arg *a, const char *value, char *why, size_t cap)
{
    uint64_t number;

    switch (a->kind) {
    case VG_ARG_VM:   return vm_ok(value, why, cap);
    case VG_ARG_TEXT: return text_ok(value, a->max, why, cap);
    case VG_ARG_FLAG: return flag_ok(value, why, cap);
    default:          return vg_number(value, a->min, a->max, &number, why, cap);
    }
}

bool vg_arg_ok(const struct vg_arg *a, const char *value, char *why, size_t why_cap)
{
    struct vg_policy scratch;
    char reason[192];

    if (a->kind == VG_ARG_POLICY) {
        vg_policy_init(&scratch);
        return vg_policy_set(&scratch, a->name, value, why, why_cap) == 0;
    }
    if (other_ok(a, value, reason, sizeof(reason)))
        return true;
    snprintf(why, why_cap, "%s: %s", a->name, reason);
    return false;
}

/* ---- words about them ---- */

static const struct vg_policy_field *field_of(const struct vg_arg *a)
{
    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        if (strcmp(vg_policy_fields[i].key, a->name) == 0)
            return &vg_policy_fields[i];
    }
    return NULL;
}

static void policy_allowed(const struct vg_arg *a, char *text, size_t cap)
{
    const struct vg_policy_field *f = field_of(a);

    if (f->kind == VG_POLICY_NAME)
        snprintf(text, cap, "letters, digits and ._:-, at most %u", VG_POOL_MAX - 1);
    else if (f->kind == VG_POLICY_PRIORITY)
        snprintf(text, cap, "one of high, medium, low");
    else
        snprintf(text, cap, "number from %" PRIu64 " to %" PRIu64, a->min, a->max);
}

void vg_arg_allowed(const struct vg_arg *a, char *text, size_t cap)
{
    switch (a->kind) {
    case VG_ARG_VM:
        snprintf(text, cap, "letters, digits and ._:-, at most %u", VG_VM_NAME_MAX - 1);
        break;
    case VG_ARG_POLICY:
        policy_allowed(a, text, cap);
        break;
    case VG_ARG_TEXT:
        snprintf(text, cap, "text, at most %" PRIu64 " characters", a->max);
        break;
    case VG_ARG_FLAG:
        snprintf(text, cap, "true or false");
        break;
    case VG_ARG_NUMBER:
        snprintf(text, cap, "number from %" PRIu64 " to %" PRIu64, a->min, a->max);
        break;
    }
}
