/* SPDX-License-Identifier: MIT */
/* See journal.h. Must not log. Any thread. */
#include "journal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sock.h"
#include "util.h"

struct packet {
    char *at;
    size_t len, cap;
};

/* One field. A newline would end it, so values have none. All of it or nothing. */
static void put(struct packet *p, const char *name, size_t name_len, bool ours, const char *value,
                size_t len)
{
    static const char prefix[] = "VGPU_";
    size_t prefix_len = ours ? sizeof(prefix) - 1 : 0;
    char *at = p->at + p->len;

    if (p->len + prefix_len + name_len + len + 2 > p->cap)
        return;
    memcpy(at, prefix, prefix_len);
    for (size_t i = 0; i < name_len; i++)
        at[prefix_len + i] = (char)toupper((unsigned char)name[i]);
    at += prefix_len + name_len;
    *at++ = '=';
    for (size_t i = 0; i < len; i++)
        at[i] = value[i] == '\n' ? ' ' : value[i];
    at[len] = '\n';
    p->len += prefix_len + name_len + len + 2;
}

static void put_text(struct packet *p, const char *name, const char *value)
{
    put(p, name, strlen(name), false, value, strlen(value));
}

/* "key=value" or key="two words"; returns what follows it, NULL if it is no pair. */
static const char *put_pair(struct packet *p, const char *text)
{
    size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_"), len;
    const char *value = text + name + 1;
    bool quoted;

    if (name == 0 || text[name] != '=')
        return NULL;
    quoted = *value == '"';
    value += quoted;
    len = strcspn(value, quoted ? "\"" : " ");
    put(p, text, name, true, value, len);
    return value + len + (quoted && value[len]);
}

size_t vg_journal_format(char *out, size_t cap, const char *program, int priority,
                         const char *event, const char *text)
{
    struct packet p = { .at = out, .cap = cap };
    char message[1200], number[16];

    snprintf(message, sizeof(message), "%s%s%s", event, *text ? " " : "", text);
    snprintf(number, sizeof(number), "%d", priority);
    put_text(&p, "MESSAGE", message);
    put_text(&p, "PRIORITY", number);
    put_text(&p, "SYSLOG_IDENTIFIER", program);
    put(&p, "EVENT", 5, true, event, strlen(event));
    while (text && *text) {
        text += strspn(text, " ");
        text = put_pair(&p, text);
    }
    return p.len;
}

int vg_journal_open(const char *path)
{
    return vg_sock_connect(SOCK_DGRAM, path);
}

bool vg_journal_send(int fd, const char *program, int priority, const char *event,
                     const char *text)
{
    char out[VG_JOURNAL_MAX];
    size_t n = vg_journal_format(out, sizeof(out), program, priority, event, text);

    return send(fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}
