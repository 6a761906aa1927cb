/* SPDX-License-Identifier: MIT */
/*
 * XAPI waits for a plugin for ever and takes every exit code but 0 for a plugin that is
 * broken. So when the time is over, or this process crashes, what is answered is a
 * failure like any other, from a signal handler.
 */
#ifndef VG_DEADLINE_H
#define VG_DEADLINE_H

/* From now on; `function` must stay, and is written as it is: [A-Za-z0-9_] only. */
void vg_deadline_start(const char *function, unsigned ms);

/* Text that must stay, for the handler to tell. */
void vg_deadline_stage(const char *doing);

/* Writes the whole answer, and lets no handler write a second one. */
void vg_deadline_answer(const char *text, unsigned long len);

#endif
