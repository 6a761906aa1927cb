/* SPDX-License-Identifier: MIT */
/* The parts of check-base. */
#ifndef VG_TESTS_CHECK_BASE_H
#define VG_TESTS_CHECK_BASE_H

#include <check.h>

TCase *vg_file_cases(void);     /* check_file.c */

#endif
