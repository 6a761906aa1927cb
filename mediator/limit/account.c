/* SPDX-License-Identifier: MIT */
/*
 * The shared account, see account.h.
 *
 * Two that ask at once must not both be granted the last bytes. Each first says what it
 * asks for, then (a full fence between) looks at what all others have and ask for, so of
 * two at least one sees the other. One that sees too much, but not without the others'
 * questions, has to let somebody go first: the one with the lower seat keeps its claim
 * and looks again, the other takes its back.
 */
#include "mediator/limit/account.h"

#include "protocol/vg_atomic.h"

/* Numbers of other processes: they must not wrap. */
static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static unsigned seats_of(const struct vg_account *a)
{
    uint32_t n = vg_load_acquire(&a->seats);

    return n < VG_SEATS ? n : VG_SEATS;
}

/* A seat's answer moves from `asked` to `held`, in this order, so it is read in the other. */
static void add_seat(const struct vg_seat *s, uint64_t *held, uint64_t *asked)
{
    uint64_t q = vg_load_acquire(&s->asked);

    *held = plus(*held, vg_load_acquire(&s->held));
    *asked = plus(*asked, q);
}

struct sums {
    uint64_t held, asked;
    uint64_t leaving;   /* of held: soon free */
};

static void add_others(const struct vg_account *a, unsigned seat, struct sums *sum)
{
    unsigned n = seats_of(a);

    for (unsigned i = 0; i < n; i++) {
        uint64_t before = sum->held;

        if (i == seat)
            continue;
        add_seat(&a->seat[i], &sum->held, &sum->asked);
        if (vg_load_relaxed(&a->seat[i].leaving))
            sum->leaving = plus(sum->leaving, sum->held - before);
    }
}

static bool somebody_before(const struct vg_account *a, unsigned seat)
{
    for (unsigned i = 0; i < seat; i++)
        if (vg_load_relaxed(&a->seat[i].asked))
            return true;
    return false;
}

enum vg_account_verdict vg_account_reserve(struct vg_account *a, unsigned seat, uint64_t bytes,
                                           uint64_t limit)
{
    uint64_t held;
    struct vg_seat *mine = &a->seat[seat];
    struct sums others = {0, 0, 0};

    vg_store_release(&mine->asked, bytes);
    vg_fence();
    if (limit == 0)
        return VG_ACCOUNT_GRANTED;
    add_others(a, seat, &others);
    held = plus(plus(others.held, vg_load_relaxed(&mine->held)), bytes);
    if (plus(held, others.asked) <= limit)
        return VG_ACCOUNT_GRANTED;
    if (held <= limit && !somebody_before(a, seat))
        return VG_ACCOUNT_CONTENDED;
    vg_store_release(&mine->asked, 0);
    if (held <= limit)
        return VG_ACCOUNT_CONTENDED;
    return held - others.leaving <= limit ? VG_ACCOUNT_AWAITED : VG_ACCOUNT_REFUSED;
}

void vg_account_settle(struct vg_account *a, unsigned seat, uint64_t held)
{
    struct vg_seat *mine = &a->seat[seat];

    vg_store_release(&mine->held, held);
    vg_store_release(&mine->asked, 0);
}

uint64_t vg_account_used(const struct vg_account *a)
{
    struct sums all = {0, 0, 0};

    add_others(a, VG_NO_SEAT, &all);
    return plus(all.held, all.asked);
}

uint64_t vg_account_queued(const struct vg_account *a)
{
    unsigned n = seats_of(a);
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum = plus(sum, vg_load_relaxed(&a->seat[i].queued));
    return sum;
}

uint64_t vg_account_things(const struct vg_account *a, enum vg_quota_kind kind)
{
    unsigned n = seats_of(a);
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum = plus(sum, vg_load_acquire(&a->seat[i].things[kind]));
    return sum;
}

void vg_account_has(struct vg_account *a, unsigned seat, enum vg_quota_kind kind, uint64_t have)
{
    vg_store_release(&a->seat[seat].things[kind], have);
}

/* As with memory: of two that claim at once, at least one sees the other. */
bool vg_account_admit(struct vg_account *a, unsigned seat, enum vg_quota_kind kind, uint64_t have,
                      uint64_t most)
{
    vg_account_has(a, seat, kind, have + 1);
    vg_fence();
    if (most == 0 || vg_account_things(a, kind) <= most)
        return true;
    vg_account_has(a, seat, kind, have);
    return false;
}

const char *vg_quota_kind_name(enum vg_quota_kind kind)
{
    static const char *const names[VG_QUOTA_KINDS] = {
        [VG_QUOTA_CONTEXTS] = "contexts", [VG_QUOTA_STREAMS] = "streams",
        [VG_QUOTA_EVENTS] = "events",     [VG_QUOTA_MODULES] = "modules",
        [VG_QUOTA_GRAPHS] = "graphs",
    };

    return names[kind];
}

void vg_account_leaving(struct vg_account *a, unsigned seat)
{
    vg_store_release(&a->seat[seat].leaving, 1);
}

void vg_account_leave(struct vg_account *a, unsigned seat)
{
    struct vg_seat *s = &a->seat[seat];

    vg_store_relaxed(&s->queued, 0);
    vg_store_relaxed(&s->leaving, 0);
    for (unsigned i = 0; i < VG_QUOTA_KINDS; i++)
        vg_store_relaxed(&s->things[i], 0);
    vg_store_release(&s->asked, 0);
    vg_store_release(&s->held, 0);
}

void vg_account_sit(struct vg_account *a, unsigned seat)
{
    vg_account_leave(a, seat);
    if (seat >= vg_load_relaxed(&a->seats))
        vg_store_release(&a->seats, seat + 1);
}
