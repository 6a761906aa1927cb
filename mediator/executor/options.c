/* SPDX-License-Identifier: MIT */
/* Parses the command line; runs once, before anything is opened. */
#include "mediator/executor/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vg_limits.h"

#define SPIN_US_DEFAULT 50u
#define SPIN_US_MAX     1000000u

enum {
    OPT_VM = 1, OPT_SLOT, OPT_GENERATION, OPT_SLOT_COUNT, OPT_SIZE, OPT_BACKEND, OPT_DRIVER,
    OPT_SPIN
};

static const struct option long_options[] = {
    {"vm", required_argument, NULL, OPT_VM},
    {"slot", required_argument, NULL, OPT_SLOT},
    {"generation", required_argument, NULL, OPT_GENERATION},
    {"slot-count", required_argument, NULL, OPT_SLOT_COUNT},
    {"region-size", required_argument, NULL, OPT_SIZE},
    {"backend", required_argument, NULL, OPT_BACKEND},
    {"driver", required_argument, NULL, OPT_DRIVER},
    {"spin-us", required_argument, NULL, OPT_SPIN},
    {NULL, 0, NULL, 0},
};

static bool parse_number(const char *s, uint64_t max, uint64_t *ret)
{
    char *end;

    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno || end == s || *end || s[0] == '-' || v > max)
        return false;
    *ret = v;
    return true;
}

static bool parse_u32(const char *s, uint32_t max, uint32_t *ret)
{
    uint64_t v;

    if (!parse_number(s, max, &v))
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool parse_backend(struct vg_options *o, const char *s)
{
    o->software = strcmp(s, "soft") == 0;
    return o->software || strcmp(s, "cuda") == 0;
}

static bool take_option(struct vg_options *o, int opt, char *arg)
{
    switch (opt) {
    case OPT_VM:         o->vm = arg; return true;
    case OPT_DRIVER:     o->driver = arg; return true;
    case OPT_BACKEND:    return parse_backend(o, arg);
    case OPT_SLOT:       return parse_u32(arg, VG_SLOTS_MAX - 1, &o->slot);
    case OPT_SLOT_COUNT: return parse_u32(arg, VG_SLOTS_MAX, &o->slot_count);
    case OPT_GENERATION: return parse_u32(arg, UINT32_MAX, &o->generation);
    case OPT_SPIN:       return parse_u32(arg, SPIN_US_MAX, &o->spin_us);
    case OPT_SIZE:       return parse_number(arg, VG_REGION_SIZE_MAX, &o->region_size);
    default:             return false;
    }
}

int vg_options_parse(struct vg_options *o, int argc, char **argv)
{
    int opt;

    *o = (struct vg_options){.vm = "?", .spin_us = SPIN_US_DEFAULT};
    while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!take_option(o, opt, optarg)) {
            fprintf(stderr, "executor: bad option near '%s'\n", optarg ? optarg : argv[optind - 1]);
            return -EINVAL;
        }
    }
    if (!o->driver || !o->slot_count || o->slot >= o->slot_count || !o->region_size) {
        fprintf(stderr, "executor: --driver --region-size --slot-count --slot are needed\n");
        return -EINVAL;
    }
    return 0;
}
