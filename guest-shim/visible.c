/* SPDX-License-Identifier: MIT */
/* Which devices the process wants to see; see visible.h. */
#include "guest-shim/visible.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UUID_TEXT 41        /* GPU-, 36 characters, NUL */

struct vg_visible vg_visible;

static const char *setting(void)
{
    return getenv("CUDA_VISIBLE_DEVICES");
}

bool vg_visible_nothing(void)
{
    const char *s = setting();

    return s && (*s == '\0' || *s == '-' || *s == ',');
}

static void uuid_text(const uint8_t *uuid, char text[UUID_TEXT])
{
    int n = snprintf(text, UUID_TEXT, "GPU-");

    for (unsigned i = 0; i < 16; i++)
        n += snprintf(text + n, (size_t)(UUID_TEXT - n), "%s%02x",
                      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

/* The device whose UUID begins with these characters; with two of them it is no name. */
static int by_uuid(const struct vg_snapshot *s, const char *text, size_t length)
{
    char uuid[UUID_TEXT];
    int found = -1;

    for (uint32_t i = 0; i < s->device_count; i++) {
        uuid_text(s->device[i].uuid, uuid);
        if (length >= UUID_TEXT || strncasecmp(uuid, text, length) != 0)
            continue;
        if (found >= 0)
            return -1;
        found = (int)i;
    }
    return found;
}

static int by_number(const struct vg_snapshot *s, const char *text, size_t length)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    return *text != '-' && end == text + length && length && n < s->device_count ? (int)n : -1;
}

bool vg_visible_choose(const struct vg_snapshot *s, struct vg_visible *ret)
{
    const char *at = setting();

    *ret = (struct vg_visible){.count = 0};
    if (!at)
        return false;
    for (;;) {
        size_t length = strcspn(at, ",");
        int dev = strncmp(at, "GPU-", 4) == 0 ? by_uuid(s, at, length) : by_number(s, at, length);

        if (dev < 0)
            return true;
        if (memchr(ret->at, dev, ret->count)) {
            *ret = (struct vg_visible){.twice = true};
            return true;
        }
        ret->at[ret->count++] = (uint8_t)dev;
        if (at[length] == '\0')
            return true;
        at += length + 1;
    }
}

bool vg_visible_is_prefix(const struct vg_visible *v)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (v->at[i] != i)
            return false;
    return true;
}
