/* SPDX-License-Identifier: MIT */
/* A list of items, see hoard.h. A few hundred of them, each touched a few times in its life. */
#include "hoard.h"

#include <string.h>

#include "mediator/base/util.h"

void vg_hoard_init(struct vg_hoard *h)
{
    vg_list_init(&h->items);
    h->count = 0;
}

static struct vg_hoard_item *find(struct vg_hoard *h, uint64_t key)
{
    struct vg_hoard_item *i;

    vg_list_for_each(i, &h->items, link) {
        if (i->key == key)
            return i;
    }
    return NULL;
}

static void close_all(const int *fds, unsigned nfds)
{
    for (unsigned i = 0; i < nfds; i++)
        close(fds[i]);
}

static void item_free(struct vg_hoard *h, struct vg_hoard_item *i)
{
    close_all(i->fds, i->nfds);
    vg_list_remove(&i->link);
    h->count--;
    free(i->data);
    free(i);
}

void vg_hoard_clear(struct vg_hoard *h)
{
    struct vg_hoard_item *i, *next;

    vg_list_for_each_safe(i, next, &h->items, link)
        item_free(h, i);
}

void vg_hoard_drop(struct vg_hoard *h, uint64_t key)
{
    struct vg_hoard_item *i = key ? find(h, key) : NULL;

    if (i)
        item_free(h, i);
}

/* A new one goes to the end, so LIST has the order of arrival. */
static struct vg_hoard_item *find_or_new(struct vg_hoard *h, uint64_t key)
{
    struct vg_hoard_item *i = find(h, key);

    if (i)
        return i;
    i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->key = key;
    vg_list_append(&h->items, &i->link);
    h->count++;
    return i;
}

static bool set_data(struct vg_hoard_item *i, const struct vg_keep_msg *msg)
{
    uint8_t *data = malloc(msg->len + 1u);

    if (!data)
        return false;
    memcpy(data, msg->data, msg->len);
    free(i->data);
    i->data = data;
    i->len = msg->len;
    return true;
}

bool vg_hoard_set(struct vg_hoard *h, const struct vg_keep_msg *msg)
{
    struct vg_hoard_item *i = find_or_new(h, msg->key);

    if (i && set_data(i, msg))
        return true;
    vg_hoard_drop(h, msg->key);
    return false;
}

bool vg_hoard_put(struct vg_hoard *h, const struct vg_keep_msg *msg, const int *fds, unsigned nfds)
{
    struct vg_hoard_item *i;

    if (!vg_hoard_set(h, msg)) {
        close_all(fds, nfds);
        return false;
    }
    i = find(h, msg->key);
    close_all(i->fds, i->nfds);
    memcpy(i->fds, fds, nfds * sizeof(*fds));
    i->nfds = nfds;
    return true;
}
