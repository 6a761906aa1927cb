/* SPDX-License-Identifier: MIT */
/*
 * XML-RPC as XAPI speaks it, in both directions: values become JSON objects, calls
 * and answers become text. Nothing here does I/O. What is parsed is hostile: no
 * document types and so no entities but XML's own five, bounded
 * depth, and whatever is not XML-RPC is an error.
 */
#ifndef VG_XMLRPC_H
#define VG_XMLRPC_H

#include <json-c/json.h>
#include <stddef.h>

#include "text.h"

#define VG_XMLRPC_DEPTH 8u          /* values within values */
#define VG_XMLRPC_WHY   256u        /* bytes of a reason */

/*
 * Parses a methodCall to {"method": NAME, "params": [...]}, or a methodResponse to its
 * one value, or to {"fault": ...}. Untyped values, strings, numbers and dates are JSON
 * strings; booleans are booleans; structs objects; arrays arrays; nil null. 0, or -1
 * with the reason in why[VG_XMLRPC_WHY]. The caller owns *ret_value (which may be NULL).
 */
int vg_xmlrpc_parse_call(const char *text, size_t len, json_object **ret_call, char *why);
int vg_xmlrpc_parse_answer(const char *text, size_t len, json_object **ret_value, char *why);

/* A call, byte for byte as XAPI's own clients write it; `params` is an array of strings
 * and of objects whose members are strings. */
void vg_xmlrpc_put_call(struct vg_text *t, const char *method, json_object *params);

/* What a plugin prints: Python's xmlrpclib writes these bytes. */
void vg_xmlrpc_put_success(struct vg_text *t, const char *value);
void vg_xmlrpc_put_failure(struct vg_text *t, const char *const *parts, unsigned count);

#endif
