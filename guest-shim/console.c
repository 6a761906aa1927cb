/* SPDX-License-Identifier: MIT */
/*
 * Output of device printf: the executor fills a byte ring in the slot, we write it
 * to standard output where CUDA promises it, at synchronizing calls. Any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "guest-shim/call.h"
#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "vg_atomic.h"

static struct vg_lock lock;

static void write_all(const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, p, n);
        if (done < 0 && errno != EINTR)
            return;     /* standard output is closed or full: its owner's wish */
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
}

static void drain(struct vg_slot *s, uint64_t head)
{
    const uint8_t *bytes = vg_slot_console(s);
    uint64_t tail = s->console_tail;

    if (head - tail > VG_CONSOLE_SIZE)
        tail = head;
    while (tail != head) {
        size_t at = tail % VG_CONSOLE_SIZE;
        size_t n = VG_CONSOLE_SIZE - at;
        if (n > head - tail)
            n = (size_t)(head - tail);
        write_all(bytes + at, n);
        tail += n;
        vg_store_release(&s->console_tail, tail);
    }
}

void vg_console_drain(void)
{
    struct vg_slot *s = vg_process.slot;

    if (!s || vg_load_acquire(&s->console_head) == vg_load_relaxed(&s->console_tail))
        return;
    /* The driver prints through the C library's stdout, so what the program printed comes first. */
    fflush(stdout);
    vg_lock(&lock);
    drain(s, vg_load_acquire(&s->console_head));
    vg_unlock(&lock);
}
