/* SPDX-License-Identifier: MIT */
/* Standard output to console ring, and the watch thread; see console.h. glibc's stdout is a variable. */
#include "mediator/executor/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vg_atomic.h"

#define PIPE_SIZE (1 << 20) /* bytes: the driver's print buffer is as large */

static ssize_t take_from_stream(void *console, const char *bytes, size_t len);

static int open_stream(struct vg_console *c)
{
    const cookie_io_functions_t functions = {.write = take_from_stream};
    FILE *f = fopencookie(c, "w", functions);

    if (!f)
        return -ENOMEM;
    c->first = stdout;
    c->own = stdout = f;
    return 0;
}

static int open_pipe(struct vg_console *c)
{
    int fd[2];

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

int vg_console_init(struct vg_console *c, struct vg_slot *slot)
{
    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->slot = slot;
    c->pipe_read = -1;
    int rc = open_pipe(c);
    return rc < 0 ? rc : open_stream(c);
}

void vg_console_fini(struct vg_console *c)
{
    if (c->own) {
        stdout = c->first;
        fclose(c->own);
        c->own = c->first = NULL;
    }
    if (c->pipe_read >= 0)
        close(c->pipe_read);
    c->pipe_read = -1;
    c->slot = NULL;
    free(c->backlog);
    c->backlog = NULL;
}

/* Room in the ring. The tail is the guest's: out of range, it means none. */
static uint64_t room(const struct vg_console *c)
{
    uint64_t used = c->head - vg_load_acquire(&c->slot->console_tail);

    return used > VG_CONSOLE_SIZE ? 0 : VG_CONSOLE_SIZE - used;
}

/* Moves from backlog to ring; both wrap, so in pieces. */
static void give_locked(struct vg_console *c)
{
    uint8_t *ring = vg_slot_console(c->slot);
    uint64_t n = c->taken - c->head, fits = room(c), head = c->head;

    if (n > fits)
        n = fits;
    while (n > 0) {
        uint64_t from = head % VG_BACKLOG_MAX, to = head % VG_CONSOLE_SIZE;
        uint64_t piece = n;
        if (piece > VG_BACKLOG_MAX - from)
            piece = VG_BACKLOG_MAX - from;
        if (piece > VG_CONSOLE_SIZE - to)
            piece = VG_CONSOLE_SIZE - to;
        memcpy(ring + to, c->backlog + from, piece);
        head += piece;
        n -= piece;
    }
    vg_store_release(&c->head, head);
    vg_store_release(&c->slot->console_head, head);
}

/* As much as the backlog holds. */
static uint64_t take_locked(struct vg_console *c, const uint8_t *bytes, uint64_t len)
{
    uint64_t fits = VG_BACKLOG_MAX - (c->taken - c->head), at = c->taken;

    if (!c->backlog)
        c->backlog = malloc(VG_BACKLOG_MAX);
    if (!c->backlog)
        return 0;
    if (len > fits)
        len = fits;
    for (uint64_t i = 0; i < len; i++)
        c->backlog[at++ % VG_BACKLOG_MAX] = bytes[i];
    vg_store_release(&c->taken, at);
    return len;
}

/* Says how much is missing before anything that comes after it. */
static bool note_drops(struct vg_console *c)
{
    char note[80];
    int n = snprintf(note, sizeof(note), "\n[vgpu: %llu bytes of device output dropped]\n",
                     (unsigned long long)c->dropped);

    if (c->dropped == 0)
        return true;
    if (VG_BACKLOG_MAX - (c->taken - c->head) < (uint64_t)n)
        return false;
    take_locked(c, (const uint8_t *)note, (uint64_t)n);
    c->dropped = 0;
    return true;
}

static void put_locked(struct vg_console *c, const uint8_t *bytes, uint64_t len)
{
    uint64_t n = note_drops(c) ? take_locked(c, bytes, len) : 0;

    c->dropped += len - n;
}

/* stdout was flushed, or its buffer is full. Any thread of the driver's. */
static ssize_t take_from_stream(void *console, const char *bytes, size_t len)
{
    struct vg_console *c = console;

    pthread_mutex_lock(&c->lock);
    put_locked(c, (const uint8_t *)bytes, len);
    pthread_mutex_unlock(&c->lock);
    return (ssize_t)len;
}

static void flush(struct vg_console *c)
{
    if (__fpending(c->own))
        fflush(c->own);
    if (__fpending(c->first)) { /* held on to from before the driver was loaded */
        fflush(c->first);
        vg_store_relaxed(&c->piped, 1);
    }
}

static void empty_pipe(struct vg_console *c)
{
    uint8_t buf[4096];
    ssize_t n;

    pthread_mutex_lock(&c->lock);
    while ((n = read(c->pipe_read, buf, sizeof(buf))) > 0)
        put_locked(c, buf, (uint64_t)n);
    pthread_mutex_unlock(&c->lock);
}

/* The usual case is that nothing was printed: it takes no lock and no system call. */
static bool all_given(const struct vg_console *c, uint64_t *ret_head)
{
    *ret_head = vg_load_acquire(&c->head);
    return vg_load_acquire(&c->taken) == *ret_head;
}

uint64_t vg_console_drain(struct vg_console *c)
{
    uint64_t taken;

    if (!c->own)
        return 0;
    flush(c);
    if (vg_load_relaxed(&c->piped))
        empty_pipe(c);
    if (all_given(c, &taken))
        return taken;
    pthread_mutex_lock(&c->lock);
    give_locked(c);
    taken = c->taken;
    pthread_mutex_unlock(&c->lock);
    return taken;
}

uint64_t vg_console_give(struct vg_console *c)
{
    uint64_t head;

    if (all_given(c, &head))
        return head;
    pthread_mutex_lock(&c->lock);
    give_locked(c);
    head = c->head;
    pthread_mutex_unlock(&c->lock);
    return head;
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
        {.fd = w->control_fd, .events = POLLRDHUP}, /* what it says is the serve thread's */
        {.fd = w->console->pipe_read, .events = POLLIN},
    };

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[0].revents) {
            w->ended();
            return NULL;
        }
        if (fds[1].revents & POLLIN) {
            vg_store_relaxed(&w->console->piped, 1);
            vg_console_drain(w->console);
        }
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
