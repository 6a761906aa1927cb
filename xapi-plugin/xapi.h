/* SPDX-License-Identifier: MIT */
/*
 * Questions to XAPI on its socket on this host. Blocking, one after the other, each
 * bounded in time and in what it may answer. One thread.
 */
#ifndef VG_XAPI_H
#define VG_XAPI_H

#include <stdbool.h>
#include <json-c/json.h>

#include "failure.h"

#define VG_XAPI_SOCKET "/var/lib/xcp/xapi"

struct vg_xapi {
    const char *socket;
    const char *function;       /* named in our failures */
    char session[128];          /* "" before vg_xapi_login or without a session */
    bool own_session;           /* made by login, to be ended */
    void *curl;                 /* of libcurl, made at the first call */
    unsigned timeout_ms;        /* of one call */
};

/* `session` may be NULL; it is copied. $VGPU_XAPI_SOCKET names another socket, for tests. */
void vg_xapi_init(struct vg_xapi *x, const char *function, const char *session);
void vg_xapi_fini(struct vg_xapi *x);       /* ends a session of ours */

/*
 * method(session, params...): takes `params`, an array (see vg_xmlrpc_put_call) without
 * the session, or NULL. 0 and the value, the caller's, in *ret_value (may be NULL), or -1 with a
 * failure: XAPI's own, or kind XapiUnreachable, XapiAnswer.
 */
int vg_xapi_call(struct vg_xapi *x, const char *method, json_object *params,
                 json_object **ret_value, struct vg_failure *f);

/* The usual shape: up to three strings, NULL ends them. */
int vg_xapi_ask(struct vg_xapi *x, const char *method, const char *a, const char *b,
                const char *c, json_object **ret_value, struct vg_failure *f);

/* A session of our own as the local superuser, for programs that XAPI gave none. */
int vg_xapi_login(struct vg_xapi *x, struct vg_failure *f);

#endif
