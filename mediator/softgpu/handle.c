/* SPDX-License-Identifier: MIT */
/*
 * The handle table: reserved address space that fills page by page, never shrinks and never moves.
 */
#include "handle.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define VG_HANDLE_SLOTS (4u << 20)

struct vg_handle_slot {
    void *obj;
    uint32_t kind;
    uint32_t next;      /* index + 1 of the next free slot, 0 ends the list */
};

static pthread_mutex_t vg_handle_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vg_handle_slot *vg_handle_table;
static uint32_t vg_handle_used;         /* slots handed out at least once */
static uint32_t vg_handle_free_head;
static uint32_t vg_handle_free_tail;

static int handle_table_map_locked(void)
{
    void *at;

    if (vg_handle_table != NULL)
        return 0;
    at = mmap(NULL, VG_HANDLE_SLOTS * sizeof(struct vg_handle_slot), PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    __atomic_store_n(&vg_handle_table, at, __ATOMIC_RELEASE);
    return 0;
}

/* Fresh slots first: a stale handle is recognised until the table has been through once. */
static struct vg_handle_slot *handle_slot_take_locked(void)
{
    struct vg_handle_slot *slot;

    if (vg_handle_used < VG_HANDLE_SLOTS)
        return &vg_handle_table[vg_handle_used++];
    if (vg_handle_free_head == 0)
        return NULL;
    slot = &vg_handle_table[vg_handle_free_head - 1];
    vg_handle_free_head = slot->next;
    if (vg_handle_free_head == 0)
        vg_handle_free_tail = 0;
    return slot;
}

void *vg_handle_new(enum vg_handle_kind kind, void *obj)
{
    struct vg_handle_slot *slot = NULL;

    pthread_mutex_lock(&vg_handle_lock);
    if (handle_table_map_locked() == 0)
        slot = handle_slot_take_locked();
    if (slot != NULL) {
        slot->obj = obj;
        slot->next = 0;
        __atomic_store_n(&slot->kind, (uint32_t)kind, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&vg_handle_lock);
    return slot;
}

void *vg_handle_get(const void *handle, enum vg_handle_kind kind)
{
    const struct vg_handle_slot *table = __atomic_load_n(&vg_handle_table, __ATOMIC_ACQUIRE);
    uintptr_t off = (uintptr_t)handle - (uintptr_t)table;
    const struct vg_handle_slot *slot = handle;

    if (table == NULL || off >= VG_HANDLE_SLOTS * sizeof(*slot) || off % sizeof(*slot) != 0)
        return NULL;
    if (__atomic_load_n(&slot->kind, __ATOMIC_ACQUIRE) != (uint32_t)kind)
        return NULL;
    return slot->obj;
}

void vg_handle_end(void *handle)
{
    struct vg_handle_slot *slot = handle;

    if (slot == NULL)
        return;
    pthread_mutex_lock(&vg_handle_lock);
    __atomic_store_n(&slot->kind, VG_HANDLE_FREE, __ATOMIC_RELEASE);
    slot->obj = NULL;
    slot->next = 0;
    if (vg_handle_free_tail != 0)
        vg_handle_table[vg_handle_free_tail - 1].next = (uint32_t)(slot - vg_handle_table) + 1;
    else
        vg_handle_free_head = (uint32_t)(slot - vg_handle_table) + 1;
    vg_handle_free_tail = (uint32_t)(slot - vg_handle_table) + 1;
    pthread_mutex_unlock(&vg_handle_lock);
}
