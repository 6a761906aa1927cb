/* SPDX-License-Identifier: MIT */
/*
 * XAPI over libcurl, see xapi.h. CURLOPT_UNIX_SOCKET_PATH came with curl 7.40; that of
 * CentOS 7, 7.29, is given a socket that is connected already.
 */
#include "xapi.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "text.h"
#include "xmlrpc.h"

#define ANSWER_MAX (32u << 20)      /* bytes; the records of 2000 VMs */
#define ORIGINATOR "vgpu"

void vg_xapi_init(struct vg_xapi *x, const char *function, const char *session)
{
    const char *path = getenv("VGPU_XAPI_SOCKET");

    memset(x, 0, sizeof(*x));
    x->socket = path && *path ? path : VG_XAPI_SOCKET;
    x->function = function;
    x->timeout_ms = 4000;
    snprintf(x->session, sizeof(x->session), "%s", session ? session : "");
}

void vg_xapi_fini(struct vg_xapi *x)
{
    struct vg_failure ignored = { NULL };
    json_object *nothing = NULL;

    if (x->own_session) {
        x->own_session = false;
        vg_xapi_ask(x, "session.logout", NULL, NULL, NULL, &nothing, &ignored);
        json_object_put(nothing);
        vg_failure_fini(&ignored);
    }
    if (x->curl)
        curl_easy_cleanup(x->curl);
    x->curl = NULL;
}

/* ---- transport ---- */

#if LIBCURL_VERSION_NUM >= 0x072800
static void use_socket(CURL *c, struct vg_xapi *x)
{
    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, x->socket);
}
#else
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct vg_xapi *x = arg;
    int fd = vg_sock_connect(SOCK_STREAM, x->socket);

    (void)purpose, (void)address;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int is_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg, (void)fd, (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static void use_socket(CURL *c, struct vg_xapi *x)
{
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
    curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, is_connected);
}
#endif

static size_t take(char *bytes, size_t size, size_t count, void *arg)
{
    return vg_text_take(arg, bytes, size * count, ANSWER_MAX) ? size * count : 0;
}

static CURL *handle(struct vg_xapi *x)
{
    if (!x->curl)
        x->curl = curl_easy_init();
    if (x->curl)
        curl_easy_reset(x->curl);
    return x->curl;
}

static CURLcode post(struct vg_xapi *x, const struct vg_text *call, struct vg_text *answer,
                     char *why)
{
    CURL *c = handle(x);
    struct curl_slist *headers;
    CURLcode rc;

    if (!c)
        return CURLE_OUT_OF_MEMORY;
    headers = curl_slist_append(NULL, "Content-Type: text/xml");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(c, CURLOPT_URL, "http://127.0.0.1/");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    use_socket(c, x);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->data);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)call->len);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)x->timeout_ms);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    /* On a connection used before, curl might send a call a second time by itself. */
    curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    rc = curl_easy_perform(c);
    curl_slist_free_all(headers);
    return rc;
}

/* ---- answers ---- */

/* {"Status": "Success", "Value": ...} or {"Status": "Failure", "ErrorDescription": [...]}. */
static int take_value(struct vg_xapi *x, const char *method, json_object *answer,
                      json_object **ret_value, struct vg_failure *f)
{
    json_object *status = NULL, *value = NULL, *error = NULL;
    const char *said;

    if (json_object_is_type(answer, json_type_object)) {
        json_object_object_get_ex(answer, "Status", &status);
        json_object_object_get_ex(answer, "Value", &value);
        json_object_object_get_ex(answer, "ErrorDescription", &error);
    }
    said = json_object_is_type(status, json_type_string) ? json_object_get_string(status) : "";
    if (strcmp(said, "Success") == 0) {
        *ret_value = json_object_get(value);
        return 0;
    }
    if (strcmp(said, "Failure") == 0 && json_object_is_type(error, json_type_array) &&
        json_object_array_length(error) > 0)
        return vg_fail_as(f, error);
    return vg_fail(f, x->function, "XapiAnswer", "XAPI answered %s with neither a value nor an "
                                                 "error", method);
}

static int read_answer(struct vg_xapi *x, const char *method, const struct vg_text *text,
                       json_object **ret_value, struct vg_failure *f)
{
    char why[VG_XMLRPC_WHY];
    json_object *answer = NULL;
    int rc;

    if (vg_xmlrpc_parse_answer(text->data ? text->data : "", text->len, &answer, why) < 0)
        return vg_fail(f, x->function, "XapiAnswer", "XAPI's answer to %s: %s", method, why);
    rc = take_value(x, method, answer, ret_value, f);
    json_object_put(answer);
    return rc;
}

static int exchange(struct vg_xapi *x, const char *method, json_object *params,
                    json_object **ret_value, struct vg_failure *f)
{
    char why[CURL_ERROR_SIZE] = "";
    struct vg_text call, answer;
    CURLcode code;
    int rc;

    vg_text_init(&call);
    vg_text_init(&answer);
    vg_xmlrpc_put_call(&call, method, params);
    code = vg_text_ok(&call) ? post(x, &call, &answer, why) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OK)
        rc = read_answer(x, method, &answer, ret_value, f);
    else
        rc = vg_fail(f, x->function, "XapiUnreachable", "%s at %s: %s", method, x->socket,
                     why[0] ? why : curl_easy_strerror(code));
    vg_text_fini(&call);
    vg_text_fini(&answer);
    return rc;
}

int vg_xapi_call(struct vg_xapi *x, const char *method, json_object *params,
                 json_object **ret_value, struct vg_failure *f)
{
    json_object *all = json_object_new_array();
    size_t n = params ? (size_t)json_object_array_length(params) : 0;
    int rc;

    if (x->session[0])
        json_object_array_add(all, json_object_new_string(x->session));
    for (size_t i = 0; i < n; i++)
        json_object_array_add(all, json_object_get(json_object_array_get_idx(params, (int)i)));
    rc = exchange(x, method, all, ret_value, f);
    json_object_put(all);
    json_object_put(params);
    return rc;
}

int vg_xapi_ask(struct vg_xapi *x, const char *method, const char *a, const char *b,
                const char *c, json_object **ret_value, struct vg_failure *f)
{
    const char *const given[] = { a, b, c };
    json_object *params = json_object_new_array();

    for (unsigned i = 0; i < VG_ARRAY_LEN(given) && given[i]; i++)
        json_object_array_add(params, json_object_new_string(given[i]));
    return vg_xapi_call(x, method, params, ret_value, f);
}

/* XAPI asks no password of root on its own socket. */
int vg_xapi_login(struct vg_xapi *x, struct vg_failure *f)
{
    json_object *session = NULL, *params = json_object_new_array();

    json_object_array_add(params, json_object_new_string("root"));
    json_object_array_add(params, json_object_new_string(""));
    json_object_array_add(params, json_object_new_string("1.0"));
    json_object_array_add(params, json_object_new_string(ORIGINATOR));
    if (vg_xapi_call(x, "session.login_with_password", params, &session, f) < 0)
        return -1;
    if (!json_object_is_type(session, json_type_string)) {
        json_object_put(session);
        return vg_fail(f, x->function, "XapiAnswer", "XAPI's session is no string");
    }
    snprintf(x->session, sizeof(x->session), "%s", json_object_get_string(session));
    json_object_put(session);
    x->own_session = true;
    return 0;
}
