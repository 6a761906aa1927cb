/* SPDX-License-Identifier: MIT */
/*
 * Memory for registers, shared and local memory of running CTAs, kept by the
 * pool from launch to launch: fresh pages from the system would cost more than
 * a small kernel. Any thread.
 */
#ifndef VG_PTX_BLOCKS_H
#define VG_PTX_BLOCKS_H

#include <pthread.h>
#include <stddef.h>

enum { BLOCK_CLASSES = 13 };

struct block;

struct block_cache {
    pthread_mutex_t lock;
    struct block *free[BLOCK_CLASSES];
    size_t bytes; /* in the lists */
};

void ptx_blocks_init(struct block_cache *c);
void ptx_blocks_fini(struct block_cache *c);
/* 64-byte aligned, contents undefined; NULL: no memory. */
void *ptx_block_get(struct block_cache *c, size_t size);
void ptx_block_put(struct block_cache *c, void *p); /* NULL is fine */

#endif
