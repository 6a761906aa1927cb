/* SPDX-License-Identifier: MIT */
/* JIT options; see jit.h. */
#include "guest-shim/jit.h"

#include <stdint.h>
#include <string.h>

#include "vg_jit.h"

static void take_number(struct vg_jit *jit, CUjit_option option, void *value)
{
    if (jit->count == VG_JIT_OPTIONS_MAX)
        return;
    jit->option[jit->count].option = option;
    jit->option[jit->count].value = (uint32_t)(uintptr_t)value;
    jit->count++;
}

/* Sizes are unsigned ints inside a pointer: what stands above is not meant. */
static void take(struct vg_jit *jit, CUjit_option option, void **value)
{
    switch (option) {
    case CU_JIT_ERROR_LOG_BUFFER:
        jit->error.buffer = *value;
        jit->error.given = true;
        break;
    case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
        jit->error.size = (uint32_t)(uintptr_t)*value;
        jit->error.ret_used = value;
        break;
    case CU_JIT_INFO_LOG_BUFFER:
        jit->info.buffer = *value;
        jit->info.given = true;
        break;
    case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
        jit->info.size = (uint32_t)(uintptr_t)*value;
        jit->info.ret_used = value;
        break;
    case CU_JIT_WALL_TIME:
        jit->ret_wall_ms = value;
        break;
    default:
        if (vg_jit_is_number(option))
            take_number(jit, option, *value);
    }
}

/* A buffer comes with its size, and a size with its buffer. */
static bool is_whole(const struct vg_jit_log *log)
{
    return log->given == (log->ret_used != NULL);
}

CUresult vg_jit_init(struct vg_jit *jit, unsigned count, const CUjit_option *options, void **values)
{
    memset(jit, 0, sizeof(*jit));
    if (count && (!options || !values))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++) {
        if ((unsigned)options[i] >= CU_JIT_NUM_OPTIONS)
            return CUDA_ERROR_INVALID_VALUE;
        take(jit, options[i], &values[i]);
    }
    return is_whole(&jit->error) && is_whole(&jit->info) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void vg_jit_took(const struct vg_jit *jit, double ms)
{
    float f = (float)ms;

    if (jit->ret_wall_ms)
        memcpy(jit->ret_wall_ms, &f, sizeof(f));
}

static void deliver(const struct vg_jit_log *log, const char *text)
{
    size_t n = 0;

    if (log->buffer && log->size) {
        n = strnlen(text, log->size - 1);
        memcpy(log->buffer, text, n);
        log->buffer[n] = '\0';
    }
    if (log->ret_used)
        *log->ret_used = (void *)(uintptr_t)n;
}

void vg_jit_report(const struct vg_jit *jit, const char *texts, size_t bytes)
{
    const char *end = memchr(texts, '\0', bytes);
    const char *info = end ? end + 1 : "";

    if (end && !memchr(info, '\0', bytes - (size_t)(info - texts)))
        info = "";
    deliver(&jit->error, end ? texts : "");
    deliver(&jit->info, info);
}
