/* SPDX-License-Identifier: MIT */
/*
 * A mediator and a guest process in one, around a real vgpu-executor: makes the
 * region and the descriptors, starts the program, speaks the ring. Small on
 * purpose: tests must be able to send what no shim would.
 */
#ifndef VG_TEST_HARNESS_H
#define VG_TEST_HARNESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "mediator/limit/account.h"
#include "mediator/vg_gate.h"
#include "mediator/vg_orders.h"
#include "mediator/vg_stats.h"
#include "vg_api.h"
#include "vg_region.h"
#include "vg_ring.h"
#include "vg_sock.h"

#define TEST_REGION_SIZE (16u << 20)
#define TEST_SHELF_SIZE (4u << 20)
#define TEST_SLOTS       2u
#define TEST_WAIT_MS     20000

struct host {
    pid_t pid;
    int region_fd, doorbell, control, log;  /* log: what the executor says on stderr */
    uint8_t *base;
    struct vg_region_layout layout;
    struct vg_slot *slot;
    struct vg_ring_producer ring;
    struct vg_stats *stats;
    int account_fd, orders_fd, gate_fd;
    struct vg_orders *orders;               /* the executor can only read */
    const struct vg_gate *gate;             /* what it tells the daemon */
    int shelf_fd;                           /* empty at first */
    uint32_t user;                          /* of the job: whom to become; 0 at first */
    struct vg_account *account;             /* of the VM: no limits; the executor has seat 0 */
    uint32_t seq;
    struct vg_msg said;                     /* its latest message while it started */
};

/* NULL: the software GPU, or what VG_TEST_DRIVER says. Else a library among the tests' files. */
extern const char *host_driver;

/* True if there is a driver to test with; else says on stdout why not. */
bool host_available(void);

/* Region, hello and descriptors; the test may change the hello before host_start. */
void host_init(struct host *h);
/* Starts the program and waits for READY (true) or FAILED, in h->said. */
bool host_start(struct host *h);
/* The same in steps: the program, its wait for a job (false: something else), the job. */
void host_spawn(struct host *h);
bool host_idle(struct host *h);
bool host_give(struct host *h);
/* Sends the job only; who has one already has to bear that. */
void host_send_job(struct host *h);
/* init and start, which must succeed, and a primary context, current. Returns the context. */
uint64_t host_ready(struct host *h);
/* Closes the control socket and waits for the end; returns waitpid's status. */
int host_stop(struct host *h);
/* Waits for the end without causing it. -1 after TEST_WAIT_MS. */
int host_wait(struct host *h);

/* Sends one record; rings the doorbell when asked to. Returns its sequence number. */
uint32_t guest_send(struct host *h, uint32_t call, const uint64_t *arg, unsigned args,
                    const void *payload, uint32_t len, uint16_t flags, uint16_t cell);
/* True once the cell is done with that number, within ms. */
bool guest_done(struct host *h, uint16_t cell, uint32_t seq, int ms);
/* Sends with a reply in cell 0 and waits. The result is copied to *ret if not NULL. */
CUresult guest_ask(struct host *h, uint32_t call, const uint64_t *arg, unsigned args,
                   const void *payload, uint32_t len, struct vg_result *ret);

/* guest_ask with words only: ASK(h, ret, VG_CALL_NOP, 1, 2) */
#define WORDS(...) (const uint64_t[]){0, ##__VA_ARGS__} + 1, \
                   (unsigned)(sizeof((uint64_t[]){0, ##__VA_ARGS__}) / sizeof(uint64_t) - 1)
#define ASK(h, ret, call, ...) guest_ask((h), (call), WORDS(__VA_ARGS__), NULL, 0, (ret))
#define POST(h, call, ...) guest_send((h), (call), WORDS(__VA_ARGS__), NULL, 0, 0, 0)

/* Region offset of `count` data extents taken for the slot. */
uint64_t guest_extents(struct host *h, uint32_t count);
uint8_t *guest_at(struct host *h, uint64_t off);

uint64_t now_ms(void);

#endif
