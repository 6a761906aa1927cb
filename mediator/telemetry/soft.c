/* SPDX-License-Identifier: MIT */
/*
 * How busy the software GPU is: it runs inside its executors, so their processor
 * time is its time. 100 % is one processor busy all the time, or more of them.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mediator/base/util.h"
#include "mediator/telemetry/gauge.h"

#define BASELINE_MS 100u        /* measured over so long when there is nothing to compare with */
#define STALE_NS    (10 * VG_NS_PER_S)

static struct sample {
    uint64_t time;              /* ns */
    uint32_t count;
    uint32_t pid[VG_GAUGES_PIDS];
    uint64_t busy[VG_GAUGES_PIDS];  /* ns of processor time, ever */
} latest;

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * VG_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t busy_of(uint32_t pid)
{
    char path[64], text[1024];
    unsigned long long user, system;
    const char *end;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    /* The name may hold blanks and parentheses: the numbers start behind the last one. */
    end = strrchr(text, ')');
    if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                       &system) != 2)
        return 0;
    return (user + system) * (VG_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void take(struct sample *s, const struct vg_gauges_ask *ask)
{
    s->time = now();
    s->count = ask->count;
    for (uint32_t i = 0; i < ask->count; i++) {
        s->pid[i] = ask->executor[i].pid;
        s->busy[i] = busy_of(ask->executor[i].pid);
    }
}

static uint64_t busy_before(const struct sample *s, uint32_t pid)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->pid[i] == pid)
            return s->busy[i];
    }
    return 0;
}

static uint32_t percent(uint64_t busy, uint64_t span)
{
    uint64_t p = span ? busy * 100 / span : 0;

    return p > 100 ? 100 : (uint32_t)p;
}

static void wait_a_little(void)
{
    struct timespec t = { .tv_nsec = (long)(BASELINE_MS * VG_NS_PER_MS) };

    nanosleep(&t, NULL);
}

static uint64_t busy_since(const struct sample *before, const struct sample *s, uint32_t i)
{
    uint64_t busy = busy_before(before, s->pid[i]);

    return s->busy[i] > busy ? s->busy[i] - busy : 0;
}

/* Each counts as a user of its first device: an executor does not say which one is busy. */
void vg_gauge_soft_read(struct vg_gauges *g, const struct vg_gauges_ask *ask)
{
    static struct sample next;
    uint64_t sum[VG_DEVICES_MAX] = { 0 }, span;

    if (now() - latest.time > STALE_NS) {
        take(&latest, ask);
        wait_a_little();
    }
    take(&next, ask);
    span = next.time - latest.time;
    g->process_count = 0;
    for (uint32_t i = 0; i < next.count && i < VG_GAUGES_PROCESSES; i++) {
        uint32_t device = ask->executor[i].device < g->device_count ? ask->executor[i].device : 0;
        uint64_t busy = busy_since(&latest, &next, i);

        sum[device] += busy;
        g->process[g->process_count++] = (struct vg_gauges_process){
            .pid = next.pid[i], .device = device, .memory = VG_NV_NO_VALUE,
            .sm = percent(busy, span) };
    }
    for (uint32_t i = 0; i < g->device_count; i++) {
        uint32_t rates[2] = { percent(sum[i], span), 0 };

        vg_gauge_set(&g->device[i], VG_NV_UTILISATION, 0, rates);
    }
    latest = next;
}
