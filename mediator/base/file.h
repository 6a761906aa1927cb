/* SPDX-License-Identifier: MIT */
/* Files as a daemon needs them: whole, atomic, bounded; and sealed anonymous memory. */
#ifndef VG_BASE_FILE_H
#define VG_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The whole file, NUL-terminated, in *ret_text (caller frees). 0, -errno, -EFBIG over `cap`. */
int vg_file_read(const char *path, size_t cap, char **ret_text);

/*
 * Replaces `path` by `text`: a reader, or the next start after a crash, sees the
 * old content or the new, never a part. 0 or -errno.
 */
int vg_file_replace(const char *path, const char *text, mode_t mode);

/* The directory that `path` lies in, with its parents. 0 (also if it is there) or -errno. */
int vg_file_make_parent(const char *path, mode_t mode);

/*
 * Anonymous shared memory of a size that nobody can change any more, so a peer
 * that holds it cannot make our mapping fault. The fd or -errno.
 */
int vg_memfd_new(const char *name, uint64_t size);

#endif
