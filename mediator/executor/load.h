/* SPDX-License-Identifier: MIT */
/*
 * What the loads of images and the linker share: the JIT's options and messages, and
 * the image that a call brings. Serve thread.
 */
#ifndef VG_LOAD_H
#define VG_LOAD_H

#include "mediator/executor/executor.h"

#define VG_JIT_LOG_MAX (64u << 10) /* bytes of JIT log, each of two */
#define VG_JIT_OWN     4u          /* options of ours beside the guest's */

/* Large: on the heap. */
struct vg_jit {
    unsigned count;
    CUjit_option option[VG_JIT_OPTIONS_MAX + VG_JIT_OWN];
    void *value[VG_JIT_OPTIONS_MAX + VG_JIT_OWN];
    char info[VG_JIT_LOG_MAX], error[VG_JIT_LOG_MAX];
};

/* Options that are plain numbers, as the driver wants them. */
struct vg_jit_numbers {
    unsigned count;
    CUjit_option option[VG_JIT_OPTIONS_MAX];
    void *value[VG_JIT_OPTIONS_MAX];
};

/* Asks for both logs, of half of `capacity` bytes each; too little is none. */
void vg_jit_add_logs(struct vg_jit *j, size_t capacity);

/*
 * Takes the options that are plain numbers from `count` struct vg_jit_option at p. False: more than
 * VG_JIT_OPTIONS_MAX, or not all of them within `room` bytes.
 */
bool vg_jit_take_numbers(struct vg_jit_numbers *n, const uint8_t *p, uint64_t count, size_t room)
    __attribute__((warn_unused_result));

/* The same, to what j has. */
bool vg_jit_add_numbers(struct vg_jit *j, const uint8_t *p, uint64_t count, size_t room)
    __attribute__((warn_unused_result));

/* Makes the two logs the reply, whatever the result, if the guest has asked for them. */
void vg_jit_send_logs(struct vg_req *r, const struct vg_jit *j);

/* Memory for an image and some zero bytes behind it, which the caller writes and frees. Any thread. */
uint8_t *vg_image_new(uint64_t len);

/*
 * The image of an IMAGE_LOAD call in private memory, with zero bytes behind it; the caller
 * frees it. NULL: there is none.
 */
uint8_t *vg_image_take(struct vg_exec *x, struct vg_req *r, uint64_t *ret_len);

/* The guest has named or sent an image that is on the shelf. Serve thread. */
void vg_image_was_asked(struct vg_exec *x, const uint8_t digest[VG_DIGEST_BYTES]);

/* The library has ended, and its image may go; 0: all have. */
void vg_image_drop(struct vg_exec *x, uint64_t library);

/* Where the options stand in such a call's payload. */
uint64_t vg_image_options_at(const struct vg_req *r);

/* The kind that an IMAGE_LOAD asks for, without what is or'ed to it. */
uint64_t vg_image_kind(const struct vg_req *r);

/* Whether it has KNOWN or KEEP. */
bool vg_image_is_named(const struct vg_req *r);

/* The digest that a call with KNOWN or KEEP brings, or NULL. */
const uint8_t *vg_image_digest(const struct vg_req *r);

/* IMAGE_LOAD of VG_IMAGE_LINK_INPUT. */
CUresult vg_link_input(struct vg_exec *x, struct vg_req *r);

/* Makes a module or library of an image (kind: of vg_wire.h). j: its options, NULL for none. */
typedef CUresult vg_linked_use(struct vg_exec *x, unsigned kind, const void *image,
                               struct vg_jit *j, uint64_t *ret_handle);

/* Links the entries of a fat binary whose headers are checked (vg_image_ok) and uses the result. */
CUresult vg_link_units(struct vg_exec *x, const uint8_t *fatbin, struct vg_jit *j,
                       vg_linked_use *use, unsigned kind, uint64_t *ret_handle);

/* Frees the notes about link states, at the end of the process. */
void vg_links_fini(struct vg_exec *x);

#endif
