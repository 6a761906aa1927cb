/* SPDX-License-Identifier: MIT */
/*
 * One call of the plugin: what came, what it may use, what it answers. The process
 * serves one call and ends; XAPI starts as many beside each other as it likes.
 */
#ifndef VG_PLUGIN_H
#define VG_PLUGIN_H

#include <json-c/json.h>
#include <stdbool.h>

#include "failure.h"
#include "xapi.h"
#include "xs.h"

#define VG_PLUGIN_NAME  "vgpu"
#define VG_REQUEST_MAX  131072u     /* bytes; Linux passes no longer argument */
#define VG_ARGS_MAX     64u
#define VG_ARG_MAX      4096u       /* bytes of a name or value */
#define VG_DEADLINE_MS  4700u       /* of the whole call; XAPI itself sets none */
#define VG_ANSWER_MS    700u        /* of it, kept for saying that XAPI took too long */

struct vg_plugin {
    const char *function;
    json_object *args;              /* members are strings */
    struct vg_xapi xapi;
    struct vg_xs xs;                /* opened by vg_plugin_xs */
    char xs_why[160];               /* why it is not open */
    const char *control;            /* the mediator's control socket */
    struct vg_failure failure;
};

/* Who may call a function. Where the toolstack hides the caller, see auth.h. */
enum vg_right {
    VG_RIGHT_READ,                  /* everybody who may call plugins at all */
    VG_RIGHT_POLICY,                /* who may change the VM's platform in XAPI */
    VG_RIGHT_ADMIN,                 /* pool administrators */
};

struct vg_function {
    const char *name;
    enum vg_right right;
    bool takes_vm, needs_vm, takes_policy;
    const char *extra[3];           /* further arguments allowed */
    /* Adds its answer to `out`; 0, or -1 with p->failure set. */
    int (*serve)(struct vg_plugin *p, json_object *out);
};

/* functions.c: checks the arguments, asks for the right, serves. */
int vg_plugin_serve(struct vg_plugin *p, json_object *out);

/* The argument's text, or NULL. */
const char *vg_plugin_arg(const struct vg_plugin *p, const char *name);

/* Opens xenstore at the first call; false: not here, the reason is in p->xs_why. */
bool vg_plugin_xs(struct vg_plugin *p);

/*
 * Asks the mediator; takes `request`. The answer, the caller's, or NULL with the reason
 * in `why`: no answer, or its own "ok": false.
 */
json_object *vg_plugin_ask(struct vg_plugin *p, json_object *request, char *why, size_t why_cap);
json_object *vg_plugin_request(const char *op, const char *vm_name);

/* Text that the deadline's failure tells: what was being done, what is done. */
void vg_plugin_stage(const char *doing);

/* The functions, in files of their own. */
int vg_show_get(struct vg_plugin *p, json_object *out);
int vg_show_list(struct vg_plugin *p, json_object *out);
int vg_show_metrics(struct vg_plugin *p, json_object *out);
int vg_show_health(struct vg_plugin *p, json_object *out);
int vg_show_version(struct vg_plugin *p, json_object *out);
int vg_edit_set(struct vg_plugin *p, json_object *out);
int vg_edit_unset(struct vg_plugin *p, json_object *out);
int vg_edit_register(struct vg_plugin *p, json_object *out);
int vg_edit_unregister(struct vg_plugin *p, json_object *out);
int vg_edit_weight(struct vg_plugin *p, json_object *out);
int vg_edit_rate(struct vg_plugin *p, json_object *out);
int vg_edit_apply(struct vg_plugin *p, json_object *out);
int vg_edit_clear(struct vg_plugin *p, json_object *out);

#endif
