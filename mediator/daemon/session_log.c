/* SPDX-License-Identifier: MIT */
/* What an executor writes on stderr, as lines of the daemon's log, at a rate. See session.h. */
#include <string.h>

#include "client.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "session.h"

static void log_line(struct vg_session *s)
{
    char text[sizeof(s->line)];
    uint64_t second = s->mediator->loop.now / VG_NS_PER_S;

    if (second != s->log_second) {
        s->log_second = second;
        s->log_lines = 0;
    }
    /* A guest may be able to provoke lines; it must not fill the disk. */
    if (++s->log_lines > VG_SESSION_LOG_LINES)
        return;
    vg_log_clean(text, sizeof(text), s->line, s->line_len);
    vg_log(s->log_lines == VG_SESSION_LOG_LINES ? VG_LOG_WARNING : VG_LOG_INFO, "executor-says",
           "vm=%s slot=%u pid=%d text=\"%s\"%s", s->client ? s->client->vm->name : "-", s->slot, (int)s->pid, text,
           s->log_lines == VG_SESSION_LOG_LINES ? " more=dropped" : "");
}

static void take_log(struct vg_session *s, const char *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (buf[i] != '\n' && s->line_len < sizeof(s->line) - 1) {
            s->line[s->line_len++] = buf[i];
            continue;
        }
        log_line(s);
        s->line_len = 0;
        if (buf[i] != '\n')
            s->line[s->line_len++] = buf[i];
    }
}

/* A bounded amount, so others get their turn. */
bool vg_session_log_drain(struct vg_session *s)
{
    char buf[2048];

    for (int i = 0; i < 16; i++) {
        ssize_t n = read(s->log_fd, buf, sizeof(buf));

        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        take_log(s, buf, (size_t)n);
    }
    return true;
}

void vg_session_log_flush(struct vg_session *s)
{
    if (s->line_len > 0)
        log_line(s);
    s->line_len = 0;
}
