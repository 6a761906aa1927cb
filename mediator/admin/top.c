/* SPDX-License-Identifier: MIT */
/* Two answers make one look: what is shown are differences. See top.h. */
#include "top.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/printbuf.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "mediator/base/util.h"
#include "members.h"
#include "screen.h"
#include "table.h"

struct top {
    const struct vg_call *call;
    json_object *before, *now;      /* answers; before is NULL at first */
    struct vg_screen screen;
};

/* ---- one look ---- */

static json_object *vm_of(json_object *answer, const char *name)
{
    json_object *vms = vg_member(answer, "vms");

    for (size_t i = 0; i < vg_members(vms); i++) {
        if (strcmp(vg_member_text(vg_item(vms, i), "name"), name) == 0)
            return vg_item(vms, i);
    }
    return NULL;
}

/* What has been added since the look before; a daemon that began anew counts from 0. */
static double grown(const struct top *t, json_object *vm, const char *key)
{
    uint64_t now = vg_member_number(vm, key);
    uint64_t was = vg_member_number(vm_of(t->before, vg_member_text(vm, "name")), key);

    return now >= was ? (double)(now - was) : (double)now;
}

static double seconds(const struct top *t)
{
    uint64_t now = vg_member_number(t->now, "time_ns"), was = vg_member_number(t->before, "time_ns");

    return now > was ? (double)(now - was) / (double)VG_NS_PER_S : 1;
}

static double gpu_of_all(const struct top *t)
{
    json_object *vms = vg_member(t->now, "vms");
    double sum = 0;

    for (size_t i = 0; i < vg_members(vms); i++)
        sum += grown(t, vg_item(vms, i), "gpu_charged_ns");
    return sum;
}

static int to_text(json_object *o, struct printbuf *out, int level, int flags)
{
    (void)level, (void)flags;
    return sprintbuf(out, "%.3f", json_object_get_double(o));
}

/* With three digits: the library has a way for that only since its version 0.12. */
static json_object *number(double value)
{
    json_object *o = json_object_new_double(value);

    json_object_set_serializer(o, to_text, NULL, NULL);
    return o;
}

/* The look's row for one VM: shares in percent, the rest per second. */
static json_object *row(const struct top *t, json_object *vm, double all)
{
    static const struct {
        const char *key, *as;
    } rates[] = { { "calls", "calls_per_s" }, { "launches", "launches_per_s" },
                  { "busy", "busy_per_s" }, { "bytes_in", "bytes_in_per_s" },
                  { "bytes_out", "bytes_out_per_s" } };
    static const char *const same[] = { "pool", "priority", "weight", "executors", "in_flight",
                                        "waiting", "memory_bytes", "memory_mib", "faults",
                                        "state" };
    json_object *o = json_object_new_object(), *value;
    double gpu = grown(t, vm, "gpu_charged_ns"), s = seconds(t);

    json_object_object_add(o, "name", json_object_new_string(vg_member_text(vm, "name")));
    json_object_object_add(o, "share_percent", number(all > 0 ? 100 * gpu / all : 0));
    json_object_object_add(o, "entitled_percent",
                           number((double)vg_member_number(vm, "entitled_ppm") / 1e4));
    json_object_object_add(o, "gpu_percent", number(gpu / s / 1e7));
    json_object_object_add(o, "gate_percent", number(grown(t, vm, "gate_wait_ns") / s / 1e7));
    for (unsigned i = 0; i < VG_ARRAY_LEN(rates); i++)
        json_object_object_add(o, rates[i].as, number(grown(t, vm, rates[i].key) / s));
    for (unsigned i = 0; i < VG_ARRAY_LEN(same); i++) {
        value = vg_member(vm, same[i]);
        if (value)
            json_object_object_add(o, same[i], json_object_get(value));
    }
    return o;
}

static json_object *look(const struct top *t)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    json_object *vms = vg_member(t->now, "vms");
    double all = gpu_of_all(t);

    for (size_t i = 0; i < vg_members(vms); i++)
        json_object_array_add(list, row(t, vg_item(vms, i), all));
    json_object_object_add(o, "seconds", number(seconds(t)));
    json_object_object_add(o, "gpu_percent", number(all / seconds(t) / 1e7));
    json_object_object_add(o, "vms", list);
    return o;
}

/* ---- as a table ---- */

static const struct vg_column columns[] = {
    { "VM", false },    { "POOL", false },    { "PRIO", false },   { "WEIGHT", true },
    { "SHARE", true },  { "DUE", true },      { "GPU", true },     { "WAIT", true },
    { "CALLS/s", true }, { "QUEUE", true },   { "BUSY/s", true },  { "MEMORY", true },
    { "IN/s", true },   { "OUT/s", true },    { "FAULTS", true },  { "STATE", false },
};

static double decimal(json_object *o, const char *key)
{
    return json_object_get_double(vg_member(o, key));
}

static void put_percent(struct vg_table *t, json_object *o, const char *key)
{
    vg_table_put(t, "%.1f%%", decimal(o, key));
}

static void put_bytes(struct vg_table *t, double bytes)
{
    char text[32];

    vg_text_bytes(text, sizeof(text), (uint64_t)bytes);
    vg_table_put(t, "%s", text);
}

static void put_row(struct vg_table *t, json_object *vm)
{
    vg_table_put(t, "%s", vg_member_text(vm, "name"));
    vg_table_put(t, "%s", vg_member_text(vm, "pool"));
    vg_table_put(t, "%s", vg_member_text(vm, "priority"));
    vg_table_put(t, "%" PRIu64, vg_member_number(vm, "weight"));
    put_percent(t, vm, "share_percent");
    put_percent(t, vm, "entitled_percent");
    put_percent(t, vm, "gpu_percent");
    put_percent(t, vm, "gate_percent");
    vg_table_put(t, "%.0f", decimal(vm, "calls_per_s"));
    vg_table_put(t, "%" PRIu64, vg_member_number(vm, "in_flight"));
    vg_table_put(t, "%.0f", decimal(vm, "busy_per_s"));
    put_bytes(t, (double)vg_member_number(vm, "memory_bytes"));
    put_bytes(t, decimal(vm, "bytes_in_per_s"));
    put_bytes(t, decimal(vm, "bytes_out_per_s"));
    vg_table_put(t, "%" PRIu64, vg_member_number(vm, "faults"));
    vg_table_put(t, "%s", vg_member_text(vm, "state"));
}

static void print_clock(FILE *out)
{
    time_t now = time(NULL);
    char text[32];
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(text, sizeof(text), "%H:%M:%S", &tm);
    fprintf(out, "vgpu  %s", text);
}

static void print_table(json_object *shown, FILE *out)
{
    json_object *vms = vg_member(shown, "vms");
    struct vg_table t;

    print_clock(out);
    fprintf(out, "  %zu VMs  GPU time %.1f%% of %.2f s\n\n", vg_members(vms),
            decimal(shown, "gpu_percent"), decimal(shown, "seconds"));
    vg_table_init(&t, columns, VG_ARRAY_LEN(columns));
    for (size_t i = 0; i < vg_members(vms); i++)
        put_row(&t, vg_item(vms, i));
    vg_table_print(&t, out);
    vg_table_fini(&t);
}

/* ---- again and again ---- */

/* The next answer, or NULL after saying why there is none. */
static json_object *ask(const struct top *t, char *why, size_t cap)
{
    json_object *answer = vg_ask(t->call->socket, t->call->request, why, cap);

    if (!answer || vg_member_true(answer, "ok"))
        return answer;
    snprintf(why, cap, "%s", vg_member_text(answer, "error"));
    json_object_put(answer);
    return NULL;
}

static void show(struct top *t)
{
    json_object *shown = look(t);
    FILE *out = vg_screen_begin(&t->screen);

    if (t->call->json)
        fprintf(out, "%s\n", json_object_to_json_string_ext(shown, JSON_C_TO_STRING_PLAIN));
    else
        print_table(shown, out);
    vg_screen_end(&t->screen);
    json_object_put(shown);
}

/* On a screen somebody watches: the mediator may come back. */
static bool no_answer(struct top *t, const char *why)
{
    if (!vg_screen_is_live(&t->screen)) {
        fprintf(stderr, "vgpu-admin: %s\n", why);
        return false;
    }
    fprintf(vg_screen_begin(&t->screen), "%s\n", why);
    vg_screen_end(&t->screen);
    return true;
}

static bool step(struct top *t, uint64_t *looks)
{
    char why[512];
    json_object *answer = ask(t, why, sizeof(why));

    if (!answer)
        return no_answer(t, why);
    json_object_put(t->before);
    t->before = t->now;
    t->now = answer;
    if (t->before) {
        show(t);
        ++*looks;
    }
    return true;
}

int vg_top(const struct vg_call *c)
{
    struct top t = { .call = c };
    uint64_t looks = 0;
    bool ok;

    vg_screen_init(&t.screen, c->json || c->count == 1);
    while ((ok = step(&t, &looks)) && (c->count == 0 || looks < c->count) &&
           vg_screen_wait(&t.screen, c->interval_ms))
        ;
    vg_screen_fini(&t.screen);
    json_object_put(t.before);
    json_object_put(t.now);
    return ok ? 0 : 1;
}
