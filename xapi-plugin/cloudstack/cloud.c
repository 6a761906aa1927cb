/* SPDX-License-Identifier: MIT */
/* CloudStack's API, see cloud.h. */
#include "cloud.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mediator/base/util.h"
#include "sign.h"
#include "xapi-plugin/text.h"

#define ANSWER_MAX   (16u << 20)
#define ARGS_MAX     8u
#define OURS         5u         /* apikey, command, expires, response, signatureversion */
#define GOOD_FOR_S   600
#define TIMEOUT_S    30L

void vg_cloud_init(struct vg_cloud *c, const struct vg_cloud_settings *settings)
{
    c->settings = settings;
    c->curl = NULL;
}

void vg_cloud_fini(struct vg_cloud *c)
{
    if (c->curl)
        curl_easy_cleanup(c->curl);
    c->curl = NULL;
}

/* ---- the request ---- */

/* As Java's URLEncoder writes it, but %20 for a blank: the other side compares this text. */
static void put_encoded(struct vg_text *t, const char *value)
{
    char hex[8];

    for (; *value; value++) {
        unsigned char byte = (unsigned char)*value;

        if ((byte < 0x80 && isalnum(byte)) || strchr(".-*_", byte)) {
            vg_text_put(t, value, 1);
            continue;
        }
        snprintf(hex, sizeof(hex), "%%%02X", byte);
        vg_text_puts(t, hex);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct vg_cloud_arg *)a)->name, ((const struct vg_cloud_arg *)b)->name);
}

static void put_query(struct vg_text *t, struct vg_cloud_arg *args, unsigned n)
{
    qsort(args, n, sizeof(*args), by_name);
    for (unsigned i = 0; i < n; i++) {
        vg_text_puts(t, i > 0 ? "&" : "");
        vg_text_puts(t, args[i].name);
        vg_text_puts(t, "=");
        put_encoded(t, args[i].value);
    }
}

/* What is signed is the query in lower case. */
static void put_signature(struct vg_text *query, const char *secret)
{
    char signature[VG_SIGNATURE];
    vg_auto_free char *lower = vg_text_ok(query) ? strdup(query->data) : NULL;

    for (char *p = lower; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (!lower || vg_sign(secret, lower, query->len, signature) < 0) {
        query->failed = true;
        return;
    }
    vg_text_puts(query, "&signature=");
    put_encoded(query, signature);
}

static void put_request(struct vg_text *t, const struct vg_cloud_settings *s, const char *command,
                        const struct vg_cloud_arg *args, unsigned n)
{
    struct vg_cloud_arg all[ARGS_MAX + OURS] = {
        { "apikey", s->api_key }, { "command", command }, { "response", "json" },
        { "signatureversion", "3" },
    };
    char expires[40];
    time_t end = time(NULL) + GOOD_FOR_S;
    struct tm utc;

    strftime(expires, sizeof(expires), "%Y-%m-%dT%H:%M:%S+0000", gmtime_r(&end, &utc));
    all[OURS - 1].name = "expires";
    all[OURS - 1].value = expires;
    memcpy(all + OURS, args, n * sizeof(*args));
    put_query(t, all, OURS + n);
    put_signature(t, s->secret_key);
}

/* ---- the exchange ---- */

static size_t take(char *bytes, size_t size, size_t count, void *arg)
{
    return vg_text_take(arg, bytes, size * count, ANSWER_MAX) ? size * count : 0;
}

/* The body of CloudStack's own errors says more than their HTTP status; *ret_status is for others'. */
static CURLcode post(struct vg_cloud *c, const struct vg_text *query, struct vg_text *answer,
                     long *ret_status, char *why)
{
    CURL *curl = c->curl ? c->curl : curl_easy_init();
    CURLcode rc;

    c->curl = curl;
    if (!curl)
        return CURLE_OUT_OF_MEMORY;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, c->settings->url);
    if (c->settings->ca_file[0])
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->settings->ca_file);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, query->data);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)query->len);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    return rc;
}

/* {"listhostsresponse": {...}}, or the same with an errortext in it. */
static json_object *inner(const struct vg_text *text, const char *command, long status, char *why,
                          size_t cap)
{
    json_object *answer = json_tokener_parse(text->data ? text->data : ""), *found = NULL, *error;

    if (json_object_is_type(answer, json_type_object)) {
        json_object_object_foreach(answer, key, value)
        {
            (void)key;
            found = found ? found : value;
        }
    }
    if (!json_object_is_type(found, json_type_object)) {
        snprintf(why, cap, "%s: HTTP status %ld, and no answer of CloudStack's", command, status);
        found = NULL;
    } else if (json_object_object_get_ex(found, "errortext", &error) || status != 200) {
        snprintf(why, cap, "%s: HTTP status %ld: %s", command, status,
                 json_object_object_get_ex(found, "errortext", &error)
                     ? json_object_get_string(error) : "no reason");
        found = NULL;
    }
    json_object_get(found);
    json_object_put(answer);
    return found;
}

json_object *vg_cloud_call(struct vg_cloud *c, const char *command, const struct vg_cloud_arg *args,
                           unsigned n, char *why, size_t cap)
{
    char curl_why[CURL_ERROR_SIZE] = "";
    struct vg_text query, answer;
    json_object *found = NULL;
    long status = 0;
    CURLcode code;

    if (n > ARGS_MAX) {
        snprintf(why, cap, "%s: too many arguments", command);
        return NULL;
    }
    vg_text_init(&query);
    vg_text_init(&answer);
    put_request(&query, c->settings, command, args, n);
    code = vg_text_ok(&query) ? post(c, &query, &answer, &status, curl_why) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OK)
        found = inner(&answer, command, status, why, cap);
    else
        snprintf(why, cap, "%s at %s: %s", command, c->settings->url,
                 curl_why[0] ? curl_why : curl_easy_strerror(code));
    vg_text_fini(&query);
    vg_text_fini(&answer);
    return found;
}
