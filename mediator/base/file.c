/* SPDX-License-Identifier: MIT */
/* Files and anonymous memory, see file.h. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

/* linux/memfd.h and the newer fcntl.h; glibc 2.17 has neither these nor a wrapper. */
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC       0x0001u
#define MFD_ALLOW_SEALING 0x0002u
#endif
#if !defined(SYS_memfd_create) && defined(__x86_64__)
#define SYS_memfd_create 319
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS   (1024 + 9)
#define F_SEAL_SEAL   0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW   0x0004
#endif

static int read_all(int fd, char *text, size_t cap, size_t *ret_len)
{
    size_t len = 0;
    ssize_t n;

    while (len < cap && (n = read(fd, text + len, cap - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

int vg_file_read(const char *path, size_t cap, char **ret_text)
{
    vg_auto_free char *text = malloc(cap + 1);
    vg_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t len = 0;
    int rc;

    if (!text)
        return -ENOMEM;
    if (fd < 0)
        return -errno;
    rc = read_all(fd, text, cap + 1, &len);
    if (rc < 0)
        return rc;
    if (len > cap)
        return -EFBIG;
    text[len] = '\0';
    *ret_text = text;
    text = NULL;
    return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        len -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* The rename itself is durable only once its directory is on disk. */
static int sync_parent(const char *path)
{
    char copy[PATH_MAX];
    vg_auto_fd int dir = -1;

    snprintf(copy, sizeof(copy), "%s", path);
    dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 || fsync(dir) < 0 ? -errno : 0;
}

int vg_file_replace(const char *path, const char *text, mode_t mode)
{
    char temp[PATH_MAX];
    vg_auto_fd int fd = -1;
    int rc;

    if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp))
        return -ENAMETOOLONG;
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    rc = write_all(fd, text, strlen(text));
    if (rc == 0 && rename(temp, path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(temp);
    return rc < 0 ? rc : sync_parent(path);
}

int vg_file_make_parent(const char *path, mode_t mode)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return -ENAMETOOLONG;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

int vg_memfd_new(const char *name, uint64_t size)
{
    vg_auto_fd int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    return vg_steal_fd(&fd);
}
