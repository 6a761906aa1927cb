/* SPDX-License-Identifier: MIT */
/* See orders.h. */
#include "mediator/executor/orders.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mediator/executor/executor.h"

int vg_orders_open(struct vg_exec *x, int fd)
{
    struct stat st;
    void *p;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != VG_ORDERS_SIZE)
        return 0;
    p = mmap(NULL, VG_ORDERS_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    x->orders = p;
    close(fd);
    return 0;
}
