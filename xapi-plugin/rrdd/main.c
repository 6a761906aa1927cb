/* SPDX-License-Identifier: MIT */
/*
 * vgpu-rrdd: lets XenCenter and Xen Orchestra plot what each VM uses of the GPU. Asks the
 * mediator every 5 seconds and writes what it says where xcp-rrdd looks. For each VM that
 * XAPI knows: vgpu_usage, the share of the GPU's time (a counter of seconds, of which
 * xcp-rrdd plots the slope), vgpu_memory, vgpu_launches. Without a mediator there are no
 * sources, and they come back with it.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "mediator/admin/ask.h"
#include "mediator/base/log.h"
#include "mediator/base/util.h"
#include "protocol/vg_sock.h"
#include "rrd_file.h"
#include "xapi-plugin/machine.h"

#define DIRECTORY   "/dev/shm/metrics"
#define VMS_MAX     1024u
#define PER_VM      3u
#define PERIOD_MS   5000u

static volatile sig_atomic_t over;

struct sample {
    struct vg_rrd_source *sources;
    unsigned count;
};

struct options {
    const char *path, *control;
    unsigned period_ms;
};

static void end(int sig)
{
    (void)sig;
    over = 1;
}

/* ---- asking ---- */

static json_object *ask(const char *control, const char *op, char *why, size_t cap)
{
    json_object *request = json_object_new_object(), *answer;

    json_object_object_add(request, "op", json_object_new_string(op));
    answer = vg_ask(control, request, why, cap);
    json_object_put(request);
    return answer;
}

static json_object *get(json_object *o, const char *key)
{
    json_object *value = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &value);
    return value;
}

static const char *text_of(json_object *o, const char *key)
{
    json_object *value = get(o, key);

    return value ? json_object_get_string(value) : "";
}

static size_t length(json_object *list)
{
    return json_object_is_type(list, json_type_array) ? (size_t)json_object_array_length(list) : 0;
}

/* XAPI's uuid of the VM of that name: the toolstack's, else the name if it is one; "" if none. */
static const char *find_uuid(json_object *vms, const char *name)
{
    for (size_t i = 0; i < length(vms); i++) {
        json_object *vm = json_object_array_get_idx(vms, (int)i);

        if (strcmp(text_of(vm, "name"), name) == 0 && vg_uuid_ok(text_of(vm, "uuid")))
            return text_of(vm, "uuid");
    }
    return vg_uuid_ok(name) ? name : "";
}

/* In lower case, as XAPI writes them. */
static bool uuid_of(json_object *vms, const char *name, char *uuid)
{
    vg_uuid_lower(uuid, find_uuid(vms, name));
    return uuid[0] != '\0';
}

/* ---- sources ---- */

/*
 * Whoever may use the mediator's socket chooses his VM's name, so two can claim one uuid;
 * xcp-rrdd would take both for the same source. The first is the one it keeps.
 */
static bool has_owner(const struct sample *s, const char *uuid)
{
    for (unsigned i = 0; i < s->count; i += PER_VM) {
        if (strcmp(s->sources[i].owner + strlen("vm "), uuid) == 0)
            return true;
    }
    return false;
}

static struct vg_rrd_source *add(struct sample *s, const char *uuid, const char *name)
{
    struct vg_rrd_source *one = &s->sources[s->count++];

    memset(one, 0, sizeof(*one));
    snprintf(one->name, sizeof(one->name), "%s", name);
    snprintf(one->owner, sizeof(one->owner), "vm %.36s", uuid);
    return one;
}

static void add_vm(struct sample *s, json_object *load, const char *uuid)
{
    struct vg_rrd_source *one = add(s, uuid, "vgpu_usage");

    one->description = "Share of the GPU's time that the VM has used";
    one->units = "(fraction)";
    one->type = VG_RRD_DERIVE;
    one->is_float = true;
    one->max = 1;
    one->value = (double)json_object_get_int64(get(load, "gpu_ns")) / (double)VG_NS_PER_S;

    one = add(s, uuid, "vgpu_memory");
    one->description = "GPU memory that the VM holds";
    one->units = "B";
    one->max = -1;
    one->number = json_object_get_int64(get(load, "memory_bytes"));

    one = add(s, uuid, "vgpu_launches");
    one->description = "Kernels that the VM has launched";
    one->units = "/s";
    one->type = VG_RRD_DERIVE;
    one->max = -1;
    one->number = json_object_get_int64(get(load, "launches"));
}

static int take(struct sample *s, const char *control, char *why, size_t cap)
{
    json_object *list = ask(control, "list", why, cap);
    json_object *top = list ? ask(control, "top", why, cap) : NULL, *loads = get(top, "vms");

    s->count = 0;
    for (size_t i = 0; i < length(loads) && s->count + PER_VM <= VMS_MAX * PER_VM; i++) {
        json_object *load = json_object_array_get_idx(loads, (int)i);
        char uuid[VG_UUID_MAX];

        if (uuid_of(get(list, "vms"), text_of(load, "name"), uuid) && !has_owner(s, uuid))
            add_vm(s, load, uuid);
    }
    json_object_put(list);
    json_object_put(top);
    return top ? 0 : -1;
}

/* ---- life ---- */

static double wall_clock(void)
{
    struct timeval now;

    gettimeofday(&now, NULL);
    return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

static void pause_ms(unsigned ms)
{
    struct timespec left = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

    nanosleep(&left, NULL);         /* a signal ends it */
}

/* Says when the mediator goes and when it is back, and not every 5 seconds. */
static void note(int rc, const char *why)
{
    static int last;

    if (rc != last && rc < 0)
        vg_log(VG_LOG_WARNING, "no-metrics", "error=\"%s\"", why);
    else if (rc != last)
        vg_log(VG_LOG_INFO, "metrics", "back=yes");
    last = rc;
}

static int run(const struct options *o, struct sample *s)
{
    struct vg_rrd_file file;
    char why[256] = "";
    int rc;

    note(take(s, o->control, why, sizeof(why)), why);
    rc = vg_rrd_open(&file, o->path, s->sources, s->count, wall_clock());
    if (rc < 0)
        fprintf(stderr, "vgpu-rrdd: %s: %s\n", o->path, strerror(-rc));
    while (rc == 0 && !over) {
        pause_ms(o->period_ms);
        note(take(s, o->control, why, sizeof(why)), why);
        rc = vg_rrd_write(&file, s->sources, s->count, wall_clock());
    }
    vg_rrd_close(&file);
    return rc < 0 ? 1 : 0;
}

static int usage(FILE *out, int status)
{
    fputs("Usage: vgpu-rrdd [--file PATH] [--socket PATH] [--period-ms MS]\n"
          "Writes the mediator's counters of each VM for xcp-rrdd, until it is ended.\n", out);
    return status;
}

/* -1: run. */
static int parse(struct options *o, int argc, char **argv)
{
    static const struct option options[] = {
        { "file", required_argument, NULL, 'f' }, { "socket", required_argument, NULL, 's' },
        { "period-ms", required_argument, NULL, 'p' }, { "help", no_argument, NULL, 'h' }, { 0 },
    };
    int opt;

    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (opt == 'f')
            o->path = optarg;
        else if (opt == 's')
            o->control = optarg;
        else if (opt == 'p')
            o->period_ms = (unsigned)strtoul(optarg, NULL, 10);
        else
            return usage(opt == 'h' ? stdout : stderr, opt == 'h' ? 0 : 2);
    }
    return optind < argc || o->period_ms == 0 ? usage(stderr, 2) : -1;
}

int main(int argc, char **argv)
{
    struct options o = { DIRECTORY "/vgpu", VG_CONTROL_PATH, PERIOD_MS };
    struct sample s = { calloc(VMS_MAX * PER_VM, sizeof(*s.sources)), 0 };
    struct sigaction action = { .sa_handler = end };
    int rc = parse(&o, argc, argv);

    if (rc >= 0 || !s.sources) {
        free(s.sources);
        return rc >= 0 ? rc : 1;
    }
    vg_log_init(VG_LOG_INFO);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    mkdir(DIRECTORY, 0755);         /* xcp-rrdd's, which may start later */
    rc = run(&o, &s);
    free(s.sources);
    return rc;
}
