/* SPDX-License-Identifier: MIT */
/* Configuration files of `key = value` lines; '#' or ';' starts a comment line. */
#ifndef VG_BASE_INI_H
#define VG_BASE_INI_H

#include <stddef.h>

/* For one entry: 0, or < 0 with a sentence about the value in `why`. */
typedef int vg_ini_fn(void *arg, const char *key, const char *value, char *why, size_t why_cap);

/*
 * Hands every entry of `text` to `fn`. 0, or what fn returned, or -EINVAL for a
 * line that is no entry; then `why` reads "FILE:LINE: what is wrong".
 */
int vg_ini_parse(const char *file, char *text, vg_ini_fn *fn, void *arg, char *why,
                 size_t why_cap);

#endif
