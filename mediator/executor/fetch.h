/* SPDX-License-Identifier: MIT */
/*
 * Fetches images from the VM's shelf before they are asked for. Processes of one program load
 * the same images in the same order, and between two of them the guest is busy for milliseconds: it
 * decompresses the next one, and names it. A thread of ours copies it meanwhile, so that the
 * driver can begin at once when its name comes. A wrong guess costs that copy, and for
 * seconds its memory. What is handed out was copied under the very name that is asked for.
 */
#ifndef VG_FETCH_H
#define VG_FETCH_H

#include <pthread.h>

#include "mediator/shelf/shelf.h"

#define VG_FETCH_MIN   (256u << 10) /* bytes; a smaller one is copied as soon as another thread wakes */
#define VG_FETCH_MAX   (64u << 20)
#define VG_FETCH_ASKED 16u

enum vg_fetch_state {
    VG_FETCH_NONE,
    VG_FETCH_COMING,    /* the thread copies it */
    VG_FETCH_HERE,      /* may be claimed */
};

/* All zero: nothing is fetched. Thread-safe. */
struct vg_fetch {
    struct vg_shelf *shelf;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool started, ends;
    uint8_t asked[VG_FETCH_ASKED][VG_DIGEST_BYTES]; /* since the thread looked; later ones get lost */
    unsigned asks;
    enum vg_fetch_state state;
    uint8_t digest[VG_DIGEST_BYTES];    /* of bytes */
    uint64_t size;
    uint8_t *bytes;     /* the thread's while it is COMING */
};

/* The guest has named or sent an image that is on the shelf. Starts the thread with the first. */
void vg_fetch_after(struct vg_fetch *f, struct vg_shelf *shelf,
                    const uint8_t digest[VG_DIGEST_BYTES]);

/* The image, in memory as vg_image_new makes it, now the caller's; NULL: it was not fetched. */
uint8_t *vg_fetch_claim(struct vg_fetch *f, const uint8_t digest[VG_DIGEST_BYTES], uint64_t size);

/* Ends the thread. */
void vg_fetch_fini(struct vg_fetch *f);

#endif
