/* SPDX-License-Identifier: MIT */
/*
 * The serve loop. It polls the ring and the pending waits while there is work and
 * a little longer, then sleeps on the doorbell. Nothing in it blocks on the GPU.
 */
#include "mediator/executor/serve.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mediator/executor/aside.h"
#include "vg_atomic.h"

#define LOOKS_PER_YIELD  16u
#define LOOKS_PER_ROUND  8u            /* at what is waited for, or at the ring: see look_for_record */
#define BATCH            32u           /* records between two looks at the waits */
#define SPIN_MAX_NS      1000000ull    /* no more than twice this without a record ... */
#define SHORT_SLEEP_NS   500000ull     /* ... if sleeps turn out so short; and back to the setting */
#define LONG_SLEEP_NS    20000000ull   /* after one so long */
#define IDLE_SLEEP_NS    1000000000ull /* with nothing to wait for: the doorbell wakes us */
#define LOOK_NS          20000000ull   /* between two looks for a fault ... */
#define LOOKS            50u           /* ... for a second after the last call: natively it is known */
#define WAIT_SPIN_NS     5000000ull    /* a GPU's wait is polled so long: natively it is, for ever */
#define AHEAD_SPIN_NS    5000000ull    /* above others who would go on meanwhile */
#define WAIT_SLEEP_NS    1000000ull    /* longest pause between looks at a pending wait */
#define HEARD_SLEEP_NS   100000000ull  /* with waits that ring when they are over */
#define WAIT_SLEEP_SHARE 64u           /* and at most this part of the time waited so far */

/* ---- One record ---- */

/* What no honest guest sends. The cell indexes our writes, so it comes first. */
static const char *check_frame(const struct vg_exec *x, const struct vg_call *c)
{
    if (c->flags & ~(VG_F_REPLY | VG_F_BULK))
        return "unknown flags";
    if (c->cell >= VG_CELLS || (c->cell != 0 && !(c->flags & VG_F_REPLY)))
        return "reply cell out of range";
    if ((c->flags & VG_F_BULK) && !(c->flags & VG_F_REPLY))
        return "bulk without reply";
    if ((c->flags & VG_F_BULK) && !vg_guest_data(&x->guest, c->arg[6], c->arg[7]))
        return "bulk reply outside the data extents";
    return NULL;
}

bool vg_serve_record(struct vg_exec *x, struct vg_req *r)
{
    r->payload = x->payload;
    r->breach = check_frame(x, &r->call);
    if (r->breach)
        return false;
    VG_STAT_ADD(x, calls, 1);
    VG_STAT_ADD(x, bytes_in, r->call.payload_len);
    return vg_dispatch(x, r);
}

/*
 * The current record: the one that is held at the gate, or the next of the ring. That comes to
 * the gate when the VM's limits admit it; until then it is taken, and there is none.
 */
static enum vg_ring_verdict current(struct vg_exec *x, const char **why)
{
    struct vg_gatekeeper *k = &x->keeper;
    enum vg_ring_verdict v = VG_RING_RECORD;

    if (k->held)
        return VG_RING_RECORD;
    if (!x->limiter.holds)
        v = vg_ring_take(&x->ring, &k->call, x->payload, why);
    if (v != VG_RING_RECORD)
        return v;
    k->held = vg_limit_admit(x, &k->call);
    return k->held ? VG_RING_RECORD : VG_RING_EMPTY;
}

/* All of it, or a part of a copy that is too long for one turn, which nobody waits for. */
static bool serve_current(struct vg_exec *x, const char **why)
{
    struct vg_req r = {.breach = NULL};
    bool last = vg_gate_next(x, &r.call);

    vg_waits_give_bells(x);
    r.payload = x->payload;
    r.drained = !last;
    bool ok = last ? vg_serve_record(x, &r) : vg_dispatch(x, &r);
    *why = ok ? *why : r.breach;
    return ok;
}

/* What has been taken and is not done yet is as much as may be. */
static bool is_full(const struct vg_exec *x)
{
    return x->waits.count >= VG_WAITS_MAX || vg_asides_are_full(x);
}

/* Takes up to BATCH records. How many, or -1 with *why if the guest broke the protocol. */
static int serve_ring(struct vg_exec *x, const char **why)
{
    for (unsigned n = 0; n < BATCH; n++) {
        if (is_full(x))
            return (int)n;
        switch (current(x, why)) {
        case VG_RING_EMPTY:
            return (int)n;
        case VG_RING_BROKEN:
            return -1;
        case VG_RING_RECORD:
            break;
        }
        if (vg_aside_bars(x, &x->keeper.call) || !vg_gate_pass(x, &x->keeper.call))
            return (int)n;
        if (!serve_current(x, why))
            return -1;
    }
    return BATCH;
}

/* ---- Waiting ---- */

enum poll_slot { POLL_CONTROL, POLL_DOORBELL, POLL_SLOTS };

struct loop {
    struct pollfd fds[POLL_SLOTS];
    uint64_t now, active; /* ns; when something happened last */
    unsigned idle;        /* looks in vain, for yielding now and then */
    uint64_t spin;        /* ns to look in vain before sleeping; see learn */
    unsigned looks;       /* for faults of what was only enqueued, before the long sleep */
};

/* How long to sleep: with waits, a share of what was waited already. */
static uint64_t nap_for_waits(const struct vg_exec *x, const struct loop *l)
{
    uint64_t ns = (l->now - l->active) / WAIT_SLEEP_SHARE;

    if (x->waits.count == 0)
        return l->looks > 0 ? LOOK_NS : IDLE_SLEEP_NS;
    if (x->waits.unheard == 0)
        return HEARD_SLEEP_NS;
    return ns < WAIT_SLEEP_NS ? ns : WAIT_SLEEP_NS;
}

static uint64_t nap(const struct vg_exec *x, const struct loop *l)
{
    uint64_t ns = nap_for_waits(x, l), gate = vg_gate_nap(x, l->now);
    uint64_t limit = vg_limit_nap(x, l->now);

    ns = ns < gate ? ns : gate;
    return ns < limit ? ns : limit;
}

/* True if nothing has come that would be slept over: no record, no grant. */
static bool may_sleep(struct vg_exec *x)
{
    bool takes = !x->keeper.held && !x->limiter.holds && !is_full(x);

    return vg_gate_sleepy(x) && (!takes || vg_ring_sleepy(&x->ring));
}

/*
 * A guest that rings soon after we slept rings for every call, which costs it far more
 * than it costs us to look a little longer: with 5 us between launches one took 4 us, with
 * 60 and more, 40 to 70 (two busy processors, software GPU). Where the GPU is our own
 * processors, it needs them for other things.
 */
static void learn(const struct vg_exec *x, struct loop *l, uint64_t slept)
{
    if (x->opt.software)
        return;
    if (slept < SHORT_SLEEP_NS && l->spin < SPIN_MAX_NS)
        l->spin *= 2;
    else if (slept > LONG_SLEEP_NS)
        l->spin = x->opt.spin_us * 1000ull;
}

/* False once the mediator has hung up. */
static bool sleep_on_doorbell(struct vg_exec *x, struct loop *l)
{
    uint64_t ns = nap(x, l), rings;
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull),
                         .tv_nsec = (long)(ns % 1000000000ull)};

    bool slept = may_sleep(x);
    int n = slept ? ppoll(l->fds, POLL_SLOTS, &t, NULL) : 0;
    vg_ring_awake(&x->ring);
    vg_gate_awake(x);
    if (slept && n == 0 && ns == LOOK_NS && l->looks > 0) {
        l->looks--;
        vg_waits_look_for_fault(x);
    }
    if (n <= 0)
        return true;
    if (l->fds[POLL_DOORBELL].revents) {
        VG_STAT_ADD(x, doorbells, 1);
        learn(x, l, vg_now() - l->now);
        if (read(l->fds[POLL_DOORBELL].fd, &rings, sizeof(rings)) < 0 && errno != EAGAIN)
            return false;
    }
    return !l->fds[POLL_CONTROL].revents || vg_shares_poll(x) >= 0;
}

/* How long to poll before sleeping. */
static uint64_t spin_ns(const struct vg_exec *x, const struct loop *l)
{
    bool turns = x->meter.fine || x->meter.paced;
    bool waits = !x->opt.software && (x->waits.count > 0 || (turns && vg_gate_is_busy(x)));

    if (vg_gate_is_ahead(x) && !x->opt.software)
        return AHEAD_SPIN_NS;
    return waits && l->spin < WAIT_SPIN_NS ? WAIT_SPIN_NS : l->spin;
}

/* The guest may need this very processor to go on, and so does a GPU that is our processors. */
static bool must_yield(const struct vg_exec *x, struct loop *l)
{
    return ++l->idle % LOOKS_PER_YIELD == 0 || (x->opt.software && x->waits.count > 0);
}

/*
 * A round of the loop takes longer than a look at an event or at the ring, and somebody waits for
 * either: so there are several to a round.
 */
static void look_for_record(const struct vg_exec *x)
{
    bool more = x->waits.unheard == 0 && !x->keeper.held;

    for (unsigned i = 0; i < (more ? LOOKS_PER_ROUND : 1); i++) {
        vg_cpu_relax();
        if (vg_ring_waits(&x->ring))
            return;
    }
}

static unsigned look_at_waits(struct vg_exec *x)
{
    unsigned n = vg_waits_poll(x);

    if (x->opt.software || x->keeper.held || x->shares.asking > 0 || x->waits.unheard == 0)
        return n;
    for (unsigned looks = 2 * x->waits.count; n == 0 && looks <= LOOKS_PER_ROUND;
         looks += x->waits.count) {
        if (vg_ring_waits(&x->ring))
            break;
        n = vg_waits_poll(x);
    }
    return n;
}

/* True: keep going. Spins while something happened lately, else sleeps. */
static bool pause_loop(struct vg_exec *x, struct loop *l)
{
    if (x->limiter.holds || l->now - l->active >= spin_ns(x, l)) {
        vg_waits_give_bells(x);
        return sleep_on_doorbell(x, l);
    }
    if (must_yield(x, l))
        sched_yield();
    else
        look_for_record(x);
    return true;
}

int vg_serve(struct vg_exec *x, int control_fd, int doorbell_fd, const char **ret_why)
{
    struct loop l = {
        .fds = {[POLL_CONTROL] = {.fd = control_fd, .events = POLLIN},
                [POLL_DOORBELL] = {.fd = doorbell_fd, .events = POLLIN}},
        .now = vg_now(),
    };

    x->control_fd = control_fd;
    l.active = l.now;
    l.spin = x->opt.spin_us * 1000ull;
    for (;;) {
        vg_timing_begin(x, l.now);
        int n = serve_ring(x, ret_why);
        if (n < 0)
            return VG_GONE_PROTOCOL;
        VG_STAT_ADD(x, beat, 1);
        n += (int)look_at_waits(x);
        if (x->breach) {
            *ret_why = x->breach;
            return VG_GONE_PROTOCOL;
        }
        if (x->shares.asking > 0)
            n += vg_shares_poll(x) > 0;
        uint64_t before = l.now;
        l.now = vg_now();
        x->meter.clock = l.now;
        vg_gate_tick(x, l.now, n == 0);
        if (n > 0) {
            VG_STAT_ADD(x, busy_ns, l.now - before);
            vg_timing_end(x, l.now);
            l.active = l.now;
            l.looks = LOOKS;
            continue;
        }
        vg_callbacks_flush(&x->callbacks);
        if (!vg_guest_alive(&x->guest, l.now)) {
            *ret_why = "no heartbeat";
            return VG_GONE_LEASE;
        }
        if (x->fresh)
            vg_context_register_early(x);
        else if (!pause_loop(x, &l))
            return 0;
        x->meter.clock = l.now = vg_now();
    }
}
