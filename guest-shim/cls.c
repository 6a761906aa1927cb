/* SPDX-License-Identifier: MIT */
/*
 * Context-local storage; see cls.h. Nodes are pushed in front of their bucket and
 * never freed (a few dozen per context), so that readers need no lock: a node
 * without a key is free for reuse.
 */
#include "guest-shim/cls.h"

#include <errno.h>
#include <stdlib.h>

#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "vg_atomic.h"

#define BUCKETS 32u

struct node {
    void *key;              /* NULL: unused */
    void *value;
    vg_cls_dtor *dtor;
    struct node *next;
};

struct vg_cls {
    struct node *bucket[BUCKETS];
};

static struct vg_lock lock;     /* writers of all contexts */

static unsigned bucket_of(const void *key)
{
    return (unsigned)((uintptr_t)key * 0x9e3779b97f4a7c15u >> 59);
}

static struct node *find(struct vg_cls *cls, const void *key)
{
    struct node *n = cls ? vg_load_acquire(&cls->bucket[bucket_of(key)]) : NULL;

    while (n && vg_load_acquire(&n->key) != key)
        n = n->next;
    return n;
}

int vg_cls_get(struct vg_ctx *ctx, void *key, void **ret_value)
{
    struct node *n = find(vg_load_acquire(&ctx->cls), key);

    if (!n)
        return -ENOENT;
    *ret_value = vg_load_acquire(&n->value);
    return 0;
}

static struct node *add_node(struct vg_ctx *ctx, void *key)
{
    if (!ctx->cls) {
        struct vg_cls *cls = calloc(1, sizeof(*cls));
        if (!cls)
            return NULL;
        vg_store_release(&ctx->cls, cls);
    }
    struct node **head = &ctx->cls->bucket[bucket_of(key)];
    for (struct node *n = *head; n; n = n->next)
        if (!n->key)
            return n;
    struct node *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->next = *head;
    vg_store_release(head, n);
    return n;
}

int vg_cls_put(struct vg_ctx *ctx, void *key, void *value, vg_cls_dtor *dtor)
{
    vg_lock(&lock);
    struct node *n = find(ctx->cls, key);
    if (!n)
        n = add_node(ctx, key);
    if (n) {
        n->dtor = dtor;
        vg_store_release(&n->value, value);
        vg_store_release(&n->key, key);
    }
    vg_unlock(&lock);
    return n ? 0 : -ENOMEM;
}

int vg_cls_delete(struct vg_ctx *ctx, void *key)
{
    vg_lock(&lock);
    struct node *n = find(ctx->cls, key);
    if (n)
        vg_store_release(&n->key, NULL);
    vg_unlock(&lock);
    return n ? 0 : -ENOENT;
}

/* Takes any one value out; its destructor must run without the lock, it may call us again. */
static bool take_any(struct vg_ctx *ctx, struct node *ret_copy)
{
    for (unsigned b = 0; ctx->cls && b < BUCKETS; b++) {
        for (struct node *n = ctx->cls->bucket[b]; n; n = n->next) {
            if (!n->key)
                continue;
            *ret_copy = *n;
            vg_store_release(&n->key, NULL);
            return true;
        }
    }
    return false;
}

void vg_cls_end(struct vg_ctx *ctx)
{
    for (;;) {
        struct node n;
        vg_lock(&lock);
        bool got = take_any(ctx, &n);
        vg_unlock(&lock);
        if (!got)
            return;
        if (n.dtor)
            n.dtor(ctx->handle, n.key, n.value);
    }
}
