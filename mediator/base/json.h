/* SPDX-License-Identifier: MIT */
/*
 * What JSON may come in at all, checked before a parser sees it: the grammar of RFC
 * 8259 and nothing beyond it, in UTF-8, with bounds. Parsers differ in what they make
 * of a key that is there twice, of NaN, of a number beyond 64 bits, of a \u0000 in a
 * name; none of that gets through. Pure; any thread.
 */
#ifndef VG_BASE_JSON_H
#define VG_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define VG_JSON_DEPTH   8u      /* objects and arrays within each other */
#define VG_JSON_MEMBERS 64u     /* of one object */
#define VG_JSON_DIGITS  18u     /* characters of a number: any such whole number fits 64 bits */

/*
 * True for one JSON value and blanks around it. Else `why` says what is wrong and at
 * which byte. Keys are printable ASCII without escapes and unlike each other.
 */
bool vg_json_ok(const char *text, size_t len, char *why, size_t why_cap);

#endif
