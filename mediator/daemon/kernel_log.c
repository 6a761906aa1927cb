/* SPDX-License-Identifier: MIT */
/* Reads the kernel log, see kernel_log.h. */
#include "kernel_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mediator.h"
#include "mediator/base/log.h"

/* ---- lines ---- */

static void take_line(struct vg_mediator *m, const char *line, size_t len)
{
    struct vg_xid x;

    if (vg_xid_parse(line, len, &x))
        vg_gpus_xid(m, &x, VG_XID_BY_KERNEL);
}

/* A pipe has lines, /dev/kmsg a record a read, whose first line it is. */
static void take_bytes(struct vg_mediator *m, const char *bytes, size_t n)
{
    struct vg_kernel_log *k = &m->health.kernel_log;

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (k->len < sizeof(k->line))
                k->line[k->len++] = bytes[i];
            continue;
        }
        take_line(m, k->line, k->len);
        k->len = 0;
    }
}

static void log_ready(void *arg, uint32_t events)
{
    struct vg_mediator *m = arg;
    struct vg_kernel_log *k = &m->health.kernel_log;
    char bytes[8192];   /* the kernel's records are at most so long */

    (void)events;
    for (unsigned i = 0; i < VG_KERNEL_LOG_LINES; i++) {
        ssize_t n = read(k->fd, bytes, sizeof(bytes));

        if (n > 0) {
            take_bytes(m, bytes, (size_t)n);
            continue;
        }
        /* EPIPE: records were overwritten before they were read. */
        if (n < 0 && (errno == EPIPE || errno == EINTR))
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        snprintf(k->problem, sizeof(k->problem), "%s", n < 0 ? strerror(errno) : "it has ended");
        vg_log(VG_LOG_WARNING, "kernel-log-lost", "error=\"%s\"", k->problem);
        vg_kernel_log_close(m);
        return;
    }
}

/* ---- life ---- */

/* A pipe is held open for writing too: its writers come and go. */
static int open_log(const char *path)
{
    struct stat st;
    int how = stat(path, &st) == 0 && S_ISFIFO(st.st_mode) ? O_RDWR : O_RDONLY;
    int fd = open(path, how | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return -errno;
    /* What was said before we came is about a time in which we were not. */
    if (how == O_RDONLY)
        lseek(fd, 0, SEEK_END);
    return fd;
}

/* The host's log says nothing about a GPU that is its processors. */
static bool is_wanted(const struct vg_config *c)
{
    struct vg_backend backend;
    char why[160];

    if (strcmp(c->kernel_log, VG_KERNEL_LOG_PATH) != 0)
        return c->kernel_log[0] != '\0';
    return vg_backend_find(c, &backend, why, sizeof(why)) == 0 && !backend.software;
}

void vg_kernel_log_open(struct vg_mediator *m)
{
    struct vg_kernel_log *k = &m->health.kernel_log;
    const char *path = m->config.kernel_log;
    int rc;

    k->fd = k->io.fd = -1;
    if (!is_wanted(&m->config))
        return;
    k->fd = open_log(path);
    rc = k->fd < 0 ? k->fd : vg_io_add(&m->loop, &k->io, k->fd, EPOLLIN, log_ready, m);
    if (rc == 0)
        return;
    snprintf(k->problem, sizeof(k->problem), "%s", strerror(-rc));
    vg_log(VG_LOG_WARNING, "kernel-log-unread", "path=%s error=\"%s\"", path, k->problem);
    vg_kernel_log_close(m);
}

void vg_kernel_log_close(struct vg_mediator *m)
{
    struct vg_kernel_log *k = &m->health.kernel_log;

    if (k->fd < 0)
        return;
    vg_io_del(&m->loop, &k->io);
    close(k->fd);
    k->fd = -1;
}
