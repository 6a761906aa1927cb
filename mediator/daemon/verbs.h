/* SPDX-License-Identifier: MIT */
/*
 * What administrators can ask for, in one table: each verb, its arguments with type and
 * bounds, and who may use it. The daemon checks requests by it, vgpu-admin its command
 * line, help texts and completion; a test holds the manuals against it. Pure.
 */
#ifndef VG_VERBS_H
#define VG_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VG_VERB_ARGS_MAX 24u    /* of one verb */
#define VG_REASON_MAX    160u   /* bytes of a reason, NUL included */

enum vg_rights {
    VG_RIGHTS_NONE,
    VG_RIGHTS_READ,             /* members of monitor_group: verbs that only tell */
    VG_RIGHTS_ADMIN,
};

enum vg_arg_kind {
    VG_ARG_VM,                  /* the name of a VM */
    VG_ARG_POLICY,              /* a field of struct vg_policy, checked by its own table */
    VG_ARG_NUMBER,
    VG_ARG_TEXT,                /* UTF-8 for people, one line, max bytes */
    VG_ARG_FLAG,                /* true or false; as an option there or not */
};

struct vg_arg {
    const char *name;           /* member of the request; as an option, with '-' for '_' */
    enum vg_arg_kind kind;
    uint64_t min, max;          /* of a number; max of a text */
    const char *unit, *what;
    bool local;                 /* an option of vgpu-admin, not part of requests */
    bool needed;                /* set by vg_verb_args() */
};

struct vg_verb {
    const char *name;
    enum vg_rights rights;
    const char *what;           /* "register a VM or change its policy" */
    /*
     * Names of arguments in the order in which they may stand without their names;
     * "!" behind a name: it must be given. Behind "|" they have their names always.
     * "*": all fields of a policy, with their names.
     */
    const char *args;
    bool some;                  /* of those that need not be given, at least one must */
    const char *answer;         /* members of the answer, for the manual: "vm" */
};

extern const struct vg_verb vg_verbs[];
extern const unsigned vg_verb_count;

const struct vg_verb *vg_verb_find(const char *name);   /* NULL: there is none */

/*
 * The verb's arguments into args[VG_VERB_ARGS_MAX], those that may stand without name
 * first; *ret_positional (or NULL) of them. Returns how many.
 */
unsigned vg_verb_args(const struct vg_verb *v, struct vg_arg *args, unsigned *ret_positional);

/* One argument by its name, wherever it is used. False: no verb has it. */
bool vg_arg_find(const char *name, struct vg_arg *ret_arg);

/* Checks a value given as text. On failure `why` reads "NAME: value and what is allowed". */
bool vg_arg_ok(const struct vg_arg *a, const char *value, char *why, size_t why_cap);

/* "number from 1 to 100", "one of high, medium, low": for help and manual. */
void vg_arg_allowed(const struct vg_arg *a, char *text, size_t cap);

#endif
