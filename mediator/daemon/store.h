/* SPDX-License-Identifier: MIT */
/*
 * The registered VMs on disk: state_dir/vms.json, written as a whole and
 * atomically at every change, read once at start.
 */
#ifndef VG_STORE_H
#define VG_STORE_H

#include <stddef.h>

#include "vm.h"

/*
 * 0 (also if there is no file yet), or -errno with what is wrong in `why`. -EINVAL: the
 * file is damaged; what of it made sense has been taken all the same.
 */
int vg_store_load(const char *state_dir, struct vg_vms *vms, const struct vg_policy *defaults,
                  char *why, size_t why_cap);

/* 0 or -errno. An empty state_dir means: keep nothing. */
int vg_store_save(const char *state_dir, const struct vg_vms *vms);

/*
 * Puts a damaged file out of the way, for people to look at: its new name is in
 * ret_path. 0 or -errno.
 */
int vg_store_set_aside(const char *state_dir, char *ret_path, size_t cap);

#endif
