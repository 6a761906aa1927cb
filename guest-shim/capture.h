/* SPDX-License-Identifier: MIT */
/* Stream capture, as far as other files need to know of it. */
#ifndef VG_SHIM_CAPTURE_H
#define VG_SHIM_CAPTURE_H

#include <stdbool.h>

/* False if no stream of this process is being captured: what is answered without asking. */
bool vg_capture_possible(void);

#endif
