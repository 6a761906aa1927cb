/* SPDX-License-Identifier: MIT */
/*
 * vgpu-telemetry: asks driver and NVML about the GPUs on behalf of the mediator,
 * which loads no library of theirs. Started by it with fd 3 as their socket; sleeps
 * until asked, and ends when the mediator closes the socket. It never makes a CUDA
 * context and takes no memory on a GPU. With --events it says what happens instead (events.c).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "mediator/telemetry/gauge.h"

#define FD_CONTROL 3

/*
 * What the software GPU reports as the driver's version: the generation whose
 * interface it has. Programs compare the numbers and want nothing but numbers.
 */
#define SOFTWARE_VERSION "580.0"

struct options {
    const char *driver, *nvml;  /* nvml: NULL for the software GPU */
    bool events;                /* and then no driver */
};

static int parse(struct options *o, int argc, char **argv)
{
    static const struct option options[] = {
        { "driver", required_argument, NULL, 'd' },
        { "nvml", required_argument, NULL, 'n' },
        { "events", no_argument, NULL, 'e' },
        { 0 },
    };
    int opt;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'd')
            o->driver = optarg;
        else if (opt == 'n')
            o->nvml = optarg;
        else if (opt == 'e')
            o->events = true;
        else
            return -1;
    }
    return o->driver || (o->events && o->nvml) ? 0 : -1;
}

static uint64_t clock_us(void)
{
    struct timeval t;

    gettimeofday(&t, NULL);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static bool open_nvml(const struct options *o, struct vg_gauges *g)
{
    if (!o->nvml)
        return false;
    if (vg_gauge_nvml_open(o->nvml, g))
        return true;
    fprintf(stderr, "telemetry: no NVML: %s\n", vg_gauge_nvml_failure());
    return false;
}

/* True with NVML. */
static bool start(const struct options *o, struct vg_gauges *g)
{
    static struct vg_gauge_driver driver;
    const char *version = o->nvml ? "unknown" : SOFTWARE_VERSION;
    bool nvml;

    g->magic = VG_GAUGES_MAGIC;
    g->software = o->nvml == NULL;
    strcpy(g->driver_version, version);
    strcpy(g->nvml_version, version);
    nvml = open_nvml(o, g);
    if (nvml && vg_gauge_nvml_alone(g))
        return true;
    if (vg_gauge_driver_open(&driver, o->driver, g->failure, sizeof(g->failure)) < 0)
        return false;
    vg_gauge_plain(&driver, g);
    if (nvml)
        vg_gauge_nvml_bind(&driver, g);
    return nvml;
}

static ssize_t receive(struct vg_gauges_ask *ask)
{
    ssize_t n;

    do
        n = recv(FD_CONTROL, ask, sizeof(*ask), 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static int serve(struct vg_gauges *g, bool nvml)
{
    static struct vg_gauges_ask ask;
    ssize_t n;

    while ((n = receive(&ask)) > 0) {
        if ((size_t)n < offsetof(struct vg_gauges_ask, executor) || ask.magic != VG_GAUGES_MAGIC ||
            ask.count > VG_GAUGES_PIDS)
            return 1;
        if (nvml)
            vg_gauge_nvml_read(g);
        else if (g->software)
            vg_gauge_soft_read(g, &ask);
        g->time = clock_us();
        if (send(FD_CONTROL, g, sizeof(*g), MSG_NOSIGNAL) < 0)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct vg_gauges gauges;
    struct options o = { .driver = NULL };
    bool nvml;

    if (parse(&o, argc, argv) < 0) {
        fprintf(stderr, "vgpu-telemetry is started by vgpu-mediator\n");
        return 2;
    }
    if (o.events)
        return open_nvml(&o, &gauges) ? vg_gauge_events(FD_CONTROL) : 0;
    nvml = start(&o, &gauges);
    return serve(&gauges, nvml);
}
