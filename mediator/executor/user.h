/* SPDX-License-Identifier: MIT */
/*
 * The user that the process is. A daemon of root's starts it as root and names two users of its
 * range: one that all executors share until they have a guest, because whom they will serve is
 * not known while the driver starts, and the VM's, which they become before they look at the
 * first byte of it. NVIDIA's driver remembers the user that it was started by, and takes a caller
 * by his number as well: what it began it goes on with after the change (H200, driver 580).
 *
 * Needs the right to change users, which the first step keeps out of effect and the second ends.
 */
#ifndef VG_USER_H
#define VG_USER_H

#include <stdint.h>

/*
 * Before the driver starts: rights and access are user's from here on, in all threads to come.
 * 0 or -errno.
 */
int vg_user_begin(uint32_t user);

/*
 * For good, in all threads: user and group of that number, in no other groups than those of
 * the GPU's files, no capabilities. 0 or -errno; then the process must end.
 */
int vg_user_become(uint32_t user);

#endif
