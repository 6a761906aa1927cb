/* SPDX-License-Identifier: MIT */
/* Notes about nodes: a list, since few nodes have one. See node.h. */
#include <stdlib.h>

#include "guest-shim/lock.h"
#include "guest-shim/node.h"

struct block {
    struct block *next;
    size_t bytes;
    uint64_t data[];
};

struct note {
    struct note *next;
    CUgraphNode node;
    CUgraph root;
    struct block *blocks;
    CUDA_MEMCPY3D copy;
    bool has_copy;
};

static struct vg_lock lock;
static struct note *notes;

static struct note *find_locked(CUgraphNode node)
{
    struct note *n = notes;

    while (n && n->node != node)
        n = n->next;
    return n;
}

/* root NULL: not known, as it was. */
static struct note *get_locked(CUgraphNode node, CUgraph root)
{
    struct note *n = find_locked(node);

    if (!n && (n = calloc(1, sizeof(*n))) != NULL) {
        n->node = node;
        n->next = notes;
        notes = n;
    }
    if (n && root)
        n->root = root;
    return n;
}

static struct block *block_locked(struct note *n, size_t bytes)
{
    struct block *b = n->blocks;

    while (b && b->bytes != bytes)
        b = b->next;
    if (!b && (b = calloc(1, sizeof(*b) + bytes + 1)) != NULL) {
        b->bytes = bytes;
        b->next = n->blocks;
        n->blocks = b;
    }
    return b;
}

void *vg_node_hold(CUgraphNode node, CUgraph root, size_t bytes)
{
    vg_lock(&lock);
    struct note *n = get_locked(node, root);
    struct block *b = n ? block_locked(n, bytes) : NULL;
    vg_unlock(&lock);
    return b ? b->data : NULL;
}

void vg_node_note_copy(CUgraphNode node, CUgraph root, const CUDA_MEMCPY3D *copy)
{
    vg_lock(&lock);
    struct note *n = get_locked(node, root);
    if (n) {
        n->has_copy = true;
        n->copy = *copy;
    }
    vg_unlock(&lock);
}

bool vg_node_noted_copy(CUgraphNode node, CUDA_MEMCPY3D *ret_copy)
{
    vg_lock(&lock);
    const struct note *n = find_locked(node);
    bool has = n && n->has_copy;
    if (has)
        *ret_copy = n->copy;
    vg_unlock(&lock);
    return has;
}

void vg_node_drop_copy(CUgraphNode node)
{
    vg_lock(&lock);
    struct note *n = find_locked(node);
    if (n)
        n->has_copy = false;
    vg_unlock(&lock);
}

static void note_free(struct note *n)
{
    while (n->blocks) {
        struct block *b = n->blocks;
        n->blocks = b->next;
        free(b);
    }
    free(n);
}

static void forget(CUgraphNode node, CUgraph root)
{
    struct note **at = &notes, *n;

    vg_lock(&lock);
    while ((n = *at) != NULL) {
        if (node ? n->node != node : n->root != root) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        note_free(n);
    }
    vg_unlock(&lock);
}

void vg_node_forget(CUgraphNode node)
{
    if (node)
        forget(node, NULL);
}

void vg_node_forget_graph(CUgraph root)
{
    if (root)
        forget(NULL, root);
}
