/* SPDX-License-Identifier: MIT */
/* Standard output to console ring, and the watch thread; see console.h. */
#include "mediator/executor/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vg_atomic.h"

#define PIPE_SIZE (1 << 20)     /* bytes: the driver's print buffer is as large */

int vg_console_init(struct vg_console *c, struct vg_slot *slot)
{
    int fd[2];

    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->slot = slot;
    c->pipe_read = -1;
    if (pipe2(fd, O_CLOEXEC) < 0)
        return -errno;
    if (dup2(fd[1], STDOUT_FILENO) < 0 || fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0) {
        int err = -errno;
        close(fd[0]);
        close(fd[1]);
        return err;
    }
    close(fd[1]);
    fcntl(fd[0], F_SETPIPE_SZ, PIPE_SIZE); /* a smaller pipe works too, the watch thread reads it */
    c->pipe_read = fd[0];
    return 0;
}

void vg_console_fini(struct vg_console *c)
{
    if (c->pipe_read >= 0)
        close(c->pipe_read);
    c->pipe_read = -1;
    c->slot = NULL;
}

/* Room in the ring. The tail is the guest's: out of range, it means none. */
static uint64_t room(const struct vg_console *c)
{
    uint64_t used = c->head - vg_load_acquire(&c->slot->console_tail);

    return used > VG_CONSOLE_SIZE ? 0 : VG_CONSOLE_SIZE - used;
}

static void append(struct vg_console *c, const void *bytes, uint64_t len)
{
    uint8_t *ring = vg_slot_console(c->slot);
    uint64_t at = c->head % VG_CONSOLE_SIZE;
    uint64_t first = len < VG_CONSOLE_SIZE - at ? len : VG_CONSOLE_SIZE - at;

    memcpy(ring + at, bytes, first);
    memcpy(ring, (const uint8_t *)bytes + first, len - first);
    c->head += len;
}

static void note_drops(struct vg_console *c)
{
    char note[80];
    int n = snprintf(note, sizeof(note), "\n[vgpu: %llu bytes of device output dropped]\n",
                     (unsigned long long)c->dropped);

    if (c->dropped == 0 || room(c) < (uint64_t)n)
        return;
    append(c, note, (uint64_t)n);
    c->dropped = 0;
}

static void put_locked(struct vg_console *c, const void *bytes, uint64_t len)
{
    note_drops(c);
    uint64_t fits = room(c);
    if (fits > len)
        fits = len;
    if (c->dropped)
        fits = 0; /* the note comes first */
    append(c, bytes, fits);
    c->dropped += len - fits;
    vg_store_release(&c->slot->console_head, c->head);
}

void vg_console_put(struct vg_console *c, const void *bytes, uint64_t len)
{
    if (!c->slot)
        return;
    pthread_mutex_lock(&c->lock);
    put_locked(c, bytes, len);
    pthread_mutex_unlock(&c->lock);
}

void vg_console_drain(struct vg_console *c)
{
    char buf[4096];
    ssize_t n;

    if (c->pipe_read < 0)
        return;
    fflush(stdout);
    pthread_mutex_lock(&c->lock);
    while ((n = read(c->pipe_read, buf, sizeof(buf))) > 0)
        put_locked(c, buf, (uint64_t)n);
    pthread_mutex_unlock(&c->lock);
}

struct watch {
    struct vg_console *console;
    int control_fd;
    void (*ended)(void);
};

static struct watch the_watch; /* one per process, as the process has one stdout */

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    struct pollfd fds[2] = {
        {.fd = w->control_fd, .events = POLLIN},
        {.fd = w->console->pipe_read, .events = POLLIN},
    };

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        char byte;
        if (fds[0].revents && recv(w->control_fd, &byte, 1, MSG_DONTWAIT) <= 0) {
            w->ended();
            return NULL;
        }
        if (fds[1].revents & POLLIN)
            vg_console_drain(w->console);
    }
}

int vg_console_watch(struct vg_console *c, int control_fd, void (*ended)(void))
{
    pthread_t thread;

    the_watch = (struct watch){.console = c, .control_fd = control_fd, .ended = ended};
    int rc = pthread_create(&thread, NULL, watch_main, &the_watch);
    if (rc == 0)
        pthread_detach(thread);
    return -rc;
}
