/* SPDX-License-Identifier: MIT */
/* The system call filter of a serving executor. */
#ifndef VG_FILTER_H
#define VG_FILTER_H

#include <stdbool.h>

/*
 * Installs the filter on all threads; needs no_new_privs. What is on neither list
 * fails with EPERM under the software GPU, whose needs are known; under a vendor's
 * driver it is allowed and logged by the kernel, for nobody knows all its needs.
 * 0, -errno, or -ENOSYS where the kernel or the machine has no such filters.
 */
int vg_filter_install(bool software);

#endif
