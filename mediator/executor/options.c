/* SPDX-License-Identifier: MIT */
/* Parses the command line; runs once, before anything is opened. */
#include "mediator/executor/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPIN_US_DEFAULT 50u
#define SPIN_US_MAX     1000000u
#define USER_MAX        (UINT32_MAX - 1) /* the last one means none */

enum { OPT_BACKEND = 1, OPT_DRIVER, OPT_SPIN, OPT_WARM, OPT_NVML, OPT_JIT_CACHE, OPT_USER,
       OPT_UNREGISTERED };

static const struct option long_options[] = {
    {"backend", required_argument, NULL, OPT_BACKEND},
    {"driver", required_argument, NULL, OPT_DRIVER},
    {"spin-us", required_argument, NULL, OPT_SPIN},
    {"warm", no_argument, NULL, OPT_WARM},
    {"jit-cache", no_argument, NULL, OPT_JIT_CACHE},
    {"nvml", required_argument, NULL, OPT_NVML},
    {"unregistered", no_argument, NULL, OPT_UNREGISTERED},
    {"user", required_argument, NULL, OPT_USER},
    {NULL, 0, NULL, 0},
};

static bool parse_number(const char *s, uint32_t max, uint32_t *ret)
{
    char *end;

    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno || end == s || *end || s[0] == '-' || v > max)
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
    case OPT_DRIVER:  o->driver = arg; return true;
    case OPT_BACKEND: return parse_backend(o, arg);
    case OPT_SPIN:    return parse_number(arg, SPIN_US_MAX, &o->spin_us);
    case OPT_JIT_CACHE: o->jit_cache = true; return true;
    case OPT_UNREGISTERED: o->unregistered = true; return true;
    case OPT_WARM:    o->warm = true; return true;
    case OPT_NVML:    o->nvml = arg; return true;
    case OPT_USER:    return parse_number(arg, USER_MAX, &o->user);
    default:          return false;
    }
}

int vg_options_parse(struct vg_options *o, int argc, char **argv)
{
    int opt;

    *o = (struct vg_options){.spin_us = SPIN_US_DEFAULT};
    while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!take_option(o, opt, optarg)) {
            fprintf(stderr, "executor: bad option near '%s'\n", optarg ? optarg : argv[optind - 1]);
            return -EINVAL;
        }
    }
    if (!o->driver) {
        fprintf(stderr, "executor: --driver is needed\n");
        return -EINVAL;
    }
    return 0;
}
