/* SPDX-License-Identifier: MIT */
/* Questions to the mediator's control socket. */
#ifndef VG_ASK_H
#define VG_ASK_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define VG_ASK_TIMEOUT_S 10

/*
 * Sends the request and returns the answer, whose member "ok" may be false; the
 * caller owns it. NULL if there was none: `why` says why and what to do.
 */
json_object *vg_ask(const char *path, json_object *request, char *why, size_t why_cap);

/* The same, with another patience than VG_ASK_TIMEOUT_S. */
json_object *vg_ask_within(const char *path, json_object *request, unsigned timeout_s, char *why,
                           size_t why_cap);

/*
 * The same, and then `fn` for each further line until it returns false or a signal
 * comes; for requests with "follow". 0; or -errno with the reason in `why`, -ECONNRESET
 * where the mediator ended it.
 */
int vg_ask_follow(const char *path, json_object *request, bool (*fn)(void *arg, json_object *line),
                  void *arg, char *why, size_t why_cap);

#endif
