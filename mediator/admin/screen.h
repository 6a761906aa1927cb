/* SPDX-License-Identifier: MIT */
/*
 * A page that is written again and again: in place on a terminal that can, with the
 * keys read as they are pressed; one page after the other elsewhere. Process-wide while
 * it is live: it catches SIGINT, SIGTERM and SIGWINCH.
 */
#ifndef VG_SCREEN_H
#define VG_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <termios.h>

struct vg_screen {
    bool live, keys;
    struct termios before;      /* what the terminal was set to, if keys */
    char *page;
    size_t len;
    FILE *out;                  /* writes the page */
    unsigned pages;
};

void vg_screen_init(struct vg_screen *s, bool plain);   /* plain: as if there were no terminal */
void vg_screen_fini(struct vg_screen *s);               /* the terminal is as it was */

FILE *vg_screen_begin(struct vg_screen *s);             /* where to write the next page */
void vg_screen_end(struct vg_screen *s);                /* shows it, cut to the terminal's size */

/* False: it is to end, by a signal, by q, or because nobody reads any more. */
bool vg_screen_wait(struct vg_screen *s, uint64_t ms);

bool vg_screen_is_live(const struct vg_screen *s);

#endif
