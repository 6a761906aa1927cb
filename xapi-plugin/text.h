/* SPDX-License-Identifier: MIT */
/*
 * A text that grows while it is put together. Memory that runs out ends in a state
 * that sticks: further puts do nothing and vg_text_ok says so, so callers check once.
 */
#ifndef VG_PLUGIN_TEXT_H
#define VG_PLUGIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct vg_text {
    char *data;             /* NUL-terminated; NULL while empty */
    size_t len, cap;
    bool failed;
};

void vg_text_init(struct vg_text *t);
void vg_text_fini(struct vg_text *t);

void vg_text_put(struct vg_text *t, const char *bytes, size_t len);
void vg_text_puts(struct vg_text *t, const char *text);
/* Of an answer that comes in pieces, and may have `most` bytes. False: enough of it, or no memory. */
bool vg_text_take(struct vg_text *t, const char *bytes, size_t len, size_t most);

/*
 * As character data of XML: '&', '<' and '>' become entities; what is not UTF-8, or a
 * character that XML cannot carry, becomes '?'.
 */
void vg_text_put_xml(struct vg_text *t, const char *text);

bool vg_text_ok(const struct vg_text *t);

#endif
