/* SPDX-License-Identifier: MIT */
/* Between the policy core and the executors' gates, see turns.h. */
#include "turns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "place.h"
#include "protocol/vg_atomic.h"

#define LOOKS       8u      /* at words that change together */
#define RINGS_MAX   2000u   /* of one bell in RINGS_NS: a turn takes three, and 0.25 ms at least */
#define RINGS_NS    (100 * VG_NS_PER_MS)
#define LOOK_NS     (500 * VG_NS_PER_MS) /* at several VMs, whatever rings or does not */
#define DEAF_NS     (20 * VG_NS_PER_MS)
#define KEEP_NS     (30 * VG_NS_PER_S)   /* what a VM owes is known so long after its last executor */
#define SOFTWARE_TIMES 10u

struct vg_turns_gpus {
    struct vg_list link;
    struct vg_mediator *mediator;
    char gpus[sizeof(((struct vg_place *)0)->gpus)];
    struct vg_sched sched;
    struct vg_list pools, seats;
    int timer_fd;
    struct vg_io timer;
};

struct vg_turns_pool {
    struct vg_list link;
    struct vg_turns_gpus *gpus;
    char name[VG_POOL_MAX];
    struct vg_sched_pool sched;
    unsigned vms;
};

static struct vg_session *session_of(struct vg_turns_seat *seat)
{
    return vg_list_entry(seat, struct vg_session, turns);
}

static bool has_slices(const struct vg_session *s)
{
    return s->mediator->config.scheduling == VG_SCHEDULING_SLICES;
}

/* ---- what an executor tells ---- */

struct look {
    uint64_t busy, since;
};

/* The two change together; a writer that never ends is taken as it is. */
static struct look look_busy(const struct vg_gate *g)
{
    struct look l = { 0, 0 };

    for (unsigned i = 0; i < LOOKS; i++) {
        uint32_t seq = vg_load_acquire(&g->sum.seq);

        l.busy = vg_load_relaxed(&g->sum.busy_ns);
        l.since = vg_load_relaxed(&g->now.busy_since);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(seq & 1) && vg_load_relaxed(&g->sum.seq) == seq)
            break;
    }
    return l;
}

/* Grows; what is taken back is made up for before it grows again. */
static uint64_t growth(uint64_t *seen, uint64_t now)
{
    uint64_t by = now > *seen ? now - *seen : 0;

    if (by > 0)
        *seen = now;
    return by;
}

static void report(struct vg_turns_seat *seat, uint64_t now)
{
    const struct vg_gate *g = session_of(seat)->gate;
    struct look l = look_busy(g);
    struct vg_sched_report r = { .t0 = seat->told, .t1 = now };

    if (l.since && l.since < now)
        l.busy += now - l.since;
    r.busy_ns = growth(&seat->busy, l.busy);
    r.ops = growth(&seat->ops, vg_load_relaxed(&g->sum.ops));
    r.flight_ops = vg_load_relaxed(&g->now.in_flight);
    r.flight_ns = vg_load_relaxed(&g->now.in_flight_ns);
    r.waiting = vg_load_relaxed(&g->now.waits_since) || vg_load_relaxed(&g->now.pending);
    r.idle_since = vg_load_relaxed(&g->now.idle_since);
    r.used_turn = vg_load_relaxed(&g->now.used_turn);
    if (vg_load_relaxed(&g->now.slice) == VG_GATE_SLICE_WORKS && has_slices(session_of(seat)))
        vg_sched_set_lever(&seat->gpus->sched, &seat->proc, true);
    seat->told = now;
    vg_sched_report(&seat->gpus->sched, &seat->proc, &r, now);
}

/* ---- what it is granted ---- */

static void wake(const struct vg_session *s)
{
    uint64_t one = 1;

    vg_fence(); /* either we see that it sleeps or it sees the grant */
    if (vg_load_relaxed(&s->gate->now.asleep) &&
        write(s->doorbell_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        vg_log(VG_LOG_DEBUG, "doorbell-failed", "pid=%d error=\"%s\"", (int)s->pid,
               strerror(errno));
}

static void put(const struct vg_session *s, const struct vg_grant *g)
{
    static const uint32_t modes[] = { [VG_GRANT_CLOSED] = VG_GATE_CLOSED,
                                      [VG_GRANT_TURN] = VG_GATE_TURN,
                                      [VG_GRANT_OPEN] = VG_GATE_OPEN };
    struct vg_gate_grant *to = &s->orders->grant;
    uint32_t seq = (vg_load_relaxed(&to->seq) | 1u) + 2u;

    vg_store_relaxed(&to->seq, seq);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    vg_store_relaxed(&to->mode, modes[g->mode]);
    vg_store_relaxed(&to->turn, g->turn);
    vg_store_relaxed(&to->budget_ns, g->budget_ns);
    vg_store_relaxed(&to->window_ns, g->window_ns);
    vg_store_relaxed(&to->window_ops, g->window_ops);
    vg_store_relaxed(&to->ask, g->ask);
    vg_store_relaxed(&to->hold_us, (uint32_t)(g->hold_ns / 1000));
    vg_store_relaxed(&to->lead_us, (uint32_t)(g->lead_ns / 1000));
    vg_store_relaxed(&to->slice_us, has_slices(s) ? g->slice_us : 0);
    vg_store_relaxed(&to->unmeasured, s->mediator->config.scheduling == VG_SCHEDULING_OFF);
    vg_store_release(&to->seq, seq + 1);
    wake(s);
}

typedef char vg_assert_ask_work[(unsigned)VG_ASK_WORK == VG_GATE_ASK_WORK ? 1 : -1];
typedef char vg_assert_ask_used[(unsigned)VG_ASK_USED == VG_GATE_ASK_USED ? 1 : -1];
typedef char vg_assert_ask_idle[(unsigned)VG_ASK_IDLE == VG_GATE_ASK_IDLE ? 1 : -1];

/* ---- deciding ---- */

/* `at` may have passed: then at once, and 0 would mean never. */
static void set_timer(struct vg_turns_gpus *t, uint64_t at)
{
    struct itimerspec when = { .it_value = { .tv_sec = 0 } };

    if (at != VG_SCHED_FOREVER) {
        when.it_value.tv_sec = (time_t)(at / VG_NS_PER_S);
        when.it_value.tv_nsec = (long)(at % VG_NS_PER_S);
    }
    timerfd_settime(t->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void report_all(struct vg_turns_gpus *t, const struct vg_turns_seat *rang, uint64_t now)
{
    struct vg_turns_seat *seat;

    vg_list_for_each(seat, &t->seats, link) {
        const struct vg_gate *g = session_of(seat)->gate;

        if (seat == rang || seat->proc.grant.mode != VG_GRANT_CLOSED ||
            vg_load_relaxed(&g->now.in_flight) || vg_load_relaxed(&g->now.waits_since))
            report(seat, now);
    }
}

static void run(struct vg_turns_gpus *t, const struct vg_turns_seat *rang)
{
    uint64_t now = vg_now();
    struct vg_sched_proc *p;

    report_all(t, rang, now);
    uint64_t at = vg_sched_decide(&t->sched, now);
    set_timer(t, t->sched.attached > 1 && at > now + LOOK_NS ? now + LOOK_NS : at);
    while ((p = vg_sched_next_change(&t->sched)) != NULL)
        put(session_of(vg_list_entry(p, struct vg_turns_seat, proc)), &p->grant);
}

static void timer_ready(void *arg, uint32_t events)
{
    struct vg_turns_gpus *t = arg;
    uint64_t times;

    (void)events;
    if (read(t->timer_fd, &times, sizeof(times)) == (ssize_t)sizeof(times))
        run(t, NULL);
}

/* ---- bells ---- */

static void hear_again(void *arg)
{
    struct vg_turns_seat *seat = arg;

    seat->rings = 0;
    vg_io_set(&session_of(seat)->mediator->loop, &seat->bell, EPOLLIN);
    run(seat->gpus, seat);
}

/* No honest executor rings so often; this one may ring in vain for a while. */
static bool rings_too_often(struct vg_turns_seat *seat)
{
    struct vg_loop *loop = &session_of(seat)->mediator->loop;

    if (loop->now - seat->second >= RINGS_NS) {
        seat->second = loop->now;
        seat->rings = 0;
    }
    if (++seat->rings <= RINGS_MAX)
        return false;
    vg_io_set(loop, &seat->bell, 0);
    vg_timer_set(loop, &seat->quiet, loop->now + DEAF_NS, hear_again, seat);
    return true;
}

static void bell_ready(void *arg, uint32_t events)
{
    struct vg_turns_seat *seat = arg;
    uint64_t times;

    (void)events;
    if (read(session_of(seat)->bell_fd, &times, sizeof(times)) == (ssize_t)sizeof(times) &&
        !rings_too_often(seat))
        run(seat->gpus, seat);
}

/* ---- sets of GPUs, pools, VMs: made when the first comes, gone with the last ---- */

static bool is_software(const struct vg_mediator *m)
{
    struct vg_backend backend;
    char why[160];

    return vg_backend_find(&m->config, &backend, why, sizeof(why)) == 0 && backend.software;
}

/*
 * Where our processors are the GPU, they are also what the executors and the guests run on: a
 * wake-up takes as long as a whole turn elsewhere. So turns are longer, and patience is.
 */
static void tune(struct vg_sched_tuning *t, bool software)
{
    uint64_t *const times[] = { &t->quantum, &t->quantum_min, &t->quantum_max, &t->cycle,
                                &t->quantum_lower, &t->window, &t->window_lower, &t->lead,
                                &t->lead_most, &t->hold, &t->think_most, &t->stall, &t->lag, &t->open_after,
                                &t->floor_quantum };

    vg_sched_tuning_init(t);
    for (unsigned i = 0; software && i < VG_ARRAY_LEN(times); i++)
        *times[i] *= SOFTWARE_TIMES;
    if (software) {
        t->stall *= SOFTWARE_TIMES; /* where other work has the processors, too */
        t->hold *= SOFTWARE_TIMES;
    }
}

static struct vg_turns_gpus *gpus_new(struct vg_mediator *m, const struct vg_place *place)
{
    struct vg_sched_tuning tuning;
    struct vg_turns_gpus *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (t->timer_fd < 0 ||
        vg_io_add(&m->loop, &t->timer, t->timer_fd, EPOLLIN, timer_ready, t) < 0) {
        vg_close(&t->timer_fd);
        free(t);
        return NULL;
    }
    t->mediator = m;
    strcpy(t->gpus, place->gpus);
    vg_list_init(&t->pools);
    vg_list_init(&t->seats);
    tune(&tuning, is_software(m));
    vg_sched_init(&t->sched, &tuning, vg_now());
    vg_list_append(&m->turns.gpus, &t->link);
    return t;
}

static void gpus_drop(struct vg_turns_gpus *t)
{
    if (!vg_list_empty(&t->pools))
        return;
    vg_io_del(&t->mediator->loop, &t->timer);
    vg_close(&t->timer_fd);
    vg_list_remove(&t->link);
    free(t);
}

static struct vg_turns_gpus *gpus_of(struct vg_mediator *m, const struct vg_place *place)
{
    struct vg_turns_gpus *t;

    vg_list_for_each(t, &m->turns.gpus, link) {
        if (strcmp(t->gpus, place->gpus) == 0)
            return t;
    }
    return gpus_new(m, place);
}

static struct vg_turns_pool *pool_new(struct vg_turns_gpus *t, const struct vg_place *place)
{
    struct vg_turns_pool *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->gpus = t;
    strcpy(p->name, place->pool);
    vg_sched_add_pool(&t->sched, &p->sched, place->share);
    vg_list_append(&t->pools, &p->link);
    return p;
}

static struct vg_turns_pool *pool_of(struct vg_mediator *m, const char *name)
{
    struct vg_place place = vg_place_of(&m->config.places, name);
    struct vg_turns_gpus *t = gpus_of(m, &place);
    struct vg_turns_pool *p;

    if (!t)
        return NULL;
    vg_list_for_each(p, &t->pools, link) {
        if (strcmp(p->name, name) == 0)
            return p;
    }
    p = pool_new(t, &place);
    if (!p)
        gpus_drop(t);
    return p;
}

static void pool_put(struct vg_turns_pool *p)
{
    if (--p->vms > 0)
        return;
    vg_sched_remove_pool(&p->gpus->sched, &p->sched);
    vg_list_remove(&p->link);
    free(p);
}

static enum vg_sched_class class_of(const struct vg_vm *vm)
{
    static const enum vg_sched_class classes[] = { [VG_PRIORITY_HIGH] = VG_CLASS_HIGH,
                                                   [VG_PRIORITY_MEDIUM] = VG_CLASS_MEDIUM,
                                                   [VG_PRIORITY_LOW] = VG_CLASS_LOW };

    return classes[vm->grant.priority];
}

static void vm_leave(void *arg)
{
    struct vg_vm *vm = arg;
    struct vg_vm_turns *t = &vm->turns;
    struct vg_turns_gpus *gpus = t->pool->gpus;

    vg_timer_del(&t->owes);
    vg_sched_remove_vm(&gpus->sched, &t->sched);
    t->charged += t->sched.charged_ns;
    memset(&t->sched, 0, sizeof(t->sched));
    pool_put(t->pool);
    t->pool = NULL;
    gpus_drop(gpus);
}

/* It has no executor now. What it owes stays, or each new process would begin without debts. */
static void vm_rests(struct vg_mediator *m, struct vg_vm *vm)
{
    struct vg_vm_turns *t = &vm->turns;

    if (vg_sched_owes(&t->pool->gpus->sched, &t->sched))
        vg_timer_set(&m->loop, &t->owes, vg_now() + KEEP_NS, vm_leave, vm);
    else
        vm_leave(vm);
}

/* To other GPUs go its executors to come, not those that run. */
static bool is_elsewhere(struct vg_mediator *m, const struct vg_vm *vm)
{
    const struct vg_vm_turns *t = &vm->turns;
    struct vg_place place = vg_place_of(&m->config.places, vm->grant.pool);

    return t->seats == 0 && strcmp(t->pool->gpus->gpus, place.gpus) != 0;
}

static int vm_enter(struct vg_mediator *m, struct vg_vm *vm)
{
    struct vg_vm_turns *t = &vm->turns;

    if (t->pool && is_elsewhere(m, vm))
        vm_leave(vm);
    vg_timer_del(&t->owes);
    if (t->pool)
        return 0;
    t->pool = pool_of(m, vm->grant.pool);
    if (!t->pool)
        return -ENOMEM;
    t->pool->vms++;
    memset(&t->sched, 0, sizeof(t->sched));
    vg_sched_add_vm(&t->pool->gpus->sched, &t->sched, &t->pool->sched, class_of(vm),
                    (unsigned)vm->grant.weight);
    return 0;
}

/* ---- seats ---- */

void vg_turns_init(struct vg_turns *t)
{
    vg_list_init(&t->gpus);
}

int vg_turns_join(struct vg_session *s)
{
    static const struct vg_grant open = { .mode = VG_GRANT_OPEN };
    struct vg_turns_seat *seat = &s->turns;
    struct vg_vm *vm = s->client->vm;

    if (s->mediator->config.scheduling == VG_SCHEDULING_OFF) {
        put(s, &open);
        return 0;
    }
    int rc = vm_enter(s->mediator, vm);
    if (rc < 0)
        return rc;
    memset(seat, 0, sizeof(*seat));
    rc = vg_io_add(&s->mediator->loop, &seat->bell, s->bell_fd, EPOLLIN, bell_ready, seat);
    if (rc < 0) {
        if (vm->turns.seats == 0)
            vm_rests(s->mediator, vm);
        return rc;
    }
    vm->turns.seats++;
    seat->gpus = vm->turns.pool->gpus;
    seat->told = vg_now();
    seat->busy = vg_load_relaxed(&s->gate->sum.busy_ns);
    seat->ops = vg_load_relaxed(&s->gate->sum.ops);
    vg_list_append(&seat->gpus->seats, &seat->link);
    vg_sched_add_proc(&seat->gpus->sched, &vm->turns.sched, &seat->proc, seat->told);
    /* An executor that an earlier daemon started goes on counting its turns. */
    seat->proc.grant.turn = vg_load_relaxed(&s->orders->grant.turn);
    run(seat->gpus, seat);
    /* The core's first grant may be what an empty one looks like. */
    put(s, &seat->proc.grant);
    return 0;
}

void vg_turns_leave(struct vg_session *s)
{
    struct vg_turns_seat *seat = &s->turns;
    struct vg_turns_gpus *t = seat->gpus;
    struct vg_vm *vm = s->client ? s->client->vm : NULL;

    if (!t || !vm)
        return;
    report(seat, vg_now());
    vg_sched_remove_proc(&t->sched, &seat->proc, vg_now());
    vg_list_remove(&seat->link);
    vg_io_del(&s->mediator->loop, &seat->bell);
    vg_timer_del(&seat->quiet);
    seat->gpus = NULL;
    vm->turns.seats--;
    run(t, NULL);
    if (vm->turns.seats == 0)
        vm_rests(s->mediator, vm);
}

void vg_turns_forget(struct vg_vm *vm)
{
    if (vm->turns.pool && vm->turns.seats == 0)
        vm_leave(vm);
}

void vg_turns_close(struct vg_session *s)
{
    static const struct vg_grant closed = { .mode = VG_GRANT_CLOSED };

    vg_turns_leave(s);
    if (s->gate)
        put(s, &closed);
}

/* ---- policy ---- */

/* To other GPUs go only its executors to come; those that run have a context on the old ones. */
static void move(struct vg_mediator *m, struct vg_vm *vm)
{
    struct vg_vm_turns *t = &vm->turns;
    struct vg_turns_pool *old = t->pool, *pool;
    struct vg_place place = vg_place_of(&m->config.places, vm->grant.pool);

    if (strcmp(old->name, vm->grant.pool) == 0 || strcmp(old->gpus->gpus, place.gpus) != 0)
        return;
    pool = pool_of(m, vm->grant.pool);
    if (!pool)
        return;
    pool->vms++;
    t->pool = pool;
    vg_sched_set_policy(&pool->gpus->sched, &t->sched, &pool->sched, class_of(vm),
                        (unsigned)vm->grant.weight);
    pool_put(old);
}

void vg_turns_policy(struct vg_mediator *m, struct vg_vm *vm)
{
    struct vg_vm_turns *t = &vm->turns;

    if (!t->pool)
        return;
    move(m, vm);
    vg_sched_set_policy(&t->pool->gpus->sched, &t->sched, &t->pool->sched, class_of(vm),
                        (unsigned)vm->grant.weight);
    run(t->pool->gpus, NULL);
}

/* ---- numbers ---- */

uint64_t vg_turns_charged(const struct vg_session *s)
{
    return s->turns.proc.charged_ns;
}

uint64_t vg_turns_vm_charged(const struct vg_vm *vm)
{
    if (vm->turns.pool)
        run(vm->turns.pool->gpus, NULL);
    return vm->turns.charged + vm->turns.sched.charged_ns;
}

unsigned vg_turns_entitled(const struct vg_vm *vm)
{
    const struct vg_vm_turns *t = &vm->turns;

    return t->seats ? vg_sched_entitled(&t->pool->gpus->sched, &t->sched) : 0;
}
