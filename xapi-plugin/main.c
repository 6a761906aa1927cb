/* SPDX-License-Identifier: MIT */
/*
 * vgpu: the plugin of that name in /etc/xapi.d/plugins. XAPI starts it for each call
 * with one argument, the call as XML-RPC, and reads the answer from its stdout; the
 * exit status is 0 whatever happens. What is answered on success is one line of JSON.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "mediator/base/util.h"
#include "plugin.h"
#include "protocol/vg_sock.h"
#include "xmlrpc.h"

/* Paths stay readable; json-c before 0.12 escapes every slash, which is JSON too. */
#ifndef JSON_C_TO_STRING_NOSLASHESCAPE
#define JSON_C_TO_STRING_NOSLASHESCAPE 0
#endif

#define FUNCTION_MAX 64u

/* Outlives everything: the deadline's handler reads it. */
static char function_name[FUNCTION_MAX] = VG_PLUGIN_NAME;

void vg_plugin_stage(const char *doing)
{
    vg_deadline_stage(doing);
}

static int bad(struct vg_plugin *p, const char *why)
{
    return vg_fail(&p->failure, p->function, "BadRequest", "%s", why);
}

/* Names of functions are words; anything else is not shown, only refused. */
static int take_name(struct vg_plugin *p, json_object *name)
{
    const char *text = json_object_get_string(name);
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    if (strlen(text) >= FUNCTION_MAX || text[strspn(text, word)])
        return bad(p, "the function's name is not a word");
    snprintf(function_name, sizeof(function_name), "%s", text);
    return 0;
}

static int check_args(struct vg_plugin *p)
{
    if (json_object_object_length(p->args) > (int)VG_ARGS_MAX)
        return bad(p, "more than 64 arguments");
    json_object_object_foreach(p->args, key, value)
    {
        if (!json_object_is_type(value, json_type_string))
            return vg_fail(&p->failure, p->function, "BadRequest",
                           "the argument \"%.80s\" is no string", key);
        if (strlen(key) >= VG_ARG_MAX ||
            (size_t)json_object_get_string_len(value) >= VG_ARG_MAX)
            return vg_fail(&p->failure, p->function, "BadRequest",
                           "the argument \"%.80s\" is longer than 4095 bytes", key);
    }
    return 0;
}

/* [session, arguments], both as XAPI sends them. */
static int take_params(struct vg_plugin *p, json_object *params, const char **ret_session)
{
    json_object *session = json_object_array_get_idx(params, 0);
    json_object *args = json_object_array_get_idx(params, 1);

    if (json_object_array_length(params) != 2 ||
        !json_object_is_type(session, json_type_string) ||
        !json_object_is_type(args, json_type_object))
        return bad(p, "a call has two parameters: the session and a struct of arguments");
    if (json_object_get_string_len(session) >= (int)sizeof(p->xapi.session))
        return bad(p, "the session's reference is longer than 127 bytes");
    *ret_session = json_object_get_string(session);
    p->args = json_object_get(args);
    return check_args(p);
}

/* Tests of what is done, not of how long it takes, give themselves more time. */
static unsigned deadline_ms(void)
{
    const char *ms = getenv("VGPU_PLUGIN_DEADLINE_MS");
    unsigned n = ms ? (unsigned)strtoul(ms, NULL, 10) : 0;

    return n ? n : VG_DEADLINE_MS;
}

static int take_call(struct vg_plugin *p, int argc, char **argv)
{
    const char *session = NULL;
    char why[VG_XMLRPC_WHY];
    json_object *call = NULL, *name = NULL, *params = NULL;
    int rc;

    if (argc != 2)
        return bad(p, "this is a plugin of XAPI: it takes one argument, the call as XML-RPC");
    if (strlen(argv[1]) > VG_REQUEST_MAX)
        return bad(p, "the call is longer than 131072 bytes");
    if (vg_xmlrpc_parse_call(argv[1], strlen(argv[1]), &call, why) < 0)
        return bad(p, why);
    json_object_object_get_ex(call, "method", &name);
    json_object_object_get_ex(call, "params", &params);
    rc = take_name(p, name);
    if (rc == 0)
        rc = take_params(p, params, &session);
    if (rc == 0)
        vg_xapi_init(&p->xapi, p->function, session);
    p->xapi.timeout_ms = deadline_ms() - VG_ANSWER_MS;
    json_object_put(call);
    return rc;
}

/* ---- the answer ---- */

static void put_failure(struct vg_text *t, const struct vg_failure *f)
{
    const char *parts[16];
    unsigned n = 0;

    for (; n < VG_ARRAY_LEN(parts) && n < (unsigned)json_object_array_length(f->parts); n++) {
        const char *part = json_object_get_string(json_object_array_get_idx(f->parts, (int)n));

        parts[n] = part ? part : "";
    }
    vg_xmlrpc_put_failure(t, parts, n);
}

static void answer(struct vg_plugin *p, int rc, json_object *out)
{
    struct vg_text t;

    vg_text_init(&t);
    if (rc == 0)
        vg_xmlrpc_put_success(&t, json_object_to_json_string_ext(
                                      out, JSON_C_TO_STRING_PLAIN |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        put_failure(&t, &p->failure);
    if (!vg_text_ok(&t))
        abort();        /* out of memory: the handler answers */
    vg_deadline_answer(t.data, t.len);
    vg_text_fini(&t);
}

int main(int argc, char **argv)
{
    const char *control = getenv("VGPU_CONTROL_SOCKET");
    struct vg_plugin p;
    json_object *out = json_object_new_object();
    int rc;

    memset(&p, 0, sizeof(p));
    p.function = function_name;
    p.control = control && *control ? control : VG_CONTROL_PATH;
    vg_deadline_stage("reading the call");
    vg_deadline_start(function_name, deadline_ms());
    curl_global_init(CURL_GLOBAL_NOTHING);
    rc = take_call(&p, argc, argv);
    if (rc == 0)
        rc = vg_plugin_serve(&p, out);
    answer(&p, rc, out);
    vg_xapi_fini(&p.xapi);
    vg_xs_fini(&p.xs);
    vg_failure_fini(&p.failure);
    json_object_put(p.args);
    json_object_put(out);
    return 0;
}
