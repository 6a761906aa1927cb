/* SPDX-License-Identifier: MIT */
/* What the parts of check-shim share. */
#ifndef VG_TESTS_CHECK_SHIM_H
#define VG_TESTS_CHECK_SHIM_H

#include <check.h>

#include "tests/shim/fake_host.h"
#include "vg_cuda.h"

extern struct fake_host *host;      /* of this test */

CUcontext retain(void);             /* device 0's primary context, made current */
void add_api_tests(TCase *core);    /* check_shim_api.c; core has a shim that is initialised */
void add_lend_tests(TCase *core);   /* check_shim_lend.c; the same */

#endif
