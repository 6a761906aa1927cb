/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's end of the mediator's socket: packets with at most one file
 * descriptor.  Nothing here blocks.  Errors are -errno.
 */
#ifndef VGPU_STUB_LINK_H
#define VGPU_STUB_LINK_H

#include <stddef.h>

#include "vg_sock.h"

/* A connected non-blocking socket, or -errno. */
int vg_stub_link_connect(const char *path);

/* Sends `msg`, with a duplicate of `pass_fd` unless that is -1. */
int vg_stub_link_send(int fd, const struct vg_msg *msg, int pass_fd);

/*
 * Receives one packet: 0, -EAGAIN when there is none, -ECONNRESET when the
 * peer has closed.  ret_len may differ from the size of a vg_msg, when the
 * peer is broken.  The caller owns *ret_fd (-1: no descriptor came).
 */
int vg_stub_link_recv(int fd, struct vg_msg *msg, size_t *ret_len,
                      int *ret_fd);

/* Wakes who sleeps on an eventfd. */
void vg_stub_link_signal(int eventfd);

#endif
