/* SPDX-License-Identifier: MIT */
/* Configuration files, see ini.h. Takes the text apart in place. */
#include "ini.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char blanks[] = " \t\r";

static char *trim(char *s)
{
    size_t n;

    s += strspn(s, blanks);
    n = strlen(s);
    while (n > 0 && strchr(blanks, s[n - 1]))
        s[--n] = '\0';
    return s;
}

static int parse_line(char *line, vg_ini_fn *fn, void *arg, char *why, size_t cap)
{
    char *equals;

    line = trim(line);
    if (*line == '\0' || *line == '#' || *line == ';')
        return 0;
    equals = strchr(line, '=');
    if (!equals || equals == line) {
        snprintf(why, cap, "\"%s\" is no \"key = value\"", line);
        return -EINVAL;
    }
    *equals = '\0';
    return fn(arg, trim(line), trim(equals + 1), why, cap);
}

int vg_ini_parse(const char *file, char *text, vg_ini_fn *fn, void *arg, char *why, size_t why_cap)
{
    unsigned number = 1;

    for (char *line = text, *next; line; line = next, number++) {
        char reason[256] = "";
        int rc;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        rc = parse_line(line, fn, arg, reason, sizeof(reason));
        if (rc < 0) {
            snprintf(why, why_cap, "%s:%u: %s", file, number, reason);
            return rc;
        }
    }
    return 0;
}
