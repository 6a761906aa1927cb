/* SPDX-License-Identifier: MIT */
/* What xenstore has about one domain, as far as the plan wants to know it. */
#ifndef VG_XS_FACTS_H
#define VG_XS_FACTS_H

#include "lib.h"
#include "vg_xen.h"

#define VG_HOOK_TREE "/vgpu/vm"

/*
 * Fills everything but `type`. `home`[40] is the VM's own uuid, under which the hook's
 * folder lies: set here when it is "", else kept, because a migration gives the
 * uuid away. False: the connection is lost (or the domain has no uuid yet).
 */
bool vg_facts_read(struct vg_xs *xs, uint32_t domid, char *home, struct vg_xen_domain *ret_domain);

#endif
