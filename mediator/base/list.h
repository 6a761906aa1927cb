/* SPDX-License-Identifier: MIT */
/* A doubly linked list through the members' own links. Owns nothing. */
#ifndef VG_BASE_LIST_H
#define VG_BASE_LIST_H

#include <stdbool.h>

#include "util.h"

struct vg_list {
    struct vg_list *next, *prev;
};

static inline void vg_list_init(struct vg_list *l)
{
    l->next = l->prev = l;
}

static inline bool vg_list_empty(const struct vg_list *l)
{
    return l->next == l;
}

static inline void vg_list_append(struct vg_list *head, struct vg_list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

/* Also fine for an item that is initialised but in no list. */
static inline void vg_list_remove(struct vg_list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    vg_list_init(item);
}

#define vg_list_entry(item, type, member) vg_container_of(item, type, member)

#define vg_list_for_each(var, head, member)                                              \
    for (var = vg_list_entry((head)->next, __typeof__(*var), member);                    \
         &var->member != (head);                                                         \
         var = vg_list_entry(var->member.next, __typeof__(*var), member))

/* As above; the body may remove `var`. */
#define vg_list_for_each_safe(var, tmp, head, member)                                    \
    for (var = vg_list_entry((head)->next, __typeof__(*var), member),                    \
        tmp = vg_list_entry(var->member.next, __typeof__(*var), member);                 \
         &var->member != (head);                                                         \
         var = tmp, tmp = vg_list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
