/* SPDX-License-Identifier: MIT */
/*
 * A guest without manners: speaks the socket and the ring by itself, so that it can
 * write what libvgpu-cuda never would. Also starts the mediator it torments.
 */
#ifndef VG_HOSTILE_GUEST_H
#define VG_HOSTILE_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vg_ring.h"

#define GUEST_DEAD    0x10000 /* the slot went to GONE; guest.reason says why */
#define GUEST_TIMEOUT 0x10001

struct daemon {
    pid_t pid;
    char dir[64], socket[96], control[96], log[96];
};

struct guest {
    int sock, bell, region_fd;
    uint8_t *base;
    struct vg_region_layout layout;
    struct vg_slot *slot;
    struct vg_ring_producer ring;
    struct vg_result res; /* of the last call */
    uint32_t seq;
};

/* Aborts the test with a message if the condition is false. */
#define MUST(cond) must((cond), #cond, __FILE__, __LINE__)
void must(bool ok, const char *what, const char *file, int line);

void daemon_start(struct daemon *d);
/* Stops it, which must succeed, and fails if any executor or the daemon itself crashed. */
void daemon_stop(struct daemon *d);
/* Times `text` occurs in the daemon's log. */
unsigned daemon_said(const struct daemon *d, const char *text);

/* The VM that guests opened from now on say they belong to. */
extern const char *guest_name;

/* at: proposed address of the region, 0: wherever. False: refused or GONE, g->slot tells. */
bool guest_open(struct guest *g, const struct daemon *d, void *at);
void guest_close(struct guest *g);

/* How long a call may take before it is GUEST_TIMEOUT. */
extern unsigned guest_patience_ms;

/* Writes a record and waits for its answer in `cell`. CUresult, GUEST_DEAD or GUEST_TIMEOUT. */
int guest_call(struct guest *g, uint32_t call, const uint64_t *arg, const void *payload,
               uint32_t len, unsigned flags, unsigned cell);
/* The same with the arguments in line, REPLY in cell 1 and no payload. */
#define CALL(g, call, ...)                                                                         \
    guest_call(g, call, (const uint64_t[8]){__VA_ARGS__}, NULL, 0, VG_F_REPLY, 1)
/* Does not wait. False: no room, or GONE. */
bool guest_post(struct guest *g, uint32_t call, const uint64_t *arg, const void *payload,
                uint32_t len, unsigned flags, unsigned cell);
void guest_ring_bell(struct guest *g);
/* True once the slot is GONE; waits up to ms. */
bool guest_gone(struct guest *g, unsigned ms);

/* Loads PTX and returns a kernel of it, after making a context current. 0: refused. */
uint64_t guest_context(struct guest *g);
uint64_t guest_module(struct guest *g, const char *ptx);
uint64_t guest_function(struct guest *g, uint64_t module, const char *name);
/* Launches one block of `threads` with the words as parameters, then synchronizes. */
int guest_launch(struct guest *g, uint64_t func, unsigned blocks, unsigned threads,
                 const uint64_t *word, unsigned words);

#endif
