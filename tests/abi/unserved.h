/* SPDX-License-Identifier: MIT */
/* What is not served, and why: the table of the README. */
#ifndef VG_UNSERVED_H
#define VG_UNSERVED_H

#include <stdio.h>

/* Lines of Markdown: a row for each reason, with the functions it holds for. */
void unserved_print(FILE *to);

/* The first symbol of mode NOSUP for which there is no reason, or NULL. */
const char *unserved_without_reason(void);

#endif
