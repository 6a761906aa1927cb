/* SPDX-License-Identifier: MIT */
/* Numbers and names that people type: strict, with a sentence about what is wrong. */
#ifndef VG_BASE_NUMBER_H
#define VG_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, min..max. On failure `why` names value and what is allowed. */
bool vg_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value, char *why,
               size_t why_cap);

/* True for [A-Za-z0-9][A-Za-z0-9._:-]{0,cap-2}: safe in logs, files and tables. */
bool vg_name_ok(const char *text, size_t cap);

#endif
