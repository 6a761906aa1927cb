/* SPDX-License-Identifier: MIT */
/* One question to the mediator's control socket. */
#ifndef VG_ASK_H
#define VG_ASK_H

#include <json-c/json.h>
#include <stddef.h>

#define VG_ASK_TIMEOUT_S 10

/*
 * Sends the request and returns the answer, whose member "ok" may be false; the
 * caller owns it. NULL if there was none: `why` says why and what to do.
 */
json_object *vg_ask(const char *path, json_object *request, char *why, size_t why_cap);

#endif
