/* SPDX-License-Identifier: MIT */
/* Faults and their weight, see ledger.h. */
#include "ledger.h"

#include <string.h>

static const struct {
    const char *name, *title;
    unsigned points;
} kinds[VG_FAULT_KINDS] = {
    [VG_FAULT_CRASH] = { "crash", "crash of an executor", VG_FAULT_POINTS },
    [VG_FAULT_BREACH] = { "breach", "breach of the protocol", VG_FAULT_POINTS },
    [VG_FAULT_HANG] = { "hang", "kernel that hung", VG_FAULT_POINTS },
    [VG_FAULT_KERNEL] = { "kernel", "kernel's own error", VG_FAULT_POINTS / 10 },
};

const char *vg_fault_name(unsigned kind)
{
    return kind < VG_FAULT_KINDS ? kinds[kind].name : "?";
}

const char *vg_fault_title(unsigned kind)
{
    return kind < VG_FAULT_KINDS ? kinds[kind].title : "?";
}

unsigned vg_fault_kind_of(const char *name)
{
    unsigned kind = 0;

    while (kind < VG_FAULT_KINDS && strcmp(kinds[kind].name, name) != 0)
        kind++;
    return kind;
}

/* The oldest two become one, of the younger's age: nothing is forgotten too early. */
static void make_room(struct vg_ledger *l)
{
    if (l->count < VG_LEDGER_MAX)
        return;
    l->entry[1].points += l->entry[0].points;
    memmove(&l->entry[0], &l->entry[1], (VG_LEDGER_MAX - 1) * sizeof(l->entry[0]));
    l->count--;
}

void vg_ledger_put(struct vg_ledger *l, enum vg_fault_kind kind, unsigned points, uint64_t at)
{
    make_room(l);
    l->entry[l->count++] = (struct vg_ledger_entry){ .at = at, .points = points, .kind = kind };
}

static bool is_same_incident(const struct vg_ledger *l, enum vg_fault_kind kind, uint64_t born,
                             uint64_t now)
{
    const struct vg_ledger_entry *last = l->count ? &l->entry[l->count - 1] : NULL;

    return last && last->kind == kind && born <= last->at && now - last->at < VG_INCIDENT_NS;
}

void vg_ledger_add(struct vg_ledger *l, enum vg_fault_kind kind, uint64_t born, uint64_t now)
{
    if (!is_same_incident(l, kind, born, now))
        vg_ledger_put(l, kind, kinds[kind].points, now);
}

unsigned vg_ledger_points(const struct vg_ledger *l, uint64_t now, uint64_t window_ns)
{
    unsigned points = 0;

    for (unsigned i = 0; i < l->count; i++) {
        if (now - l->entry[i].at <= window_ns)
            points += l->entry[i].points;
    }
    return points;
}

unsigned vg_ledger_count(const struct vg_ledger *l, uint64_t now, uint64_t window_ns)
{
    unsigned count = 0;

    for (unsigned i = 0; i < l->count; i++)
        count += now - l->entry[i].at <= window_ns;
    return count;
}

static bool is_over(const struct vg_ledger *l, uint64_t now, unsigned limit, uint64_t window_ns)
{
    return limit && vg_ledger_points(l, now, window_ns) >= limit * VG_FAULT_POINTS;
}

enum vg_ledger_verdict vg_ledger_judge(const struct vg_ledger *l,
                                       const struct vg_ledger_limits *limits, uint64_t now)
{
    if (is_over(l, now, limits->limit, limits->window_ns))
        return VG_LEDGER_SHORT;
    if (is_over(l, now, limits->long_limit, limits->long_window_ns))
        return VG_LEDGER_LONG;
    return VG_LEDGER_FINE;
}
