/* SPDX-License-Identifier: MIT */
/* The fields of a VM's policy, see policy.h. */
#include "policy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/number.h"
#include "mediator/base/util.h"

#define NUMBER(field, low, high, unit, what) \
    { #field, VG_POLICY_NUMBER, offsetof(struct vg_policy, field), low, high, unit, what }

const struct vg_policy_field vg_policy_fields[VG_POLICY_FIELDS] = {
    { "pool", VG_POLICY_NAME, offsetof(struct vg_policy, pool), 0, 0, "", "pool of GPUs" },
    { "priority", VG_POLICY_PRIORITY, offsetof(struct vg_policy, priority), 0, 0, "",
      "class within the pool" },
    NUMBER(weight, 1, 100, "", "share against VMs of the same pool and priority"),
    NUMBER(rate, 0, 100000000, "calls/s", "calls a second, 0: no limit"),
    NUMBER(burst, 0, 100000000, "calls", "calls at once after a pause, 0: a tenth of a second's"),
    NUMBER(queue_depth, 0, 65536, "calls", "calls in flight, 0: no limit"),
    NUMBER(memory_mib, 0, 16u << 20, "MiB", "GPU memory, 0: no limit"),
};

static const char *const priority_names[VG_PRIORITY_COUNT] = { "high", "medium", "low" };

const char *vg_priority_name(uint64_t priority)
{
    return priority < VG_PRIORITY_COUNT ? priority_names[priority] : "?";
}

void vg_policy_init(struct vg_policy *p)
{
    memset(p, 0, sizeof(*p));
    strcpy(p->pool, "A");
    p->priority = VG_PRIORITY_MEDIUM;
    p->weight = 50;
}

void vg_policy_init_caps(struct vg_policy *cap)
{
    vg_policy_init(cap);
    cap->priority = VG_PRIORITY_HIGH;
    cap->weight = 100;
}

/* A smaller number is a higher priority, and 0 stands for no limit where a field can be 0. */
static bool is_more(const struct vg_policy_field *f, uint64_t value, uint64_t cap)
{
    if (f->kind == VG_POLICY_PRIORITY)
        return value < cap;
    if (f->kind == VG_POLICY_NAME || cap == 0)
        return false;
    /* No burst is the common one, a part of the rate. */
    if (value == 0)
        return f->offset != offsetof(struct vg_policy, burst);
    return value > cap;
}

unsigned vg_policy_clamp(struct vg_policy *p, const struct vg_policy *cap)
{
    unsigned clamped = 0;

    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        const struct vg_policy_field *f = &vg_policy_fields[i];
        uint64_t *value = (uint64_t *)((char *)p + f->offset);

        if (f->kind == VG_POLICY_NAME || !is_more(f, *value, vg_policy_number(cap, f)))
            continue;
        *value = vg_policy_number(cap, f);
        clamped |= VG_BIT(i);
    }
    return clamped;
}

static const struct vg_policy_field *find(const char *key)
{
    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        if (strcmp(vg_policy_fields[i].key, key) == 0)
            return &vg_policy_fields[i];
    }
    return NULL;
}

bool vg_policy_has(const char *key)
{
    return find(key) != NULL;
}

uint64_t vg_policy_number(const struct vg_policy *p, const struct vg_policy_field *f)
{
    return *(const uint64_t *)((const char *)p + f->offset);
}

void vg_policy_get(const struct vg_policy *p, const struct vg_policy_field *f, char *text,
                   size_t cap)
{
    if (f->kind == VG_POLICY_NAME)
        snprintf(text, cap, "%s", (const char *)p + f->offset);
    else if (f->kind == VG_POLICY_PRIORITY)
        snprintf(text, cap, "%s", vg_priority_name(vg_policy_number(p, f)));
    else
        snprintf(text, cap, "%" PRIu64, vg_policy_number(p, f));
}

static bool set_pool(struct vg_policy *p, const char *value, char *why, size_t cap)
{
    if (!vg_name_ok(value, sizeof(p->pool))) {
        snprintf(why, cap, "\"%.80s\" is not a pool name: letters, digits and ._:-, at most %zu",
                 value, sizeof(p->pool) - 1);
        return false;
    }
    strcpy(p->pool, value);
    return true;
}

static bool set_priority(struct vg_policy *p, const char *value, char *why, size_t cap)
{
    for (unsigned i = 0; i < VG_PRIORITY_COUNT; i++) {
        if (strcmp(priority_names[i], value) == 0) {
            p->priority = i;
            return true;
        }
    }
    snprintf(why, cap, "\"%.80s\" is not one of high, medium, low", value);
    return false;
}

static bool set_field(struct vg_policy *p, const struct vg_policy_field *f, const char *value,
                      char *why, size_t cap)
{
    if (f->kind == VG_POLICY_NAME)
        return set_pool(p, value, why, cap);
    if (f->kind == VG_POLICY_PRIORITY)
        return set_priority(p, value, why, cap);
    return vg_number(value, f->min, f->max, (uint64_t *)((char *)p + f->offset), why, cap);
}

int vg_policy_set(struct vg_policy *p, const char *key, const char *value, char *why,
                  size_t why_cap)
{
    const struct vg_policy_field *f = find(key);
    char reason[192];

    if (!f) {
        snprintf(why, why_cap,
                 "\"%.80s\" is not one of pool, priority, weight, rate, burst, queue_depth, memory_mib",
                 key);
        return -EINVAL;
    }
    if (set_field(p, f, value, reason, sizeof(reason)))
        return 0;
    snprintf(why, why_cap, "%s: %s", key, reason);
    return -EINVAL;
}
