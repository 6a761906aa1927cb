/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets: listening without stealing a living server's address, and packets
 * with file descriptors. All fds are close-on-exec and, where said, nonblocking.
 * No state; any thread.
 */
#ifndef VG_BASE_SOCK_H
#define VG_BASE_SOCK_H

#include <stddef.h>
#include <sys/types.h>

#define VG_SOCK_FDS_MAX 12u /* file descriptors a packet may carry */

/*
 * Listens at `path` (SOCK_SEQPACKET or SOCK_STREAM) with permissions `mode` and,
 * unless gid is -1, that group. A socket left there by a dead server is replaced;
 * -EADDRINUSE if somebody answers at it, or if it is no socket. The fd,
 * nonblocking, or -errno.
 */
int vg_sock_listen(int type, const char *path, mode_t mode, gid_t gid);

/* Connects, blocking. The fd or -errno. */
int vg_sock_connect(int type, const char *path);

/* Accepts, nonblocking. The fd or -errno. */
int vg_sock_accept(int listener);

/* Sends one packet without waiting: 0, or -errno (-EAGAIN: the peer does not read). */
int vg_sock_send(int sock, const void *buf, size_t len, const int *fds, unsigned nfds);

/* The same, but waits up to `ms` for room. -EAGAIN: there was none. */
int vg_sock_send_wait(int sock, const void *buf, size_t len, const int *fds, unsigned nfds,
                      unsigned ms);

/*
 * Receives one packet. Returns its length, 0 at the peer's end, or -errno;
 * -EMSGSIZE if it was longer than `cap` or carried more than `max_fds` (at most
 * VG_SOCK_FDS_MAX) descriptors. The caller owns ret_fds[0..*ret_nfds), which are
 * set only on success; otherwise every descriptor received has been closed.
 */
ssize_t vg_sock_recv(int sock, void *buf, size_t cap, int *ret_fds, unsigned max_fds,
                     unsigned *ret_nfds);

/*
 * The same, but the packet stays where it is; the descriptors are the caller's own
 * copies. vg_sock_skip takes it off. Who dies between the two has not lost it.
 */
ssize_t vg_sock_peek(int sock, void *buf, size_t cap, int *ret_fds, unsigned max_fds,
                     unsigned *ret_nfds);
void vg_sock_skip(int sock);

#endif
