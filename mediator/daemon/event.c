/* SPDX-License-Identifier: MIT */
/* The ring of events, see event.h. */
#include "event.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mediator.h"

#define X(name, text, level, common) { text, level, common },
static const struct {
    const char *name;
    enum vg_log_level level;
    unsigned sort;
} types[VG_EVENT_COUNT] = { VG_EVENT_TYPES(X) };
#undef X

const char *vg_event_name(enum vg_event_type type)
{
    return (unsigned)type < VG_EVENT_COUNT ? types[type].name : "?";
}

void vg_events_init(struct vg_events *ev)
{
    memset(ev, 0, sizeof(*ev));
    for (unsigned i = 0; i < VG_ARRAY_LEN(ev->sort); i++)
        ev->sort[i].ring = calloc(VG_EVENTS_MAX, sizeof(*ev->sort[i].ring));
}

void vg_events_fini(struct vg_events *ev)
{
    for (unsigned i = 0; i < VG_ARRAY_LEN(ev->sort); i++)
        free(ev->sort[i].ring);
    memset(ev, 0, sizeof(*ev));
}

static uint64_t wall_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * VG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void keep(struct vg_events *ev, const struct vg_event_entry *e)
{
    unsigned sort = types[e->type].sort;

    if (ev->sort[sort].ring)
        ev->sort[sort].ring[ev->sort[sort].count++ % VG_EVENTS_MAX] = *e;
    if (ev->fn)
        ev->fn(ev->arg, e);
}

void vg_event(struct vg_mediator *m, enum vg_event_type type, const struct vg_vm *vm,
              const char *fmt, ...)
{
    struct vg_event_entry e = { .seq = ++m->events.last, .time_ns = wall_clock(), .type = type };
    va_list args;

    va_start(args, fmt);
    vsnprintf(e.text, sizeof(e.text), fmt, args);
    va_end(args);
    snprintf(e.vm, sizeof(e.vm), "%s", vm ? vm->name : "");
    if (vm)
        vg_log(types[type].level, types[type].name, "vm=%s %s", e.vm, e.text);
    else
        vg_log(types[type].level, types[type].name, "%s", e.text);
    keep(&m->events, &e);
}

const struct vg_event_entry *vg_events_from(const struct vg_events *ev, uint64_t seq)
{
    const struct vg_event_entry *found = NULL;

    for (unsigned i = 0; i < VG_ARRAY_LEN(ev->sort); i++) {
        for (unsigned j = 0; j < VG_EVENTS_MAX && j < ev->sort[i].count; j++) {
            const struct vg_event_entry *e = &ev->sort[i].ring[j];

            if (e->seq >= seq && (!found || e->seq < found->seq))
                found = e;
        }
    }
    return found;
}
