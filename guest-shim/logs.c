/* SPDX-License-Identifier: MIT */
/*
 * The error log of the driver API: what this library says at VGPU_LOG=1, whether or not
 * it is printed, can be read back by the program. The last ENTRIES messages are kept.
 */
#include "guest-shim/logs.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-shim/lock.h"
#include "vg_api.h"

#define ENTRIES   128u      /* a power of two */
#define TEXT_MAX  200u      /* bytes of one, NUL included: 25,600 in all, as natively */
#define LOST      "(earlier messages were dropped)\n"

struct CUlogsCallbackEntry_st {
    struct CUlogsCallbackEntry_st *next;
    CUlogsCallback fn;
    void *user;
};

static struct vg_lock lock;
static char entry[ENTRIES][TEXT_MAX];
static uint32_t count;      /* messages ever; the iterator of the next one */
static struct CUlogsCallbackEntry_st *callbacks;

#define CALLBACKS_AT_ONCE 16u

/* Callbacks run without the lock, for they may ask for the log. */
void vg_logs_add(const char *text)
{
    struct CUlogsCallbackEntry_st to[CALLBACKS_AT_ONCE];
    unsigned n = 0;
    char copy[TEXT_MAX];

    vg_lock(&lock);
    char *e = entry[count++ % ENTRIES];
    strncpy(e, text, TEXT_MAX - 1);
    memcpy(copy, e, TEXT_MAX);
    for (struct CUlogsCallbackEntry_st *c = callbacks; c && n < CALLBACKS_AT_ONCE; c = c->next)
        to[n++] = *c;
    vg_unlock(&lock);
    for (unsigned i = 0; i < n; i++)
        to[i].fn(to[i].user, CU_LOG_LEVEL_ERROR, copy, strlen(copy));
}

/* ---- callbacks ------------------------------------------------------------------- */

CUresult cuLogsRegisterCallback(CUlogsCallback callbackFunc, void *userData,
                                CUlogsCallbackHandle *callback_out)
{
    struct CUlogsCallbackEntry_st *c = callbackFunc ? malloc(sizeof(*c)) : NULL;

    if (!callbackFunc)
        return CUDA_ERROR_INVALID_VALUE;
    if (!c)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_lock(&lock);
    *c = (struct CUlogsCallbackEntry_st){callbacks, callbackFunc, userData};
    callbacks = c;
    vg_unlock(&lock);
    if (callback_out)
        *callback_out = c;
    return CUDA_SUCCESS;
}

CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle callback)
{
    vg_lock(&lock);
    struct CUlogsCallbackEntry_st **p = &callbacks;
    while (*p && *p != callback)
        p = &(*p)->next;
    struct CUlogsCallbackEntry_st *c = *p;
    if (c)
        *p = c->next;
    vg_unlock(&lock);
    free(c);
    return c ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ---- reading --------------------------------------------------------------------- */

CUresult cuLogsCurrent(CUlogIterator *iterator_out, unsigned flags)
{
    if (!iterator_out || flags)
        return CUDA_ERROR_INVALID_VALUE;
    vg_lock(&lock);
    *iterator_out = count;
    vg_unlock(&lock);
    return CUDA_SUCCESS;
}

/* The oldest message that can be had from `from` on. With the lock. */
static uint32_t oldest(uint32_t from)
{
    return count - from > ENTRIES ? count - ENTRIES : from;
}

/*
 * All messages from *iterator on as one text, to be freed; at most `room` bytes of it with its
 * NUL, for which older ones are left out. NULL: no memory, or not even the newest fits.
 */
static char *collect(CUlogIterator *iterator, size_t room)
{
    char *text = malloc(sizeof(entry) + sizeof(LOST) + ENTRIES);

    vg_lock(&lock);
    uint32_t wanted = iterator ? *iterator : 0, from = oldest(wanted);
    size_t used = 1;
    uint32_t first = count;
    while (first != from && used + strlen(entry[(first - 1) % ENTRIES]) + 1 <= room)
        used += strlen(entry[--first % ENTRIES]) + 1;
    bool lost = first != wanted && used + strlen(LOST) <= room;
    bool none_fits = first == count && from != count;
    size_t at = 0;
    for (uint32_t i = first; text && !none_fits && i != count; i++)
        at += (size_t)sprintf(text + at, "%s%s\n", lost && i == first ? LOST : "",
                              entry[i % ENTRIES]);
    if (iterator && text && !none_fits)
        *iterator = count;
    vg_unlock(&lock);
    if (text)
        text[at] = '\0';
    if (none_fits) {
        free(text);
        return NULL;
    }
    return text;
}

CUresult cuLogsDumpToFile(CUlogIterator *iterator, const char *pathToFile, unsigned flags)
{
    FILE *f = pathToFile && !flags ? fopen(pathToFile, "we") : NULL;

    if (!f)
        return CUDA_ERROR_INVALID_VALUE;
    char *text = collect(iterator, SIZE_MAX);
    bool ok = text && fputs(text, f) >= 0;
    ok = fclose(f) == 0 && ok;
    free(text);
    return ok ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuLogsDumpToMemory(CUlogIterator *iterator, char *buffer, size_t *size, unsigned flags)
{
    if (!buffer || !size || *size == 0 || flags)
        return CUDA_ERROR_INVALID_VALUE;
    char *text = collect(iterator, *size);
    if (!text) {
        *size = 0;
        return CUDA_ERROR_INVALID_VALUE;
    }
    *size = strlen(text);
    memcpy(buffer, text, *size + 1);
    free(text);
    return CUDA_SUCCESS;
}
