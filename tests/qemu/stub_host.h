/* SPDX-License-Identifier: MIT */
/*
 * What stands around the device core in its tests: a host that notes what the core does to it,
 * a guest that uses registers, and a mediator's messages. One device at a time, of stub_host_setup.
 */
#ifndef STUB_HOST_H
#define STUB_HOST_H

#include <check.h>

#include "qemu-device/vgpu_stub_core.h"

#define STUB_SLOTS 4u
#define STUB_SIZE  VG_REGION_SIZE_MIN

/* What the core did to its host. Pretended fds count up from 100 and are tracked. */
struct stub_host {
    bool refuse_open, open;
    int send_error;
    unsigned sent, guest_errors, complaints, opens, retry_ms;
    struct vg_msg last;
    int last_fd;
    int next_fd;
    unsigned closed[4096], signals[4096];
};

extern struct stub_host stub_host;
extern const struct vg_stub_host stub_host_ops;
extern struct vg_stub stub;
extern void *region;

/* For each test: the device, and in the end that no fd is left open. */
void stub_host_setup(void);
void stub_host_teardown(void);

/* ---- the guest ---- */

uint32_t stub_reg(unsigned offset);
void stub_set(unsigned offset, uint32_t value);
struct vg_slot *stub_shared(uint32_t token);
uint32_t stub_claim(void);
void stub_ck_gone(uint32_t token, enum vg_gone_reason reason);

/* ---- the mediator ---- */

/* A message; the core owns `fd` then. */
void stub_say(enum vg_msg_type type, uint32_t token, int fd);
void stub_come_up(void);

/* A slot with an executor, and its doorbell. */
uint32_t stub_attached(int *ret_fd);

/* ---- check_stub_region.c, check_stub_saved.c ---- */

TCase *stub_region_tests(void);
TCase *stub_saved_tests(void);

#endif
