/* SPDX-License-Identifier: MIT */
/* What the process gives up before it looks at the first guest byte. */
#ifndef VG_SANDBOX_H
#define VG_SANDBOX_H

#include <stdbool.h>

/*
 * After the driver is loaded and initialised, all files open. `own_user`: the process's user is
 * its VM's alone, and so is a limit of threads. 0 or -errno. One way.
 */
int vg_sandbox_enter(bool software, bool own_user);

/*
 * First of all, while it is root: where Dom0 runs out of memory, a guest's process shall end and
 * no other.
 */
void vg_sandbox_offer(void);

/*
 * For who stays root: gives up the rights by which it opens what its owner has closed, and looks
 * into other processes. Before the driver starts threads, each of which has rights of its own.
 * 0 or -errno.
 */
int vg_sandbox_drop(void);

#endif
