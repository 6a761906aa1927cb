/* SPDX-License-Identifier: MIT */
/* Numbers and names that people type, see number.h. */
#include "number.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool vg_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value, char *why,
               size_t why_cap)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || value < min || value > max) {
        snprintf(why, why_cap, "\"%.80s\" is not a number from %" PRIu64 " to %" PRIu64, text, min,
                 max);
        return false;
    }
    *ret_value = value;
    return true;
}

bool vg_name_ok(const char *text, size_t cap)
{
    size_t n = strnlen(text, cap);

    if (n == 0 || n == cap || !isalnum((unsigned char)*text))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("._:-", text[i]))
            return false;
    }
    return true;
}
