/* SPDX-License-Identifier: MIT */
/*
 * The shelves (mediator/shelf/shelf.h) on which VMs' executors keep images: whose is which, and how many
 * there are. The daemon makes and ends the memory and never looks into it. Runs on its loop.
 */
#ifndef VG_IMAGES_H
#define VG_IMAGES_H

#include <stdint.h>

struct vg_mediator;
struct vg_vm;

#define VG_IMAGES_IDLE 8u   /* VMs without a connection whose shelves stay for their next process */

/* A VM's part, in struct vg_vm. */
struct vg_vm_images {
    int fd;         /* -1: none */
    uint64_t used;  /* vg_now() when it was given away last */
};

void vg_images_init(struct vg_vm *vm);
void vg_images_fini(struct vg_vm *vm);

/* Bytes of each shelf; 0: there are none. */
uint64_t vg_images_bytes(const struct vg_mediator *m);

/*
 * The VM's shelf for one more executor, made if there is none yet; -1 without one, which costs
 * time only.
 */
int vg_images_of(struct vg_mediator *m, struct vg_vm *vm);

/* A VM has lost its last connection: only so many of those keep theirs. */
void vg_images_trim(struct vg_mediator *m);

#endif
