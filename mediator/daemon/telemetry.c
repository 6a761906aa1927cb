/* SPDX-License-Identifier: MIT */
/* Who asks, and writing their pages; see telemetry.h. */
#include "telemetry.h"

#include <string.h>
#include <unistd.h>

#include "client.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "protocol/vg_atomic.h"

static bool is_watcher(const struct vg_client *c)
{
    return c->state == VG_CLIENT_UP &&
           (c->role == VG_ROLE_DEVICE || c->role == VG_ROLE_MONITOR);
}

/* A device's page lies in its region, a monitor's is all it has. */
static uint64_t page_off(const struct vg_client *c)
{
    return c->role == VG_ROLE_DEVICE ? c->layout.telemetry_off : 0;
}

/* ---- writing ---- */

static bool put(const struct vg_client *c, const void *bytes, size_t len, size_t member)
{
    return vg_regmem_write(&c->mem, bytes, len, page_off(c) + member) == 0;
}

/*
 * seq is odd while the rest changes, and `asked` in the middle is the guest's. System
 * calls, so nobody sees their effects in another order.
 */
static void write_page(struct vg_client *c, struct vg_telemetry *page)
{
    const size_t first = offsetof(struct vg_telemetry, time);
    const size_t asked = offsetof(struct vg_telemetry, asked);
    const size_t rest = offsetof(struct vg_telemetry, process);
    const size_t fabric = offsetof(struct vg_telemetry, fabric);
    const uint32_t seq = offsetof(struct vg_telemetry, seq);

    page->magic = VG_TELEMETRY_MAGIC;
    c->watch.seq |= 1;
    put(c, &c->watch.seq, sizeof(c->watch.seq), seq);
    put(c, (char *)page + first, asked - first, first);
    put(c, (char *)page + rest, vg_telemetry_length(page) - rest, rest);
    put(c, page->fabric, page->device_count * sizeof(page->fabric[0]), fabric);
    c->watch.seq++;
    put(c, &c->watch.seq, sizeof(c->watch.seq), seq);
    put(c, &page->magic, sizeof(page->magic), offsetof(struct vg_telemetry, magic));
}

static void publish(struct vg_telemetry_service *t, struct vg_client *c)
{
    static struct vg_telemetry page;    /* 62 KiB; one thread */

    if (!t->gauges)
        return;
    vg_telemetry_compose(&page, t->gauges, c);
    page.answered = c->watch.asked;
    write_page(c, &page);
}

/* ---- looking ---- */

static bool read_word(const struct vg_client *c, size_t member, uint32_t *ret_word)
{
    uint32_t word;

    if (vg_regmem_read(&c->mem, &word, sizeof(word), page_off(c) + member) < 0)
        return false;
    *ret_word = word;
    return true;
}

static bool wants(struct vg_client *c, uint64_t now)
{
    uint32_t asked;

    if (read_word(c, offsetof(struct vg_telemetry, asked), &asked) && asked != c->watch.asked) {
        c->watch.asked = asked;
        c->watch.asked_at = now;
    }
    return c->watch.asked_at && now - c->watch.asked_at < VG_TELEMETRY_LINGER_MS * VG_NS_PER_MS;
}

static bool younger_than(const struct vg_telemetry_service *t, uint64_t now, uint64_t ms)
{
    return t->gauges && now - t->gauges_at < ms * VG_NS_PER_MS;
}

static void look(void *arg);

static void look_later(struct vg_telemetry_service *t)
{
    vg_timer_set(&t->mediator->loop, &t->look_timer,
                 vg_now() + VG_TELEMETRY_LOOK_MS * VG_NS_PER_MS, look, t);
}

static void look(void *arg)
{
    struct vg_telemetry_service *t = arg;
    uint64_t now = vg_now();
    unsigned watchers = 0;
    bool stale = false;
    struct vg_client *c;

    vg_list_for_each(c, &t->mediator->clients, link) {
        if (!is_watcher(c))
            continue;
        watchers++;
        if (!wants(c, now))
            continue;
        /* A look less than the period, so that the period is not rounded up to the next look. */
        stale |= !younger_than(t, now, VG_TELEMETRY_PERIOD_MS - VG_TELEMETRY_LOOK_MS);
        /* Executors' own counters move on between two answers of the helper. */
        if (younger_than(t, now, 2 * VG_TELEMETRY_PERIOD_MS))
            publish(t, c);
    }
    if (stale)
        vg_helper_ask(t);
    vg_helper_check(t);
    if (watchers || t->sock >= 0)
        look_later(t);
}

/* What the scheduler has charged; without it, what the executor has measured. */
static uint64_t gpu_ns(const struct vg_session *s)
{
    vg_turns_vm_charged(s->client->vm);
    return s->turns.gpus ? vg_turns_charged(s) : vg_load_relaxed(&s->stats->gpu_ns);
}

static void look_at_work(struct vg_session *s, uint64_t now)
{
    uint64_t from = s->gpu_looked ? s->gpu_looked : s->started, seen = gpu_ns(s), used;

    if (now - from < VG_TELEMETRY_LOOK_MS * VG_NS_PER_MS)
        return;
    used = seen > s->gpu_seen ? (seen - s->gpu_seen) / ((now - from) / 100) : 0;
    s->gpu_percent = used < 100 ? (unsigned)used : 100;
    s->gpu_looked = now;
    s->gpu_seen = seen;
}

static void look_at_all_work(struct vg_mediator *m, uint64_t now)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; i < c->layout.slot_count; i++) {
            if (c->session[i] && c->session[i]->state == VG_SESSION_SERVING)
                look_at_work(c->session[i], now);
        }
    }
}

void vg_telemetry_fresh(struct vg_telemetry_service *t)
{
    uint64_t now = vg_now();
    struct vg_client *c;

    look_at_all_work(t->mediator, now);
    vg_list_for_each(c, &t->mediator->clients, link) {
        if (is_watcher(c) && wants(c, now))
            publish(t, c);
    }
}

void vg_telemetry_watch(struct vg_telemetry_service *t, struct vg_client *c)
{
    /* A device may come back with a page that says something, and with a guest that waits. */
    read_word(c, offsetof(struct vg_telemetry, seq), &c->watch.seq);
    read_word(c, offsetof(struct vg_telemetry, answered), &c->watch.asked);
    if (c->role == VG_ROLE_MONITOR)
        c->watch.asked_at = vg_now();
    look(t);
}

/* What VMs hold counts too: without NVML nobody knows what else is taken. */
static uint64_t claimed(struct vg_mediator *m)
{
    uint64_t sum = 0;
    struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link)
        sum += vg_quota_memory(vm);
    return sum;
}

bool vg_telemetry_memory(struct vg_telemetry_service *t, uint64_t *ret_total, uint64_t *ret_free)
{
    uint64_t now = vg_now(), total = 0, left = 0, unclaimed, taken;

    if (!t->mediator) /* not set up */
        return false;
    taken = claimed(t->mediator);
    if (!younger_than(t, now, VG_MEMORY_FRESH_MS)) {
        vg_helper_ask(t);
        look_later(t);
    }
    if (!younger_than(t, now, VG_MEMORY_OLD_MS))
        return false;
    for (uint32_t i = 0; i < t->gauges->device_count; i++) {
        total += t->gauges->device[i].memory_total;
        left += t->gauges->device[i].memory_free;
    }
    *ret_total = total;
    unclaimed = taken < total ? total - taken : 0;
    *ret_free = left < unclaimed ? left : unclaimed;
    return true;
}

void vg_telemetry_init(struct vg_telemetry_service *t, struct vg_mediator *m)
{
    memset(t, 0, sizeof(*t));
    t->mediator = m;
    t->sock = t->io.fd = -1;
}

void vg_telemetry_fini(struct vg_telemetry_service *t)
{
    if (!t->mediator)
        return;
    vg_timer_del(&t->look_timer);
    vg_helper_end(t);
    free(t->gauges);
    t->gauges = NULL;
}
