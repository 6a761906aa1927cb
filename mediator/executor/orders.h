/* SPDX-License-Identifier: MIT */
/* The daemon's page of orders (mediator/vg_orders.h), which this process can only read. Main thread. */
#ifndef VG_EXEC_ORDERS_H
#define VG_EXEC_ORDERS_H

struct vg_exec;

/* Maps it. Without it (a test, a fuzzer) there are no limits and no turns. 0 or -errno. */
int vg_orders_open(struct vg_exec *x, int fd);

#endif
