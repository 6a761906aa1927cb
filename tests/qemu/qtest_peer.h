/* SPDX-License-Identifier: MIT */
/*
 * The mediator at the other end of the device's socket, as small as the device's tests need it;
 * one at a time. Each function fails the test if the device does otherwise.
 */
#ifndef VG_TESTS_QTEST_PEER_H
#define VG_TESTS_QTEST_PEER_H

#include "vg_region.h"
#include "vg_sock.h"

#define SLOTS     8u
#define SIZE      (16ull << 20)
#define PATIENCE  5000      /* ms; the device tries again every 2 s at most */

/* From mediator_accept to mediator_gone. */
extern int peer, region_fd;
extern void *region;
extern struct vg_region_layout layout;

void mediator_listen(const char *dir);              /* at DIR/mediator */
void mediator_accept(void);                         /* the device, its HELLO and its memory */
struct vg_msg mediator_receive(int *ret_fd);        /* NULL: a message without a descriptor */
void mediator_say(enum vg_msg_type type, uint32_t token, int fd);  /* fd -1: none */
void mediator_gone(void);                           /* twice does no harm */

void wait_readable(int fd);

#endif
