/* SPDX-License-Identifier: MIT */
/* What the files of hostile-cases share. */
#ifndef VG_HOSTILE_CASES_H
#define VG_HOSTILE_CASES_H

#include "tests/hostile/guest.h"

/* Kernels store, load, add and spin, each of two words (address, value). */
extern const char plain_ptx[];

void expect_alive(struct guest *g);

/* Of the guest that was opened last. */
pid_t executor_pid(void);

/* Memory that the guest maps itself (mappings.c). */
void mappings(const struct daemon *d);

/* Links and green contexts (linking.c). */
void linking(const struct daemon *d);

/* Too much of what is allowed (storms.c). */
void storms(const struct daemon *d);

/* What processes of one VM share, and of two (sharing.c). */
void sharing(const struct daemon *d);

#endif
