/* SPDX-License-Identifier: MIT */
/* Tables of VMs, executors and counters, see show.h. Missing members read as empty or 0. */
#include "show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/util.h"
#include "members.h"
#include "table.h"

/* ---- cells ---- */

static void put_text(struct vg_table *t, json_object *o, const char *key)
{
    vg_table_put(t, "%s", vg_member_text(o, key));
}

static void put_number(struct vg_table *t, json_object *o, const char *key)
{
    vg_table_put(t, "%" PRIu64, vg_member_number(o, key));
}

/* A limit: 0 means none. */
static void put_limit(struct vg_table *t, json_object *o, const char *key, const char *unit)
{
    uint64_t n = vg_member_number(o, key);

    if (n)
        vg_table_put(t, "%" PRIu64 "%s", n, unit);
    else
        vg_table_put(t, "-");
}

static void put_bytes(struct vg_table *t, json_object *o, const char *key)
{
    char bytes[32];

    vg_text_bytes(bytes, sizeof(bytes), vg_member_number(o, key));
    vg_table_put(t, "%s", bytes);
}

static void put_seconds(struct vg_table *t, json_object *o, const char *key)
{
    char seconds[32];

    vg_text_seconds(seconds, sizeof(seconds), vg_member_number(o, key));
    vg_table_put(t, "%s", seconds);
}

/* ---- VMs ---- */

/* Why a VM does not have what its row says, each as a line. */
static void put_notes(struct vg_table *t, json_object *vm)
{
    json_object *notes = vg_member(vm, "notes"), *q = vg_member(vm, "quarantine");
    json_object *granted = vg_member(vm, "granted");

    if (*vg_member_text(vm, "label"))
        vg_table_note(t, "%s, domain %s%s", vg_member_text(vm, "label"), vg_member_text(vm, "domid"),
                      vg_member_true(vm, "enabled") ? "" : ", GPU not enabled");
    for (size_t i = 0; i < vg_members(notes); i++)
        vg_table_note(t, "%s", json_object_get_string(vg_item(notes, i)));
    if (json_object_is_type(granted, json_type_object)) {
        json_object_object_foreach(granted, key, value)
        {
            if (strcmp(json_object_get_string(value), vg_member_text(vm, key)) != 0)
                vg_table_note(t, "%s: %s by the host's caps, not %s", key,
                              json_object_get_string(value), vg_member_text(vm, key));
        }
    }
    if (q)
        vg_table_note(t, "in quarantine by %s: %s", vg_member_text(q, "by"),
                      vg_member_text(q, "reason"));
}

static const struct vg_column list_columns[] = {
    { "VM", false },          { "REGISTERED", false }, { "POOL", false },     { "PRIORITY", false },
    { "WEIGHT", true },       { "RATE", true },        { "QUEUE", true },     { "LIMIT", true },
    { "EXECUTORS", true },    { "CALLS", true },       { "MEMORY", true },    { "FAULTS", true },
    { "UPTIME", true },       { "STATE", false },
};

void vg_show_list(json_object *answer)
{
    json_object *vms = vg_member(answer, "vms");
    struct vg_table t;

    if (vg_members(vms) == 0) {
        puts("No VM is registered or connected.");
        return;
    }
    vg_table_init(&t, list_columns, VG_ARRAY_LEN(list_columns));
    for (size_t i = 0; i < vg_members(vms); i++) {
        json_object *vm = vg_item(vms, i);

        put_text(&t, vm, "name");
        vg_table_put(&t, "%s", vg_member_true(vm, "registered") ? "yes" : "no");
        put_text(&t, vm, "pool");
        put_text(&t, vm, "priority");
        put_number(&t, vm, "weight");
        put_limit(&t, vm, "rate", "/s");
        put_limit(&t, vm, "queue_depth", "");
        put_limit(&t, vm, "memory_mib", " MiB");
        put_number(&t, vm, "executors");
        put_number(&t, vm, "calls");
        put_bytes(&t, vm, "memory_bytes");
        put_number(&t, vm, "faults");
        put_seconds(&t, vm, "uptime_s");
        put_text(&t, vm, "state");
        put_notes(&t, vm);
    }
    vg_table_print(&t, stdout);
    vg_table_fini(&t);
}

static const struct vg_column executor_columns[] = {
    { "VM", false },      { "SLOT", true },      { "PID", true },      { "PROCESS", false },
    { "STATE", false },   { "BACKEND", false },  { "CALLS", true },    { "IN", true },
    { "OUT", true },      { "MEMORY", true },    { "UPTIME", true },   { "GPU", false },
};

static void show_executors(json_object *list)
{
    struct vg_table t;

    if (vg_members(list) == 0) {
        puts("No executor runs.");
        return;
    }
    vg_table_init(&t, executor_columns, VG_ARRAY_LEN(executor_columns));
    for (size_t i = 0; i < vg_members(list); i++) {
        json_object *x = vg_item(list, i);
        const char *reason = vg_member_text(x, "reason");

        put_text(&t, x, "vm");
        put_number(&t, x, "slot");
        put_number(&t, x, "pid");
        put_text(&t, x, "process");
        vg_table_put(&t, "%s%s%s", vg_member_text(x, "state"), *reason ? ": " : "", reason);
        put_text(&t, x, "backend");
        put_number(&t, x, "calls");
        put_bytes(&t, x, "bytes_in");
        put_bytes(&t, x, "bytes_out");
        put_bytes(&t, x, "memory_bytes");
        put_seconds(&t, x, "uptime_s");
        put_text(&t, x, "device");
    }
    vg_table_print(&t, stdout);
    vg_table_fini(&t);
}

/* ---- one VM: names and values below each other ---- */

static const struct vg_column pair_columns[] = { { "", false }, { "", false } };

static void print_pairs(struct vg_table *t)
{
    size_t width = 0;

    for (size_t i = 0; i + 1 < t->used; i += 2)
        width = strlen(t->cells[i]) > width ? strlen(t->cells[i]) : width;
    for (size_t i = 0; i + 1 < t->used; i += 2)
        printf("%-*s  %s\n", (int)width, t->cells[i], t->cells[i + 1]);
    for (size_t i = 0; i < t->note_count; i++)
        printf("%-*s  %s\n", (int)width, "note", t->notes[i].text);
    vg_table_fini(t);
}

static void show_policy(json_object *vm)
{
    struct vg_table t;

    vg_table_init(&t, pair_columns, 2);
    vg_table_put(&t, "VM");
    put_text(&t, vm, "name");
    vg_table_put(&t, "registered");
    vg_table_put(&t, "%s", vg_member_true(vm, "registered") ? "yes" : "no");
    vg_table_put(&t, "pool");
    put_text(&t, vm, "pool");
    vg_table_put(&t, "priority");
    put_text(&t, vm, "priority");
    vg_table_put(&t, "weight");
    put_number(&t, vm, "weight");
    vg_table_put(&t, "rate");
    put_limit(&t, vm, "rate", " calls/s");
    vg_table_put(&t, "queue depth");
    put_limit(&t, vm, "queue_depth", " calls");
    vg_table_put(&t, "memory limit");
    put_limit(&t, vm, "memory_mib", " MiB");
    vg_table_put(&t, "a context costs");
    vg_table_put(&t, "%" PRIu64 " MiB (%s)", vg_member_number(vm, "context_bytes") >> 20,
                 vg_member_text(vm, "context_from"));
    vg_table_put(&t, "state");
    put_text(&t, vm, "state");
    vg_table_put(&t, "peers");
    put_number(&t, vm, "peers");
    put_notes(&t, vm);
    print_pairs(&t);
}

static const struct vg_column fault_columns[] = {
    { "FAULT", false }, { "AGO", true }, { "COUNTS", true },
};

static void show_faults(json_object *list)
{
    struct vg_table t;

    if (vg_members(list) == 0)
        return;
    vg_table_init(&t, fault_columns, VG_ARRAY_LEN(fault_columns));
    for (size_t i = 0; i < vg_members(list); i++) {
        put_text(&t, vg_item(list, i), "kind");
        put_seconds(&t, vg_item(list, i), "age_s");
        vg_table_put(&t, "%.2g", json_object_get_double(vg_member(vg_item(list, i), "weight")));
    }
    puts("");
    vg_table_print(&t, stdout);
    vg_table_fini(&t);
}

void vg_show_policy(json_object *answer)
{
    show_policy(vg_member(answer, "vm"));
}

void vg_show_done(json_object *answer)
{
    (void)answer;
    puts("done");
}

void vg_show_vm(json_object *answer)
{
    show_policy(vg_member(answer, "vm"));
    puts("");
    show_executors(vg_member(answer, "executors"));
    show_faults(vg_member(answer, "fault_log"));
}

/* ---- events ---- */

void vg_show_event(json_object *e)
{
    const char *vm = vg_member_text(e, "vm");

    printf("%s  %-16s  %-18s  %s\n", vg_member_text(e, "time"), *vm ? vm : "-",
           vg_member_text(e, "type"), vg_member_text(e, "text"));
}

void vg_show_events(json_object *answer)
{
    json_object *events = vg_member(answer, "events");

    if (vg_members(events) == 0)
        puts("Nothing has happened.");
    for (size_t i = 0; i < vg_members(events); i++)
        vg_show_event(vg_item(events, i));
}

/* ---- counters ---- */

static void show_totals(json_object *vm)
{
    struct vg_table t;

    vg_table_init(&t, pair_columns, 2);
    vg_table_put(&t, "VM");
    put_text(&t, vm, "name");
    vg_table_put(&t, "uptime");
    put_seconds(&t, vm, "uptime_s");
    vg_table_put(&t, "executors");
    vg_table_put(&t, "%" PRIu64 " now, %" PRIu64 " in all", vg_member_number(vm, "executors"),
                 vg_member_number(vm, "executors_started"));
    vg_table_put(&t, "calls");
    vg_table_put(&t, "%" PRIu64 ", with errors %" PRIu64 ", rejected %" PRIu64, vg_member_number(vm, "calls"),
                 vg_member_number(vm, "errors"), vg_member_number(vm, "rejected"));
    vg_table_put(&t, "launches");
    put_number(&t, vm, "launches");
    vg_table_put(&t, "bytes in");
    put_bytes(&t, vm, "bytes_in");
    vg_table_put(&t, "bytes out");
    put_bytes(&t, vm, "bytes_out");
    vg_table_put(&t, "memory");
    put_bytes(&t, vm, "memory_bytes");
    vg_table_put(&t, "memory peak");
    put_bytes(&t, vm, "memory_peak_bytes");
    vg_table_put(&t, "GPU time");
    vg_table_put(&t, "%.3f s in %" PRIu64 " turns, %.3f s waiting for them",
                 (double)vg_member_number(vm, "gpu_ns") / 1e9, vg_member_number(vm, "turns"),
                 (double)vg_member_number(vm, "gate_wait_ns") / 1e9);
    vg_table_put(&t, "BUSY");
    vg_table_put(&t, "%" PRIu64 " answers, %" PRIu64 " retries", vg_member_number(vm, "busy"),
                 vg_member_number(vm, "retries"));
    vg_table_put(&t, "doorbells");
    put_number(&t, vm, "doorbells");
    vg_table_put(&t, "faults");
    vg_table_put(&t, "%" PRIu64 ", of the GPU %" PRIu64, vg_member_number(vm, "faults"),
                 vg_member_number(vm, "gpu_faults"));
    print_pairs(&t);
}

static const struct vg_column time_columns[] = {
    { "CLASS", false }, { "TIMED", true }, { "MEAN", true }, { "P50 <", true }, { "P90 <", true },
    { "P99 <", true },
};

static void put_time(struct vg_table *t, double ns)
{
    if (ns < 1e4)
        vg_table_put(t, "%.0f ns", ns);
    else if (ns < 1e7)
        vg_table_put(t, "%.0f us", ns / 1e3);
    else
        vg_table_put(t, "%.0f ms", ns / 1e6);
}

static void put_times(struct vg_table *t, const char *name, json_object *h)
{
    uint64_t count = vg_member_number(h, "count");

    if (count == 0)
        return;
    vg_table_put(t, "%s", name);
    put_number(t, h, "count");
    put_time(t, (double)vg_member_number(h, "sum") / (double)count);
    put_time(t, (double)vg_member_number(h, "p50"));
    put_time(t, (double)vg_member_number(h, "p90"));
    put_time(t, (double)vg_member_number(h, "p99"));
}

static void show_times(json_object *histograms)
{
    json_object *latency = vg_member(histograms, "latency_ns");
    struct vg_table t;

    if (!json_object_is_type(latency, json_type_object))
        return;
    vg_table_init(&t, time_columns, VG_ARRAY_LEN(time_columns));
    {
        json_object_object_foreach(latency, key, value)
            put_times(&t, key, value);
    }
    put_times(&t, "(wait for turn)", vg_member(histograms, "gate_wait_ns"));
    put_times(&t, "(wait for limit)", vg_member(histograms, "busy_wait_ns"));
    if (t.used > 0) {
        puts("");
        vg_table_print(&t, stdout);
    }
    vg_table_fini(&t);
}

static void show_counts(json_object *counts, const char *title, const char *counted)
{
    struct vg_column columns[] = { { title, false }, { counted, true } };
    struct vg_table t;

    if (!json_object_is_type(counts, json_type_object) || json_object_object_length(counts) == 0)
        return;
    vg_table_init(&t, columns, 2);
    json_object_object_foreach(counts, key, value)
    {
        vg_table_put(&t, "%s", key);
        vg_table_put(&t, "%" PRId64, json_object_get_int64(value));
    }
    puts("");
    vg_table_print(&t, stdout);
    vg_table_fini(&t);
}

void vg_show_metrics(json_object *answer)
{
    json_object *vms = vg_member(answer, "vms");

    if (vg_members(vms) == 0)
        puts("No VM is registered or connected.");
    for (size_t i = 0; i < vg_members(vms); i++) {
        if (i > 0)
            puts("\n----");
        show_totals(vg_item(vms, i));
        show_counts(vg_member(vg_item(vms, i), "classes"), "CLASS", "CALLS");
        show_times(vg_member(vg_item(vms, i), "histograms"));
        show_counts(vg_member(vg_item(vms, i), "by_call"), "CALL", "CALLS");
        show_counts(vg_member(vg_item(vms, i), "ended"), "ENDED", "EXECUTORS");
    }
}

/* ---- health ---- */

static void put_faults(struct vg_table *t, json_object *faults)
{
    if (!json_object_is_type(faults, json_type_object))
        return;
    json_object_object_foreach(faults, key, value)
    {
        if (json_object_get_int64(value) == 0)
            continue;
        vg_table_put(t, "fault: %s", key);
        vg_table_put(t, "%" PRId64, json_object_get_int64(value));
    }
}

static void put_lines(struct vg_table *t, const char *title, json_object *list)
{
    for (size_t i = 0; i < vg_members(list); i++) {
        vg_table_put(t, "%s", title);
        vg_table_put(t, "%s", json_object_get_string(vg_item(list, i)));
    }
}

static void put_gpus(struct vg_table *t, json_object *list)
{
    for (size_t i = 0; i < vg_members(list); i++) {
        json_object *gpu = vg_item(list, i);

        vg_table_put(t, "GPU %s", vg_member_text(gpu, "gpu"));
        if (vg_member_number(gpu, "xid") == 0)
            vg_table_put(t, "%s", vg_member_text(gpu, "state"));
        else
            vg_table_put(t, "%s, Xid %s: %s", vg_member_text(gpu, "state"),
                         vg_member_text(gpu, "xid"), vg_member_text(gpu, "text"));
    }
}

bool vg_show_is_unusable(json_object *answer)
{
    return strcmp(vg_member_text(vg_member(answer, "health"), "status"), "unusable") == 0;
}

void vg_show_health(json_object *answer)
{
    json_object *h = vg_member(answer, "health");
    struct vg_table t;

    vg_table_init(&t, pair_columns, 2);
    vg_table_put(&t, "mediator");
    vg_table_put(&t, "%s%s%s", vg_member_text(h, "status"), *vg_member_text(h, "problem") ? ": " : "",
                 vg_member_text(h, "problem"));
    vg_table_put(&t, "pid");
    put_number(&t, h, "pid");
    vg_table_put(&t, "uptime");
    put_seconds(&t, h, "uptime_s");
    vg_table_put(&t, "backend");
    put_text(&t, h, "backend");
    vg_table_put(&t, "library");
    put_text(&t, h, "library");
    vg_table_put(&t, "device");
    put_text(&t, h, "device");
    if (vg_member(h, "gpu_memory_mib")) {
        vg_table_put(&t, "GPU memory");
        vg_table_put(&t, "%" PRIu64 " MiB, %" PRIu64 " free", vg_member_number(h, "gpu_memory_mib"),
                     vg_member_number(h, "gpu_memory_free_mib"));
    }
    vg_table_put(&t, "VMs");
    put_number(&t, h, "vms");
    vg_table_put(&t, "peers");
    put_number(&t, h, "peers");
    vg_table_put(&t, "executors");
    put_number(&t, h, "executors");
    vg_table_put(&t, "ready");
    vg_table_put(&t, "%" PRIu64 " more, for guests to come", vg_member_number(h, "executors_ready"));
    put_faults(&t, vg_member(h, "faults"));
    put_lines(&t, "alert", vg_member(h, "alerts"));
    put_lines(&t, "quarantined", vg_member(h, "quarantined"));
    put_gpus(&t, vg_member(h, "gpus"));
    if (*vg_member_text(h, "xenstore")) {
        vg_table_put(&t, "xenstore");
        put_text(&t, h, "xenstore");
    }
    print_pairs(&t);
    puts("");
    show_executors(vg_member(answer, "executors"));
}
