/* SPDX-License-Identifier: MIT */
/* Keeps to the grant and tells what happens; see gate.h. Serve thread. */
#include "mediator/executor/gate.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/slice.h"
#include "mediator/executor/work.h"
#include "vg_atomic.h"

#define PART_BYTES  (8u << 20) /* of a copy, in turns: 0.15 ms over PCIe 5 */
#define EXTRA_NS    1000000u   /* nothing has ended for so long: one call more */
#define GRANT_TRIES 1000u      /* the daemon writes a few words; it may be interrupted in it */

void vg_gatekeeper_init(struct vg_gatekeeper *k)
{
    memset(k, 0, sizeof(*k));
    k->page = &k->own;
    k->bell_fd = -1;
}

static bool is_page(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == VG_GATE_SIZE;
}

int vg_gate_open(struct vg_exec *x, int page_fd, int bell_fd)
{
    if (!is_page(page_fd))
        return 0;
    void *p = mmap(NULL, VG_GATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    x->keeper.page = p;
    x->keeper.bell_fd = bell_fd;
    return 0;
}

/* ---- What the daemon grants ---- */

/* False while it is being written. */
static bool read_grant(const struct vg_gate_grant *from, struct vg_gate_grant *ret)
{
    uint32_t seq = vg_load_acquire(&from->seq);

    if (seq & 1)
        return false;
    ret->seq = seq;
    ret->mode = vg_load_relaxed(&from->mode);
    ret->turn = vg_load_relaxed(&from->turn);
    ret->budget_ns = vg_load_relaxed(&from->budget_ns);
    ret->window_ns = vg_load_relaxed(&from->window_ns);
    ret->window_ops = vg_load_relaxed(&from->window_ops);
    ret->ask = vg_load_relaxed(&from->ask);
    ret->hold_us = vg_load_relaxed(&from->hold_us);
    ret->lead_us = vg_load_relaxed(&from->lead_us);
    ret->slice_us = vg_load_relaxed(&from->slice_us);
    ret->unmeasured = vg_load_relaxed(&from->unmeasured);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return vg_load_relaxed(&from->seq) == seq;
}

static bool is_new(const struct vg_exec *x)
{
    return vg_load_relaxed(&x->orders->grant.seq) != x->keeper.grant.seq;
}

static void take_grant(struct vg_exec *x)
{
    struct vg_gatekeeper *k = &x->keeper;
    struct vg_gate_grant g = {.seq = 0};
    unsigned tries = GRANT_TRIES;

    while (!read_grant(&x->orders->grant, &g))
        if (--tries == 0)
            return; /* later, then */
    if (g.turn != k->grant.turn) {
        k->turn_from = vg_meter_total(&x->meter, vg_now());
        k->turn_calls = 0;
    }
    k->grant = g;
    k->rung = 0;
    bool solo = g.mode == VG_GATE_TURN && g.budget_ns == UINT64_MAX && !x->opt.software;
    x->meter.fine = g.mode != VG_GATE_OPEN && !solo;
    x->meter.paced = solo;
    x->meter.plain = g.slice_us != 0 && g.slice_us < VG_SLICE_FOUND;
    x->meter.off = g.unmeasured != 0;
    x->prints.unsure |= x->meter.off;
    x->meter.next_look = 0;
    vg_store_relaxed(&k->page->now.seq, g.seq);
}

static void ring(struct vg_gatekeeper *k, unsigned ask)
{
    uint64_t one = 1;

    if (!(k->grant.ask & ask & ~k->rung) || k->bell_fd < 0)
        return;
    k->rung |= ask;
    vg_fence(); /* what it will look at comes first */
    if (write(k->bell_fd, &one, sizeof(one)) < 0)
        return; /* full: it rings already */
}

/* ---- What may pass ---- */

static uint64_t spent(const struct vg_exec *x, uint64_t now)
{
    uint64_t total = vg_meter_total(&x->meter, now);

    return (total > x->keeper.turn_from ? total - x->keeper.turn_from : 0) + x->meter.flight_ns;
}

static bool window_is_full(const struct vg_exec *x)
{
    const struct vg_gate_grant *g = &x->keeper.grant;
    const struct vg_meter *m = &x->meter;

    return m->flight_calls > 0 &&
           (m->flight_calls >= g->window_ops || m->flight_ns >= g->window_ns);
}

/* A kernel may wait for what comes behind it, and natively that would come. */
static bool may_be_awaited(struct vg_exec *x, uint64_t now)
{
    struct vg_gatekeeper *k = &x->keeper;
    uint64_t last = x->meter.moved > k->extra_at ? x->meter.moved : k->extra_at;

    if (k->waits_since > last)
        last = k->waits_since;
    if (k->waits_since == 0 || now - last < EXTRA_NS)
        return false;
    k->extra_at = now;
    return true;
}

static bool fits_turn(struct vg_exec *x, uint64_t now)
{
    const struct vg_gatekeeper *k = &x->keeper;

    if (k->turn_calls == 0)
        return true;
    if (spent(x, now) >= k->grant.budget_ns)
        return false;
    return !window_is_full(x) || may_be_awaited(x, now);
}

static bool is_captured(const struct vg_exec *x, const struct vg_call *c)
{
    return x->captures > 0 && vg_own_is_capturing(x, (CUstream)(uintptr_t)vg_work_stream(c));
}

static bool is_granted(struct vg_exec *x, uint64_t now)
{
    switch (x->keeper.grant.mode) {
    case VG_GATE_OPEN:
        return true;
    case VG_GATE_TURN:
        return fits_turn(x, now);
    default:
        return false;
    }
}

static void starts_waiting(struct vg_exec *x, uint64_t now)
{
    struct vg_gatekeeper *k = &x->keeper;

    if (k->waits_since != 0)
        return;
    k->waits_since = now;
    k->idle_since = 0;
    vg_store_relaxed(&k->page->now.idle_since, 0);
    vg_store_relaxed(&k->page->now.pending, 1);
    vg_store_relaxed(&k->page->now.waits_since, now);
}

static void has_passed(struct vg_exec *x)
{
    struct vg_gatekeeper *k = &x->keeper;

    if (k->turn_calls++ == 0 && k->grant.mode == VG_GATE_TURN)
        VG_STAT_ADD(x, turns, 1);
    if (k->waits_since == 0)
        return;
    uint64_t now = vg_now();
    k->waited += now - k->waits_since;
    vg_hist_add(&x->stats->gate_wait, now - k->waits_since, 1);
    k->waits_since = 0;
    VG_STAT_SET(x, gate_wait_ns, k->waited);
}

static bool pass_work(struct vg_exec *x, const struct vg_call *c)
{
    struct vg_gatekeeper *k = &x->keeper;
    uint64_t now = k->grant.mode == VG_GATE_OPEN ? 0 : vg_now();

    if (!is_granted(x, now) && !is_captured(x, c)) {
        starts_waiting(x, now);
        if (k->grant.mode == VG_GATE_CLOSED || x->meter.running == 0)
            ring(k, VG_GATE_ASK_WORK);
        return false;
    }
    has_passed(x);
    k->worked = true;
    k->idle_since = 0;
    k->rung &= ~VG_GATE_ASK_IDLE;
    if (k->grant.mode != VG_GATE_CLOSED && x->meter.running == 0)
        ring(k, VG_GATE_ASK_WORK);
    return true;
}

bool vg_gate_pass(struct vg_exec *x, const struct vg_call *c)
{
    struct vg_gatekeeper *k = &x->keeper;

    if (is_new(x))
        take_grant(x);
    if (k->grant.mode == VG_GATE_OPEN && !k->grant.ask && k->waits_since == 0)
        return true;
    return vg_work_of(c) == VG_WORK_NONE || pass_work(x, c);
}

/* ---- The record that is held ---- */

/* A copy that would fail must fail as a whole. */
static bool is_owned(struct vg_exec *x, const struct vg_call *c, uint64_t bytes)
{
    bool in = c->call == VG_CALL_COPY_IN, out = c->call == VG_CALL_COPY_OUT;

    if (vg_own_range(x, c->arg[0], bytes) != CUDA_SUCCESS)
        return false;
    if (in || out)
        return vg_guest_data(&x->guest, c->arg[1], bytes) != NULL;
    return vg_own_range(x, c->arg[1], bytes) == CUDA_SUCCESS;
}

bool vg_gate_next(struct vg_exec *x, struct vg_call *ret_call)
{
    struct vg_gatekeeper *k = &x->keeper;

    *ret_call = k->call;
    k->held = false;
    if (k->call.call == VG_CALL_LAUNCH)
        return true;
    uint64_t whole = vg_work_divisible(&k->call);
    uint64_t left = whole - k->done;
    k->held = k->grant.mode == VG_GATE_TURN && left > PART_BYTES &&
              (k->done > 0 || (!is_captured(x, &k->call) && is_owned(x, &k->call, whole)));
    if (k->held) {
        vg_work_part(ret_call, k->done, PART_BYTES, false);
        k->done += PART_BYTES;
        return false;
    }
    if (k->done > 0)
        vg_work_part(ret_call, k->done, left, true);
    k->done = 0;
    return true;
}

/* ---- What is told ---- */

/* The daemon adds the two up, so they must not change apart. */
static void tell_busy(struct vg_gate *page, const struct vg_meter *m)
{
    uint32_t seq = page->sum.seq;

    if (page->sum.busy_ns == m->busy && page->now.busy_since == m->since)
        return;
    vg_store_relaxed(&page->sum.seq, seq + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    vg_store_relaxed(&page->sum.busy_ns, m->busy);
    vg_store_relaxed(&page->now.busy_since, m->since);
    vg_store_release(&page->sum.seq, seq + 2);
}

static void tell(struct vg_exec *x, uint64_t now, bool pending)
{
    struct vg_gatekeeper *k = &x->keeper;
    struct vg_gate *page = k->page;
    const struct vg_meter *m = &x->meter;
    uint64_t total = vg_meter_total(m, now);

    if (m->busy > page->sum.busy_ns)
        vg_hist_add(&x->stats->gpu_time, m->busy - page->sum.busy_ns, 1);
    tell_busy(page, m);
    vg_store_relaxed(&page->now.used_turn, k->used_turn);
    vg_store_relaxed(&page->now.waits_since, k->waits_since);
    vg_store_relaxed(&page->now.in_flight, m->flight_calls);
    vg_store_relaxed(&page->now.in_flight_ns, m->flight_ns);
    vg_store_relaxed(&page->now.idle_since, k->idle_since);
    vg_store_relaxed(&page->now.pending, (uint32_t)pending);
    vg_store_relaxed(&page->sum.progress, m->progress);
    vg_store_relaxed(&page->sum.ops, m->done);
    vg_store_relaxed(&page->sum.wait_ns, k->waited);
    vg_store_relaxed(&page->sum.turns, x->stats->turns);
    if (total > x->stats->gpu_ns) /* a look comes late, and a counter does not go back */
        VG_STAT_SET(x, gpu_ns, total);
}

static void look_at_turn(struct vg_exec *x, uint64_t now)
{
    struct vg_gatekeeper *k = &x->keeper;

    if (k->grant.mode != VG_GATE_TURN || k->turn_calls == 0 ||
        spent(x, now) < k->grant.budget_ns || x->meter.flight_ns > k->grant.lead_us * 1000ull)
        return;
    k->used_turn = k->grant.turn;
    vg_store_relaxed(&k->page->now.used_turn, k->used_turn);
    ring(k, VG_GATE_ASK_USED);
}

static void look_for_idleness(struct vg_exec *x, uint64_t now)
{
    struct vg_gatekeeper *k = &x->keeper;

    k->rung &= ~VG_GATE_ASK_WORK;
    if (k->idle_since == 0)
        k->idle_since = x->meter.ended ? x->meter.ended : now;
    if (k->idle_since > now)
        k->idle_since = now;
    if (now - k->idle_since >= k->grant.hold_us * 1000ull)
        ring(k, VG_GATE_ASK_IDLE);
}

static void log_slices(struct vg_exec *x, const char *event, const char *why)
{
    struct vg_slice_seen s = vg_slice_seen();

    vg_log(x, "event=%s why='%s' groups=%u others=%u status=0x%x errno=%d driver_calls=%llu set=%llu set_ns=%llu",
           event, why, s.groups, s.others, s.status, s.error, (unsigned long long)s.calls,
           (unsigned long long)s.settings, (unsigned long long)s.took_ns);
}

/* Work on a GPU that has no groups: the driver's library goes ways that we do not see. */
static bool has_missed_groups(const struct vg_exec *x)
{
    return x->keeper.slice == VG_GATE_SLICE_UNKNOWN && !x->keeper.told_no_groups &&
           x->keeper.grant.slice_us != 0 && x->meter.serial != 0 && !x->opt.software &&
           vg_slice_seen().groups == 0;
}

static void apply_slice(struct vg_exec *x)
{
    struct vg_gatekeeper *k = &x->keeper;
    enum vg_gate_slice works = vg_slice_want(k->grant.slice_us);

    if (has_missed_groups(x) && works == VG_GATE_SLICE_UNKNOWN) {
        k->told_no_groups = true;
        log_slices(x, "no_slices", "no channel groups were seen");
    }
    if (works == k->slice)
        return;
    k->slice = works;
    vg_store_relaxed(&k->page->now.slice, works);
    if (works == VG_GATE_SLICE_FAILS)
        log_slices(x, "no_slices", "the driver does not take them");
    else
        log_slices(x, "slices", "the driver takes them");
}

void vg_gate_tick(struct vg_exec *x, uint64_t now, bool quiet)
{
    struct vg_gatekeeper *k = &x->keeper;

    if (is_new(x))
        take_grant(x);
    apply_slice(x);
    vg_meter_look(x, now, quiet);
    bool pending = k->held || k->worked, idle = x->meter.running == 0 && !pending;
    k->worked = false;
    if (idle && k->idle_since != 0 && !(k->grant.ask & VG_GATE_ASK_IDLE & ~k->rung))
        return;
    if (k->waits_since && k->grant.mode == VG_GATE_CLOSED)
        ring(k, VG_GATE_ASK_WORK); /* at once, when the grant asks for what is so already */
    if (x->meter.running > 0 || k->held)
        k->idle_since = 0;
    tell(x, now, pending);
    look_at_turn(x, now);
    if (idle)
        look_for_idleness(x, now);
    vg_store_relaxed(&k->page->now.idle_since, k->idle_since);
}

/* ---- Sleep ---- */

bool vg_gate_is_ahead(const struct vg_exec *x)
{
    return x->keeper.grant.slice_us > VG_SLICE_FOUND;
}

bool vg_gate_is_busy(const struct vg_exec *x)
{
    return x->meter.running > 0;
}

bool vg_gate_sleepy(struct vg_exec *x)
{
    vg_store_relaxed(&x->keeper.page->now.asleep, 1);
    vg_fence(); /* either the daemon sees this or we see its grant */
    return !is_new(x);
}

void vg_gate_awake(struct vg_exec *x)
{
    vg_store_relaxed(&x->keeper.page->now.asleep, 0);
}

uint64_t vg_gate_nap(const struct vg_exec *x, uint64_t now)
{
    const struct vg_gatekeeper *k = &x->keeper;
    uint64_t ns = vg_meter_nap(x, now), hold = k->grant.hold_us * 1000ull;

    if (k->held && k->grant.mode == VG_GATE_TURN && ns > EXTRA_NS)
        ns = EXTRA_NS;
    if (k->idle_since == 0 || !(k->grant.ask & VG_GATE_ASK_IDLE & ~k->rung))
        return ns;
    uint64_t left = k->idle_since + hold > now ? k->idle_since + hold - now : 0;
    return left < ns ? left : ns;
}
