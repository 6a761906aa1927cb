/* SPDX-License-Identifier: MIT */
/* Files in memory, see memfile.h. */
#include "memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the headers of an old distribution lack. */
#ifndef SYS_memfd_create
#define SYS_memfd_create 319
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#define VG_MEMFD_FLAGS 3u               /* close on exec, may be sealed */
#define VG_SEALS 7                      /* neither seals nor size change */

int vg_memfile_new(const char *name, size_t size)
{
    int fd = (int)syscall(SYS_memfd_create, name, VG_MEMFD_FLAGS), rc;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, VG_SEALS) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

size_t vg_memfile_size(int fd)
{
    off_t end;

    if (fcntl(fd, F_GET_SEALS) != VG_SEALS)
        return 0;
    end = lseek(fd, 0, SEEK_END);       /* a sandbox may forbid fstat, which is many calls */
    return end > 0 ? (size_t)end : 0;
}
