/* SPDX-License-Identifier: MIT */
/*
 * What happened, for administrators: the last events in memory, and whoever follows.
 * What guests can cause at will, such as connections, has a place of its own there, so
 * that they cannot push out what matters. Every event is a log line too, so callers do not log it again.
 * The texts are "key=value" pairs as in the log. Runs on the daemon's loop.
 *
 * A new kind of event is one row of VG_EVENT_TYPES; vgpu-control(7) lists them.
 */
#ifndef VG_EVENT_H
#define VG_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "mediator/base/log.h"

#define VG_EVENTS_MAX 512u      /* kept of either sort */
#define VG_EVENT_TEXT 512u
#define VG_EVENT_VM   64u

/* X(NAME, "name", log level, can guests cause it at will) */
#define VG_EVENT_TYPES(X)                                                      \
    X(STARTED, "mediator-started", VG_LOG_INFO, 0)                             \
    X(RESUMED, "mediator-resumed", VG_LOG_INFO, 0)                             \
    X(STOPPING, "mediator-stopping", VG_LOG_INFO, 0)                           \
    X(STATE_DAMAGED, "state-damaged", VG_LOG_ERROR, 0)                         \
    X(VM_REGISTERED, "vm-registered", VG_LOG_INFO, 0)                          \
    X(VM_CHANGED, "vm-changed", VG_LOG_INFO, 0)                                \
    X(VM_UNREGISTERED, "vm-unregistered", VG_LOG_INFO, 0)                      \
    X(VM_CLAMPED, "vm-clamped", VG_LOG_WARNING, 0)                             \
    X(VM_POOL, "vm-pool-unknown", VG_LOG_WARNING, 0)                           \
    X(PEER_UP, "peer-up", VG_LOG_INFO, 1)                                      \
    X(PEER_DOWN, "peer-down", VG_LOG_INFO, 1)                                  \
    X(PEER_REFUSED, "peer-refused", VG_LOG_WARNING, 1)                         \
    X(PEER_MISBEHAVES, "peer-misbehaves", VG_LOG_WARNING, 1)                   \
    X(ATTACHED, "attached", VG_LOG_INFO, 1)                                    \
    X(ATTACH_REFUSED, "attach-refused", VG_LOG_WARNING, 1)                     \
    X(DETACHED, "detached", VG_LOG_INFO, 1)                                    \
    X(FAULT, "fault", VG_LOG_WARNING, 0)                                       \
    X(STUCK, "stuck", VG_LOG_ERROR, 0)                                         \
    X(KILLED, "killed", VG_LOG_WARNING, 0)                                     \
    X(WATCHDOG, "watchdog", VG_LOG_WARNING, 0)                                 \
    X(CONTEXT_MEASURED, "context-measured", VG_LOG_INFO, 0)                    \
    X(LIMITED, "limited", VG_LOG_INFO, 1)                                      \
    X(QUARANTINED, "quarantined", VG_LOG_ERROR, 0)                             \
    X(QUARANTINE_CLEARED, "quarantine-cleared", VG_LOG_INFO, 0)                \
    X(GPU_SICK, "gpu-sick", VG_LOG_ERROR, 0)                                   \
    X(GPU_WELL, "gpu-well", VG_LOG_INFO, 0)                                    \
    X(VM_KEYS, "vm-keys", VG_LOG_WARNING, 0)                                   \
    X(VM_NO_SOCKET, "vm-no-socket", VG_LOG_ERROR, 0)                           \
    X(XENSTORE_LOST, "xenstore-lost", VG_LOG_WARNING, 0)                       \
    X(XENSTORE_BACK, "xenstore-back", VG_LOG_INFO, 0)

#define X(name, text, level, common) VG_EVENT_##name,
enum vg_event_type { VG_EVENT_TYPES(X) VG_EVENT_COUNT };
#undef X

struct vg_event_entry {
    uint64_t seq;               /* 1, 2, ...: counts since the daemon started */
    uint64_t time_ns;           /* CLOCK_REALTIME */
    enum vg_event_type type;
    char vm[VG_EVENT_VM];       /* "": of no VM */
    char text[VG_EVENT_TEXT];
};

struct vg_events {
    struct {
        struct vg_event_entry *ring;    /* NULL: nothing is kept, only logged */
        uint64_t count;                 /* ever kept */
    } sort[2];                          /* [0] what matters, [1] what guests cause at will */
    uint64_t last;                      /* seq of the newest, 0: none yet */
    /* Told of each, for those who follow; may be NULL. */
    void (*fn)(void *arg, const struct vg_event_entry *e);
    void *arg;
};

struct vg_mediator;
struct vg_vm;

void vg_events_init(struct vg_events *ev);
void vg_events_fini(struct vg_events *ev);

/* One event, of a VM or (NULL) of none. What others chose in it must be clean (vg_log_clean). */
void vg_event(struct vg_mediator *m, enum vg_event_type type, const struct vg_vm *vm,
              const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The oldest that is kept with a seq of at least `seq`; NULL: there is none. Walks all. */
const struct vg_event_entry *vg_events_from(const struct vg_events *ev, uint64_t seq);

const char *vg_event_name(enum vg_event_type type);

#endif
