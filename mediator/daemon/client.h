/* SPDX-License-Identifier: MIT */
/*
 * A peer on the mediator's socket: a device in QEMU, a process on this host, or a
 * monitor, which only reads telemetry.
 * Its messages are checked against this object's own tables, never against the
 * shared region. A peer that breaks the protocol is logged and cut off; nobody
 * else notices.
 */
#ifndef VG_CLIENT_H
#define VG_CLIENT_H

#include "mediator/base/loop.h"
#include "mediator/base/peer.h"
#include "mediator/base/regmem.h"
#include "protocol/vg_region.h"
#include "protocol/vg_sock.h"
#include "session.h"
#include "telemetry.h"
#include "vm.h"

#define VG_CLIENT_HELLO_MS 5000u    /* a connection that says nothing is closed */
#define VG_CLIENT_SILENT_MAX 16u    /* connections of one user that have not said HELLO */
#define VG_CLIENT_CHECK_MS 1000u    /* between looks whether a process still lives */

struct vg_mediator;

enum vg_client_state {
    VG_CLIENT_NEW,      /* connected, no HELLO yet */
    VG_CLIENT_UP,       /* welcomed */
    VG_CLIENT_CLOSING,  /* socket closed, executors ending */
    VG_CLIENT_DEAD,     /* nothing left; about to be freed */
    VG_CLIENT_STATES
};

struct vg_client {
    struct vg_mediator *mediator;
    struct vg_list link;
    enum vg_client_state state;
    unsigned id;                    /* for logs */
    uint64_t key;                   /* in the keeper; 0: not there */
    bool held;                      /* is not freed now, whatever ends */
    bool replay;                    /* an earlier daemon may have dealt with the next message */
    int sock;
    struct vg_io io;
    struct vg_timer timer;          /* HELLO's deadline, then the next look at the process */
    struct vg_peer peer;
    pid_t pid;                      /* of the peer, by the kernel */
    uid_t uid;
    uint32_t domid;                 /* of the domain whose socket it came by, 0: the common one */
    enum vg_role role;
    char claimed[64];               /* the name in its HELLO, clean for the log */
    struct vg_vm *vm;               /* from UP on, but NULL for a monitor */
    struct vg_regmem mem;           /* the region; a monitor's holds its telemetry only */
    struct vg_region_layout layout; /* of a monitor: no slots */
    struct vg_watch watch;
    struct vg_session *session[VG_SLOTS_MAX];
    bool used[VG_SLOTS_MAX];        /* last_token is valid */
    uint32_t last_token[VG_SLOTS_MAX];
};

/* Takes the connection. NULL: no memory; then the fd is closed. */
struct vg_client *vg_client_new(struct vg_mediator *m, int sock);

/* Takes over one that was UP or CLOSING with an earlier daemon; has all its values. 0 or -errno. */
int vg_client_adopt(struct vg_client *c);
/* And has its executors: ends those that have ended, and itself if it was being closed. */
void vg_client_catch_up(struct vg_client *c);

/* Cuts the peer off and ends its executors; the object goes away when they have. */
void vg_client_close(struct vg_client *c, enum vg_gone_reason reason, const char *why);

/*
 * Turns away the connection that has waited longest for its HELLO, among those of
 * `uid`, if that user has more than VG_CLIENT_SILENT_MAX of them.
 */
void vg_client_limit_silent(struct vg_mediator *m, uid_t uid);

/* Turns away the one that has waited longest, whoever's it is. False: all have said HELLO. */
bool vg_client_make_room(struct vg_mediator *m);

/* The session has reached ENDED. */
void vg_client_session_ended(struct vg_client *c, struct vg_session *s);

/*
 * client_hello.c: takes name and region of a HELLO whose role is known, and finds the VM. NULL, or a
 * sentence why not, which may be in buf[cap]. What it took of *fd is the client's.
 */
const char *vg_client_identify(struct vg_client *c, struct vg_msg *msg, int *fd, char *buf,
                               size_t cap);

const char *vg_client_role_name(const struct vg_client *c);

#endif
