/* SPDX-License-Identifier: MIT */
/*
 * The registered VMs on disk: state_dir/vms.json, written as a whole and
 * atomically at every change, read once at start.
 */
#ifndef VG_STORE_H
#define VG_STORE_H

#include <stddef.h>

#include "vm.h"

/* 0 (also if there is no file yet), or -errno with what is wrong in `why`. */
int vg_store_load(const char *state_dir, struct vg_vms *vms, const struct vg_policy *defaults,
                  char *why, size_t why_cap);

/* 0 or -errno. An empty state_dir means: keep nothing. */
int vg_store_save(const char *state_dir, const struct vg_vms *vms);

#endif
