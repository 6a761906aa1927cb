/* SPDX-License-Identifier: MIT */
/* What the process gives up before it looks at the first guest byte. */
#ifndef VG_SANDBOX_H
#define VG_SANDBOX_H

#include <stdbool.h>

/* After the driver is loaded and initialised, all files open. 0 or -errno. One way. */
int vg_sandbox_enter(bool software);

#endif
