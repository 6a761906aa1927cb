/* SPDX-License-Identifier: MIT */
/* Host tags, see tags.h. */
#include "tags.h"

#include <stdio.h>
#include <string.h>

#define MIB_PER_GIB 1024

/* The next tag of a list, without blanks around it; *ret_len 0: there is none. */
static const char *next_tag(const char **list, size_t *ret_len)
{
    static const char apart[] = ", \t";
    const char *tag = *list + strspn(*list, apart);
    size_t n = strcspn(tag, ",");

    *list = tag + n;
    while (n > 0 && strchr(apart, tag[n - 1]))
        n--;
    *ret_len = n;
    return tag;
}

static bool listed(const char *list, const char *wanted, size_t len)
{
    size_t n;

    for (;;) {
        const char *tag = next_tag(&list, &n);

        if (n == 0)
            return false;
        if (n == len && memcmp(tag, wanted, n) == 0)
            return true;
    }
}

/* TAG, or TAG-8g with any number: rooms that were in the settings once are ours too. */
static bool is_ours(const struct vg_tags *t, const char *tag, size_t n)
{
    size_t base = strlen(t->tag), digits;

    if (n < base || memcmp(tag, t->tag, base) != 0)
        return false;
    if (n == base)
        return true;
    if (n < base + 3 || tag[base] != '-' || tag[n - 1] != 'g')
        return false;
    digits = strspn(tag + base + 1, "0123456789");
    return digits == n - base - 2;
}

static void add(struct vg_text *list, const char *tag, size_t n)
{
    if (list->len > 0)
        vg_text_puts(list, ",");
    vg_text_put(list, tag, n);
}

static void add_ours(const struct vg_tags *t, const struct vg_tags_host *host, struct vg_text *list)
{
    char tag[VG_TAG_MAX + 16];

    if (!host->usable)
        return;
    add(list, t->tag, strlen(t->tag));
    for (unsigned i = 0; i < t->rooms_n; i++) {
        if (host->room_mib < (int64_t)t->rooms[i] * MIB_PER_GIB)
            continue;
        snprintf(tag, sizeof(tag), "%s-%ug", t->tag, t->rooms[i]);
        add(list, tag, strlen(tag));
    }
}

/* All of `a` are in `b`. */
static bool within(const char *a, const char *b)
{
    size_t n;

    for (;;) {
        const char *tag = next_tag(&a, &n);

        if (n == 0)
            return true;
        if (!listed(b, tag, n))
            return false;
    }
}

bool vg_tags_merge(const struct vg_tags *t, const struct vg_tags_host *host, const char *now,
                   struct vg_text *wanted)
{
    const char *left = now ? now : "", *all;
    size_t n;

    for (;;) {
        const char *tag = next_tag(&left, &n);

        if (n == 0)
            break;
        if (!is_ours(t, tag, n))
            add(wanted, tag, n);
    }
    add_ours(t, host, wanted);
    all = wanted->data ? wanted->data : "";
    return !within(all, now ? now : "") || !within(now ? now : "", all);
}
