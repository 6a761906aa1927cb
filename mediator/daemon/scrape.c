/* SPDX-License-Identifier: MIT */
/* See scrape.h. Numbers that executors claim are shown, never used as sizes. */
#include "scrape.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator.h"
#include "protocol/vg_api.h"
#include "protocol/vg_atomic.h"

/* ---- text ---- */

static bool reserve(struct vg_text *t, size_t more)
{
    size_t cap = t->cap ? t->cap : 65536;
    char *at;

    while (cap - t->len <= more && cap < VG_SCRAPE_MAX)
        cap *= 2;
    if (cap - t->len <= more)
        return false;
    if (cap == t->cap)
        return true;
    at = realloc(t->at, cap);
    if (!at)
        return false;
    t->at = at;
    t->cap = cap;
    return true;
}

void vg_text_add(struct vg_text *t, const char *fmt, ...)
{
    va_list args;
    int n;

    if (t->full || !reserve(t, 1024)) {
        t->full = true;
        return;
    }
    va_start(args, fmt);
    n = vsnprintf(t->at + t->len, t->cap - t->len, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->cap - t->len)
        t->full = true;
    else
        t->len += (size_t)n;
}

static void head(struct vg_text *t, const char *name, const char *type, const char *help)
{
    vg_text_add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value, as the format wants it between its quotes. */
static const char *escaped(char *out, size_t cap, const char *value)
{
    size_t n = 0;

    for (; *value && n + 3 < cap; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n')
            out[n++] = '\\';
        out[n++] = *value == '\n' ? 'n' : *value;
    }
    out[n] = '\0';
    return out;
}

/* ---- the daemon ---- */

static void one(struct vg_text *t, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(t, name, type, help);
    vg_text_add(t, "%s %" PRIu64 "\n", name, value);
}

static void daemon_metrics(struct vg_mediator *m, struct vg_text *t)
{
    char device[2 * sizeof(m->device) + 1];

    head(t, "vgpu_mediator_info", "gauge", "The daemon and the GPU that its executors found last.");
    vg_text_add(t, "vgpu_mediator_info{protocol=\"%d\",device=\"%s\"} 1\n", VG_PROTOCOL_VERSION,
                escaped(device, sizeof(device), m->device));
    one(t, "vgpu_mediator_uptime_seconds", "gauge", "Since the daemon started.",
        (vg_now() - m->started) / VG_NS_PER_S);
    one(t, "vgpu_mediator_usable", "gauge", "1 unless the latest executor found no usable GPU.",
        m->problem[0] == '\0');
    one(t, "vgpu_alerts", "gauge", "Alerts that vgpu-admin show-health tells now.",
        vg_health_alerts(m));
    one(t, "vgpu_vms", "gauge", "VMs that are registered or were met.", m->vms.count);
    one(t, "vgpu_peers", "gauge", "Connections of VMs and processes.", m->client_count);
    one(t, "vgpu_executors", "gauge", "Executors that serve a guest process.", m->session_count);
    one(t, "vgpu_executors_ready", "gauge", "Executors started ahead of need.", vg_pool_idle(m));
    one(t, "vgpu_peers_refused_total", "counter", "Peers turned away.", m->refused);
    one(t, "vgpu_peers_misbehaved_total", "counter", "Peers cut off for breaking the protocol.",
        m->misbehaved);
    one(t, "vgpu_events_total", "counter", "Events so far, as vgpu-admin events tells them.",
        m->events.last);
    one(t, "vgpu_control_dropped_total", "counter",
        "Administrators' connections closed because they did not read.", m->control.dropped);
}

/* ---- VMs: one sample each ---- */

struct seen {
    struct vg_vm *vm;
    struct vg_usage usage;
    char name[2 * VG_VM_NAME_MAX];  /* escaped */
};

struct scrape {
    struct vg_mediator *m;
    struct vg_text *t;
    struct seen *vm;
    unsigned count;
};

static double entitled(struct vg_mediator *m, const struct seen *s)
{
    (void)m;
    return s->vm->due_ppm / 1e6;
}

static double memory_limit(struct vg_mediator *m, const struct seen *s)
{
    (void)m;
    return (double)s->vm->grant.memory_mib * 1048576.0;
}

static double quarantined(struct vg_mediator *m, const struct seen *s)
{
    (void)m;
    return vg_quarantine_of(s->vm) != NULL;
}

static double in_flight(struct vg_mediator *m, const struct seen *s)
{
    (void)m;
    return (double)vg_quota_queued(s->vm);
}

static double memory(struct vg_mediator *m, const struct seen *s)
{
    (void)m;
    return (double)vg_quota_memory(s->vm);
}

static double charged(struct vg_mediator *m, const struct seen *s)
{
    (void)m;
    return (double)vg_turns_vm_charged(s->vm) * 1e-9;
}

#define OF_VM(field)    offsetof(struct vg_vm, field), 0
#define OF_STATS(field) 0, offsetof(struct vg_stats, field)

/* A value is a number of the VM's, of its executors' sums (times `scale`), or computed. */
static const struct {
    const char *name, *type, *help;
    size_t vm, stats;
    double scale;
    double (*fn)(struct vg_mediator *m, const struct seen *s);
} samples[] = {
    { "vgpu_vm_weight", "gauge", "Weight that counts.", OF_VM(grant.weight), 1, NULL },
    { "vgpu_vm_rate_limit", "gauge", "Calls a second, 0: no limit.", OF_VM(grant.rate), 1, NULL },
    { "vgpu_vm_queue_depth_limit", "gauge", "Calls in flight, 0: no limit.",
      OF_VM(grant.queue_depth), 1, NULL },
    { "vgpu_vm_memory_limit_bytes", "gauge", "GPU memory, 0: no limit.", 0, 0, 1, memory_limit },
    { "vgpu_vm_entitled_ratio", "gauge", "Share of the GPU that it may have now.", 0, 0, 1,
      entitled },
    { "vgpu_vm_quarantined", "gauge", "1 while it is in quarantine.", 0, 0, 1, quarantined },
    { "vgpu_vm_in_flight", "gauge", "Calls given to the GPU and not done.", 0, 0, 1, in_flight },
    { "vgpu_vm_memory_bytes", "gauge", "GPU memory it has, contexts included.", 0, 0, 1, memory },
    { "vgpu_vm_executors_started_total", "counter", "Executors that served it.", 0, 0, 1, NULL },
    { "vgpu_vm_errors_total", "counter", "Calls that ended with an error.", OF_STATS(errors), 1,
      NULL },
    { "vgpu_vm_rejected_total", "counter", "Calls that were malformed or named what is not its.",
      OF_STATS(rejected), 1, NULL },
    { "vgpu_vm_images_total", "counter", "Modules and libraries loaded.", OF_STATS(images), 1, NULL },
    { "vgpu_vm_images_known_total", "counter", "Of these, those that the host had already.",
      OF_STATS(images_known), 1, NULL },
    { "vgpu_vm_images_fetched_total", "counter", "Of those, copied before they were asked for.",
      OF_STATS(images_fetched), 1, NULL },
    { "vgpu_vm_launches_total", "counter", "Kernels and graphs launched.", OF_STATS(launches), 1,
      NULL },
    { "vgpu_vm_received_bytes_total", "counter", "From the guest to the GPU.", OF_STATS(bytes_in),
      1, NULL },
    { "vgpu_vm_sent_bytes_total", "counter", "From the GPU to the guest.", OF_STATS(bytes_out), 1,
      NULL },
    { "vgpu_vm_gpu_seconds_total", "counter", "Time in which the GPU had work of it.",
      OF_STATS(gpu_ns), 1e-9, NULL },
    { "vgpu_vm_gpu_charged_seconds_total", "counter",
      "GPU time that counts for its share: what several VMs used at once is divided.", 0, 0, 1,
      charged },
    { "vgpu_vm_executor_seconds_total", "counter", "Processor time of executors on calls.",
      OF_STATS(busy_ns), 1e-9, NULL },
    { "vgpu_vm_turns_total", "counter", "Turns on the GPU that it shared.", OF_STATS(turns), 1,
      NULL },
    { "vgpu_vm_busy_total", "counter", "Answers that said to come again later.", OF_STATS(busy), 1,
      NULL },
    { "vgpu_vm_retries_total", "counter", "Times a thread of the guest backed off.",
      OF_STATS(retries), 1, NULL },
    { "vgpu_vm_memory_refused_total", "counter", "Allocations beyond its limit.",
      OF_STATS(refused_memory), 1, NULL },
    { "vgpu_vm_gpu_faults_total", "counter", "Contexts that a kernel has broken.",
      OF_STATS(gpu_faults), 1, NULL },
};

static double sample(struct vg_mediator *m, const struct seen *s, unsigned i)
{
    if (samples[i].fn)
        return samples[i].fn(m, s);
    if (samples[i].vm)
        return (double)*(const uint64_t *)((const char *)s->vm + samples[i].vm);
    if (!samples[i].stats)
        return (double)s->usage.executors;
    return (double)*(const uint64_t *)((const char *)&s->usage.sum + samples[i].stats) *
           samples[i].scale;
}

static void vm_samples(struct scrape *sc)
{
    for (unsigned i = 0; i < VG_ARRAY_LEN(samples); i++) {
        head(sc->t, samples[i].name, samples[i].type, samples[i].help);
        for (unsigned v = 0; v < sc->count; v++)
            vg_text_add(sc->t, "%s{vm=\"%s\"} %.15g\n", samples[i].name, sc->vm[v].name,
                        sample(sc->m, &sc->vm[v], i));
    }
}

static void vm_info(struct scrape *sc)
{
    head(sc->t, "vgpu_vm_info", "gauge", "Pool and priority of a VM.");
    for (unsigned v = 0; v < sc->count; v++)
        vg_text_add(sc->t, "vgpu_vm_info{vm=\"%s\",pool=\"%s\",priority=\"%s\",registered=\"%s\"} 1\n",
                    sc->vm[v].name, sc->vm[v].vm->grant.pool,
                    vg_priority_name(sc->vm[v].vm->grant.priority),
                    sc->vm[v].vm->registered ? "yes" : "no");
}

static void vm_calls(struct scrape *sc)
{
    uint64_t calls[VG_CLASS_COUNT];

    head(sc->t, "vgpu_vm_calls_total", "counter", "Calls served, by class.");
    for (unsigned v = 0; v < sc->count; v++) {
        vg_usage_classes(&sc->vm[v].usage, calls);
        for (unsigned c = 0; c < VG_CLASS_COUNT; c++) {
            if (calls[c])
                vg_text_add(sc->t, "vgpu_vm_calls_total{vm=\"%s\",class=\"%s\"} %" PRIu64 "\n",
                            sc->vm[v].name, vg_api_class_name(c), calls[c]);
        }
    }
}

static void vm_faults(struct scrape *sc)
{
    head(sc->t, "vgpu_vm_faults_total", "counter", "Executors that a fault ended, by reason.");
    for (unsigned v = 0; v < sc->count; v++) {
        for (unsigned r = VG_GONE_CRASHED; r < VG_GONE_REASONS; r++) {
            if (sc->vm[v].vm->gone[r])
                vg_text_add(sc->t, "vgpu_vm_faults_total{vm=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
                            sc->vm[v].name, vg_gone_name(r), sc->vm[v].vm->gone[r]);
        }
    }
}

/* ---- histograms ---- */

/* Every second bound of the executors': powers of four are fine enough, and half as long. */
static void histogram(struct scrape *sc, const char *name, const char *labels,
                      const struct vg_hist *h, unsigned first, unsigned last, double scale)
{
    uint64_t below = 0;
    unsigned i = 0;

    if (vg_usage_count(h) == 0)
        return;
    for (unsigned bound = first; bound <= last; bound += 2) {
        for (; i <= bound; i++)
            below += h->bucket[i];
        vg_text_add(sc->t, "%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", name, labels,
                    (double)((uint64_t)1 << bound) * scale, below);
    }
    for (; i < VG_HIST_BUCKETS; i++)
        below += h->bucket[i];
    vg_text_add(sc->t, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, below);
    vg_text_add(sc->t, "%s_sum{%s} %.15g\n%s_count{%s} %" PRIu64 "\n", name, labels,
                (double)h->sum * scale, name, labels, below);
}

static void vm_latency(struct scrape *sc)
{
    char labels[2 * VG_VM_NAME_MAX + 64];

    head(sc->t, "vgpu_vm_call_seconds", "histogram",
         "From taking a call to its answer, without its waiting for a turn.");
    for (unsigned v = 0; v < sc->count; v++) {
        for (unsigned c = 0; c < VG_CLASS_COUNT; c++) {
            snprintf(labels, sizeof(labels), "vm=\"%s\",class=\"%s\"", sc->vm[v].name,
                     vg_api_class_name(c));
            histogram(sc, "vgpu_vm_call_seconds", labels, &sc->vm[v].usage.sum.latency[c], 8, 36,
                      1e-9);
        }
    }
}

static const struct {
    const char *name, *help;
    size_t offset;              /* in struct vg_stats */
    unsigned first, last;       /* bounds, as powers of two */
    double scale;
} histograms[] = {
    { "vgpu_vm_gpu_stretch_seconds", "GPU time of stretches that were measured together.",
      offsetof(struct vg_stats, gpu_time), 10, 36, 1e-9 },
    { "vgpu_vm_turn_wait_seconds", "How long calls waited for a turn, of those that did.",
      offsetof(struct vg_stats, gate_wait), 10, 36, 1e-9 },
    { "vgpu_vm_busy_wait_seconds", "How long limits told calls to wait.",
      offsetof(struct vg_stats, busy_wait), 10, 36, 1e-9 },
    { "vgpu_vm_copy_bytes", "Sizes of copies between guest and GPU, in pieces as they come.",
      offsetof(struct vg_stats, copy_bytes), 6, 30, 1 },
};

static void vm_histograms(struct scrape *sc)
{
    char labels[2 * VG_VM_NAME_MAX + 16];

    for (unsigned i = 0; i < VG_ARRAY_LEN(histograms); i++) {
        head(sc->t, histograms[i].name, "histogram", histograms[i].help);
        for (unsigned v = 0; v < sc->count; v++) {
            const char *sum = (const char *)&sc->vm[v].usage.sum;

            snprintf(labels, sizeof(labels), "vm=\"%s\"", sc->vm[v].name);
            histogram(sc, histograms[i].name, labels,
                      (const struct vg_hist *)(sum + histograms[i].offset), histograms[i].first,
                      histograms[i].last, histograms[i].scale);
        }
    }
}

/* ---- all ---- */

static bool look(struct scrape *sc)
{
    struct vg_vm *vm;

    sc->vm = calloc(sc->m->vms.count ? sc->m->vms.count : 1, sizeof(*sc->vm));
    if (!sc->vm)
        return false;
    vg_list_for_each(vm, &sc->m->vms.list, link) {
        struct seen *s = &sc->vm[sc->count++];

        s->vm = vm;
        vg_mediator_usage(sc->m, vm, &s->usage);
        escaped(s->name, sizeof(s->name), vm->name);
    }
    return true;
}

void vg_scrape(struct vg_mediator *m, struct vg_text *t)
{
    struct scrape sc = { .m = m, .t = t };

    if (!look(&sc)) {
        t->full = true;
        return;
    }
    daemon_metrics(m, t);
    vm_info(&sc);
    vm_samples(&sc);
    vm_calls(&sc);
    vm_faults(&sc);
    vm_latency(&sc);
    vm_histograms(&sc);
    free(sc.vm);
}
