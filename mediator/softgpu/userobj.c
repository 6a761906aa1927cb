/* SPDX-License-Identifier: MIT */
/*
 * User objects; see userobj.h. Under the engine's lock, but for the destructors: those run in the
 * thread that unlocks it next.
 */
#include "userobj.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "device.h"
#include "graph.h"
#include "handle.h"

struct vg_user_object {
    CUuserObject handle;
    struct vg_user_object *next;        /* of those that are due */
    CUhostFn destroy;
    void *data;
    uint64_t refs;
};

static struct vg_user_object *due;

static struct vg_user_object *object_get(CUuserObject handle)
{
    return vg_handle_get(handle, VG_HANDLE_USER_OBJECT);
}

static void object_put_locked(struct vg_user_object *o, unsigned count)
{
    o->refs -= count < o->refs ? count : o->refs;
    if (o->refs != 0)
        return;
    vg_handle_end(o->handle);
    o->next = due;
    __atomic_store_n(&due, o, __ATOMIC_RELEASE);
}

void vg_user_objects_flush(void)
{
    struct vg_user_object *o;

    while ((o = __atomic_load_n(&due, __ATOMIC_ACQUIRE)) != NULL) {
        vg_engine_lock_quietly();
        o = due;
        if (o != NULL)
            __atomic_store_n(&due, o->next, __ATOMIC_RELEASE);
        vg_engine_unlock_quietly();
        if (o == NULL)
            return;
        o->destroy(o->data);
        free(o);
    }
}

/* ------------------------------------------------------------- references of a graph */

static struct vg_user_ref *ref_find(const struct vg_user_refs *refs, const struct vg_user_object *o)
{
    size_t i;

    for (i = 0; i < refs->n; i++)
        if (refs->list[i].object == o)
            return &refs->list[i];
    return NULL;
}

static int refs_add(struct vg_user_refs *refs, struct vg_user_object *o, unsigned count)
{
    struct vg_user_ref *r = ref_find(refs, o), *grown;

    if (r != NULL) {
        r->count += count;
        return 0;
    }
    grown = realloc(refs->list, (refs->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    refs->list = grown;
    refs->list[refs->n++] = (struct vg_user_ref){ o, count };
    return 0;
}

int vg_user_refs_copy_locked(struct vg_user_refs *to, const struct vg_user_refs *from)
{
    size_t i;

    if (from->n == 0)
        return 0;
    to->list = malloc(from->n * sizeof(*to->list));
    if (to->list == NULL)
        return -ENOMEM;
    memcpy(to->list, from->list, from->n * sizeof(*to->list));
    to->n = from->n;
    for (i = 0; i < to->n; i++)
        to->list[i].object->refs += to->list[i].count;
    return 0;
}

void vg_user_refs_clear_locked(struct vg_user_refs *refs)
{
    size_t i;

    for (i = 0; i < refs->n; i++)
        object_put_locked(refs->list[i].object, refs->list[i].count);
    free(refs->list);
    memset(refs, 0, sizeof(*refs));
}

/* ----------------------------------------------------------------------- entry points */

VG_ENTRY(cuUserObjectCreate, (CUuserObject *object, void *ptr, CUhostFn destroy, unsigned refs,
                              unsigned flags))
{
    struct vg_user_object *o;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (object == NULL || destroy == NULL || refs == 0 || refs > INT32_MAX ||
        flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
    o = calloc(1, sizeof(*o));
    if (o == NULL || (o->handle = vg_handle_new(VG_HANDLE_USER_OBJECT, o)) == NULL) {
        free(o);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    o->destroy = destroy;
    o->data = ptr;
    o->refs = refs;
    *object = o->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuUserObjectRetain, (CUuserObject object, unsigned count))
{
    struct vg_user_object *o = object_get(object);

    if (o == NULL || count == 0 || count > INT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    o->refs += count;
    vg_engine_unlock();
    return CUDA_SUCCESS;
}

VG_ENTRY(cuUserObjectRelease, (CUuserObject object, unsigned count))
{
    struct vg_user_object *o = object_get(object);

    if (o == NULL || count == 0 || count > INT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    object_put_locked(o, count);
    vg_engine_unlock();
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphRetainUserObject,
         (CUgraph graph, CUuserObject object, unsigned count, unsigned flags))
{
    struct vg_graph *g = vg_graph_get(graph);
    struct vg_user_object *o = object_get(object);
    CUresult rc = CUDA_SUCCESS;

    if (g == NULL || o == NULL || count == 0 || count > INT32_MAX ||
        (flags & ~(unsigned)CU_GRAPH_USER_OBJECT_MOVE) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    if (refs_add(&g->objects, o, count) != 0)
        rc = CUDA_ERROR_OUT_OF_MEMORY;
    else if ((flags & CU_GRAPH_USER_OBJECT_MOVE) == 0)
        o->refs += count;
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuGraphReleaseUserObject, (CUgraph graph, CUuserObject object, unsigned count))
{
    struct vg_graph *g = vg_graph_get(graph);
    struct vg_user_object *o = object_get(object);
    struct vg_user_ref *r;
    CUresult rc = CUDA_ERROR_INVALID_VALUE;

    if (g == NULL || o == NULL || count == 0)
        return rc;
    vg_engine_lock();
    r = ref_find(&g->objects, o);
    if (r != NULL && r->count >= count) {
        r->count -= count;
        if (r->count == 0)
            *r = g->objects.list[--g->objects.n];
        object_put_locked(o, count);
        rc = CUDA_SUCCESS;
    }
    vg_engine_unlock();
    return rc;
}
