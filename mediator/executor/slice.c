/* SPDX-License-Identifier: MIT */
/*
 * Watches the driver library's calls for channel groups and sets their time slices; see slice.h.
 * Numbers and layouts are the kernel driver's, of which its open sources are the only manual:
 * the structures below have what we look at in their places.
 */
#include "mediator/executor/slice.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/executor/executor.h"
#include "vg_atomic.h"

#define NV_TYPE     'F'         /* of its ioctls */
#define RM_FREE     0x29u
#define RM_CONTROL  0x2au
#define RM_ALLOC    0x2bu
#define GROUP_CLASS 0xa06cu     /* a channel group */
#define GROUP_ENGINE 12u        /* where its parameters have the engine, u32 */
#define ENGINE_LAST 8u          /* 1 to this run kernels; 0 is no engine; others copy, decode ... */
#define SET_SLICE   0xa06c0103u /* parameter: one u64, us */

struct rm_alloc {
    uint32_t client, parent, object, class;
    uint64_t params;
};
/* Both forms of RM_ALLOC begin like that; where the status is differs. */
#define ALLOC_SIZE          32u
#define ALLOC_STATUS        28u
#define ALLOC_RIGHTS_SIZE   48u
#define ALLOC_RIGHTS_STATUS 40u

struct rm_control {
    uint32_t client, object, command, flags;
    uint64_t params;
    uint32_t size, status;
};

struct rm_free {
    uint32_t client, parent, object, status;
};

struct group {
    bool there;
    int fd;                 /* its driver's file, on which it was made */
    uint32_t client, object;
    uint32_t found;         /* us, as the library has set it */
    uint32_t set;           /* us, as we have; 0: nothing yet */
};

static struct {
    pthread_mutex_t lock;
    struct group at[VG_SLICE_GROUPS];
    uint32_t changes;       /* counts; read without the lock */
    uint32_t wanted_us, wanted_at; /* the serve thread's: what it has asked for */
    uint32_t applied_us, applied_at;
    bool posted, running;   /* for the thread; there is one */
    uint32_t posted_us;
    pthread_cond_t wake;
    enum vg_gate_slice works;
    struct vg_slice_seen seen;
    vg_slice_device *device;
} slices = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static int call_device(int fd, unsigned long request, void *arg)
{
    if (slices.device)
        return slices.device(fd, request, arg);
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

/* ---- watching: under the lock ---- */

static struct group *find(int fd, uint32_t client, uint32_t object)
{
    for (unsigned i = 0; i < VG_SLICE_GROUPS; i++) {
        struct group *g = &slices.at[i];
        if (g->there && g->fd == fd && g->client == client && g->object == object)
            return g;
    }
    return NULL;
}

static void has_changed(void)
{
    vg_store_release(&slices.changes, slices.changes + 1);
}

/* Unknown is taken for one that does. */
static bool runs_kernels(const struct rm_alloc *a)
{
    uint32_t engine = 0;

    if (a->params)
        memcpy(&engine, (const char *)(uintptr_t)a->params + GROUP_ENGINE, sizeof(engine));
    return engine <= ENGINE_LAST;
}

static void note_alloc(int fd, const void *arg, size_t size)
{
    struct rm_alloc a;
    uint32_t status = 1;

    if (size != ALLOC_SIZE && size != ALLOC_RIGHTS_SIZE)
        return;
    memcpy(&a, arg, sizeof(a));
    memcpy(&status, (const char *)arg + (size == ALLOC_SIZE ? ALLOC_STATUS : ALLOC_RIGHTS_STATUS),
           sizeof(status));
    if (a.class != GROUP_CLASS || status != 0)
        return;
    if (!runs_kernels(&a)) {
        slices.seen.others++;
        return;
    }
    for (unsigned i = 0; i < VG_SLICE_GROUPS; i++) {
        if (slices.at[i].there)
            continue;
        slices.at[i] = (struct group){.there = true, .fd = fd, .client = a.client,
                                      .object = a.object, .found = VG_SLICE_FOUND};
        has_changed();
        return;
    }
}

/* Ours do not come by here. */
static void note_control(int fd, const void *arg, size_t size)
{
    struct rm_control c;
    struct group *g;
    uint64_t us;

    if (size != sizeof(c))
        return;
    memcpy(&c, arg, sizeof(c));
    if (c.command != SET_SLICE || c.status != 0 || c.size != sizeof(us) || !c.params)
        return;
    g = find(fd, c.client, c.object);
    if (!g)
        return;
    memcpy(&us, (const void *)(uintptr_t)c.params, sizeof(us));
    g->found = us && us < UINT32_MAX ? (uint32_t)us : VG_SLICE_FOUND;
    g->set = 0;
    has_changed();
}

/* A client goes with all that it made. */
static void note_free(int fd, const void *arg, size_t size)
{
    struct rm_free f;

    if (size != sizeof(f))
        return;
    memcpy(&f, arg, sizeof(f));
    for (unsigned i = 0; i < VG_SLICE_GROUPS && f.status == 0; i++) {
        struct group *g = &slices.at[i];
        if (g->fd == fd && g->client == f.client && (g->object == f.object || f.object == f.client))
            g->there = false;
    }
}

static void note(int fd, unsigned long request, const void *arg)
{
    size_t size = _IOC_SIZE(request);

    if (_IOC_TYPE(request) != NV_TYPE || !arg)
        return;
    pthread_mutex_lock(&slices.lock);
    slices.seen.calls++;
    switch (_IOC_NR(request)) {
    case RM_ALLOC:
        note_alloc(fd, arg, size);
        break;
    case RM_CONTROL:
        note_control(fd, arg, size);
        break;
    case RM_FREE:
        note_free(fd, arg, size);
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&slices.lock);
}

/* The one that the driver's library finds: programs come before libraries. */
__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;

    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    int rc = call_device(fd, request, arg);
    if (rc >= 0)
        note(fd, request, arg);
    return rc;
}

/* ---- setting ---- */

/* Without the lock while it lasts: the library goes on meanwhile. */
static bool call_driver(struct group group, uint32_t us)
{
    uint64_t value = us, from = vg_now();
    struct rm_control c = {.client = group.client, .object = group.object, .command = SET_SLICE,
                           .params = (uintptr_t)&value, .size = sizeof(value)};

    pthread_mutex_unlock(&slices.lock);
    int rc = call_device(group.fd, _IOWR(NV_TYPE, RM_CONTROL, struct rm_control), &c);
    int error = errno;
    pthread_mutex_lock(&slices.lock);
    slices.seen.settings++;
    slices.seen.took_ns += vg_now() - from;
    if (rc >= 0 && c.status == 0)
        return true;
    slices.seen.error = rc < 0 ? error : 0;
    slices.seen.status = c.status;
    return false;
}

/* Nothing is put back that nobody has changed. The group may have gone while we called. */
static bool set_one(struct group *g, uint32_t us)
{
    const struct group was = *g;
    uint32_t value = us ? us : g->found, at = slices.changes;

    if (g->set == us || (us == 0 && g->set == 0))
        return true;
    bool ok = call_driver(was, value);
    if (!g->there || g->fd != was.fd || g->client != was.client || g->object != was.object)
        return ok;
    if (ok && slices.changes == at)
        g->set = value;
    g->there = ok;
    return ok;
}

/* One that fails later has gone with its file; the first round says whether there is a lever. */
static void set_all(uint32_t us)
{
    unsigned good = 0, bad = 0;

    for (unsigned i = 0; i < VG_SLICE_GROUPS; i++) {
        struct group *g = &slices.at[i];
        if (g->there)
            *(set_one(g, us) ? &good : &bad) += 1;
    }
    if (slices.works == VG_GATE_SLICE_UNKNOWN && us != 0 && good + bad > 0)
        __atomic_store_n(&slices.works, good > 0 ? VG_GATE_SLICE_WORKS : VG_GATE_SLICE_FAILS,
                         __ATOMIC_RELAXED);
}

static void apply(uint32_t us)
{
    uint32_t changes = slices.changes;

    if (slices.works == VG_GATE_SLICE_FAILS ||
        (us == slices.applied_us && changes == slices.applied_at))
        return;
    set_all(us);
    slices.applied_us = us;
    slices.applied_at = changes;
}

enum vg_gate_slice vg_slice_apply(uint32_t us)
{
    pthread_mutex_lock(&slices.lock);
    apply(us);
    enum vg_gate_slice works = slices.works;
    pthread_mutex_unlock(&slices.lock);
    return works;
}

/* ---- the thread ---- */

static void *apply_what_is_posted(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&slices.lock);
    for (;;) {
        while (!slices.posted)
            pthread_cond_wait(&slices.wake, &slices.lock);
        slices.posted = false;
        apply(slices.posted_us);
    }
    return NULL;
}

static bool has_thread(void)
{
    pthread_t thread;

    if (!slices.running && pthread_create(&thread, NULL, apply_what_is_posted, NULL) == 0) {
        pthread_detach(thread);
        slices.running = true;
    }
    return slices.running;
}

static void post(uint32_t us)
{
    pthread_mutex_lock(&slices.lock);
    slices.posted_us = us;
    slices.posted = true;
    if (has_thread())
        pthread_cond_signal(&slices.wake);
    pthread_mutex_unlock(&slices.lock);
}

enum vg_gate_slice vg_slice_want(uint32_t us)
{
    uint32_t changes = vg_load_acquire(&slices.changes);

    if (us != slices.wanted_us || (us != 0 && changes != slices.wanted_at)) {
        post(us);
        slices.wanted_us = us;
        slices.wanted_at = changes;
    }
    return __atomic_load_n(&slices.works, __ATOMIC_RELAXED);
}

void vg_slice_set_device(vg_slice_device *device)
{
    slices.device = device;
}

struct vg_slice_seen vg_slice_seen(void)
{
    struct vg_slice_seen seen;

    pthread_mutex_lock(&slices.lock);
    seen = slices.seen;
    for (unsigned i = 0; i < VG_SLICE_GROUPS; i++)
        seen.groups += slices.at[i].there;
    pthread_mutex_unlock(&slices.lock);
    return seen;
}

void vg_slice_reset(void)
{
    pthread_mutex_lock(&slices.lock);
    memset(slices.at, 0, sizeof(slices.at));
    memset(&slices.seen, 0, sizeof(slices.seen));
    slices.changes = slices.applied_us = slices.applied_at = 0;
    slices.wanted_us = slices.wanted_at = 0;
    slices.works = VG_GATE_SLICE_UNKNOWN;
    slices.device = NULL;
    pthread_mutex_unlock(&slices.lock);
}
