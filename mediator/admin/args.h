/* SPDX-License-Identifier: MIT */
/*
 * vgpu-admin's command line: held against the table of verbs (daemon/verbs.h), which
 * the daemon checks requests by, so that wrong usage is told as such even where no
 * mediator answers.
 */
#ifndef VG_ARGS_H
#define VG_ARGS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "mediator/daemon/verbs.h"

struct vg_call {
    const struct vg_verb *verb;
    const char *socket;
    bool json;
    bool follow;
    uint64_t interval_ms, count;    /* of `top`; count 0: until stopped */
    json_object *request;           /* "op" and its members */
};

enum vg_parsed { VG_PARSED_ASK, VG_PARSED_DONE, VG_PARSED_WRONG };

/* WRONG and DONE have printed what there is to say. The request is the caller's in any case. */
enum vg_parsed vg_args_parse(struct vg_call *c, int argc, char **argv);

/* "--queue-depth" for "queue_depth"; memory_mib is --memory. */
void vg_args_option(const struct vg_arg *a, char *text, size_t cap);

/* ---- help.c ---- */

void vg_help(void);
void vg_help_verb(const struct vg_verb *v);
void vg_help_json(void);            /* the whole table, for programs and tests */

/* ---- complete.c ---- */

/* Prints what the last of the words may become, one a line; asks the mediator for names. */
void vg_complete(const char *socket, int count, char **words);

#endif
