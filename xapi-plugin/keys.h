/* SPDX-License-Identifier: MIT */
/*
 * The keys of VM.platform that are policy: gpu_enabled, and gpu_ before each field that
 * the mediator knows (policy.h). Pure.
 */
#ifndef VG_KEYS_H
#define VG_KEYS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define VG_KEYS_PREFIX  "gpu_"
#define VG_KEYS_ENABLED "gpu_enabled"
#define VG_KEY_MAX      40u

unsigned vg_keys_count(void);

/* The i-th key, into key[VG_KEY_MAX]. */
void vg_keys_name(unsigned i, char *key);

/* The full name of "weight" or "gpu_weight" into key[VG_KEY_MAX]; false: no such key. */
bool vg_keys_find(const char *name, char *key);

/* Whether that value may stand for the key; if not, `why` names both and what is allowed. */
bool vg_keys_check(const char *key, const char *value, char *why, size_t why_cap);

/* True for the values of gpu_enabled that mean yes; *ret_valid says whether it is one at all. */
bool vg_keys_enabled(const char *value, bool *ret_valid);

/* "gpu_enabled, gpu_pool, ..." for sentences. */
void vg_keys_say(char *text, size_t cap);

#endif
