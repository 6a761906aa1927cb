/* SPDX-License-Identifier: MIT */
/* Counters of crossings; see stats.h. They are written under the ring's lock, read without. */
#include "guest-shim/stats.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-shim/call_private.h"
#include "vg_api.h"
#include "vg_atomic.h"

#define INTERNAL 64u                    /* calls of vg_wire.h come first */
#define CALLS    (INTERNAL + VG_API_COUNT)

struct counter {
    uint64_t sent;
    uint64_t waited;                    /* of these: the program waits for the answer */
};

bool vg_stats_on;
static struct counter now[CALLS], mark[CALLS];
static const char *place;               /* NULL: standard error */

static void __attribute__((constructor)) stats_start(void)
{
    const char *s = getenv("VGPU_STATS");

    if (!s || !*s || strcmp(s, "0") == 0)
        return;
    vg_stats_on = true;
    place = strcmp(s, "1") == 0 ? NULL : s;
}

static unsigned index_of(uint32_t id)
{
    const struct vg_api_row *row = vg_api_by_id(id);

    return row ? INTERNAL + (unsigned)(row - vg_api_rows) : id < INTERNAL ? id : 0;
}

static const char *name_of(unsigned index)
{
    return index < INTERNAL ? vg_internal_call_name(index) : vg_api_rows[index - INTERNAL].symbol;
}

void vg_stats_count(const struct vg_call *call)
{
    struct counter *c = &now[index_of(call->call)];

    vg_store_relaxed(&c->sent, c->sent + 1);
    if (call->flags & VG_F_REPLY)
        vg_store_relaxed(&c->waited, c->waited + 1);
}

/* ---- printing ---------------------------------------------------------------- */

struct line {
    unsigned index;
    struct counter n;
};

static int by_count(const void *a, const void *b)
{
    const struct line *x = a, *y = b;

    if (x->n.sent != y->n.sent)
        return x->n.sent < y->n.sent ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* What has been counted since `from`, most first; the total in *ret_total. */
static unsigned collect(const struct counter *from, struct line *line, struct counter *ret_total)
{
    unsigned lines = 0;

    *ret_total = (struct counter){0, 0};
    for (unsigned i = 0; i < CALLS; i++) {
        struct counter n = {vg_load_relaxed(&now[i].sent), vg_load_relaxed(&now[i].waited)};
        if (from)
            n = (struct counter){n.sent - from[i].sent, n.waited - from[i].waited};
        if (n.sent == 0)
            continue;
        line[lines++] = (struct line){i, n};
        ret_total->sent += n.sent;
        ret_total->waited += n.waited;
    }
    qsort(line, lines, sizeof(*line), by_count);
    return lines;
}

static void put_line(FILE *f, const struct counter *n, const char *name)
{
    fprintf(f, "vgpu[%d]: %10llu %10llu  %s\n", (int)getpid(), (unsigned long long)n->sent,
            (unsigned long long)n->waited, name);
}

static void put(FILE *f, const struct counter *from, const char *when)
{
    struct line *line = malloc(CALLS * sizeof(*line));
    struct counter total;

    if (!line)
        return;
    unsigned lines = collect(from, line, &total);
    fprintf(f, "vgpu[%d]:    crossed     waited  call, %s (%s)\n", (int)getpid(), when,
            program_invocation_short_name);
    for (unsigned i = 0; i < lines; i++)
        put_line(f, &line[i].n, name_of(line[i].index));
    put_line(f, &total, "all");
    free(line);
}

static void print(const struct counter *from, const char *when)
{
    FILE *f = place ? fopen(place, "ae") : stderr;

    if (!f)
        return;
    put(f, from, when);
    if (place)
        fclose(f);
    else
        fflush(f);
}

void vg_stats_begin(void)
{
    for (unsigned i = 0; vg_stats_on && i < CALLS; i++)
        mark[i] = (struct counter){vg_load_relaxed(&now[i].sent), vg_load_relaxed(&now[i].waited)};
}

void vg_stats_end(void)
{
    if (vg_stats_on)
        print(mark, "from cuProfilerStart to cuProfilerStop");
}

void vg_stats_exit(void)
{
    if (vg_stats_on)
        print(NULL, "from start to exit");
}
