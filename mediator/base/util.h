/* SPDX-License-Identifier: MIT */
/*
 * The few things every host program needs: cleanup of fds and heap at the end of
 * a scope, containers, bounds. No state; any thread.
 */
#ifndef VG_BASE_UTIL_H
#define VG_BASE_UTIL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define VG_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define VG_BIT(n)       (1u << (n))

#define vg_container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#define VG_NS_PER_MS ((uint64_t)1000000)
#define VG_NS_PER_S  ((uint64_t)1000000000)

/* Closes *fd unless it is negative, and leaves -1 and errno as it was. */
static inline void vg_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

static inline int vg_steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

static inline void vg_free_ptr(void *p)
{
    free(*(void **)p);
}

/* For locals: `vg_auto_fd int fd = -1;` closes on every way out of the scope. */
#define vg_auto_fd   __attribute__((cleanup(vg_close)))
#define vg_auto_free __attribute__((cleanup(vg_free_ptr)))

#endif
