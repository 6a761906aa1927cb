/* SPDX-License-Identifier: MIT */
/*
 * Names images. The thread that loads one waits for its name, while most processors of the
 * guest have nothing to do: so a large image is cut into parts, which threads of ours take beside
 * the caller. They are gone soon after; the caller waits for parts that they have begun, never for a
 * thread that has not come to run yet: hence the count of users.
 */
#include "guest-shim/digest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "guest-shim/lock.h"

#define PART        VG_DIGEST_PART
#define PER_HELPER  4u          /* parts, at least: what a thread costs to start is less by far */
#define HELPERS_MAX 7u
#define STACK_BYTES (256u << 10)
#define LOOK_US     1000u       /* should a wakeup get lost */

struct part {
    const uint8_t *bytes;
    uint64_t number;
    uint32_t node[8];
};

struct work {
    unsigned users;             /* threads that may still look at this */
    unsigned count, next;       /* parts; the first that nobody has taken */
    uint32_t left;              /* parts that are not done */
    struct part part[];
};

static void drop(struct work *w)
{
    if (__atomic_sub_fetch(&w->users, 1, __ATOMIC_ACQ_REL) == 0)
        free(w);
}

static void take_parts(struct work *w)
{
    for (;;) {
        unsigned i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);
        if (i >= w->count)
            return;
        vg_digest_part(w->part[i].bytes, w->part[i].number, w->part[i].node);
        if (__atomic_sub_fetch(&w->left, 1, __ATOMIC_ACQ_REL) == 0)
            vg_futex_wake(&w->left);
    }
}

static void *helper_main(void *arg)
{
    take_parts(arg);
    drop(arg);
    return NULL;
}

/* ---- threads ------------------------------------------------------------------- */

static unsigned idle_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 0;
    return (unsigned)CPU_COUNT(&set) - 1;
}

static bool start_one(struct work *w, const pthread_attr_t *attr)
{
    pthread_t thread;

    __atomic_fetch_add(&w->users, 1, __ATOMIC_RELAXED);
    if (pthread_create(&thread, attr, helper_main, w) == 0)
        return true;
    __atomic_fetch_sub(&w->users, 1, __ATOMIC_RELAXED);
    return false;
}

/* The application's signals are not for them. */
static void start(struct work *w, unsigned helpers)
{
    pthread_attr_t attr;
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    while (helpers > 0 && start_one(w, &attr))
        helpers--;
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void compute(struct work *w, unsigned helpers)
{
    uint32_t left;

    if (helpers > w->count / PER_HELPER)
        helpers = w->count / PER_HELPER;
    start(w, helpers);
    take_parts(w);
    while ((left = vg_load_acquire(&w->left)) != 0)
        vg_futex_wait(&w->left, left, LOOK_US);
}

/* ---- cutting -------------------------------------------------------------------- */

/* Where the walk through an image stands. */
struct place {
    const struct vg_image *image;
    unsigned piece;             /* 0: the header */
    size_t at;                  /* in the piece */
    size_t pos;                 /* in the image */
};

/* What lies at the place without a seam; 0 at the end. */
static size_t run_at(struct place *p, const uint8_t **ret_bytes)
{
    for (; p->piece <= p->image->pieces; p->piece++, p->at = 0) {
        unsigned i = p->piece;
        const uint8_t *bytes = i ? p->image->piece[i - 1].bytes : p->image->header;
        size_t size = i ? p->image->piece[i - 1].size : p->image->header_size;
        *ret_bytes = bytes + p->at;
        if (p->at < size)
            return size - p->at;
    }
    return 0;
}

static bool is_part(const struct place *p, size_t run)
{
    return p->pos % PART == 0 && run >= PART && p->pos + PART < p->image->size;
}

/* The next part, or bytes up to where one may begin. False: that was all. */
static bool step(struct place *p, const uint8_t **ret_bytes, size_t *ret_size, bool *ret_part)
{
    size_t run = run_at(p, ret_bytes), most = PART - p->pos % PART;

    *ret_part = is_part(p, run);
    *ret_size = run < most ? run : most;
    p->at += *ret_size;
    p->pos += *ret_size;
    return run > 0;
}

static void cut(const struct vg_image *m, struct work *w)
{
    struct place p = {.image = m};
    const uint8_t *bytes;
    size_t size;
    bool part;

    while (step(&p, &bytes, &size, &part))
        if (part)
            w->part[w->count++] = (struct part){.bytes = bytes, .number = (p.pos - PART) / PART};
    w->left = w->count;
}

/* w NULL: all bytes are looked at here. */
static void join(const struct vg_image *m, const struct work *w,
                 uint8_t ret_digest[VG_DIGEST_BYTES])
{
    struct place p = {.image = m};
    const uint8_t *bytes;
    struct vg_digest d;
    unsigned i = 0;
    size_t size;
    bool part;

    vg_digest_init(&d);
    while (step(&p, &bytes, &size, &part)) {
        if (part && w)
            vg_digest_add_part(&d, w->part[i++].node);
        else
            vg_digest_add(&d, bytes, size);
    }
    vg_digest_end(&d, ret_digest);
}

/* ---- entry points ---------------------------------------------------------------- */

void vg_image_digest_with(const struct vg_image *image, unsigned helpers,
                          uint8_t ret_digest[VG_DIGEST_BYTES])
{
    size_t most = image->size / PART;
    struct work *w = helpers && most >= PER_HELPER
                         ? calloc(1, sizeof(*w) + most * sizeof(w->part[0])) : NULL;

    if (w) {
        w->users = 1;
        cut(image, w);
        compute(w, helpers);
    }
    join(image, w, ret_digest);
    if (w)
        drop(w);
}

void vg_image_digest(const struct vg_image *image, uint8_t ret_digest[VG_DIGEST_BYTES])
{
    unsigned helpers = idle_processors();

    vg_image_digest_with(image, helpers < HELPERS_MAX ? helpers : HELPERS_MAX, ret_digest);
}
