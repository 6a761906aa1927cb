/* SPDX-License-Identifier: MIT */
/*
 * vgpu-xenstore: reads xenstore for vgpu-mediator, which starts it with its end of a
 * socket pair as descriptor 3 (vg_xen.h). A process of its own, because libxenstore
 * blocks while xenstored does, and starts threads; the daemon does neither. One that
 * hangs is killed by the daemon, and one that has lost xenstored ends by itself: the
 * next begins with all domains that there are. It decides nothing.
 *
 * Events only say which domains to look at again, so a hundred of them at once are
 * one pass over xenstore.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "facts.h"
#include "lib.h"
#include "mediator/base/log.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "state.h"

#define SOCKET 3
#define EXIT_LOST 3         /* xenstored went away, or does not answer as it should */
#define EXIT_USELESS 4      /* no library */

struct domain {
    uint32_t domid;
    bool seen, dirty, told;
    char home[40];
    struct vg_xen_domain facts;     /* as told last */
};

struct watcher {
    struct vg_xs xs;
    struct domain *domain;          /* by domid */
    unsigned count;
    bool list_stale;                /* domains may have come or gone */
    bool full;                      /* the first pass has not ended */
    bool news;                      /* told something since the last BATCH */
};

/* ---- to the daemon ---- */

/* The daemon reads as fast as it can; if it is gone, so is the reason to be here. */
static void tell(const void *packet, size_t len)
{
    ssize_t n;

    do {
        n = send(SOCKET, packet, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        _exit(0);
}

static void tell_note(enum vg_xen_type type, uint32_t value, const char *text)
{
    struct vg_xen_note note = { .type = type, .value = value };

    snprintf(note.text, sizeof(note.text), "%s", text);
    tell(&note, sizeof(note));
}

static void give_up(int code, const char *why)
{
    tell_note(VG_XEN_PROBLEM, 0, why);
    exit(code);
}

static void check_connection(bool ok)
{
    if (!ok && vg_xs_lost())
        give_up(EXIT_LOST, "the connection to xenstored is lost");
}

/* ---- the list of domains ---- */

static void watch_domain(struct watcher *w, uint32_t domid, bool on)
{
    static const char *const nodes[] = { "platform", "vm", "name" };
    char path[64], token[16];

    snprintf(token, sizeof(token), "%u", (unsigned)domid);
    for (unsigned i = 0; i < VG_ARRAY_LEN(nodes); i++) {
        snprintf(path, sizeof(path), "/local/domain/%u/%s", (unsigned)domid, nodes[i]);
        if (on)
            check_connection(w->xs.watch(w->xs.h, path, token));
        else
            w->xs.unwatch(w->xs.h, path, token);
    }
}

static struct domain *find(struct watcher *w, uint32_t domid)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (w->domain[i].domid == domid)
            return &w->domain[i];
    }
    return NULL;
}

static void add(struct watcher *w, uint32_t domid)
{
    struct domain *d;

    if (w->count == VG_XEN_DOMAINS_MAX)
        return;
    d = realloc(w->domain, (w->count + 1) * sizeof(*d));
    if (!d)
        give_up(EXIT_LOST, "no memory");
    w->domain = d;
    d += w->count++;
    memset(d, 0, sizeof(*d));
    d->domid = domid;
    d->seen = d->dirty = true;
    watch_domain(w, domid, true);
}

static void drop(struct watcher *w, struct domain *d)
{
    watch_domain(w, d->domid, false);
    if (d->told) {
        tell_note(VG_XEN_GONE, d->domid, "");
        w->news = true;
    }
    *d = w->domain[--w->count];
}

static bool is_introduced(struct watcher *w, uint32_t domid)
{
    bool yes;

    errno = 0;
    yes = w->xs.is_introduced(w->xs.h, domid);
    check_connection(yes);
    return yes;
}

/* A folder alone is no domain: the toolstack makes it first and removes it last. */
static void mark_seen(struct watcher *w, const char *name)
{
    uint32_t domid = (uint32_t)strtoul(name, NULL, 10);
    struct domain *d = find(w, domid);

    if (domid == 0 || !is_introduced(w, domid))
        return;
    if (d)
        d->seen = true;
    else
        add(w, domid);
}

/* Nobody is declared gone unless xenstored answers before and after. */
static char **list_domains(struct watcher *w, unsigned *ret_num)
{
    char **names = w->xs.directory(w->xs.h, 0, "/local/domain", ret_num);

    check_connection(names != NULL);
    if (!names && errno == EACCES)
        give_up(EXIT_USELESS, "this is not Dom0");
    return names;
}

static void look_at_list(struct watcher *w)
{
    unsigned num = 0, again;
    char **names = list_domains(w, &num);

    w->list_stale = false;
    for (unsigned i = 0; i < w->count; i++)
        w->domain[i].seen = false;
    for (unsigned i = 0; names && i < num; i++)
        mark_seen(w, names[i]);
    free(names);
    free(list_domains(w, &again));
    for (unsigned i = w->count; i-- > 0;) {
        if (!w->domain[i].seen)
            drop(w, &w->domain[i]);
    }
}

/* ---- facts ---- */

static void look_at_domain(struct watcher *w, struct domain *d)
{
    struct vg_xen_domain now;

    d->dirty = false;
    errno = 0;
    if (!vg_facts_read(&w->xs, d->domid, d->home, &now)) {
        check_connection(false);
        return;
    }
    if (d->told && strcmp(d->facts.instance, now.instance) != 0) {
        d->home[0] = '\0';
        vg_facts_read(&w->xs, d->domid, d->home, &now);
    }
    now.type = VG_XEN_DOMAIN;
    if (d->told && memcmp(&d->facts, &now, sizeof(now)) == 0)
        return;
    d->facts = now;
    d->told = w->news = true;
    tell(&now, sizeof(now));
}

static void look(struct watcher *w)
{
    if (w->list_stale)
        look_at_list(w);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->domain[i].dirty)
            look_at_domain(w, &w->domain[i]);
    }
    if (w->news || w->full) {
        unsigned num;

        /* What was read counts only if xenstored still answers: the daemon acts on the BATCH. */
        free(list_domains(w, &num));
        tell_note(VG_XEN_BATCH, w->full ? VG_XEN_FULL : 0, "");
    }
    w->news = w->full = false;
}

/* ---- events ---- */

/* "/vgpu/vm/UUID/key"; a change above that concerns all. */
static void mark_home(struct watcher *w, const char *path)
{
    const char *uuid = strlen(path) > strlen(VG_HOOK_TREE) ? path + strlen(VG_HOOK_TREE) + 1 : "";
    size_t len = strcspn(uuid, "/");

    for (unsigned i = 0; i < w->count; i++) {
        if (len == 0 || (strlen(w->domain[i].home) == len &&
                         strncmp(w->domain[i].home, uuid, len) == 0))
            w->domain[i].dirty = true;
    }
}

static void take_event(struct watcher *w, const char *path, const char *token)
{
    struct domain *d;

    if (strcmp(token, "list") == 0) {
        w->list_stale = true;
    } else if (strcmp(token, "hook") == 0) {
        mark_home(w, path);
    } else {
        d = find(w, (uint32_t)strtoul(token, NULL, 10));
        if (d)
            d->dirty = true;
    }
}

static void take_events(struct watcher *w)
{
    char **event;

    errno = 0;
    while ((event = w->xs.check_watch(w->xs.h)) != NULL) {
        take_event(w, event[0], event[1]);
        free(event);
        errno = 0;
    }
    if (errno != EAGAIN)
        give_up(EXIT_LOST, "the connection to xenstored is lost");
}

static void take_state(struct watcher *w)
{
    struct vg_xen_state st;
    ssize_t n = recv(SOCKET, &st, sizeof(st), MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        exit(0);
    if (n != (ssize_t)sizeof(st))
        return;
    if (!vg_state_write(&w->xs, &st)) {
        check_connection(false);
        vg_log(VG_LOG_WARNING, "state-not-written", "domid=%u error=\"%s\"", (unsigned)st.domid,
               strerror(errno));
    }
}

/* ---- life ---- */

/* The library keeps the end of its connection to itself until somebody asks for something. */
static void probe(struct watcher *w)
{
    unsigned len;
    void *text;

    errno = 0;
    text = w->xs.read(w->xs.h, 0, "/local", &len);
    check_connection(text != NULL);
    free(text);
}

static void connect_to(struct watcher *w)
{
    static const char *const watched[][2] = {
        { "@introduceDomain", "list" }, { "@releaseDomain", "list" }, { VG_HOOK_TREE, "hook" },
    };

    w->xs.h = w->xs.open(0);
    if (!w->xs.h)
        give_up(EXIT_LOST, "xenstored does not answer");
    for (unsigned i = 0; i < VG_ARRAY_LEN(watched); i++) {
        if (!w->xs.watch(w->xs.h, watched[i][0], watched[i][1]))
            give_up(EXIT_LOST, "xenstored allows no watches");
    }
    w->list_stale = w->full = true;
    vg_state_clear(&w->xs);
    look(w);
    tell_note(VG_XEN_PROBLEM, 0, "");
}

static void run(struct watcher *w)
{
    struct pollfd fds[] = {
        { .fd = w->xs.fileno(w->xs.h), .events = POLLIN }, { .fd = SOCKET, .events = POLLIN },
    };

    for (;;) {
        int n = poll(fds, VG_ARRAY_LEN(fds), VG_XEN_ALIVE_MS / 2);

        if (n < 0 && errno != EINTR)
            give_up(EXIT_LOST, "poll fails");
        if (n > 0 && fds[0].revents)
            take_events(w);
        if (n > 0 && fds[1].revents)
            take_state(w);
        look(w);
        probe(w);
        tell_note(VG_XEN_ALIVE, 0, "");
    }
}

int main(void)
{
    static struct watcher w;
    char why[160];

    vg_log_init(VG_LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    if (vg_xs_load(&w.xs, why, sizeof(why)) < 0)
        give_up(EXIT_USELESS, why);
    connect_to(&w);
    run(&w);
    return 0;
}
