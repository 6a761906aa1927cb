/* SPDX-License-Identifier: MIT */
/* Asks the grant before work is given to the GPU; see gate.h. Serve thread. */
#include "mediator/executor/gate.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "mediator/executor/executor.h"

static bool is_page(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == VG_GATE_SIZE;
}

int vg_gate_open(struct vg_exec *x, int fd)
{
    if (!is_page(fd))
        return 0;
    void *p = mmap(NULL, VG_GATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    x->gate = p;
    return 0;
}
