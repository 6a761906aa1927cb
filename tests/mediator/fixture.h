/* SPDX-License-Identifier: MIT */
/*
 * A real vgpu-mediator with fake executors, and peers that speak to it in raw
 * messages. For Check tests that run in a process of their own; every failure
 * ends the test.
 */
#ifndef VG_FIXTURE_H
#define VG_FIXTURE_H

#include <json-c/json.h>
#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/vg_region.h"
#include "protocol/vg_sock.h"

#define TEST_REGION  (16u << 20)
#define TEST_SLOTS   4u
#define TEST_WAIT_MS 5000

struct daemon {
    char dir[32];
    char socket[64], control[64];
    pid_t pid;
};

/* Starts it; `mode` is what the fake executor does (VG_FAKE); settings end with NULL. */
void daemon_start(struct daemon *d, const char *mode, const char *const *settings);
/* The same directory and sockets again, after a daemon_kill. */
void daemon_restart(struct daemon *d, const char *mode);
/* ... and with settings. */
void daemon_restart_with(struct daemon *d, const char *mode, const char *const *settings);
/* As daemon_stop by another signal. */
int daemon_signal(struct daemon *d, int sig);
/* Starts another one with the same sockets; returns its exit code, -1 if it serves. */
int daemon_try(const struct daemon *d);
/* SIGTERM; returns its exit code, -1 if it did not end in time. */
int daemon_stop(struct daemon *d);
void daemon_kill(struct daemon *d);     /* SIGKILL */
void daemon_clean(struct daemon *d);    /* removes the directory */

/* Processes whose parent is the daemon. */
unsigned daemon_children(const struct daemon *d, pid_t *pids, unsigned cap);
unsigned daemon_fds(const struct daemon *d);

/* Waits until the daemon has that many children; fails the test if it never has. */
void daemon_wait_children(const struct daemon *d, unsigned count);

struct peer {
    int sock;
    int region_fd;
    struct vg_region_layout layout;
    void *base;
};

void peer_connect(struct peer *p, const struct daemon *d);
void peer_close(struct peer *p);
void peer_send(struct peer *p, const struct vg_msg *msg, int fd);
void peer_send_raw(struct peer *p, const void *buf, size_t len);
/* Waits for a message; *ret_fd is -1 or the caller's. 0 at the end of the connection, else 1. */
int peer_recv(struct peer *p, struct vg_msg *msg, int *ret_fd);
/* Waits for this type and token and fails the test on any other; returns its fd or -1. */
int peer_expect(struct peer *p, enum vg_msg_type type, uint32_t token);
void peer_expect_end(struct peer *p);

/* HELLO as a device with a formatted region, and WELCOME. */
void peer_hello_device(struct peer *p, const struct daemon *d, const char *name);
/* HELLO as a process, and WELCOME with its region. */
void peer_hello_process(struct peer *p, const struct daemon *d, const char *name);
/* ATTACH and ATTACHED; returns the doorbell. */
int peer_attach(struct peer *p, uint32_t token);
void peer_tell(struct peer *p, enum vg_msg_type type, uint32_t token);

uint32_t peer_slot_state(struct peer *p, unsigned slot);
void peer_wait_slot(struct peer *p, unsigned slot, uint32_t state);

/* One request line to the control socket, the answer parsed; the caller owns it. */
json_object *control_ask(const struct daemon *d, const char *line);
int64_t json_number(json_object *o, const char *key);
const char *json_text(json_object *o, const char *key);

void sleep_ms(unsigned ms);
uint64_t now_ms(void);

#endif
