/* SPDX-License-Identifier: MIT */
/* Lists of free blocks by power of two; see blocks.h. */
#include "blocks.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_SHIFT = 12, HEADER = 64 };
#define MAX_CACHED ((size_t)64 << 20)

struct block {
    struct block *next;
    int class; /* BLOCK_CLASSES: too large to keep */
};

void ptx_blocks_init(struct block_cache *c)
{
    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
}

void ptx_blocks_fini(struct block_cache *c)
{
    int i;

    for (i = 0; i < BLOCK_CLASSES; i++) {
        while (c->free[i]) {
            struct block *b = c->free[i];

            c->free[i] = b->next;
            free(b);
        }
    }
    pthread_mutex_destroy(&c->lock);
}

static size_t class_size(int class)
{
    return (size_t)1 << (MIN_SHIFT + class);
}

static struct block *take(struct block_cache *c, int class)
{
    struct block *b = NULL;

    if (class == BLOCK_CLASSES)
        return NULL;
    pthread_mutex_lock(&c->lock);
    b = c->free[class];
    if (b) {
        c->free[class] = b->next;
        c->bytes -= class_size(class);
    }
    pthread_mutex_unlock(&c->lock);
    return b;
}

void *ptx_block_get(struct block_cache *c, size_t size)
{
    struct block *b;
    int class = 0;
    void *p;

    size += HEADER;
    while (class < BLOCK_CLASSES && class_size(class) < size)
        class++;
    b = take(c, class);
    if (!b) {
        if (posix_memalign(&p, HEADER, class < BLOCK_CLASSES ? class_size(class) : size))
            return NULL;
        b = p;
        b->class = class;
    }
    return (char *)b + HEADER;
}

void ptx_block_put(struct block_cache *c, void *p)
{
    struct block *b = p ? (struct block *)(void *)((char *)p - HEADER) : NULL;
    int keep = 0;

    if (!b)
        return;
    if (b->class < BLOCK_CLASSES) {
        pthread_mutex_lock(&c->lock);
        keep = c->bytes + class_size(b->class) <= MAX_CACHED;
        if (keep) {
            c->bytes += class_size(b->class);
            b->next = c->free[b->class];
            c->free[b->class] = b;
        }
        pthread_mutex_unlock(&c->lock);
    }
    if (!keep)
        free(b);
}
