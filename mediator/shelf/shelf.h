/* SPDX-License-Identifier: MIT */
/*
 * Images that a VM's processes have sent, by the digest of their content, in one memory that
 * the executors of the VM share: the next process that wants one names it instead of
 * sending it. Of bounded size; what was used longest ago makes room.
 *
 * Trust: only an executor writes here, and only under a digest that it has computed itself,
 * so no guest process puts a wrong image under a name. Executors of one VM trust each other no
 * further than that they find memory here: every number is checked when it is used, content
 * is copied before it is looked at. Other VMs have other shelves. So none learns what another one
 * has loaded; and a shelf in common would save nothing, as to prove that one has an
 * image costs as much as to send it.
 *
 * Death: a process may be killed anywhere. Readers take no lock: what changed under them they
 * throw away. Writers exclude each other by a lock that the kernel takes back, and one that finds the
 * marks of an unfinished change clears the shelf.
 */
#ifndef VG_SHELF_H
#define VG_SHELF_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_digest.h"

#define VG_SHELF_BLOCK 16384u   /* bytes; an image takes a chain of these */
#define VG_SHELF_MIN   (1u << 20)   /* bytes of the smallest shelf */

struct vg_shelf_entry;

/* A process's view. All zero: no shelf, where nothing is found and nothing is kept. */
struct vg_shelf {
    uint8_t *map;
    size_t size;
    int fd;
    uint32_t entries, blocks;
    struct vg_shelf_entry *entry;   /* in the map, as the others */
    uint32_t *next;                 /* of each block: the one behind it, see shelf.c */
    uint8_t *block;
    pthread_mutex_t writers;        /* of this process; the lock of the file excludes others */
};

/*
 * Maps fd, which this takes over: memory of `size` bytes that began as zeros. 0 or -errno;
 * then s is empty. fd -1 gives an empty one.
 */
int vg_shelf_open(struct vg_shelf *s, int fd, uint64_t size);
void vg_shelf_close(struct vg_shelf *s);

/* Whether there is an image of that digest and length. Any thread. */
bool vg_shelf_has(const struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES], uint64_t size);

/* Copies it to dst. False: it is not there any more, and dst is undefined. Any thread. */
bool vg_shelf_take(struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES], uint64_t size,
                   void *dst);

/*
 * Processes of one program ask for the same images in the same order. follow: `then` was asked for
 * after the other one, if the shelf has both. next: which that is, or false. Any thread.
 */
void vg_shelf_follow(struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES],
                     const uint8_t then[VG_DIGEST_BYTES]);
bool vg_shelf_next(const struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES],
                   uint8_t ret_then[VG_DIGEST_BYTES], uint64_t *ret_size);

/*
 * Keeps an image if it has that digest, and takes no more than half of the shelf. False: it was not
 * kept, for these or for somebody else's writing at this moment. Any thread.
 */
bool vg_shelf_put(struct vg_shelf *s, const uint8_t digest[VG_DIGEST_BYTES], const void *image,
                  uint64_t size);

/* Whether the image has that digest. */
bool vg_shelf_is_name(const uint8_t digest[VG_DIGEST_BYTES], const void *image, uint64_t size);

/*
 * As put, for an image that was found to have the name; or for what was made of one, under a digest of
 * all that it was made from. vg_shelf_size tells how long it is, 0 if it is not there.
 */
bool vg_shelf_put_as(struct vg_shelf *s, const uint8_t name[VG_DIGEST_BYTES], const void *bytes,
                     uint64_t size);
uint64_t vg_shelf_size(const struct vg_shelf *s, const uint8_t name[VG_DIGEST_BYTES]);

#endif
