/* SPDX-License-Identifier: MIT */
/*
 * Staging chunks. They are taken from the shared region as they are first needed,
 * up to a share of it, and kept until the process ends. A chunk is free when no
 * thread holds it and the host has cleared its stage_busy word.
 */
#include <pthread.h>

#include "guest-shim/call.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_atomic.h"

/* Bytes: large enough to hide a call's cost in its copy; few of them hide a long one's. */
#define CHUNK_WANT  (512u << 10)
#define CHUNK_MIN   VG_EXTENT_SIZE
#define SHARE       8u                  /* one process stages through 1/8 of the region at most */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint8_t *bytes;
    size_t size;
    bool held;
} chunks[VG_STAGE_CHUNKS];
static unsigned chunk_count;
static size_t chunk_bytes;

/*
 * For copies that graphs wait for, see transfer.h: copies behind such a graph hold the chunks until it
 * has ended. VG_STAGE_CHUNKS: there are no such graphs.
 */
static unsigned reserved = VG_STAGE_CHUNKS;

static uint32_t *busy_word(unsigned i)
{
    return &vg_process.slot->stage_busy[i];
}

static bool chunk_free(unsigned i)
{
    return !chunks[i].held && (i != reserved || vg_tls.in_callback) &&
           vg_load_acquire(busy_word(i)) == 0;
}

/* The first two are always granted if the region has them: one alone cannot pipeline. */
static bool has_share(void)
{
    unsigned others = chunk_count - (reserved < VG_STAGE_CHUNKS);

    return others < 2 || chunk_bytes + CHUNK_WANT <= vg_process.layout.size / SHARE;
}

/* Held by the caller, who pins it (pin_chunk) when he has given the lock back. */
static bool add_chunk_locked(void)
{
    size_t size;

    if (chunk_count == VG_STAGE_CHUNKS)
        return false;
    void *p = vg_window_get(CHUNK_WANT, CHUNK_MIN, &size);
    if (!p)
        return false;
    chunks[chunk_count].bytes = p;
    chunks[chunk_count].size = size;
    chunks[chunk_count].held = true;
    chunk_bytes += size;
    chunk_count++;
    return true;
}

/* One way to the host and back, which the others need not wait for. */
static void pin_chunk(const struct vg_stage *s)
{
    /* What the GPU does not see is staged all the same; an error that stands is the copy's to tell. */
    if (vg_window_pin(s->bytes, s->size) != CUDA_SUCCESS)
        vg_log(3, "a staging chunk is not pinned");
}

static struct vg_stage stage_of(unsigned i)
{
    return (struct vg_stage){.index = i, .bytes = chunks[i].bytes, .size = chunks[i].size};
}

bool vg_stage_try(struct vg_stage *ret_stage)
{
    bool fresh = false;
    unsigned i = 0;

    pthread_mutex_lock(&lock);
    while (i < chunk_count && !chunk_free(i))
        i++;
    bool found = i < chunk_count || (fresh = has_share() && add_chunk_locked());
    if (found) {
        chunks[i].held = true;
        *ret_stage = stage_of(i);
    }
    pthread_mutex_unlock(&lock);
    if (fresh)
        pin_chunk(ret_stage);
    return found;
}

typedef char vg_assert_places[VG_CELLS * VG_REPLY_MAX <= VG_EXTENT_SIZE ? 1 : -1];

static uint8_t *places;
static bool no_places;          /* asked for in vain: that costs more than chunks do */

/* Pinned unlocked, as chunks are: what the GPU does not see yet is copied all the same. */
static uint8_t *make_places(void)
{
    size_t size;

    pthread_mutex_lock(&lock);
    uint8_t *p = vg_load_relaxed(&places);
    bool fresh = !p && !no_places;
    if (fresh) {
        p = vg_window_get(VG_EXTENT_SIZE, VG_EXTENT_SIZE, &size);
        vg_store_relaxed(&no_places, !p);
        vg_store_release(&places, p);
    }
    pthread_mutex_unlock(&lock);
    if (fresh && p && vg_window_pin(p, size) != CUDA_SUCCESS)
        vg_log(3, "the places of reply cells are not pinned");
    return p;
}

uint8_t *vg_stage_places(void)
{
    uint8_t *p = vg_load_acquire(&places);

    return VG_LIKELY(p || vg_load_relaxed(&no_places)) ? p : make_places();
}

void vg_stage_reserve(void)
{
    struct vg_stage stage = {0};
    bool fresh = false;

    vg_stage_places();  /* no later than chunks: nobody pins for a graph that runs */
    pthread_mutex_lock(&lock);
    if (reserved == VG_STAGE_CHUNKS && ((fresh = add_chunk_locked()) || chunk_count > 1)) {
        reserved = chunk_count - 1;
        stage = stage_of(reserved);
    }
    pthread_mutex_unlock(&lock);
    if (!fresh)
        return;
    pin_chunk(&stage);
    vg_stage_unhold(&stage);
}

/* No chunk will ever be free for this thread. */
static bool nothing_to_come(void)
{
    return chunk_count == (reserved < VG_STAGE_CHUNKS && !vg_tls.in_callback ? 1 : 0);
}

CUresult vg_stage_acquire(struct vg_stage *ret_stage)
{
    struct vg_backoff backoff = {0};

    while (!vg_stage_try(ret_stage)) {
        if (nothing_to_come())
            return CUDA_ERROR_OUT_OF_MEMORY;    /* other processes hold the whole region */
        if (!vg_backoff_step(&backoff))
            return vg_process.lost;
    }
    return CUDA_SUCCESS;
}

void vg_stage_unhold(const struct vg_stage *stage)
{
    pthread_mutex_lock(&lock);
    chunks[stage->index].held = false;
    pthread_mutex_unlock(&lock);
}

void vg_stage_release(const struct vg_stage *stage)
{
    vg_store_release(busy_word(stage->index), 0);
    vg_stage_unhold(stage);
}

void vg_stage_lend(const struct vg_stage *stage)
{
    vg_store_release(busy_word(stage->index), 1);
}
