/* SPDX-License-Identifier: MIT */
/*
 * Which host tags a host should have in CloudStack: those that somebody else has given it, and
 * ours. Ours are TAG, while the host can serve a GPU, and TAG-8g and so on while so many GiB
 * of GPU memory are left. Pure.
 */
#ifndef VG_TAGS_H
#define VG_TAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "xapi-plugin/text.h"

#define VG_TAG_MAX    40u       /* bytes of TAG with its NUL */
#define VG_TAGS_ROOMS 16u

struct vg_tags {
    char tag[VG_TAG_MAX];
    unsigned rooms[VG_TAGS_ROOMS];  /* GiB that there shall be a tag for */
    unsigned rooms_n;
};

/* What a host has. */
struct vg_tags_host {
    bool usable;
    int64_t room_mib;           /* of GPU memory that nobody uses or is promised */
};

/*
 * Puts together what should stand in place of `now` (tags with commas between; NULL: none): all
 * that are not ours, in their order, then ours. True if that differs from what stands there.
 */
bool vg_tags_merge(const struct vg_tags *t, const struct vg_tags_host *host, const char *now,
                   struct vg_text *wanted);

#endif
